"""Relax: the variance while its module learns, beside estimators that do not learn."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent

import sfgrad as sf
from benchmarks.properties.curves import Curves, estimates, variance

SEEDS = 10
READINGS = [0, 10, 20, 30, 40, 60, 80, 100, 150, 200, 250, 300]
"""Updates after which the variance is measured."""
LOGITS = torch.zeros(10, dtype=torch.float64)
"""They stay as they are; only the module learns."""


def model(estimator: sf.Estimator) -> Callable[[Tensor], Tensor]:
    """Draws ten bits, and returns the mean of their `(b − .45)²`."""

    def cost(logits: Tensor) -> Tensor:
        bits = sf.sample(Independent(Bernoulli(logits=logits), 1), estimator)
        return (bits - 0.45).square().mean(1)

    return cost


def learn(seed: int, readings: list[int]) -> list[float]:
    """Variances after so many updates of 100 rows, by Adam at .01."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    estimator = sf.Relax(module)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    found: list[float] = []
    for update in range(readings[-1] + 1):
        if update in readings:
            estimator.baseline.eval()
            found.append(variance(estimates(model(estimator), LOGITS)))
            estimator.baseline.train()
        optimizer.zero_grad()
        estimates(model(estimator), LOGITS, rows=100)
        optimizer.step()
    return found


def unlearned(estimator: sf.Estimator, copies: int) -> float:
    """The variance of an estimator that does not learn, times evaluations."""
    return copies * variance(estimates(model(estimator), LOGITS, copies))


def curves() -> Curves:
    """Variances times evaluations; the geometric mean and the extremes of all seeds."""
    runs = torch.tensor([learn(seed, READINGS) for seed in range(SEEDS)])
    cases = {
        "score function, 1 evaluation": unlearned(sf.ScoreFunction(), 1),
        "leave-one-out, 2 evaluations": unlearned(sf.ScoreFunction(sf.LeaveOneOut()), 2),
    }
    lines = {label: len(READINGS) * [value] for label, value in cases.items()}
    lines["relax, 1 evaluation"] = runs.log().mean(0).exp().tolist()
    bands = {"relax, 1 evaluation": (runs.amin(0).tolist(), runs.amax(0).tolist())}
    axes = {"xlabel": "updates of the module", "ylabel": "variance × evaluations", "yscale": "log"}
    return Curves([float(update) for update in READINGS], lines, axes, bands)
