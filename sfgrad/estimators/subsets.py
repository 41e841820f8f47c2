"""Estimators that draw different values of a finite support for the copies of a row."""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.boundary import interior
from sfgrad.controls import Control, Evidence
from sfgrad.estimators.base import Draw, Layout
from sfgrad.estimators.enumerate import product_support
from sfgrad.estimators.log_prob import MisfitError, log_prob_of_copies, summed_log_prob
from sfgrad.estimators.siblings import copied_shape
from sfgrad.estimators.weighted import Weighted
from sfgrad.masks import base_distribution
from sfgrad.settings import whole_number

LARGEST = 4096  # values of a support, at most
FLOOR = 300.0  # nats below the likeliest value, at most, where values are chosen


class Subset(NamedTuple):
    """Different values, one for each of k copies.

    Args:
        chosen: int64 `[k, E, R]`, among the values of the support.
        log_density: `[k, E, R]`, nats: p over it is the weight.
        comparison: `[k or 1, k, E, R]`: the baseline of a copy is the sum of the costs of all
            copies, each times this.
    """

    chosen: Tensor
    log_density: Tensor
    comparison: Tensor


class Comparison(Control):
    """The built-in baseline: a copy's cost is compared with a weighted sum over the copies."""

    def pair(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """`k = stop(ω)·b` and `h = b`: weights are not 1, so that `1 − ω` would add a bias."""
        cost = evidence.cost_to_go
        comparison = evidence.observation
        if comparison is None:  # a replay of single values
            return torch.zeros_like(cost), torch.zeros_like(cost)
        _, copies, E, R = comparison.shape
        costs = cost.reshape(E, copies, R)
        baseline = torch.einsum("ster,etr->esr", comparison.to(cost.dtype), costs)
        baseline = baseline.expand(E, copies, R).reshape(cost.shape)
        return evidence.weight * baseline, baseline


class SubsetEstimator(Weighted):
    """What the estimators have in common.

    Args:
        samples: how many values, 2 at least; None for one in each copy of the nearest branch.
    """

    def __init__(self, samples: int | None = None):
        self.samples = None if samples is None else whole_number("samples", samples)
        if samples == 1:
            raise ValueError(
                f"samples of {type(self).__name__} is 1, which leaves nothing to choose: it must "
                "be at least 2, or None to take the copies there are"
            )
        self.baseline = Comparison()

    @abstractmethod
    def choose(self, log_probs: Tensor, copies: int) -> Subset:
        """Choose values.

        Args:
            log_probs: `[M, E, R]`, nats, finite, without gradient, in double precision.
            copies: how many, from 2 to M.
        """

    def weigh(
        self, distribution: Distribution, batch_ndims: int, layout: Layout, own: int | None
    ) -> Draw:
        """Different values for all copies, and their weights."""
        E, S, R = layout
        copies = own or S
        values, log_mass = self._support(distribution, batch_ndims, copies)
        log_probs = _finite(log_mass.reshape(-1, E, S, R)[:, :, 0])
        subset = _certain(log_probs, copies) if len(values) == 1 else self.choose(log_probs, copies)

        # Every copy has its own probabilities, which are equal but for rounding.
        value = values[subset.chosen.movedim(0, 1).reshape(-1)]
        log_prob = log_prob_of_copies(interior(distribution), value, batch_ndims, own)
        log_density = subset.log_density.movedim(0, 1).reshape(-1).to(log_prob.dtype)

        shape = copied_shape(distribution.batch_shape[:batch_ndims], own or 1)
        value = value.reshape(*shape, *values.shape[1:])
        unknown = torch.full_like(log_density, torch.nan)
        return Draw(
            value, log_prob, log_density, own or 1, recorded=unknown, observation=subset.comparison
        )

    def _support(
        self, distribution: Distribution, batch_ndims: int, copies: int
    ) -> tuple[Tensor, Tensor]:
        """The values of a row `[M, ...]`, and their log-probabilities `[M · rows]`, nats.

        Without gradient: that of all M values would take M² numbers a row.
        """
        kind = type(self).__name__
        distribution = interior(distribution)
        try:
            values = product_support(distribution, batch_ndims, LARGEST)
        except MisfitError as error:
            raise MisfitError(
                f"{error}: {kind} needs a small support, so use ScoreFunction()"
            ) from error
        if copies > len(values) > 1:
            name = type(base_distribution(distribution)).__name__
            raise MisfitError(
                f"{kind} draws {copies} different values, but {name} has {len(values)}: set "
                f"samples={len(values)} or less, or visit all of them by Enumerate()"
            )
        count = (len(values),)
        with torch.no_grad():
            log_mass = summed_log_prob(distribution, values.clone(), batch_ndims + 1, count)
        return values[(slice(None), *[0] * batch_ndims)], log_mass

    def __repr__(self) -> str:
        return f"{type(self).__name__}(samples={self.samples})"


def _certain(log_probs: Tensor, copies: int) -> Subset:
    """The only value there is, in all copies, each with the weight p = 1 and no baseline."""
    zeros = log_probs.new_zeros(copies, *log_probs.shape[1:])
    return Subset(zeros.long(), zeros, zeros.unsqueeze(0))


def _finite(log_mass: Tensor) -> Tensor:
    """Log-probabilities to choose by: impossible values are the very last choice."""
    log_mass = log_mass.detach().double()
    return log_mass.maximum(log_mass.amax(0) - FLOOR)


def gumbel_keys(log_probs: Tensor) -> Tensor:
    """Log-probabilities with Gumbel noise: the largest is a draw, the k largest without repeats."""
    noise = -torch.log1p(-torch.rand_like(log_probs))  # exponential; this way also under vmap
    return log_probs - noise.clamp(min=torch.finfo(noise.dtype).tiny).log()
