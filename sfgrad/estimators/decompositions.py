"""Derivatives of densities as differences of densities.

`∂p/∂θ = c·(p⁺ − p⁻)`: of each element's parameters, what the value would be under p⁺ and p⁻, and
the constant c as a weight of value 0 that has the derivative c by θ.

Source: Mohamed et al. (2020), Monte Carlo Gradient Estimation in Machine Learning, table 1. Those
of the Gamma's rate and of the Weibull's scale follow from x·p(x) being a density of the same family
and from (x/λ)^k being exponential.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Gamma,
    Normal,
    OneHotCategorical,
    Poisson,
    Weibull,
)

from sfgrad.estimators.log_prob import MisfitError
from sfgrad.tensors import single


class Twins(NamedTuple):
    """Of every element, M values to put in its place, with their weights of value 0.

    Args:
        values: `[*batch, M, *event]`.
        weights: `[*batch, M]`.
        own: `[*batch]`, the weight of the drawn value, where that is one of the parts.
    """

    values: Tensor
    weights: Tensor
    own: Tensor


def change(parameter: Tensor) -> Tensor:
    """0, with the derivative of the parameter."""
    parameter = single(parameter)
    return parameter - parameter.detach()


def exponential(like: Tensor) -> Tensor:
    """Exponential noise of rate 1, of a tensor's shape, in its type."""
    return torch.empty_like(like).exponential_()


def _bernoulli(base: Bernoulli, value: Tensor) -> Twins:
    """`∂p = ∂π·(δ₁ − δ₀)`."""
    probs = change(base.probs)
    values = torch.stack([torch.ones_like(value), torch.zeros_like(value)], -1)
    return Twins(values, torch.stack([probs, -probs], -1), torch.zeros_like(probs))


def _categories(base: Categorical | OneHotCategorical, value: Tensor) -> Twins:
    """`∂p = Σ_c ∂π_c·δ_c`."""
    probs = change(base.probs)
    values = torch.arange(probs.shape[-1], device=value.device)
    if isinstance(base, OneHotCategorical):
        values = torch.eye(len(values), dtype=value.dtype, device=value.device)
    values = values.expand(*probs.shape[:-1], *values.shape)
    return Twins(values, probs, torch.zeros_like(probs[..., 0]))


def _normal(base: Normal, value: Tensor) -> Twins:
    """Weibull halves on both sides of the mean; a Maxwell, to both sides, minus the Normal.

    The Maxwell m and the Normal ε are coupled: m·U with U uniform is ε, so given ε, m has its sign
    and m² − ε² is that of a Weibull half.
    """
    loc, scale = base.loc.detach(), base.scale.detach()
    noise = (value - loc) / scale
    half = (2 * exponential(noise)).sqrt()
    maxwell = (noise.square() + half.square()).sqrt().copysign(noise)

    mean = change(base.loc) / (scale * math.sqrt(2 * math.pi))
    width = change(base.scale) / scale
    values = [loc + scale * half, loc - scale * half, loc + scale * maxwell]
    return Twins(torch.stack(values, -1), torch.stack([mean, -mean, width], -1), -width)


def _poisson(base: Poisson, value: Tensor) -> Twins:
    """The count plus 1, minus the count."""
    rate = change(base.rate)
    return Twins((value + 1).unsqueeze(-1), rate.unsqueeze(-1), -rate)


def _gamma(base: Gamma, value: Tensor) -> Twins:
    """Of the rate: the value, minus one whose concentration is larger by 1."""
    _refuse_gradient(base, base.concentration, "concentration")
    rate = base.rate.detach()
    weight = base.concentration.detach() / rate * change(base.rate)
    larger = value + exponential(value) / rate
    return Twins(larger.unsqueeze(-1), -weight.unsqueeze(-1), weight)


def _weibull(base: Weibull, value: Tensor) -> Twins:
    """Of the scale λ: (x/λ)^k, exponential, becomes a Gamma of concentration 2; minus the value."""
    _refuse_gradient(base, base.concentration, "concentration")
    scale, power = base.scale.detach(), base.concentration.detach()
    larger = scale * ((value / scale) ** power + exponential(value)) ** (1 / power)
    weight = power / scale * change(base.scale)
    return Twins(larger.unsqueeze(-1), weight.unsqueeze(-1), -weight)


Formula = Callable[[Any, Tensor], Twins]
FORMULAS: dict[type, tuple[int, Formula]] = {
    Bernoulli: (2, _bernoulli),
    Normal: (3, _normal),
    Categorical: (0, _categories),
    OneHotCategorical: (0, _categories),
    Poisson: (1, _poisson),
    Gamma: (1, _gamma),
    Weibull: (1, _weibull),
}
"""By class: how many values replace each element, 0 for as many as categories; and the values."""


def decomposition(base: Distribution) -> tuple[int, Formula]:
    """How many values replace each element, and the formula that makes them.

    Raises:
        ValueError: there is no formula for the distribution.
    """
    for kind, (count, formula) in FORMULAS.items():
        if isinstance(base, kind):
            return count or base.probs.shape[-1], formula  # pyright: ignore
    names = ", ".join(kind.__name__ for kind in FORMULAS)
    raise MisfitError(
        f"{type(base).__name__} has no measure-valued derivative here: there is one for {names} "
        "and Independent of them; use ScoreFunction() or Pathwise()"
    )


def _refuse_gradient(base: Distribution, parameter: Tensor, name: str) -> None:
    """Refuse a parameter that would silently get no derivative."""
    if parameter.requires_grad:
        raise MisfitError(
            f"{name} of {type(base).__name__} requires a gradient, but has no measure-valued "
            "derivative here: use ScoreFunction() or Pathwise(), or detach it if it is fixed"
        )
