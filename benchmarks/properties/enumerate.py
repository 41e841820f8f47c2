"""Enumerate: the error of the gradient against the number of values, all equally likely."""

import torch
from torch import Tensor
from torch.distributions import Categorical

import sfgrad as sf
from benchmarks.properties.curves import Curves, estimates, relative_error

SIZES = [2, 4, 8, 16, 32, 48, 64]
COSTS = torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
"""Of the values; of the first M, where there are M."""


def gradients(size: int, estimator: sf.Estimator, copies: int) -> Tensor:
    """Independent estimates by the logits of so many values, `[rows, size]`."""

    def model(logits: Tensor) -> Tensor:
        return COSTS[sf.sample(Categorical(logits=logits), estimator)]

    return estimates(model, torch.zeros(size, dtype=torch.float64), copies)


def truth(size: int) -> Tensor:
    """The gradient `p·(f − E f)`, `[size]`."""
    return (COSTS[:size] - COSTS[:size].mean()) / size


def curves() -> Curves:
    """The root of the mean squared error, in lengths of the gradient."""
    lines: dict[str, list[float]] = {}
    for size in SIZES:
        cases = {
            "score function, 1 evaluation": (sf.ScoreFunction(), 1),
            "leave-one-out, M evaluations": (sf.ScoreFunction(sf.LeaveOneOut()), size),
            "enumerate, M evaluations": (sf.Enumerate(), 1),
        }
        for label, (estimator, copies) in cases.items():
            error = relative_error(gradients(size, estimator, copies), truth(size)) ** 0.5
            lines.setdefault(label, []).append(error)
    axes = {"xlabel": "number of values M", "ylabel": "error of the gradient,\nover its length"}
    return Curves([float(size) for size in SIZES], lines, axes)
