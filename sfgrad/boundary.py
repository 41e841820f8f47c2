"""Parameters on the boundary of their domain, and supports whose bounds depend on parameters.

There the score lacks a derivative that exists, or is NaN.
"""

import copy
import functools
import inspect
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Distribution,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Poisson,
    constraints,
)

from sfgrad.masks import Masked, base_distribution
from sfgrad.tracing import is_readable

FIXED = frozenset({Bernoulli, Categorical, MultivariateNormal, Normal, OneHotCategorical})
"""Distributions with a fixed support and a score everywhere inside it."""

NESTS = (list, tuple)
"""Containers in which constraints hold other constraints."""


def interior(distribution: Distribution) -> Distribution:
    """The same distribution, but probabilities of exactly 0 or 1 have a derivative.

    Before torch takes logarithms it clamps probabilities to [eps, 1 − eps], and those that the
    clamp moves lose their derivative. Yet even an outcome of probability 0 contributes one: that of
    its probability. Here the probabilities are moved beforehand and keep their derivative.

    Args:
        distribution: any; only those constructed from `probs` are changed.
    """
    if isinstance(distribution, Masked):
        return Masked(interior(distribution.original), distribution.mask)
    result = copy.copy(distribution)
    for name, part in list(vars(distribution).items()):
        if isinstance(part, Distribution):
            setattr(result, name, interior(part))

    probs = vars(distribution).get("probs")
    given = vars(distribution).get("_param")
    if probs is None or probs is not given or not probs.requires_grad:
        return result
    eps = torch.finfo(probs.dtype).eps
    moved = probs + (probs.clamp(eps, 1 - eps) - probs).detach()
    if type(distribution) is Binomial:
        return _Binomial(distribution.total_count, probs=moved, validate_args=False)
    vars(result).update(probs=moved, _param=moved)
    vars(result).pop("logits", None)  # those of the old probabilities
    return result


class _Binomial(Binomial):
    """Scores by probabilities: torch uses logits, which lose all digits near 0 and 1."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability, `[*batch_shape]`, nats."""
        count, probs = self.total_count, self.probs
        ways = (count + 1).lgamma() - (value + 1).lgamma() - (count - value + 1).lgamma()
        return ways + value * probs.log() + (count - value) * (-probs).log1p()


def refuse_boundary(name: str, distribution: Distribution) -> None:
    """Refuse to score a draw whose score cannot be right.

    Args:
        name: of the node.
        distribution: that of the draw, with gradients on.

    Raises:
        ValueError: the bounds of the support require a gradient, or a Poisson rate that requires
            one is 0.
    """
    if type(distribution) in FIXED:  # most draws
        return
    base = base_distribution(distribution)
    if getattr(base, "has_enumerate_support", False):
        return
    if isinstance(base, Poisson):
        _refuse_rate_of_zero(name, distribution, base.rate)
    elif _is_dependent(type(base)) and _moves(_support(base)):
        raise ValueError(
            f"node {name!r}: the bounds of the support of {type(base).__name__} require a "
            "gradient, but the score misses what enters or leaves the support there, so the score "
            "function would be biased: use sf.Pathwise(), or detach the bounds if they are fixed"
        )


def has_moving_support(distribution: Distribution) -> bool:
    """Whether a bound of the support requires a gradient."""
    base = base_distribution(distribution)
    return _is_dependent(type(base)) and _moves(_support(base))


def _refuse_rate_of_zero(name: str, distribution: Distribution, rate: Tensor) -> None:
    """Refuse a Poisson rate of 0 unless it is masked: its score can be NaN."""
    if not rate.requires_grad or not is_readable(rate):
        return
    zero = rate == 0
    if isinstance(distribution, Masked):
        zero = zero & distribution.mask
    if zero.any():
        raise ValueError(
            f"node {name!r}: a Poisson rate is exactly 0 in {int(zero.sum())} of {zero.numel()} "
            "elements, where the score is NaN: keep rates above 0, e.g. rate + 1e-6, or mask these "
            "elements"
        )


@functools.lru_cache(maxsize=256)
def _is_dependent(kind: type) -> bool:
    """Whether the support of a class of distributions depends on parameters."""
    try:
        support = inspect.getattr_static(kind, "support")
    except AttributeError:
        return False
    return not isinstance(support, constraints.Constraint) or isinstance(support, property)


def _support(distribution: Distribution) -> Any:
    """The support, or None where it cannot be read."""
    try:
        return distribution.support
    except Exception:  # a user's distribution may raise anything
        return None


def _moves(support: Any) -> bool:
    """Whether a tensor in a constraint, or in one that it is made of, requires a gradient."""
    if torch.is_tensor(support):
        return support.requires_grad
    if isinstance(support, NESTS):
        return any(map(_moves, support))
    return isinstance(support, constraints.Constraint) and any(map(_moves, vars(support).values()))
