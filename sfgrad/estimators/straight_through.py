"""Straight-through estimators: a discrete value with a made-up derivative."""

import torch
from torch import Tensor

from sfgrad.estimators.relaxation import Relaxation, with_gradient_of


class StraightThrough(Relaxation):
    """Draw z from p, and differentiate as if it were the vector of probabilities.

    `∇ E[f(z)] ≈ E[∇p · f′(z)]`

    The value is exactly the one that was drawn. The cost must be differentiable in it, and is
    evaluated only where z can be. For `Bernoulli` and `OneHotCategorical`, also in an
    `Independent`. Outside a graph the value has the same gradient.

    Raises:
        ValueError: the distribution is another one; a `Categorical` draws indices, which have no
            derivative.

    Unbiased: no, unless the cost is linear in z; `order` is 0. The value of the loss is unbiased.

    Source: Bengio et al. (2013), Estimating or Propagating Gradients Through Stochastic Neurons for
    Conditional Computation; here with the derivative of the probabilities.
    """

    def path(self, log_probs: Tensor, one_hot: Tensor) -> Tensor:
        """The probabilities."""
        return log_probs.exp()


class ReinMax(Relaxation):
    """Straight-through of second order: the average of the slopes at both ends of a jump.

    With one-hot z and `J(q) = diag(q) − q·qᵀ`, the derivative of a softmax whose value is q,

    `∇ E[f(z)] ≈ E[(2·J(q) − ½·J(p)) · f′(z)], q = (z + softmax(log p / temperature)) / 2`

    The value is exactly the one that was drawn. The cost must be differentiable in it. For
    `Bernoulli` (as two categories) and `OneHotCategorical`, also in an `Independent`. Outside a
    graph the value has the same gradient.

    Args:
        temperature: above 0; may be assigned later. Above 1 it trades bias for less variance.

    Raises:
        ValueError: the temperature is not above 0; or the distribution is another one.
        TypeError: the temperature is not a number.

    Unbiased: no, unless the temperature is 1 and the cost quadratic in z; `order` is 0. The value
    of the loss is unbiased.

    Source: Liu et al. (2023), Bridging Discrete and Backpropagation: Straight-Through and Beyond.
    """

    temperature: float

    def __init__(self, temperature: float = 1.0):
        self.temperature = temperature

    def path(self, log_probs: Tensor, one_hot: Tensor) -> Tensor:
        """Twice the softmax that has the value q, minus half of the probabilities."""
        smoothed = (log_probs / self.temperature).softmax(-1)
        midpoint = (one_hot + smoothed).detach() / 2
        logits = midpoint.clamp(min=torch.finfo(midpoint.dtype).tiny).log()

        # A softmax of logarithms that sum to 1 is their exponential, here with the derivative J(q).
        halfway = with_gradient_of(log_probs, logits).softmax(-1)
        return 2 * halfway - log_probs.exp() / 2
