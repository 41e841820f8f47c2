"""Estimators whose copies are weighed, each on a draw of two bits or of three categories."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.distributions import Bernoulli, Categorical, Independent

import sfgrad as sf
from tests.comparison import constant

WORTH = constant(0.3, -0.8, 0.9)
START = constant(0.4, -0.7)
CATEGORIES, BITS = "categories", "bits"


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
        return Categorical(logits=torch.cat([eta, torch.zeros_like(eta[..., :1])], -1))

    def feature(self, z):
        """A number for every row."""
        if self.draw == BITS:
            return z.double() @ WORTH[:2] - 0.5 * z.double().prod(-1)
        return WORTH[z]

    def cost(self, z):
        """Not quadratic, and smooth in bits."""
        return (2 * self.feature(z) - 0.3).exp()

    def outcomes(self, eta):
        """Every value and its probability, `[M, ...]`."""
        if self.draw == CATEGORIES:
            return torch.arange(3), torch.cat([eta, eta.new_zeros(1)]).softmax(0)
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


CASES = {
    "MeasureValued": Case(sf.MeasureValued, 5, BITS),
    "UnorderedSet": Case(sf.UnorderedSet, 2, CATEGORIES),
    "UnorderedSet of bits": Case(sf.UnorderedSet, 3, BITS),
    "SumAndSample": Case(sf.SumAndSample, 2, CATEGORIES),
    "SumAndSample of bits": Case(sf.SumAndSample, 3, BITS),
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
