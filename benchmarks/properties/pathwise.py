"""Pathwise: the error against the deviation of a normal draw around 0, with cost `(z − 1)²`."""

import torch
from torch import Tensor
from torch.distributions import Normal

import sfgrad as sf
from benchmarks.properties.curves import Curves, estimates, relative_error

SCALES = [0.03, 0.1, 0.3, 1.0, 3.0]
TRUTH = torch.tensor([-2.0], dtype=torch.float64)
"""The gradient by the mean, `2·(mean − 1)`."""


def gradients(scale: float, estimator: sf.Estimator, copies: int) -> Tensor:
    """Independent estimates by the mean, `[rows, 1]`."""

    def model(mean: Tensor) -> Tensor:
        return (sf.sample(Normal(mean, scale), estimator) - 1).square()

    return estimates(model, torch.zeros(1, dtype=torch.float64), copies)


def curves() -> Curves:
    """Mean squared errors times evaluations, over the squared gradient."""
    cases: dict[str, tuple[sf.Estimator, int]] = {
        "score function, 1 evaluation": (sf.ScoreFunction(), 1),
        "leave-one-out, 4 evaluations": (sf.ScoreFunction(sf.LeaveOneOut()), 4),
        "pathwise, 1 evaluation": (sf.Pathwise(), 1),
    }
    lines = {
        label: [
            copies * relative_error(gradients(scale, estimator, copies), TRUTH) for scale in SCALES
        ]
        for label, (estimator, copies) in cases.items()
    }
    axes = {
        "xlabel": "standard deviation of the draw",
        "ylabel": "squared error × evaluations,\nover the squared gradient",
        "yscale": "log",
    }
    return Curves(SCALES, lines, axes, marked=True)
