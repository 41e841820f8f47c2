"""What control variates keep of a draw of bits or categories: how its elements deviate."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, OneHotCategorical

from sfgrad.estimators.log_prob import MisfitError
from sfgrad.masks import Masked, base_distribution
from sfgrad.tensors import single


class Elements(NamedTuple):
    """The elements of a draw, D in each of R rows; those that do not count have no deviation."""

    value: Tensor
    """`[R, D]`."""
    deviation: Tensor
    """`[R, D]`: the value minus its mean, with the derivative of the mean."""
    categories: int
    """C, where C elements in a row are one draw, a 1 among 0s; 1 for bits."""

    @property
    def score(self) -> Tensor:
        """The derivative of the log-probability by the logits, `[R, D]`."""
        return self.deviation.detach()

    @property
    def probs(self) -> Tensor:
        """`[R, D]`, without gradient; the value itself where it does not count."""
        return self.value - self.score

    def by_logits(self, slope: Tensor) -> Tensor:
        """The derivative by the logits of what has the derivative `slope` by the mean: `[R, D]`."""
        weighted = self.probs * slope
        if self.categories == 1:
            return weighted * (1 - self.probs)
        draws = weighted.unflatten(-1, (-1, self.categories))
        total = draws.sum(-1, keepdim=True).expand_as(draws).flatten(-2)
        return weighted - self.probs * total


def observe_elements(
    kind: str, distribution: Distribution, value: Tensor, batch_ndims: int
) -> Elements | None:
    """The elements of a draw; None of category numbers, by which no cost has a slope.

    Args:
        kind: of the control variate, for errors.
        distribution: over R rows.
        value: `[copies · R, ...]`, what was drawn.
        batch_ndims: leading dimensions of the distribution that are rows.

    Raises:
        MisfitError: the distribution is of anything but bits and categories.
    """
    base = base_distribution(distribution)
    if isinstance(base, Categorical):
        return None
    if not isinstance(base, Bernoulli | OneHotCategorical):
        raise MisfitError(
            f"{kind} takes Bernoulli, OneHotCategorical and Categorical, also Independent, but "
            f"this one is {type(base).__name__}: use LeaveOneOut() or MovingAverage() here"
        )
    value = single(value.detach())
    deviation = value - _repeated(single(base.mean), value)
    if isinstance(distribution, Masked):
        deviation = torch.where(_repeated(distribution.value_mask(), value), deviation, 0)

    rows = math.prod(value.shape[:batch_ndims])
    categories = 1 if isinstance(base, Bernoulli) else base.event_shape[-1]
    return Elements(value.reshape(rows, -1), deviation.reshape(rows, -1), categories)


def _repeated(tensor: Tensor, value: Tensor) -> Tensor:
    """What is known of the rows, for every copy of them that the value has."""
    if not tensor.dim() or len(tensor) == len(value):
        return tensor
    return tensor.repeat(len(value) // len(tensor), *[1] * (tensor.dim() - 1))
