"""A hard gate in a network of your own: read only the sensors that are worth their price.

Four sensors can be read, and every reading costs something. A question names the sensor that
holds its answer. The gate sees the question and opens or closes each sensor, so it must learn to
open one and leave the others shut. An open gate is exactly 1 and a closed one exactly 0, so no
gradient passes through it: the score function gives one, and `check_unbiased` proves it right.

    .venv/bin/python examples/gate.py

takes 5 seconds on two cores and prints

    update    0   cost 1.08
    update  200   cost 0.15
    update  400   cost 0.13
    update  600   cost 0.11
    update  800   cost 0.11
    after learning   cost 0.10, of which 0.1 is the price of a reading
    question 0 opens [1, 0, 0, 0]
    question 1 opens [0, 1, 0, 0]
    question 2 opens [0, 0, 1, 0]
    question 3 opens [0, 0, 0, 1]
    check_unbiased: the largest bias is 6e-17, which rounding explains
"""

import argparse

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent

import sfgrad as sf

SENSORS = 4
PRICE = 0.1  # of one reading; a wrong answer costs 1 on average


class Gated(nn.Module):
    """Answers from the sensors that its gate opens."""

    def __init__(self):
        super().__init__()
        self.choose = nn.Linear(SENSORS, SENSORS)
        self.answer = nn.Linear(SENSORS, 1)
        self.gate = sf.StochasticNode(sf.ScoreFunction(sf.LeaveOneOut()))

    def forward(self, question: Tensor, readings: Tensor) -> Tensor:
        """The cost of each row `[B]`, from one-hot questions and readings, both `[B, SENSORS]`."""
        gates = self.gate(Independent(Bernoulli(logits=self.choose(question)), 1))  # 0 or 1
        answer = self.answer(gates * readings).squeeze(-1)
        wanted = (question * readings).sum(-1)
        return (answer - wanted) ** 2 + PRICE * gates.sum(-1)


def batch(rows: int) -> tuple[Tensor, Tensor]:
    """Questions at random, and what the sensors would read."""
    question = torch.eye(SENSORS)[torch.randint(SENSORS, (rows,))]
    return question, torch.randn(rows, SENSORS)


def learn(updates: int = 1000) -> Gated:
    """Train a gated network; it prints the expected cost on the way."""
    model = Gated()
    objective = sf.expectation(model, samples=4)  # every row is drawn four times
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for update in range(updates):
        loss = objective(*batch(64))  # its value is the expected cost
        optimizer.zero_grad()
        loss.backward()  # its gradient is unbiased, also for the layer before the gate
        optimizer.step()
        if update % 200 == 0:
            print(f"update {update:4}   cost {loss.item():.2f}")
    return model


def main(updates: int) -> None:
    """Learn, show which gates are open, and check the gradient."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small gain nothing from more threads
    model = learn(updates)

    with torch.no_grad(), sf.greedy():  # every gate takes its likelier value
        cost = model(*batch(10_000)).mean()
        gates = model.gate.mode(Bernoulli(logits=model.choose(torch.eye(SENSORS))))
    print(f"after learning   cost {cost.item():.2f}, of which {PRICE} is the price of a reading")
    for question, row in enumerate(gates.int().tolist()):
        print(f"question {question} opens {row}")

    # The mean of the estimator over all outcomes of its draws, against the exact gradient. Where
    # they differ, the report names the parameter, the size of the bias and the node at fault.
    report = sf.check_unbiased(model, *batch(1), samples=2)
    assert report, report
    largest = max(comparison.bias for comparison in report.comparisons)
    print(f"check_unbiased: the largest bias is {largest:.0e}, which rounding explains")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=1000, help="updates of the network")
    main(parser.parse_args().updates)
