"""A token sampler with an end: it writes sums that Python, not torch, computes and rewards.

A recurrent network is given a number and writes an expression, token by token, until it writes
END. The reward is Python's: nothing for what does not parse, and more the closer the value of the
expression is to the number. Sequences end at different lengths, so `mask=` says which tokens
count. Every number is answered several times, and each answer is compared with the others.

    .venv/bin/python examples/sequence.py

takes 30 seconds on two cores and prints

    update  300   mean reward 0.86
    update  600   mean reward 0.94
    update  900   mean reward 0.99
    update 1200   mean reward 0.99
    update 1500   mean reward 0.99
     7 = + 7
    17 = 5 + 6 + 6
    27 = 9 + 9 + 9
    37 = 6 * 5 + 7
    47 = 8 * 5 + 7
    57 = 7 * 7 + + 8
    59 of 60 numbers written right
"""

import argparse

import torch
from torch import Tensor, nn
from torch.distributions import Categorical

import sfgrad as sf

TOKENS = [*"123456789+-*", "END"]
END = START = len(TOKENS) - 1  # the first input is the end of what came before
LONGEST = 6  # tokens in an answer
LARGEST = 60  # number to be written
ENTROPY = 0.02  # what a nat of uncertainty about a token is worth: it keeps trying others
SAMPLES = 8  # answers to each number
HIDDEN = 64


def reward(number: int, expression: str) -> float:
    """1 for an expression of that value, less for others, 0 for no expression."""
    try:
        value = eval(expression, {"__builtins__": {}})  # digits and operators: no danger
    except SyntaxError:
        return 0.0
    return 1 / (1 + abs(value - number) / 5)


class Writer(nn.Module):
    """Writes an expression for each number, and returns minus its reward as the cost."""

    def __init__(self):
        super().__init__()
        self.number = nn.Embedding(LARGEST + 1, HIDDEN)
        self.token = nn.Embedding(len(TOKENS), HIDDEN)
        self.core = nn.GRUCell(HIDDEN, HIDDEN)
        self.head = nn.Linear(HIDDEN, len(TOKENS))
        self.next = sf.StochasticNode(sf.ScoreFunction(sf.LeaveOneOut()))

    def write(self, numbers: Tensor) -> list[str]:
        """One expression for each of the numbers `[R]`."""
        h = self.number(numbers)
        token = torch.full_like(numbers, START)
        alive = torch.ones_like(numbers, dtype=torch.bool)
        written = []
        for _ in range(LONGEST):
            h = self.core(self.token(token), h)
            # A sequence that has ended still draws, but no draw after its END is scored.
            tokens = Categorical(logits=self.head(h))
            token = self.next(tokens, mask=alive)
            sf.add_cost(-ENTROPY * tokens.entropy().where(alive, 0))
            alive = alive & (token != END)
            written.append(token.where(alive, END))
            if not alive.any():
                break
        rows = torch.stack(written, dim=1).tolist()
        return [" ".join(TOKENS[token] for token in row if token != END) for row in rows]

    def forward(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """The costs and the rewards of the numbers, both `[R]`."""
        pairs = zip(numbers.tolist(), self.write(numbers), strict=True)
        rewards = torch.tensor([reward(number, expression) for number, expression in pairs])
        return -rewards, rewards


def main(updates: int) -> None:
    """Learn, and show what is written for some numbers."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small gain nothing from more threads
    model = Writer()
    objective = sf.expectation(model, samples=SAMPLES, has_aux=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for update in range(1, updates + 1):
        loss, rewards = objective(torch.randint(1, LARGEST + 1, (32,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % 300 == 0:
            print(f"update {update:4}   mean reward {rewards.mean():.2f}", flush=True)

    with torch.no_grad(), sf.greedy():  # the likeliest token at every place
        numbers = torch.arange(1, LARGEST + 1)
        written = model.write(numbers)
    pairs = list(zip(numbers.tolist(), written, strict=True))
    right = sum(reward(number, expression) == 1 for number, expression in pairs)
    for number, expression in pairs[6::10]:
        print(f"{number:2} = {expression}")
    print(f"{right} of {LARGEST} numbers written right")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=1500, help="updates of the network")
    main(parser.parse_args().updates)
