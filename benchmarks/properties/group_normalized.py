"""GroupNormalized: the direction of the expected gradient against the size of the group."""

import math

import torch
from torch import Tensor

import sfgrad as sf
from benchmarks.properties.curves import Curves
from benchmarks.properties.groups import group_gradients, groups

SIZES = [2, 4, 8, 16, 32, 64]
LOGITS = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
COSTS = torch.tensor([[0.0, 1.0, 10.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
"""Of three values from two starts: in the first the rarest value is ten times as dear."""


def angle(one: Tensor, other: Tensor) -> float:
    """Between two vectors, degrees."""
    one, other = one / one.norm(), other / other.norm()
    return math.degrees(2 * math.atan2(float((one - other).norm()), float((one + other).norm())))


def truth() -> Tensor:
    """The gradient from each start, `p·(f − E f)`, `[2, 3]`."""
    probs = LOGITS.softmax(0)
    return probs * (COSTS - (COSTS @ probs).unsqueeze(1))


def mean_gradients(baseline: sf.Baseline, size: int) -> Tensor:
    """The expectation of the estimated gradient from each start, exact, `[2, 3]`."""
    draws, probs = groups(LOGITS.softmax(0), size)
    estimator = sf.ScoreFunction(baseline)
    means = [
        probs @ group_gradients(lambda _, z, costs=costs: costs[z], LOGITS, draws, estimator)
        for costs in COSTS
    ]
    return torch.stack(means)


def curves() -> Curves:
    """Angles to the exact gradient, of one start and of both together."""
    both, first, usual = [], [], []
    for size in SIZES:
        normalized = mean_gradients(sf.GroupNormalized(), size)
        both.append(angle(normalized.sum(0), truth().sum(0)))
        first.append(angle(normalized[0], truth()[0]))
        usual.append(angle(mean_gradients(sf.LeaveOneOut(), size).sum(0), truth().sum(0)))
    lines = {
        "two starts, group-normalized": both,
        "group-normalized, one start": first,
        "leave-one-out, one start or two": usual,
    }
    axes = {
        "xlabel": "draws in a group",
        "ylabel": "expected gradient: angle\nto the exact one, degrees",
        "ylim": (-2, 58),
    }
    return Curves([float(size) for size in SIZES], lines, axes, marked=True)
