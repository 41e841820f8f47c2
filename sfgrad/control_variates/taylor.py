"""A model of the cost of each copy, of the first order around the draws of the other copies."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sfgrad.control_variates.elements import Elements


class Model(NamedTuple):
    """The model H_k of every copy k, in the unit of the cost."""

    at_draw: Tensor
    """`[E, S, R]`: H_k(x_k)."""
    gain: Tensor
    """`[E, S, R, D]`: how much H_k changes as each element of x_k alone moves."""
    slope: Tensor
    """`[E, S, R, D]`: what the expectation of H_k over each element has as derivative by its mean,
    the others being those of x_k."""


def first_order(slope: Tensor, elements: Elements) -> tuple[Tensor, Tensor]:
    """What the slope at each other draw predicts for a copy, minus the cost there.

    Args:
        slope: `[E, S, R, D]`, at the draws.
        elements: of the draws, in that shape.

    Returns:
        `[E, S, S − 1, R]` for the mean of the copy, and `[E, S, S − 1, R, 1 + D]` for its draw and
        the draw with each element moved.
    """
    others = other_copies(slope.shape[1], slope.device)
    slope, value = slope[:, others], elements.value[:, others]
    own = Elements(
        elements.value.unsqueeze(2), elements.deviation.unsqueeze(2), elements.categories
    )
    at_mean = (slope * (own.probs - value)).sum(-1)
    at_draw = (slope * (own.value - value)).sum(-1, keepdim=True)
    return at_mean, torch.cat([at_draw, at_draw + own.moved(slope)], -1)


def model_costs(
    function: Callable[[Tensor, Tensor], Tensor], costs: Tensor, slope: Tensor, elements: Elements
) -> Model:
    """`H_k(y) = mean_{j≠k} (η(f_j, ∇f_jᵀ(y − x_j)) − η(f_j, ∇f_jᵀ(μ − x_j)))`, and its moves.

    Args:
        function: η, element by element, of how far the cost of the other copy is above the mean of
            those that are compared with the copy, and what its slope predicts.
        costs: `[E, S, R]`.
        slope: `[E, S, R, D]`.
        elements: of the draws, in that shape.
    """
    at_mean, at_draws = first_order(slope, elements)
    others = costs[:, other_copies(costs.shape[1], costs.device)]
    others = (others - others.mean(2, keepdim=True)).unsqueeze(-1)
    predicted = torch.cat([at_mean.unsqueeze(-1), at_draws], -1)
    values = function(others.expand_as(predicted), predicted).mean(2)

    at_draw = values[..., 1]
    gain = values[..., 2:] - values[..., 1:2]
    slope = gain * (1 - 2 * elements.value) if elements.categories == 1 else gain
    return Model(at_draw - values[..., 0], gain, slope)


def other_copies(copies: int, device: torch.device) -> Tensor:
    """For each copy the numbers of the others, int64 `[S, S − 1]`."""
    numbers = torch.arange(copies, device=device)
    return numbers.expand(copies, -1)[~torch.eye(copies, dtype=torch.bool, device=device)].view(
        copies, -1
    )
