"""A two-dimensional Gaussian, the expected cost of its samples, and one step that lowers it.

Everything is float64; all gradients come from sfgrad.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import sfgrad as sf
from applications.gaussian.rewards import Reward
from applications.kit.errors import RunError


@dataclass(frozen=True)
class Gaussian:
    """Mean and scale of a Gaussian.

    Args:
        mean: `[2]`, in the units of the plot.
        factor: `[2, 2]`, lower triangular with a positive diagonal; the covariance is `L Lᵀ`.
    """

    mean: Tensor
    factor: Tensor

    def moved(self, shift: Tensor, bend: Tensor) -> "Gaussian":
        """Move in the Gaussian's own units: `μ + L·shift`, `L·exp(tril(bend))`.

        What gradients are taken by: every Gaussian near this one is `moved` by one shift and one
        bend. A step goes by `stepped`, since this move depends on which axis comes first.

        Args:
            shift: `[2]`, standard deviations.
            bend: `[2, 2]`, only the lower triangle counts; its diagonal is the change of log scale.
        """
        bend = torch.matrix_exp(bend.tril())
        return Gaussian(self.mean + self.factor @ shift, self.factor @ bend)

    def stepped(self, by_shift: Tensor, by_bend: Tensor) -> "Gaussian":
        """A step along the natural gradient: `μ + L·g`, `Σ ← L·exp(M)·Lᵀ`.

        The Fisher information of shift and bend is the identity for the shift, and 2, 1, 2 for
        the entries 11, 21, 22 of the bend. So the natural gradient halves the diagonal of the
        bend, which makes `I + M` of `(I + bend)(I + bend)ᵀ`, to first order, with M symmetric. The
        exponential of M is positive definite, so every step leads to a covariance; it
        means the same for a wide Gaussian as for a narrow one, and turns with the reward.

        Args:
            by_shift: `[2]`, g: the gradient by the shift of `moved`, times a rate.
            by_bend: `[2, 2]`, the gradient by the bend, times a rate; its lower triangle is M's.

        Source: Glasmachers et al. (2010), "Exponential natural evolution strategies".
        """
        symmetric = by_bend.tril() + by_bend.tril(-1).T
        logs, axes = torch.linalg.eigh(symmetric)

        # With exp(M) = Sᵀ S and S = Q R, the Cholesky factor of exp(M) is Rᵀ: no squares, so that
        # a large step keeps its digits.
        upper = torch.linalg.qr((logs / 2).exp().unsqueeze(1) * axes.T).R
        lower = (upper * upper.diagonal().sign().unsqueeze(1)).T
        return Gaussian(self.mean + self.factor @ by_shift, self.factor @ lower)

    def sample(self, count: int) -> Tensor:
        """Points `[count, 2]`."""
        return MultivariateNormal(self.mean, scale_tril=self.factor).sample((count,))


START = Gaussian(torch.tensor([0.35, 0.3], dtype=torch.float64), torch.eye(2, dtype=torch.float64))
"""Where everything begins."""

BASELINES = ("none", "constant", "moving-average", "leave-one-out")


def make_baseline(name: str, reward: Reward) -> sf.Baseline | None:
    """The library's baseline of that name; the constant is the lowest reward in the square."""
    return {
        "none": lambda: None,
        "constant": lambda: sf.Constant(-reward.range[0]),  # costs are minus rewards
        "moving-average": sf.MovingAverage,
        "leave-one-out": sf.LeaveOneOut,
    }[name]()


def make_couplings(samples: int) -> dict[str, sf.Estimator]:
    """Estimators by name that draw this number of samples against each other."""
    couplings: dict[str, sf.Estimator] = {}
    if samples % 2 == 0:
        couplings["antithetic"] = sf.Antithetic()
    if samples > 1:
        couplings["stratified"] = sf.Stratified()
    return couplings


def make_rate(learning_rate: float, reward: Reward) -> float:
    """The rate of `update`: the learning rate is per half the range of the reward, here ±1."""
    low, high = reward.range
    return learning_rate * 2 / (high - low)


class Draws(NamedTuple):
    """What an objective drew: means `[K·R, 2]` (as used), points `[K·R, 2]`, rewards `[K·R]`."""

    means: Tensor
    points: Tensor
    rewards: Tensor


