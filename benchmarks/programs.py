"""Families of right programs, each with the closed form of its estimates and of their mean.

`benchmarks.false_alarms` asks how often the check calls them biased.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal

import sfgrad as sf

Model = Callable[[], Tensor]
Kind = type[sf.ScoreFunction]


class Program(ABC):
    """A program of one row, whose parameters are drawn at random.

    Args:
        choose: the source of the parameters.
    """

    repeats = 100
    """Runs of a check."""

    def __init__(self, choose: Random):
        self.theta = torch.tensor(self.parameters(choose), dtype=torch.float64, requires_grad=True)

    @abstractmethod
    def parameters(self, choose: Random) -> list[float]:
        """Random ones, `[P − 1]`."""

    @abstractmethod
    def expected(self) -> Tensor:
        """The expected cost, `[]`."""

    @abstractmethod
    def estimates(self, runs: int) -> Tensor:
        """Value and gradient of the loss in independent runs, `[runs, P]`."""

    @abstractmethod
    def model(self, kind: Kind, rows: int) -> Model:
        """The program in the library's words, as so many equal rows."""

    def truth(self) -> Tensor:
        """What the mean of the estimates should be, `[P]`."""
        value = self.expected()
        (gradient,) = torch.autograd.grad(value, self.theta)
        return torch.cat([value.detach().reshape(1), gradient])

    @property
    def fixed(self) -> Tensor:
        """The parameters without gradient."""
        return self.theta.detach()


def stacked(*columns: Tensor) -> Tensor:
    """Columns `[runs]` or `[runs, n]`, side by side."""
    return torch.cat([column.reshape(len(column), -1) for column in columns], 1)


def bits(logits: Tensor, *shape: int) -> Tensor:
    """Bernoulli draws."""
    chance = logits.sigmoid()
    return (torch.rand(*shape, dtype=torch.float64) < chance).double()


class Rare(Program):
    """A Bernoulli that is nearly always 0: p is about .0067."""

    def parameters(self, choose: Random) -> list[float]:
        return [choose.uniform(-5.5, -4.5)]

    def expected(self) -> Tensor:
        p = self.theta.sigmoid()[0]
        return p * 0.7**2 + (1 - p) * 0.3**2

    def estimates(self, runs: int) -> Tensor:
        z = bits(self.fixed, runs)
        cost = (z - 0.3) ** 2
        return stacked(cost, cost * (z - self.fixed.sigmoid()))

    def model(self, kind: Kind, rows: int) -> Model:
        return lambda: (
            (sf.sample(Bernoulli(logits=self.theta.expand(rows)), kind(), name="z") - 0.3) ** 2
        )


class Square(Program):
    """A Gaussian draw, squared: products of three Gaussians, which are far from Gaussian."""

    def parameters(self, choose: Random) -> list[float]:
        return [choose.uniform(0.5, 1.0)]

    def expected(self) -> Tensor:
        return self.theta[0] ** 2 + 1

    def estimates(self, runs: int) -> Tensor:
        noise = torch.randn(runs, dtype=torch.float64)
        cost = self.cost(self.fixed + noise)
        return stacked(cost, cost * noise)

    def model(self, kind: Kind, rows: int) -> Model:
        return lambda: self.cost(sf.sample(Normal(self.theta.expand(rows), 1.0), kind(), name="z"))

    def cost(self, z: Tensor) -> Tensor:
        """Of a draw."""
        return z**2


class FewSquares(Square):
    """The same, with as few runs as may be."""

    repeats = 30


class Exponential(Square):
    """A cost with a heavy tail, the exponential of a Gaussian draw."""

    def expected(self) -> Tensor:
        return (self.theta[0] + 0.5).exp()

    def cost(self, z: Tensor) -> Tensor:
        return z.exp()


class LeaveOneOut(Program):
    """Four copies of a Bernoulli, compared with each other."""

    def parameters(self, choose: Random) -> list[float]:
        return [choose.uniform(-2, 2)]

    def expected(self) -> Tensor:
        p = self.theta.sigmoid()[0]
        return p * 0.8**2 + (1 - p) * 0.2**2

    def estimates(self, runs: int) -> Tensor:
        z = bits(self.fixed, runs, 4)
        cost = (z - 0.2) ** 2
        others = (cost.sum(1, keepdim=True) - cost) / 3
        gradient = (cost - others) * (z - self.fixed.sigmoid())
        return stacked(cost.mean(1), gradient.mean(1))

    def model(self, kind: Kind, rows: int) -> Model:
        estimator = kind(sf.LeaveOneOut(), samples=4)
        return lambda: (
            (sf.sample(Bernoulli(logits=self.theta.expand(rows)), estimator, name="z") - 0.2) ** 2
        )


class TwoNodes(Program):
    """A Bernoulli that another depends on, and a cost after each."""

    def parameters(self, choose: Random) -> list[float]:
        return [choose.uniform(-1, 1) for _ in range(3)]

    def expected(self) -> Tensor:
        first, second, slope = self.theta
        p = first.sigmoid()
        after_0, after_1 = second.sigmoid(), (second + slope).sigmoid()
        costs_0 = 0.3**2 + after_0 * 0.2**2 + (1 - after_0) * 0.8**2
        costs_1 = 0.7**2 + 3 * (after_1 * 0.2**2 + (1 - after_1) * 0.8**2)
        return (1 - p) * costs_0 + p * costs_1

    def estimates(self, runs: int) -> Tensor:
        first, second, slope = self.fixed
        a = bits(first, runs)
        logits = second + slope * a
        b = bits(logits, runs)
        early, late = (a - 0.3) ** 2, (b - 0.8) ** 2 * (1 + 2 * a)
        score = b - logits.sigmoid()
        return stacked(
            early + late, (early + late) * (a - first.sigmoid()), late * score, late * score * a
        )

    def model(self, kind: Kind, rows: int) -> Model:
        def fn() -> Tensor:
            first, second, slope = self.theta
            a = sf.sample(Bernoulli(logits=first.expand(rows)), kind(), name="a")
            sf.add_cost((a - 0.3) ** 2)
            b = sf.sample(Bernoulli(logits=second + slope * a), kind(), name="b")
            return (b - 0.8) ** 2 * (1 + 2 * a)

        return fn


class Wide(Program):
    """Fifty parameters: a Bernoulli each, and a cost that they share."""

    def parameters(self, choose: Random) -> list[float]:
        return [choose.uniform(-1, 1) for _ in range(50)]

    def expected(self) -> Tensor:
        return self.theta.sigmoid().mean() - 0.5

    def estimates(self, runs: int) -> Tensor:
        z = bits(self.fixed, runs, 50)
        cost = z.mean(1, keepdim=True) - 0.5
        return stacked(cost, cost * (z - self.fixed.sigmoid()))

    def model(self, kind: Kind, rows: int) -> Model:
        def fn() -> Tensor:
            distribution = Independent(Bernoulli(logits=self.theta.expand(rows, 50)), 1)
            return sf.sample(distribution, kind(), name="z").mean(1) - 0.5

        return fn


FAMILIES: dict[str, Callable[[Random], Program]] = {
    "rare": Rare,
    "squares, 30 runs": FewSquares,
    "squares": Square,
    "exponential": Exponential,
    "leave-one-out": LeaveOneOut,
    "two nodes": TwoNodes,
    "50 parameters": Wide,
}
