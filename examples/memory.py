"""A memory with sampled writes: it learns where to write so that reading in order reverses.

A controller reads symbols one by one and writes each to a memory cell whose address it draws:
`i = sample(a); m[i] = x`. The cells are then read from the first to the last, and what is read
should be the input backwards. An address has no gradient; the score function gives it one.

    .venv/bin/python examples/memory.py

takes 10 seconds on two cores and prints

    update  100   cost 11.12   right  30%
    update  200   cost  7.04   right  99%
    update  300   cost  3.95   right 100%
    update  400   cost  2.56   right 100%
    update  500   cost  1.75   right 100%
    update  600   cost  1.29   right 100%
    input  [6, 5, 5, 7, 2, 5]
    output [5, 2, 7, 5, 5, 6]
    reversed 100% of 1000 new inputs
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Categorical

import sfgrad as sf

SYMBOLS = 8
LENGTH = 6  # symbols to reverse, and cells of the memory
HIDDEN = 64
ENTROPY = 0.1  # what a nat of uncertainty about the address is worth: it keeps trying others
SAMPLES = 8  # attempts at each input, compared with each other


class Memory(nn.Module):
    """A recurrent controller that writes at sampled addresses."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS, HIDDEN)
        self.core = nn.GRUCell(HIDDEN, HIDDEN)
        self.head = nn.Linear(HIDDEN, LENGTH)
        self.speak = nn.Linear(SYMBOLS + 1, SYMBOLS)  # from the content of a cell to a symbol
        self.address = sf.StochasticNode(sf.ScoreFunction(sf.LeaveOneOut()))

    def forward(self, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """The costs `[R, LENGTH]`, and what was read `[R, LENGTH]`, for symbols `[R, LENGTH]`."""
        rows = torch.arange(len(symbols))
        cells = torch.full((len(symbols), LENGTH), SYMBOLS)  # nothing is written yet
        h = torch.zeros(len(symbols), HIDDEN)
        for symbol in symbols.unbind(1):
            h = self.core(self.embed(symbol), h)
            addresses = Categorical(logits=self.head(h))
            i = self.address(addresses)
            cells = cells.index_put((rows, i), symbol)  # m[i] = x
            sf.add_cost(-ENTROPY * addresses.entropy())

        # Every cell is read once, in order, and has to say the symbol at the mirrored place.
        logits = self.speak(F.one_hot(cells, SYMBOLS + 1).float())  # [R, LENGTH, SYMBOLS]
        costs = F.cross_entropy(logits.mT, symbols.flip(1), reduction="none")
        return costs, logits.argmax(-1)


def main(updates: int) -> None:
    """Learn, and show one reversal and the addresses."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small gain nothing from more threads
    model = Memory()
    objective = sf.expectation(model, samples=SAMPLES, has_aux=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for update in range(1, updates + 1):
        symbols = torch.randint(SYMBOLS, (32, LENGTH))
        loss, read = objective(symbols)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % 100 == 0:
            right = read == symbols.flip(1).repeat(SAMPLES, 1)  # the copies of a row, as drawn
            print(
                f"update {update:4}   cost {loss.item():5.2f}   right {right.float().mean():4.0%}",
                flush=True,
            )

    with torch.no_grad(), sf.greedy():  # the likeliest address at every step
        symbols = torch.randint(SYMBOLS, (1000, LENGTH))
        _, read = model(symbols)
    print(f"input  {symbols[0].tolist()}\noutput {read[0].tolist()}")
    print(f"reversed {(read == symbols.flip(1)).all(1).float().mean():.0%} of 1000 new inputs")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=600, help="updates of the network")
    main(parser.parse_args().updates)
