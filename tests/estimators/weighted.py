"""Estimators whose copies are weighed, each on a draw of two bits or of three categories."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, OneHotCategorical

import sfgrad as sf
from tests.comparison import constant

WORTH = constant(0.3, -0.8, 0.9)
START = constant(0.4, -0.7)
CATEGORIES, VECTORS, BITS = "categories", "vectors", "bits"


class Case(NamedTuple):
    """An estimator on a kind of draw."""

    estimator: Callable[..., sf.Estimator]
    """Maps `samples` to the estimator."""
    copies: int
    draw: str

    def distribution(self, eta):
        """Over the rows of eta `[..., 2]`."""
        if self.draw == BITS:
            return Independent(Bernoulli(logits=eta), 1)
        logits = torch.cat([eta, torch.zeros_like(eta[..., :1])], -1)
        return (
            OneHotCategorical(logits=logits) if self.draw == VECTORS else Categorical(logits=logits)
        )

    def feature(self, z):
        """A number for every row."""
        if self.draw == BITS:
            return z.double() @ WORTH[:2] - 0.5 * z.double().prod(-1)
        if self.draw == VECTORS:
            return z.double() @ WORTH
        return WORTH[z]

    def cost(self, z):
        """Not quadratic, and smooth in bits."""
        return (2 * self.feature(z) - 0.3).exp()

    def outcomes(self, eta):
        """Every value and its probability, `[M, ...]`."""
        if self.draw != BITS:
            values = torch.arange(3) if self.draw == CATEGORIES else torch.eye(3).double()
            return values, torch.cat([eta, eta.new_zeros(1)]).softmax(0)
        bits = torch.cartesian_prod(*[constant(0.0, 1.0)] * 2)
        p = eta.sigmoid()
        return bits, (bits * p + (1 - bits) * (1 - p)).prod(1)

    def truth(self, eta):
        """The expected cost, by a sum over all values; no library involved."""
        values, probs = self.outcomes(eta)
        return probs @ self.cost(values)

    def take(self, eta, samples):
        """A draw of own copies, or of those of a branch where `samples` is None."""
        eta = eta if samples is not None else sf.branch(eta, self.copies)
        return sf.sample(self.distribution(eta), self.estimator(samples), name="z")

    def estimates(self, taken, rows, eta=START, cost=None):
        """Independent estimates of the expected cost and of its gradient: `[rows, 3]`."""
        eta = eta.expand(rows, 2).clone().requires_grad_()
        with sf.StochasticGraph() as graph:
            z = self.take(eta, None if taken else self.copies)
            sf.add_cost((cost or self.cost)(z))
            loss = graph.loss(reduction="none").view(-1, rows).mean(0)
        (gradient,) = torch.autograd.grad(loss.sum(), eta)
        return torch.cat([loss.detach().unsqueeze(1), gradient], 1)


class Network(nn.Module):
    """A small one, in double precision inside, whatever the values are."""

    def __init__(self, size):
        super().__init__()
        layers = nn.Linear(size, 4), nn.Tanh(), nn.Linear(4, 1)
        self.layers = nn.Sequential(*layers).double()

    def forward(self, x):
        return self.layers(x.double()).to(x.dtype)


def relax(size):
    """Maps anything to RELAX with a network that is not trained yet."""

    def make(samples=None):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            estimator = sf.Relax(Network(size))
        estimator.baseline.made_inside = False  # as if a module had it
        return estimator

    return make


CASES = {
    "MeasureValued": Case(sf.MeasureValued, 5, BITS),
    "UnorderedSet": Case(sf.UnorderedSet, 2, CATEGORIES),
    "UnorderedSet of bits": Case(sf.UnorderedSet, 3, BITS),
    "SumAndSample": Case(sf.SumAndSample, 2, CATEGORIES),
    "SumAndSample of bits": Case(sf.SumAndSample, 3, BITS),
    "Rebar": Case(lambda samples: sf.Rebar(samples=samples), 3, BITS),
    "Rebar of vectors": Case(lambda samples: sf.Rebar(0.8, 0.6, samples), 6, VECTORS),
    "Relax": Case(relax(2), 1, BITS),
    "Relax of categories": Case(relax(3), 1, CATEGORIES),
}


def distances(estimates, truth):
    """By how many standard errors means are off, of estimates `[N, P]`; 0 where they agree."""
    error = estimates.std(0) / len(estimates) ** 0.5
    rounding = 1e-9 * (1 + truth.abs())
    off = (estimates.mean(0) - truth).abs()
    return torch.where(off <= rounding, 0, off / error)


def value_and_gradient(case, eta=START):
    """The exact ones, `[3]`."""
    eta = eta.clone().requires_grad_()
    value = case.truth(eta)
    return torch.cat([value.detach().reshape(1), *torch.autograd.grad(value, eta)])
