"""A simulator in numpy, fitted to observations through `sample`.

A clinic has one doctor. Patients arrive, wait their turn, and leave if they wait too long. Only
three figures are known: how long the treated waited, how many they were, and what fraction left.
Which rates of arrival, treatment and patience explain them? The simulator branches and compares,
so it has no gradient. It needs none: the rates are drawn from a distribution, and the score
function moves that distribution to where the simulated figures are the observed ones.

    .venv/bin/python examples/simulator.py

takes 5 seconds on two cores and prints

    update  50   distance 0.076
    update 100   distance 0.068
    update 150   distance 0.096
    update 200   distance 0.113
    rates per hour      arrival  treatment impatience
      first guess          2.00       2.00       2.00
      fitted               5.11       4.07       2.16
      true                 5.00       4.00       2.00
    figures           mean wait    treated       left
      fitted               0.16       3.17       0.38
      observed             0.17       3.13       0.38
"""

import argparse

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

import sfgrad as sf

RATES = ("arrival", "treatment", "impatience")  # per hour
FIGURES = ("mean wait", "treated", "left")
TRUE_RATES = np.array([5.0, 4.0, 2.0])  # what made the observations; the fit must not see them
FIRST_GUESS = np.array([2.0, 2.0, 2.0])
PATIENTS = 500  # in a simulation
SPREAD = 0.1  # deviation of the logarithm of a rate
DRAWS = 32  # rates tried at each update


def simulate(rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The figures `[R, 3]` of clinics with the rates `[R, 3]`.

    They are the mean wait of the treated in hours, the treated per hour, and the fraction who left.
    """
    arrival, treatment, impatience = rates.T
    free_at = now = np.zeros(len(rates))
    waited, treated = np.zeros((2, len(rates)))
    for _ in range(PATIENTS):
        now = now + random.exponential(1 / arrival)
        wait = np.maximum(free_at - now, 0)
        stays = wait < random.exponential(1 / impatience)
        done = now + wait + random.exponential(1 / treatment)
        free_at = np.where(stays, done, free_at)
        waited += wait * stays
        treated += stays
    return np.stack([waited / treated, treated / now, 1 - treated / PATIENTS], axis=1)


class Rates(nn.Module):
    """A distribution over the rates, and how far its draws are from the observations."""

    def __init__(self, observed: np.ndarray, random: np.random.Generator):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(np.log(FIRST_GUESS)))
        self.draw = sf.StochasticNode(sf.ScoreFunction(sf.LeaveOneOut(), samples=DRAWS))
        self.observed, self.random = observed, random

    def forward(self) -> Tensor:
        """The squared distance of each draw from the observations, relative to them `[DRAWS]`."""
        distribution = Independent(Normal(self.mean[None], SPREAD), 1)  # one row …
        rates = self.draw(distribution).exp()  # … of which the node makes DRAWS: [DRAWS, 3]
        figures = simulate(rates.numpy(), self.random)  # here the gradient would end
        return torch.from_numpy(np.square(figures / self.observed - 1).sum(axis=1))


def show(title: str, names: tuple[str, ...], lines: dict[str, np.ndarray]) -> None:
    """A small table."""
    print(f"{title:16}" + "".join(f"{name:>11}" for name in names))
    for name, values in lines.items():
        print(f"  {name:14}" + "".join(f"{value:11.2f}" for value in values))


def main(updates: int) -> None:
    """Fit the rates, and show them beside the true ones."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tensors this small gain nothing from more threads
    random = np.random.default_rng(0)
    observed = simulate(np.tile(TRUE_RATES, (100, 1)), random).mean(axis=0)

    model = Rates(observed, random)
    objective = sf.expectation(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for update in range(1, updates + 1):
        loss = objective()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % 50 == 0:
            print(f"update {update:3}   distance {loss.item():.3f}", flush=True)

    fitted = model.mean.detach().exp().numpy()
    figures = simulate(np.tile(fitted, (100, 1)), random).mean(axis=0)
    rates = {"first guess": FIRST_GUESS, "fitted": fitted, "true": TRUE_RATES}
    show("rates per hour", RATES, rates)
    show("figures", FIGURES, {"fitted": figures, "observed": observed})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=200, help="updates of the rates")
    main(parser.parse_args().updates)