class ExpectedCost(nn.Module):
    """Draw one point per row; its cost is minus its reward. Here, and only here, the sign turns."""

    def __init__(self, reward: Reward, estimator: sf.Estimator):
        super().__init__()
        self.reward = reward
        self.point = sf.StochasticNode(estimator)

    def forward(self, means: Tensor, factors: Tensor) -> tuple[Tensor, Draws]:
        """Costs `[R]` of draws from means `[R, 2]` and factors `[R, 2, 2]`."""
        points = self.point(MultivariateNormal(means, scale_tril=factors, validate_args=False))
        rewards = self.reward(points)
        return -rewards, Draws(means, points, rewards)


def make_objective(
    reward: Reward, choice: sf.Baseline | sf.Estimator | None, samples: int
) -> sf.Expectation:
    """The loss of a batch of Gaussians: minus the expected reward, from `samples` draws of each.

    Args:
        reward: what a draw is worth.
        choice: the baseline of the score function, or another estimator.
        samples: draws from each Gaussian.

    Raises:
        RunError: there are too few samples.
    """
    least = 2 if isinstance(choice, sf.LeaveOneOut) else 1
    if samples < least:
        raise RunError(
            f"--samples {samples}: "
            + ("leave-one-out compares at least 2" if least == 2 else "draw at least 1")
        )
    estimator = choice if isinstance(choice, sf.Estimator) else sf.ScoreFunction(choice)
    return sf.expectation(ExpectedCost(reward, estimator), samples=samples, has_aux=True)


class Step(NamedTuple):
    """One update and the draws that it was made from.

    `pulls` `[K, 2]` is what every draw adds: reward minus baseline, times the score ∇_μ log p. The
    mean of the pulls is the estimate of the gradient of the expected reward by the mean.
    """

    before: Gaussian
    after: Gaussian
    points: Tensor
    rewards: Tensor
    pulls: Tensor


def update(
    gaussian: Gaussian, objective: sf.Expectation, rate: float, covariance: bool = True
) -> Step:
    """Go uphill by one estimate of the natural gradient.

    In the units of the plot the mean moves by `rate · Σ · mean of the pulls`, and the covariance
    becomes `L·exp(rate · M)·Lᵀ`, with M the mean of weight · (z zᵀ − I) over the draws' noise z.

    Args:
        gaussian: where to draw.
        objective: from `make_objective`.
        rate: standard deviations per unit of reward; for the covariance, of log variance.
        covariance: whether the covariance is learned too.

    Raises:
        RunError: the step is so large that numbers overflow.
    """
    shift = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    bend = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    here = gaussian.moved(shift, bend)
    loss, draws = objective(here.mean.unsqueeze(0), here.factor.unsqueeze(0))
    by_shift, by_bend, by_means = torch.autograd.grad(loss, (shift, bend, draws.means))
    if not covariance:
        by_bend = torch.zeros_like(by_bend)
    after = gaussian.stepped(-rate * by_shift, -rate * by_bend)
    if not (after.mean.isfinite().all() and after.factor.isfinite().all()):
        raise RunError(f"a step at rate {rate:.3g} overflows: lower --learning-rate")
    pulls = -len(draws.points) * by_means  # the loss is a cost, and the mean over the draws
    return Step(gaussian, after, draws.points, draws.rewards, pulls)


def scores(gaussian: Gaussian, points: Tensor) -> Tensor:
    """The scores ∇_μ log p of given points: the gradient that each would give for a reward of 1.

    Args:
        gaussian: of density p.
        points: `[N, 2]`, replayed instead of drawn.

    Returns:
        `[N, 2]`.
    """
    means = gaussian.mean.repeat(len(points), 1).requires_grad_()
    with sf.StochasticGraph(draws={"point": points}) as graph:
        sf.sample(MultivariateNormal(means, scale_tril=gaussian.factor), name="point")
        sf.add_cost(-torch.ones(len(points), dtype=torch.float64))
    (gradient,) = torch.autograd.grad(graph.loss(), means)
    return -len(points) * gradient


def expected_reward(gaussian: Gaussian, reward: Reward, samples: int) -> tuple[float, float]:
    """Mean and standard error of the reward over fresh samples."""
    rewards = reward(gaussian.sample(samples))
    return rewards.mean().item(), rewards.std().item() / samples**0.5
