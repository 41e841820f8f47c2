"""The protocol of an estimator: a draw and a weight.

Every sampling node makes a draw `z` from some density `q` and carries a differentiable weight
`ω = p(z) / stop(q(z)) = exp(log_prob − stop(log_density))`.

One condition makes an estimator valid: for every f, the mean over copies of `ω·f(z)` has the
expectation E_p[f]; if its derivatives agree up to order k, gradients are right up to order k.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor
from torch.distributions import Distribution, Independent, TransformedDistribution

from sfgrad.baselines import Baseline
from sfgrad.masks import Masked, base_distribution
from sfgrad.tensors import single, trailing_sum

WRAPPERS = (Independent, Masked, TransformedDistribution)
"""What may hold a transform that caches."""


class Draw(NamedTuple):
    """What an estimator hands to the graph.

    Args:
        value: `[copies · R, ...]`, the drawn values, newest copies outermost.
        log_prob: `[copies · R]`, nats: log p(z), or whatever has the derivatives that the weight
            should have; None means ω = 1 without derivative (the gradient flows through `value`).
        log_density: `[copies · R]`, nats: log q(z); None with `log_prob`. No gradient flows into
            it; give `log_prob` itself where z was drawn from p.
        copies: how many rows each row became.
        record: a copy of `value` that the user cannot write to; the graph makes one if None.
    """

    value: Tensor
    log_prob: Tensor | None = None
    log_density: Tensor | None = None
    copies: int = 1
    record: Tensor | None = None

    def check(self, name: str, estimator: str, row_shape: tuple[int, ...]) -> None:
        """Refuse what does not fit together, or not the rows.

        Args:
            name: the node, for errors.
            estimator: what made the draw, for errors.
            row_shape: the rows that it was made for.

        Raises:
            ValueError: one logarithm is missing, or something has another shape.
        """
        if (self.log_prob is None) != (self.log_density is None):
            given = "log_density" if self.log_prob is None else "log_prob"
            raise ValueError(
                f"node {name!r} has a Draw with {given} alone: give both, or neither ({estimator} "
                "made it)"
            )

        # A single row has no dimension of its own, so nothing can be said of its value.
        shape = (self.copies * row_shape[0], *row_shape[1:]) if row_shape else ()
        if self.value.shape[: len(shape)] != shape:
            raise ValueError(
                f"node {name!r}: {estimator} returned a Draw whose value has shape "
                f"{list(self.value.shape)} for {self.copies} copies of rows {list(row_shape)}: its "
                f"first dimensions must be {list(shape)}"
            )
        if self.log_prob is None or self.log_density is None:
            return

        count = (math.prod(shape) if shape else self.copies,)
        if self.log_prob.shape != count or self.log_density.shape != count:
            raise ValueError(
                f"node {name!r}: {estimator} returned a Draw whose log_prob has shape "
                f"{list(self.log_prob.shape)} and whose log_density has "
                f"{list(self.log_density.shape)}: both must be {list(count)}, one number for every "
                "copy of every row, as row_log_prob() returns it"
            )


class Estimator(ABC):
    """How a node draws, and how its draw carries a gradient."""

    baseline: Baseline | None = None
    """Subtracted from the cost to go, or None."""

    independent: bool = False
    """Whether the copies are independent draws, which leave-one-out may compare."""

    samples: int = 1
    """How many independent draws it makes for every row."""

    takes_masks: bool = False
    """Whether a mask of single elements reaches all its logarithms: they are taken of the
    distribution that `draw` is given. Whole rows may be masked with every estimator."""

    max_copies: int | None = None
    """How many copies of a row it may make, together with all others that do not draw
    independently; None for any number."""

    @abstractmethod
    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw one value, or `copies` values, for every row.

        Where gradients are off the graph calls `plain` instead.

        Args:
            distribution: over R rows: `batch_shape = [R, ...]` (any shape when `batch_ndims` is 0).
            batch_ndims: number of leading dimensions that are rows. Copies go into the first one.
        """

    def plain(self, distribution: Distribution) -> Tensor:
        """One value per row, for use outside any graph, and where gradients are off."""
        return distribution.sample()

    def __repr__(self) -> str:
        settings = ", ".join(
            f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_")
        )
        return f"{type(self).__name__}({settings})"


def row_log_prob(distribution: Distribution, value: Tensor, ndims: int) -> Tensor:
    """Log-probability of `value`, summed over everything after the first `ndims` dimensions.

    It is taken at a private copy, so that writing to `value` afterwards changes nothing.

    Args:
        distribution: over R rows.
        value: `[R, ...]`, or `[copies, R, ...]` with `ndims` one larger.
        ndims: leading dimensions to keep; copies and rows are folded into one.

    Returns:
        `[copies · R]` (`[1]` when `ndims` is 0), nats; of half types in single precision, in which
        they are summed.
    """
    return summed_log_prob(distribution, private(distribution, value), ndims)


def summed_log_prob(distribution: Distribution, value: Tensor, ndims: int) -> Tensor:
    """As `row_log_prob`, of a value that nobody will write to."""
    log_prob = _log_prob(distribution, value)
    if log_prob.dim() == ndims == 1:
        return log_prob
    return trailing_sum(log_prob, ndims)


def _log_prob(distribution: Distribution, value: Tensor) -> Tensor:
    """As the distribution's, but in single precision at least before an `Independent` sums it."""
    if type(distribution) is not Independent:
        return single(distribution.log_prob(value))
    elements = _log_prob(distribution.base_dist, value)
    summed = distribution.reinterpreted_batch_ndims
    return elements.sum(tuple(range(-summed, 0))) if summed else elements


def private(distribution: Distribution, value: Tensor) -> Tensor:
    """A copy of a drawn value, to be scored.

    Where a transform caches, the value itself: the transform knows it by identity, and its score
    keeps only what it was transformed from.
    """
    if isinstance(distribution, WRAPPERS):
        base = base_distribution(distribution)
        if isinstance(base, TransformedDistribution) and any(map(_caches, base.transforms)):
            return value
    return value.clone()


def _caches(transform: Any) -> bool:
    """Whether a transform, or one that it is made of, remembers its last value."""
    parts = [*getattr(transform, "parts", ()), getattr(transform, "base_transform", None)]
    return transform._cache_size > 0 or any(_caches(part) for part in parts if part is not None)
