"""Draws by inversion: from a uniform number to the value at that quantile."""

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
)

from sfgrad.estimators.log_prob import MisfitError
from sfgrad.estimators.siblings import parameters
from sfgrad.tensors import one_hot

LEAST = 2.0**-54
"""Uniform numbers are kept this far from 0 and twice this far from 1, whose quantiles may be
infinite."""


def noise_shape(base: Distribution) -> torch.Size:
    """How many uniform numbers a draw takes."""
    if isinstance(base, MultivariateNormal):
        return base.batch_shape + base.event_shape
    return base.batch_shape


@torch.no_grad()
def quantile(base: Distribution, uniform: Tensor) -> Tensor:
    """The value of every element at its quantile.

    Args:
        base: without `Independent` or a mask around it.
        uniform: `[..., *noise_shape(base)]`, double, in [0, 1].

    Returns:
        `[..., *batch_shape, *event_shape]`, in the type in which the distribution draws. For
        categories it is the inverse of the distribution function in the order of their numbers.

    Raises:
        MisfitError: the distribution has no quantile function.
    """
    uniform = uniform.clamp(LEAST, 1 - 2 * LEAST)
    if isinstance(base, Bernoulli):
        return (uniform < base.probs).to(base.probs.dtype)  # compared in double precision
    if isinstance(base, Categorical):
        return _category(base.probs, uniform)
    if isinstance(base, OneHotCategorical):
        probs: Tensor = base.probs
        return one_hot(_category(probs, uniform), probs.shape[-1]).to(probs.dtype)
    if isinstance(base, Normal | MultivariateNormal):
        return _gaussian(base, torch.special.ndtri(uniform))
    try:
        return base.icdf(uniform).to(prototype(base).dtype)
    except NotImplementedError as error:
        raise MisfitError(
            f"{type(base).__name__} has no quantile function (icdf), by which copies are coupled: "
            "use ScoreFunction()"
        ) from error


def _category(probs: Tensor, uniform: Tensor) -> Tensor:
    """Numbers of categories, int64; never one of probability 0."""
    mass = probs.double().cumsum(-1)
    bounds = mass[..., :-1] / mass[..., -1:]
    return (uniform.unsqueeze(-1) >= bounds).sum(-1)


def _gaussian(base: Normal | MultivariateNormal, noise: Tensor) -> Tensor:
    """The Gaussian with this standard Gaussian noise."""
    if isinstance(base, Normal):
        return base.loc + base.scale * noise.to(base.loc.dtype)
    return base.loc + (base.scale_tril @ noise.to(base.loc.dtype).unsqueeze(-1)).squeeze(-1)


def prototype(base: Distribution) -> Tensor:
    """A parameter of a distribution, for the device and the type in which it draws."""
    return next(iter(parameters(base).values()), torch.zeros(()))
