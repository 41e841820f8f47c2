"""Masks: which elements of a distribution count."""

import copy

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from sfgrad.settings import describe
from sfgrad.tensors import single


class Masked(Distribution):
    """A distribution of which only some elements are scored; draws are those of the distribution.

    An element that does not count has log-probability 0 and no derivative, whatever its parameters
    and its value are. Other attributes are those of the distribution.

    Args:
        distribution: over R rows.
        mask: boolean, the batch shape inside any `Independent`: True where an element counts.
    """

    def __init__(self, distribution: Distribution, mask: Tensor):
        self.original = distribution
        self.distribution = guarded(distribution, mask)
        self.mask = mask
        super().__init__(distribution.batch_shape, distribution.event_shape, validate_args=False)

    def __getattr__(self, name: str):
        if name == "distribution":  # not set yet
            raise AttributeError(name)
        return getattr(self.distribution, name)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether the distribution can be reparametrised."""
        return self.distribution.has_rsample

    def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:  # type: ignore[override]
        """Draws of the distribution, masked or not."""
        return self.distribution.sample(sample_shape)

    def rsample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:  # type: ignore[override]
        """Reparametrised draws, detached where they do not count."""
        value = self.distribution.rsample(sample_shape)
        return torch.where(self.value_mask(), value, value.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of the elements that count, `[..., *batch_shape]`, nats."""
        base = base_distribution(self.distribution)
        log_prob = torch.where(self.mask, single(base.log_prob(value)), 0)
        summed = len(base.batch_shape) - len(self.batch_shape)  # dimensions of Independent
        return log_prob.sum(tuple(range(-summed, 0))) if summed else log_prob

    def value_mask(self) -> Tensor:
        """The mask, in the shape of a value: `[*batch_shape, *event_shape]` of the base, or 1s."""
        ones = [1] * len(base_distribution(self.distribution).event_shape)
        return self.mask.view((*self.mask.shape, *ones))


def base_distribution(distribution: Distribution) -> Distribution:
    """The distribution inside every `Independent` and `Masked`."""
    while True:
        if isinstance(distribution, Masked):
            distribution = distribution.distribution
        elif isinstance(distribution, Independent):
            distribution = distribution.base_dist
        else:
            return distribution


def guarded(distribution: Distribution, mask: Tensor) -> Distribution:
    """A copy whose parameters get no derivative where the mask is False, not even a NaN.

    A derivative that is infinite in a masked element would be 0 · inf = NaN; so every tensor of
    the distribution, in itself and in those that it is made of, is detached there.
    """
    result = copy.copy(distribution)
    for name, value in list(vars(distribution).items()):
        if isinstance(value, Distribution):
            setattr(result, name, guarded(value, mask))
            continue
        has_gradient = torch.is_tensor(value) and value.requires_grad
        if has_gradient and value.shape[: mask.dim()] == mask.shape:
            shown = mask.view((*mask.shape, *[1] * (value.dim() - mask.dim())))
            setattr(result, name, torch.where(shown, value, value.detach()))
    return result


def element_mask(
    name: str, mask: Tensor, distribution: Distribution, row_shape: tuple[int, ...]
) -> Tensor:
    """The mask in the batch shape inside any `Independent`.

    Args:
        name: the node, for errors.
        mask: boolean, over the rows or over the elements.
        distribution: what is drawn from.
        row_shape: the dimensions of the batch that are rows, or elements of ragged rows.

    Raises:
        ValueError: it is not boolean, or has another shape.
    """
    shape = base_distribution(distribution).batch_shape
    if not torch.is_tensor(mask) or mask.dtype != torch.bool:
        kind = f"of {mask.dtype}" if torch.is_tensor(mask) else describe(mask)
        raise ValueError(
            f"node {name!r}: the mask is {kind}: give booleans, a tensor that is True where the "
            "draw counts"
        )
    if mask.shape == shape:
        return mask
    if mask.shape != row_shape:
        raise ValueError(
            f"node {name!r}: the mask has shape {list(mask.shape)}, but the rows have shape "
            f"{list(row_shape)} and the distribution inside any Independent has batch shape "
            f"{list(shape)}: give one of the two (align() repeats what is older)"
        )
    return mask.view((*mask.shape, *[1] * (len(shape) - mask.dim()))).expand(shape)
