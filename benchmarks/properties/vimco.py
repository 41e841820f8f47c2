"""VIMCO: the signal-to-noise ratio of the sampler's gradient against the number of copies."""

import math

import torch
from torch import Tensor
from torch.distributions import Categorical

import sfgrad as sf
from benchmarks.properties.curves import Curves, square_errors
from benchmarks.properties.groups import group_gradients, groups

SIZES = [2, 4, 8, 16, 32]
JOINT = torch.tensor([-1.0, -3.0, -2.0, -6.0], dtype=torch.float64)
"""log p(x, z) of the four values of a latent variable, nats."""
LOGITS = torch.zeros(4, dtype=torch.float64)
"""Of the sampler, which has learned nothing."""


class OneBaseline(sf.Join):
    """The same bound, with one number subtracted for all copies: 0 is no baseline."""

    def __init__(self, baseline: float = 0.0):
        self.baseline = baseline

    def join(self, log_weights: Tensor) -> tuple[Tensor, Tensor]:
        """Minus the bound, and the number."""
        cost, _ = sf.VIMCO().join(log_weights)
        return cost, torch.full_like(log_weights.detach(), self.baseline)


def gradients(join: sf.Join, copies: int) -> tuple[Tensor, Tensor]:
    """Those of all groups of copies, `[G, 4]`, and the groups' probabilities, `[G]`."""
    draws, probs = groups(LOGITS.softmax(0), copies)

    def log_weight(logits: Tensor, z: Tensor) -> Tensor:
        return JOINT[z] - Categorical(logits=logits).log_prob(z)

    return group_gradients(log_weight, LOGITS, draws, sf.ScoreFunction(), join), probs


def expected_cost(copies: int) -> float:
    """Minus the expected bound, nats, exact."""
    draws, probs = groups(LOGITS.softmax(0), copies)
    log_weights = (JOINT - LOGITS.log_softmax(0))[draws]
    return float(probs @ (math.log(copies) - log_weights.logsumexp(1)))


def signal_to_noise(join: sf.Join, copies: int) -> float:
    """The length of the mean gradient over the root of its variance, exact."""
    found, probs = gradients(join, copies)
    mean = probs @ found
    return float(mean.norm() / (probs @ square_errors(found, mean)).sqrt())


def curves() -> Curves:
    """The same bound with three baselines."""
    joins = {
        "vimco": lambda _: sf.VIMCO(),
        "one baseline for all copies": lambda size: OneBaseline(expected_cost(size)),
        "no baseline": lambda _: OneBaseline(),
    }
    lines = {
        label: [signal_to_noise(make(size), size) for size in SIZES]
        for label, make in joins.items()
    }
    axes = {
        "xlabel": "copies K",
        "ylabel": "signal-to-noise ratio of\nthe sampler's gradient",
        "yscale": "log",
    }
    return Curves([float(size) for size in SIZES], lines, axes, marked=True)
