"""Measure-valued derivatives, also called weak derivatives."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.estimators.base import Draw, Layout
from sfgrad.estimators.decompositions import Twins, decomposition
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.estimators.siblings import copied_shape
from sfgrad.estimators.weighted import Weighted
from sfgrad.masks import base_distribution
from sfgrad.settings import whole_number


class MeasureValued(Weighted):
    """Differences of costs at values that are drawn for each parameter of each element.

    `∇ E[f(z)] = Σ_d c_d·(E[f(z⁺_d)] − E[f(z⁻_d)])`, where z⁺_d and z⁻_d are z but for element d.

    One copy of a row is the draw. The others, of weight 0, are the draw with one element replaced,
    and their weights have the derivatives ±c_d. No derivative of the cost is needed, and the
    variance is low, since both values of a difference are coupled. But every element costs an
    evaluation or more.

    Args:
        samples: how many copies the node makes, `MeasureValued.copies(distribution)`; None to take
            those that the nearest branch made, which must be as many and of equal parameters.

    Raises:
        ValueError: `samples` is below 1. At the draw: the number of copies is another, they differ
            before the draw, there is no formula for the distribution, or a parameter without one
            requires a gradient.
        TypeError: `samples` is not a whole number.

    Unbiased: yes, to the first order: values and gradients. Draws cannot be replayed.

    Source: Mohamed et al. (2020), Monte Carlo Gradient Estimation in Machine Learning, section 6.

    Examples:
        >>> from torch.distributions import Normal
        >>> MeasureValued.copies(Normal(torch.zeros(5, 2), 1.0))
        7
    """

    order = 1

    def __init__(self, samples: int | None = None):
        self.samples = None if samples is None else whole_number("samples", samples)

    @staticmethod
    def copies(distribution: Distribution, batch_ndims: int = 1) -> int:
        """How many copies of a row it needs.

        Of D elements, 1 + 2D for Bernoulli, 1 + D·C for C categories, 1 + 3D for Normal, 1 + D for
        Poisson, Gamma and Weibull.

        Args:
            distribution: over R rows, `batch_shape = [R, ...]`.
            batch_ndims: leading dimensions that are rows.

        Raises:
            ValueError: there is no formula for the distribution.
        """
        base = base_distribution(distribution)
        count, _ = decomposition(base)
        return 1 + count * base.batch_shape[batch_ndims:].numel()

    def weigh(
        self, distribution: Distribution, batch_ndims: int, layout: Layout, own: int | None
    ) -> Draw:
        """The draw and its twins, of weight 0 with a derivative."""
        copies = layout[1] if own is None else own
        base = base_distribution(distribution)
        needed = MeasureValued.copies(distribution, batch_ndims)
        if copies != needed:
            elements = base.batch_shape[batch_ndims:].numel()
            raise MisfitError(
                f"MeasureValued has {copies} copies of every row, but {type(base).__name__} of "
                f"{elements} elements needs {needed}: set samples={needed}, which is "
                "MeasureValued.copies(distribution)"
            )
        _, formula = decomposition(base)
        drawn = distribution.sample().detach()
        twins: Twins = formula(base, drawn)
        value = _replaced(drawn, twins, layout, base.event_shape)
        factor = copies * _weights(twins, layout, copies)

        shape = copied_shape(drawn.shape, own or 1)
        zero = torch.zeros_like(factor.detach())
        unknown = torch.full_like(zero, torch.nan)
        return Draw(value.reshape(shape), zero, zero, own or 1, factor=factor, recorded=unknown)


def _replaced(drawn: Tensor, twins: Twins, layout: Layout, event: torch.Size) -> Tensor:
    """The draw of the first copy, and that with one element replaced: `[E, 1 + D·M, R, D, …]`."""
    E, S, R = layout
    D, M = drawn.reshape(E, S, R, -1, *event).shape[3], twins.weights.shape[-1]
    value = drawn.reshape(E, S, R, D, *event)[:, :1]
    values = twins.values.reshape(E, S, R, D, M, *event)[:, 0].to(value.dtype)

    # Every twin is the draw but for its own element: `[E, D, M, R, D, …]`.
    own = torch.eye(D, dtype=torch.bool, device=drawn.device).view(D, 1, 1, D, *[1] * len(event))
    others = torch.where(own, values.movedim(1, 3).unsqueeze(4), value.unsqueeze(1))
    return torch.cat([value, others.flatten(1, 2)], 1)


def _weights(twins: Twins, layout: Layout, copies: int) -> Tensor:
    """1 for the draw and 0 for its twins, with their derivatives: `[E · copies · R]`."""
    E, S, R = layout
    own = 1 + twins.own.reshape(E, S, R, -1)[:, :1].sum(3)

    # Every twin has the parameters of its own copy, where the copies are not the node's own.
    weights = twins.weights.reshape(E, S, R, copies - 1)
    if copies == S:
        weights = weights[:, 1:].diagonal(dim1=1, dim2=3)
    others = weights.reshape(E, R, copies - 1).movedim(2, 1)
    return torch.cat([own, others], 1).reshape(-1)
