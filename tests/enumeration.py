"""Exact expectations by scripted draws, written for the tests and independent of the library."""

import itertools

import numpy as np
import torch
from torch.distributions import Bernoulli, Normal


class Script:
    """Feeds every joint outcome of all draws to a function, one after the other."""

    def __init__(self, order=8):
        self.points, self.weights = gauss_hermite(order)
        self.choices, self.sizes, self.at, self.probability = [], [], 0, 1.0

    def choose(self, probabilities):
        """The next choice among the outcomes of the given probabilities."""
        if self.at == len(self.choices):
            self.choices.append(0)
            self.sizes.append(len(probabilities))
        choice = self.choices[self.at]
        self.at += 1
        self.probability *= float(probabilities[choice])
        return choice

    def mean(self, fn):
        """Σ over all outcomes of probability · fn()."""
        total = 0.0
        while True:
            self.at, self.probability = 0, 1.0
            result = fn()
            total = total + self.probability * result
            while self.choices and self.choices[-1] == self.sizes[-1] - 1:
                self.choices.pop()
                self.sizes.pop()
            if not self.choices:
                return total
            self.choices[-1] += 1


def gauss_hermite(order):
    """Points and weights with Σ w·f(x) = E[f(x)], x standard normal, for degrees below 2·order."""
    points, weights = np.polynomial.hermite_e.hermegauss(order)
    return points, weights / weights.sum()


class ScriptedBernoulli(Bernoulli):
    """Draws what the script says."""

    def __init__(self, script, logits):
        self.script = script
        super().__init__(logits=logits)

    def sample(self, sample_shape=()):
        p = self.probs.detach().expand(self._extended_shape(torch.Size(sample_shape)))
        drawn = [float(self.script.choose([1 - q, q])) for q in p.reshape(-1).tolist()]
        return torch.tensor(drawn, dtype=p.dtype).reshape(p.shape)


class ScriptedNormal(Normal):
    """Draws the points of the script's Gauss–Hermite rule."""

    def __init__(self, script, loc, scale):
        self.script = script
        super().__init__(loc, scale)

    def rsample(self, sample_shape=()):
        shape = self._extended_shape(torch.Size(sample_shape))
        script = self.script
        noise = [script.points[script.choose(script.weights)] for _ in range(shape.numel())]
        return self.loc + self.scale * torch.tensor(noise, dtype=self.loc.dtype).reshape(shape)

    def sample(self, sample_shape=()):
        return self.rsample(sample_shape).detach()


def brute_force(theta, kinds, cost):
    """E[cost(z1, z2)] by summing over both nodes, differentiable in theta; no library involved.

    z1 has the parameters theta[0:2], z2 theta[2:4] with z1 added in.
    """
    total = 0.0
    for first, second in itertools.product(_outcomes(kinds[0]), _outcomes(kinds[1])):
        z1, p1 = first(theta[0], theta[1])
        z2, p2 = second(theta[2] + theta[3] * z1, theta[1])
        total = total + p1 * p2 * cost(z1, z2, theta)
    return total


def _outcomes(kind):
    if kind == "normal":
        return [
            lambda loc, scale, x=x, w=w: (loc + scale.exp() * float(x), float(w))
            for x, w in zip(*gauss_hermite(20), strict=True)
        ]
    return [
        lambda logit, _, bit=bit: (float(bit), torch.sigmoid(logit if bit else -logit))
        for bit in (0, 1)
    ]
