"""How far gradient estimates scatter, by baseline, around the exact gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

import sfgrad as sf
from applications.gaussian.gaussian import (
    BASELINES,
    Gaussian,
    make_baseline,
    make_couplings,
    make_objective,
)
from applications.gaussian.rewards import Reward
from applications.kit.display import plain_table


@dataclass(frozen=True)
class Exact:
    """Expected reward, its gradient by the mean `[2]`, and how sure the quadrature is of it."""

    expected_reward: float
    gradient: Tensor
    error: float


def quadrature(gaussian: Gaussian, reward: Reward, cells: int) -> tuple[float, Tensor]:
    """Expected reward and its gradient by the mean, by the midpoint rule.

    `∫ f(x) p(x) dx` and `∫ f(x) p(x) ∇_μ log p(x) dx` over the square of ±6.5 standard deviations,
    cut into `cells²` squares: a grid so fine that jumps of f do little harm.
    """
    side = 13 / cells
    z = -6.5 + side * (torch.arange(cells, dtype=torch.float64) + 0.5)
    density = torch.exp(-(z**2) / 2) * side / (2 * torch.pi) ** 0.5
    total, by_z = torch.zeros((), dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for row in torch.arange(cells).split(64):  # a strip at a time, to stay small
        square = torch.cartesian_prod(z[row], z)
        weighted = (
            reward(gaussian.mean + square @ gaussian.factor.T)
            * torch.outer(density[row], density).flatten()
        )
        total, by_z = total + weighted.sum(), by_z + weighted @ square
    return total.item(), torch.linalg.solve(gaussian.factor.T, by_z)


def exact(gaussian: Gaussian, reward: Reward, cells: int = 3000) -> Exact:
    """The quadrature; its error is the change when the grid is made twice as coarse."""
    _, coarse = quadrature(gaussian, reward, cells // 2)
    value, gradient = quadrature(gaussian, reward, cells)
    return Exact(value, gradient, (gradient - coarse).abs().max().item())


@dataclass(frozen=True)
class Estimates:
    """Many estimates of the same gradient, `[R, 2]`, each from as many evaluations of a reward."""

    gradients: Tensor

    @property
    def mean(self) -> Tensor:
        """`[2]`."""
        return self.gradients.mean(0)

    @property
    def standard_error(self) -> Tensor:
        """`[2]`, of the mean. Estimates of one sequence are uncorrelated, so √R holds there too."""
        return self.gradients.std(0) / len(self.gradients) ** 0.5

    @property
    def total_variance(self) -> tuple[float, float]:
        """Variance of one estimate, summed over the two components, and its standard error."""
        squares = (self.gradients - self.mean).square().sum(1)
        count = len(squares)
        return squares.sum().item() / (count - 1), squares.std().item() / count**0.5

    def z(self, truth: Exact) -> Tensor:
        """`[2]`: how many standard errors, the quadrature's included, the mean is off."""
        return (self.mean - truth.gradient) / (self.standard_error**2 + truth.error**2).sqrt()


def estimate(
    gaussian: Gaussian,
    reward: Reward,
    choice: sf.Baseline | sf.Estimator | None,
    samples: int,
    replications: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Estimates:
    """Estimate the gradient of the expected reward by the mean, again and again.

    Every replication is a row with a mean of its own, so one backward pass makes all of them. A
    moving average lives from one call to the next, so it gets them one at a time, in sequence: each
    estimate sees the average of those before it, and the first sees nothing.

    Args:
        gaussian: the distribution.
        reward: what its samples are worth.
        choice: a baseline of the score function, or None; or another estimator.
        samples: evaluations of the reward for one estimate.
        replications: R, the number of estimates.
        advance: told how many estimates were just made.
    """
    objective = make_objective(reward, choice, samples)
    rows = 1 if isinstance(choice, sf.MovingAverage) else replications
    gradients = []
    for _ in range(replications // rows):
        means = gaussian.mean.repeat(rows, 1).requires_grad_()
        loss, _ = objective(means, gaussian.factor.expand(rows, 2, 2))
        (gradient,) = torch.autograd.grad(loss, means)
        gradients.append(-rows * gradient)  # the loss is a cost, and the mean over the rows
        advance(rows)
    return Estimates(torch.cat(gradients))


def compare(
    gaussian: Gaussian,
    reward: Reward,
    samples: int,
    replications: int,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Estimates]:
    """`estimate` with every baseline and coupling, at equal numbers of evaluations."""
    make_objective(reward, sf.LeaveOneOut(), samples)  # refuses too few before all the work
    baselines = {name: make_baseline(name, reward) for name in BASELINES}
    return {
        name: estimate(gaussian, reward, choice, samples, replications, advance)
        for name, choice in (baselines | make_couplings(samples)).items()
    }


def as_json(found: dict[str, Estimates], truth: Exact) -> dict[str, Any]:
    """The comparison in plain numbers, for `baselines.json` and `evaluate --json`."""
    without, without_error = found["none"].total_variance
    estimators: dict[str, Any] = {}
    couplings: dict[str, Any] = {}
    for name, estimates in found.items():
        variance, error = estimates.total_variance
        ratio = variance / without if without else 1.0
        by_error = (error**2 + (ratio * without_error) ** 2) ** 0.5 / (without or 1.0)
        (estimators if name in BASELINES else couplings)[name] = {
            "mean": estimates.mean.tolist(),
            "standard_error": estimates.standard_error.tolist(),
            "z": estimates.z(truth).tolist(),
            "total_variance": variance,
            "total_variance_standard_error": error,
            "variance_ratio": ratio,
            "variance_ratio_standard_error": 0.0 if name == "none" else by_error,
        }
    return {
        "expected_reward": truth.expected_reward,
        "exact_gradient": truth.gradient.tolist(),
        "quadrature_error": truth.error,
        "estimators": estimators,
        "couplings": couplings,
    }


def plain(error: float) -> str:
    """A small number with one digit and no exponent."""
    return np.format_float_positional(error, precision=1, fractional=False)


def print_table(numbers: dict[str, Any]) -> None:
    """What `as_json` gave, and `reward`, `samples`, `replications`, for people."""
    x, y = numbers["exact_gradient"]
    table = plain_table(
        *("baseline or coupling", "mean", "std. error", "z", "variance", "ratio to none"),
        title=f"{numbers['replications']:,} estimates of the gradient by the mean, "
        f"{numbers['samples']} evaluations each",
        caption=f"exact gradient ({x:+.4f}, {y:+.4f}) ± {plain(numbers['quadrature_error'])}, "
        f"expected reward {numbers['expected_reward']:+.4f}",
    )
    for name, row in (numbers["estimators"] | numbers["couplings"]).items():
        table.add_row(
            name,
            "{:+.3f} {:+.3f}".format(*row["mean"]),
            "{:.3f} {:.3f}".format(*row["standard_error"]),
            "{:+.1f} {:+.1f}".format(*row["z"]),
            f"{row['total_variance']:.4f}",
            f"{row['variance_ratio']:.2f} ± {row['variance_ratio_standard_error']:.2f}",
        )
    console = Console()
    (console if console.is_terminal else Console(width=100)).print(table)
