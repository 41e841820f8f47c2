"""Exact summation over a finite support."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.boundary import interior
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.log_prob import MisfitError, summed_log_prob
from sfgrad.masks import Masked, base_distribution
from sfgrad.settings import describe, whole_number
from sfgrad.tensors import trailing_sum


class Enumerate(Estimator):
    """Visit every value: M copies of each row, one per value, weighted `ω = M · p(z)`.

    The mean over the copies is the exact sum `Σ_z p(z) · f(z)`; nothing is random. An element that
    is masked counts as uniform: each of its m values has 1/m. Where gradients are off it draws.

    Args:
        max_size: refuse supports of more values than this, and more copies of a row than this by
            all nodes that enumerate together.

    Raises:
        ValueError: the support is infinite, unknown, or larger than `max_size`; or that is below 1.
        TypeError: `max_size` is not a whole number.

    Unbiased: yes, to any order, without variance.

    Source: Rao-Blackwellisation over the whole node, e.g. Mohamed et al. (2020), Monte Carlo
    Gradient Estimation in Machine Learning, section 7.
    """

    takes_masks = True

    def __init__(self, max_size: int = 4096):
        self.max_size = whole_number("max_size", max_size)

    @property
    def max_copies(self) -> int | None:  # type: ignore[override]
        """As many as values of one support."""
        return self.max_size

    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Make one copy of every row for each value of the support."""
        distribution = interior(distribution)
        try:
            value = product_support(distribution, batch_ndims, self.max_size)
        except MisfitError as error:
            raise MisfitError(f"{error}: draw from it by ScoreFunction() instead") from error
        log_prob = summed_log_prob(distribution, value.clone(), batch_ndims + 1, (len(value),))
        log_density = torch.full_like(log_prob, -math.log(len(value)))
        if isinstance(distribution, Masked):
            uniform = _uniform(distribution, batch_ndims, log_prob.dtype)
            log_density = log_density - uniform.repeat(len(value))
        copies = value.flatten(0, 1) if batch_ndims else value.squeeze(0)  # one, or refused
        return Draw(copies, log_prob, log_density.detach(), len(value))


def _uniform(distribution: Masked, batch_ndims: int, dtype: torch.dtype) -> Tensor:
    """Log-probability of the masked elements of every row, each uniform over its values: `[R]`."""
    base = base_distribution(distribution)
    size = len(base.enumerate_support(expand=False))
    masked = trailing_sum((~distribution.mask).to(dtype), batch_ndims)
    return -math.log(size) * masked


def product_support(distribution: Distribution, batch_ndims: int, max_size: int) -> Tensor:
    """Every value of a row: `[M, *batch_shape, *event_shape]`, the same for every row.

    Elements of a row (the dimensions of an `Independent`, or plain batch dimensions after the rows)
    range over their product space.

    Raises:
        ValueError: the support is infinite, unknown, or of more than `max_size` values.
    """
    base = base_distribution(distribution)
    shape = base.batch_shape
    try:
        support = base.enumerate_support(expand=False)
    except (NotImplementedError, AttributeError, TypeError) as error:
        reason = str(error) or "it has no finite support"
        raise MisfitError(f"{type(base).__name__} cannot be enumerated: {reason}") from error
    if not torch.is_tensor(support):
        raise MisfitError(
            f"{type(base).__name__}.enumerate_support() returned {describe(support)}: return a "
            "tensor of its values"
        )

    support = support.flatten(0, len(shape))  # [m, *event]
    elements = shape[batch_ndims:].numel()
    count = len(support) ** elements
    if not count:
        raise MisfitError(f"{type(base).__name__} cannot be enumerated: its support has no values")
    if count > max_size:
        raise MisfitError(f"{count} values are more than {max_size}")

    values = support[combinations(len(support), elements, support.device)]
    values = values.reshape(count, *[1] * batch_ndims, *shape[batch_ndims:], *base.event_shape)
    return values.expand(-1, *shape, *base.event_shape)


def combinations(size: int, elements: int, device: torch.device) -> Tensor:
    """All ways to choose one of `size` values for every element: int64 `[M, elements]`."""
    digits = torch.arange(size, device=device)
    if not elements:
        return digits.new_zeros(1, 0)
    return torch.cartesian_prod(*[digits] * elements).reshape(-1, elements)
