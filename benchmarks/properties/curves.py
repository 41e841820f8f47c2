"""What every property has: lines of a picture, and independent estimates to measure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import sfgrad as sf

ROWS = 4000
"""Estimates a point, where a point is not exact."""


@dataclass
class Curves:
    """What a picture shows."""

    x: list[float]
    lines: dict[str, list[float]]
    """By label, which begins with the method."""
    axes: dict[str, Any]
    """Labels and scales, as matplotlib's `Axes.set` takes them."""
    bands: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    """Lower and upper edges, by the label of a line."""
    marked: bool = False
    """Whether the horizontal axis is logarithmic, with a tick at each point."""


def estimates(
    model: Callable[[Tensor], Tensor], theta: Tensor, copies: int = 1, rows: int = ROWS
) -> Tensor:
    """Independent estimates of the gradient of E[model] by theta, `[rows, *theta.shape]`."""
    inputs = theta.expand(rows, *theta.shape).clone().requires_grad_()
    sf.expectation(model, samples=copies)(inputs).backward()
    assert inputs.grad is not None
    return rows * inputs.grad


def square_errors(found: Tensor, truth: Tensor) -> Tensor:
    """Of each estimate `[rows, ...]`, summed over its elements, `[rows]`."""
    return (found - truth).flatten(1).square().sum(1)


def relative_error(found: Tensor, truth: Tensor) -> float:
    """The mean squared error over the squared length of the gradient."""
    return float(square_errors(found, truth).mean() / truth.square().sum())


def variance(found: Tensor) -> float:
    """Of an estimate, summed over its elements."""
    return float(torch.var(found, 0).sum())
