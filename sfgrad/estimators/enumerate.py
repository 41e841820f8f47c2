"""Exact summation over a finite support."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from sfgrad.estimators.base import Draw, Estimator, row_log_prob

__all__ = ["Enumerate", "product_support", "support_size"]


class Enumerate(Estimator):
    """Visit every value: M copies of each row, one per value, weighed `ω = M · p(z)`.

    The mean over the copies is the exact sum `Σ_z p(z) · f(z)`; nothing is random.

    Args:
        max_size: refuse supports of more values than this.

    Raises:
        ValueError: the support is infinite, unknown, or larger than `max_size`.

    Unbiased: yes, to any order, without variance.

    Source: Rao-Blackwellisation over the whole node, e.g. Mohamed et al. (2020), Monte Carlo
        Gradient Estimation in Machine Learning, section 7.
    """

    def __init__(self, max_size: int = 4096):
        self.max_size = max_size

    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Make one copy of every row for each value of the support."""
        size = support_size(distribution, batch_ndims)
        if size > self.max_size:
            raise ValueError(
                f"Enumerate() would make {size} copies of every row, more than max_size="
                f"{self.max_size}: use ScoreFunction() or raise max_size"
            )
        value = product_support(distribution, batch_ndims)
        log_prob = row_log_prob(distribution, value, batch_ndims + 1)
        log_density = torch.full_like(log_prob, -math.log(size))
        return Draw(value.flatten(0, batch_ndims), log_prob, log_density, size)


def _elements(distribution: Distribution, batch_ndims: int) -> tuple[Distribution, Tensor, int]:
    """The base distribution, its support `[m, ...]`, and the number of elements in one row."""
    base = distribution
    while isinstance(base, Independent):
        base = base.base_dist
    name = type(base).__name__
    if not base.has_enumerate_support:
        raise ValueError(f"{name} has no finite support that could be enumerated")
    try:
        support = base.enumerate_support(expand=False)
    except NotImplementedError as error:
        raise ValueError(f"{name} cannot be enumerated: {error}") from error
    return base, support, base.batch_shape[batch_ndims:].numel()


def support_size(distribution: Distribution, batch_ndims: int) -> int:
    """Number M of values that one row can take; raises where the support is not finite."""
    _, support, elements = _elements(distribution, batch_ndims)
    return support.shape[0] ** elements


def product_support(distribution: Distribution, batch_ndims: int) -> Tensor:
    """Every value of a row: `[M, *batch_shape, *event_shape]`, the same for every row.

    Elements of a row (the dimensions of an `Independent`, or plain batch dimensions after the rows)
    range over their product space.
    """
    base, support, elements = _elements(distribution, batch_ndims)
    digits = torch.arange(support.shape[0], device=support.device)
    combinations = torch.cartesian_prod(*[digits] * elements).reshape(-1, elements)
    values = support.flatten(0, len(base.batch_shape))[combinations]  # [M, elements, *event]
    rows = base.batch_shape[:batch_ndims]
    values = values.reshape(
        -1, *[1] * batch_ndims, *base.batch_shape[batch_ndims:], *base.event_shape
    )
    return values.expand(-1, *rows, *values.shape[1 + batch_ndims :])
