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
    """The elements of a draw, D in each row; those that do not count have no deviation."""

    value: Tensor
    """`[R, D]`, or other leading dimensions."""
    deviation: Tensor
    """Of the same shape: the value minus its mean, with the derivative of the mean."""
    categories: int
    """C, where C elements in a row are one draw, a 1 among 0s; 1 for bits."""

    def shaped(self, rows: tuple[int, ...]) -> "Elements":
        """The same with other leading dimensions."""
        value, deviation = (part.reshape(*rows, -1) for part in (self.value, self.deviation))
        return Elements(value, deviation, self.categories)

    @property
    def score(self) -> Tensor:
        """The derivative of the log-probability with respect to the logits."""
        return self.deviation.detach()

    @property
    def probs(self) -> Tensor:
        """Without gradient; the value itself where it does not count."""
        return self.value - self.score

    @property
    def chances(self) -> Tensor:
        """The probability that an element, drawn again, moves: a bit flips, a 0 becomes the 1."""
        if self.categories > 1:
            return self.probs
        return torch.where(self.value > 0, 1 - self.probs, self.probs)

    def moved(self, slope: Tensor) -> Tensor:
        """The change of a linear function of this slope, as each element alone moves."""
        if self.categories == 1:
            return slope * (1 - 2 * self.value)
        return slope - self._over_draws(slope * self.value)

    def by_logits(self, slope: Tensor) -> Tensor:
        """The derivative by the logits of what has the derivative `slope` by the mean."""
        if self.categories == 1:
            return self.probs * slope * (1 - self.probs)
        return self.probs * (slope - self._over_draws(self.probs * slope))

    def weights_before(self) -> Tensor:
        """The product of the weights of the draws before each element, with value 1."""
        change = self.score - self.deviation  # of the mean, from its present value
        if self.categories == 1:
            change, mass = change * (2 * self.value - 1), 1 - self.chances
        else:
            change, mass = (self._over_draws(part * self.value) for part in (change, self.probs))
            change, mass = change[..., :: self.categories], mass[..., :: self.categories]
        weights = 1 + change / mass.clamp(min=torch.finfo(mass.dtype).tiny)
        before = torch.cat([torch.ones_like(weights[..., :1]), weights[..., :-1]], -1).cumprod(-1)
        return before.repeat_interleave(self.categories, -1)

    def _over_draws(self, values: Tensor) -> Tensor:
        """The sum over the categories of each draw, for every element of it."""
        draws = values.unflatten(-1, (-1, self.categories))
        return draws.sum(-1, keepdim=True).expand_as(draws).flatten(-2)


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


def check_device(kind: str, own: Tensor, costs: Tensor) -> None:
    """Refuse what was learned on another device than that of the costs."""
    if own.device != costs.device:
        raise ValueError(
            f"the {kind} is on {own.device} but the costs are on {costs.device}: own it in a "
            "StochasticNode, and move the model with to()"
        )
