"""Log-probabilities of drawn values by rows, at copies that nobody can write to."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, TransformedDistribution

from sfgrad.masks import Masked, base_distribution
from sfgrad.settings import describe
from sfgrad.tensors import single, trailing_sum

WRAPPERS = (Independent, Masked, TransformedDistribution)
"""What may hold a transform that caches."""


class MisfitError(ValueError):
    """A distribution does not do what an estimator needs; the graph adds the node's name."""


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

    Raises:
        ValueError: the log-probability has another shape than that of the value's rows.
        TypeError: the value is not a tensor.
    """
    if not torch.is_tensor(value):
        raise TypeError(
            f"row_log_prob() got {describe(value)} as the value: give a tensor, as in "
            "row_log_prob(distribution, value, batch_ndims)"
        )
    drawn = distribution.batch_shape + distribution.event_shape
    copies = value.shape[: max(0, value.dim() - len(drawn))]
    if copies and value.shape[len(copies) :] != drawn:
        raise MisfitError(
            f"row_log_prob() got values {list(value.shape)} for a distribution that draws "
            f"{list(drawn)}: give that shape, or [copies, …] of it"
        )
    return summed_log_prob(distribution, private(distribution, value), ndims, copies)


def summed_log_prob(
    distribution: Distribution, value: Tensor, ndims: int, copies: tuple[int, ...] = ()
) -> Tensor:
    """As `row_log_prob`, of a value that nobody will write to, drawn by `sample(copies)`."""
    log_prob = _log_prob(distribution, value)
    shape = log_prob.shape
    wanted = copies + distribution.batch_shape if copies else distribution.batch_shape
    if shape != wanted:
        _refuse_log_prob(distribution, value, list(copies), list(shape))
    return log_prob if len(shape) == ndims == 1 else trailing_sum(log_prob, ndims)


def log_prob_of_copies(
    distribution: Distribution, value: Tensor, ndims: int, own: int | None
) -> Tensor:
    """As `summed_log_prob`, of values one for each copy, `[copies · R]`, nats.

    Args:
        distribution: over R rows; over `copies · R` rows where the copies are not the node's own.
        value: with the copies first where they are the node's own, else in the place of the rows.
        ndims: leading dimensions of the distribution that are rows.
        own: how many copies the node makes itself; None where it takes those there are.
    """
    shape = distribution.batch_shape + distribution.event_shape
    if own is None:
        return summed_log_prob(distribution, value.reshape(shape), ndims)
    return summed_log_prob(distribution, value.reshape(own, *shape), ndims + 1, (own,))


def _log_prob(distribution: Distribution, value: Tensor) -> Tensor:
    """As the distribution's, but in single precision at least before an `Independent` sums it."""
    if type(distribution) is not Independent:
        return single(distribution.log_prob(value))
    elements = _log_prob(distribution.base_dist, value)
    summed = distribution.reinterpreted_batch_ndims
    return elements.sum(tuple(range(-summed, 0))) if summed else elements


def _refuse_log_prob(
    distribution: Distribution, value: Tensor, copies: list[int], shape: list[int]
) -> None:
    """Say whether the value or its log-probability has the wrong shape."""
    kind = type(base_distribution(distribution)).__name__
    drawn = [*copies, *distribution.batch_shape, *distribution.event_shape]
    if list(value.shape) != drawn:
        raise MisfitError(
            f"a value of {kind} has shape {list(value.shape)}: it must be {drawn}, which is "
            "sample_shape + batch_shape + event_shape"
        )
    raise MisfitError(
        f"{kind}.log_prob() returned shape {shape} for values {drawn}: return one number for each "
        f"entry of the batch, {[*copies, *distribution.batch_shape]}"
    )


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
