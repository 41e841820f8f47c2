"""A score-function estimator with a learned control variate."""

import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Distribution, OneHotCategorical

from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.log_prob import summed_log_prob
from sfgrad.estimators.surrogate import Surrogate, refuse_transforms
from sfgrad.masks import base_distribution


class Relax(Estimator):
    """Draw a value, and learn what to compare its cost with from its relaxation.

    `∇ E[f(z)] = E[(f(z) − c(ζ̃))·∇log p(z) + ∇c(ζ) − ∇c(ζ̃)]`

    c is the module, ζ the relaxed value, ζ̃ the relaxed value given the drawn one (both at
    temperature 1; the module may scale). For a continuous draw z(θ) that can be reparametrised,

    `∇ E[f(z)] = E[(f(z) − c(z))·∇log p(z) + ∇c(z(θ))]`

    The same `loss.backward()` trains the module: what it minimises is an unbiased estimate of the
    variance of the gradient with respect to the distribution's parameters, and does not reach
    these. The cost is evaluated once, at the drawn value, and needs no derivative.

    Args:
        module: maps `[R, D]`, the relaxed (or continuous) value of every row, flattened, to `[R]`
            or `[R, 1]`, in the unit of the cost. D is the number of bits, of elements times
            categories (indices become vectors), or of continuous elements; 1 where a row is one
            number. Rows must not interact in it. It needs a derivative by its input.

    Raises:
        TypeError: the module is something else.
        ValueError: at the draw, if the distribution is neither Bernoulli nor of categories nor can
            be reparametrised, or if the module fails or returns something else.

    Unbiased: yes, to the first order. Draws cannot be replayed.

    Source: Grathwohl et al. (2018), Backpropagation through the Void: Optimizing control variates
    for black-box gradient estimation, eq. 6 (LAX), eq. 8 (RELAX) and section 3.1 (training).
    """

    order = 1

    def __init__(self, module: nn.Module):
        self._surrogate = Surrogate(module)

    @property
    def baseline(self) -> Surrogate:  # type: ignore[override]
        """What owns the module; fixed, since a `StochasticNode` owns it too."""
        return self._surrogate

    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw one value for every row, and keep what its cost is compared with."""
        refuse_transforms()
        base = base_distribution(distribution)
        if isinstance(base, Bernoulli | Categorical | OneHotCategorical):
            value = distribution.sample().detach()
            knowledge = self._surrogate.discrete(base, value, batch_ndims)
        else:
            value, knowledge = self._surrogate.continuous(base, batch_ndims)
        log_prob = summed_log_prob(distribution, value.clone(), batch_ndims)
        unknown = torch.full_like(log_prob.detach(), torch.nan)
        return Draw(value, log_prob, log_prob, recorded=unknown, observation=knowledge)

    def __repr__(self) -> str:
        return f"Relax(module={self._surrogate.module!r})"
