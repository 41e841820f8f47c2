"""What the relaxations share: exact values that carry the gradient of something smooth."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, OneHotCategorical
from torch.nn.functional import logsigmoid

from sfgrad.boundary import interior
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.masks import base_distribution
from sfgrad.settings import describe, positive_number
from sfgrad.tensors import single


class Relaxation(Estimator):
    """Draws a value, and differentiates a smooth path in its place.

    A Bernoulli is treated as two categories, of which the value is the second.
    """

    takes_masks = True
    order: float = 0

    def __setattr__(self, attribute: str, value: Any) -> None:
        """Set an attribute; a temperature must be a number above 0."""
        if attribute == "temperature":
            value = positive_number("temperature", value)
        if attribute == "hard" and not isinstance(value, bool):
            raise TypeError(f"hard is {describe(value)}: it must be True or False")
        super().__setattr__(attribute, value)

    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw one value for every row; no weight, since its path carries the gradient."""
        return Draw(self.plain(distribution))

    def plain(self, distribution: Distribution) -> Tensor:
        """One value per row, exactly as it was drawn, with the gradient of its path."""
        value, path = self.relaxed(distribution)
        return with_gradient_of(path, value)

    def relaxed(self, distribution: Distribution) -> tuple[Tensor, Tensor]:
        """A drawn value, and the path that is differentiated in its place: of the same shape."""
        log_probs = log_probabilities(distribution, type(self).__name__)
        value = distribution.sample().detach()
        if isinstance(base_distribution(distribution), OneHotCategorical):
            path = self.path(log_probs, value.to(log_probs.dtype))
        else:
            one_hot = torch.stack([1 - value, value], -1).to(log_probs.dtype)
            path = self.path(log_probs, one_hot)[..., 1]
        return value, path.to(value.dtype)

    @abstractmethod
    def path(self, log_probs: Tensor, one_hot: Tensor) -> Tensor:
        """What is differentiated in place of the value.

        Args:
            log_probs: `[..., K]`, nats, of K categories; in single precision at least.
            one_hot: `[..., K]`, the category that was drawn.

        Returns:
            `[..., K]`.
        """


def with_gradient_of(path: Tensor, value: Tensor) -> Tensor:
    """The value, to the last bit, with the derivative of another tensor of the same shape.

    The difference is taken first, so that it is exactly 0; `(value + path) − stop(path)` would be
    off by rounding.

    Args:
        path: finite, what is differentiated.
        value: what is returned.
    """
    return value.detach() + (path - path.detach())


def log_probabilities(distribution: Distribution, estimator: str) -> Tensor:
    """Those of every category, `[*batch_shape, K]`, nats, in single precision at least, finite.

    Args:
        distribution: over bits or one-hot vectors, also in an `Independent` or with a mask.
        estimator: what draws, for errors.

    Raises:
        ValueError: it is over something else.
    """
    base = base_distribution(interior(distribution))
    if isinstance(base, OneHotCategorical):
        log_probs = single(base.logits)
    elif isinstance(base, Bernoulli):
        logits = single(base.logits)
        log_probs = torch.stack([logsigmoid(-logits), logsigmoid(logits)], -1)
    else:
        raise MisfitError(_advice(type(base), estimator))

    # A category that is ruled out has −inf; with a number as low as this it stays out.
    return log_probs.clamp(min=torch.finfo(log_probs.dtype).min / 2)


def _advice(kind: type[Distribution], estimator: str) -> str:
    """Why an estimator does not draw from such a distribution, and what does."""
    if issubclass(kind, Categorical):
        return (
            f"{kind.__name__} draws indices, through which no gradient flows, and {estimator} "
            "needs a value that carries one: use OneHotCategorical, or ScoreFunction()"
        )
    return (
        f"{estimator} does not draw from {kind.__name__}, only from Bernoulli and "
        "OneHotCategorical: use ScoreFunction(), or Pathwise() where the distribution has an "
        "rsample"
    )
