"""Every estimator, and the score function with every baseline: one row each, and what it claims.

A new estimator or baseline is one more row of `MEMBERS`. `test_conformance.py` holds it to the row.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    Normal,
    OneHotCategorical,
)

import sfgrad as sf
from tests.comparison import constant

WORTH = constant(0.3, -0.8, 0.9)
START = constant(0.4, -0.7)
SCALE = 0.3
BITS, CATEGORIES, VECTORS, NUMBERS = "bits", "categories", "vectors", "numbers"


class Member(NamedTuple):
    """An estimator on a kind of draw, and what holds of it."""

    make: Callable[..., sf.Estimator]
    """Maps `samples`, its own copies, to the estimator; None where it takes the copies there are,
    or makes none."""
    draw: str = BITS
    own: int = 1
    """How many copies it makes itself, of every row."""
    taken: int = 2
    """Among how many copies it draws where it makes none."""
    needs_copies: bool = False
    """Whether it refuses rows that are there once."""
    equal_copies: bool = False
    """Whether the copies it takes must be equal before the node."""
    always_copies: bool = False
    """Whether it also makes copies where it takes those there are."""
    order: float = math.inf
    """The highest derivative that is right; 0 if not the first, −1 if not the value."""
    limited: bool = False
    """Whether a second derivative is refused."""
    replays: bool = True
    exact: bool = False
    """Whether nothing is random but what the distribution draws, so that it can be enumerated."""
    relaxed: bool = False
    """Whether its value carries a gradient of something smooth."""
    hard: bool = True
    """Whether each of its values is one of the distribution's."""
    unfit: Callable[[torch.Tensor], Distribution] | None = None
    """A distribution that it refuses, over the rows of eta `[..., 2]`; None if it takes all."""

    def distribution(self, eta):
        """Over the rows of eta `[..., 2]`."""
        if self.draw == NUMBERS:
            return Independent(Normal(eta, SCALE), 1)
        if self.draw == BITS:
            return Independent(Bernoulli(logits=eta), 1)
        logits = torch.cat([eta, torch.zeros_like(eta[..., :1])], -1)
        return (
            OneHotCategorical(logits=logits) if self.draw == VECTORS else Categorical(logits=logits)
        )

    def feature(self, z):
        """A number for every row."""
        if self.draw == NUMBERS:
            return z.double() @ WORTH[:2]
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
        """The expected cost of eta `[2]`, by a sum over all values; no library involved."""
        if self.draw == NUMBERS:
            variance = (2 * SCALE * WORTH[:2]).square().sum()
            return (2 * eta @ WORTH[:2] - 0.3 + variance / 2).exp()
        values, probs = self.outcomes(eta)
        return probs @ self.cost(values)

    def take(self, eta, samples):
        """A draw of own copies, or of those of a branch where `samples` is None."""
        eta = eta if samples is not None else sf.branch(eta, self.taken)
        return sf.sample(self.distribution(eta), self.make(samples), name="z")

    def node(self, taken=False):
        """A node that takes the copies there are, or makes its own."""
        return sf.StochasticNode(self.make(None if taken else self.own), name="z")

    def samples(self, taken):
        """Of the expectation."""
        return self.taken if taken else 1

    def copies(self, taken):
        """How many rows each row becomes."""
        if taken:
            return self.taken * (self.own if self.always_copies else 1)
        return self.own

    def run(self, eta, taken=False, cost=None, **settings):
        """One run of a model of one node: its graph, and what it drew.

        Args:
            eta: `[..., 2]`.
            taken: whether the node takes the copies of the expectation.
            cost: of the drawn values; the member's own if None.
            settings: `node`, another one than a new one; `mask`, of the draw; `batch_ndims`;
                `draws`, to be replayed.
        """
        node = settings.pop("node", None) or self.node(taken)
        mask = settings.pop("mask", None)
        batch_ndims, draws = settings.pop("batch_ndims", 1), settings.pop("draws", None)
        assert not settings
        drawn = []

        def model(eta, *masks):
            distribution = self.distribution(eta)
            drawn.append(node(distribution, eta, mask=masks[0] if masks else None))
            return (cost or self.cost)(drawn[-1])

        objective = sf.expectation(model, self.samples(taken), batch_ndims=batch_ndims)
        graph = sf.StochasticGraph(batch_ndims, draws)
        objective.record(graph, eta, *([] if mask is None else [mask]))
        return graph, drawn[0]

    def estimates(self, taken, rows, eta=START, cost=None, mask=None):
        """Independent estimates of the expected cost and of its gradient: `[rows, 3]`.

        Args:
            taken: whether the node takes the copies of the expectation.
            rows: a number, or a shape.
            eta: `[2]`, of every row.
            cost: as in `run`.
            mask: as in `run`.
        """
        shape = (rows,) if isinstance(rows, int) else rows
        eta = eta.expand(*shape, 2).clone().requires_grad_()
        graph, _ = self.run(eta, taken, cost, mask=mask, batch_ndims=len(shape))
        loss = graph.loss(reduction="none").view(self.copies(taken), *shape).mean(0)
        (gradient,) = torch.autograd.grad(loss.sum(), eta)
        return torch.cat([loss.detach().unsqueeze(-1), gradient], -1).view(-1, 3)


# ---------------------------------------------------------------- what members are made of


class Network(nn.Module):
    """A small one, in double precision inside, whatever the values are."""

    def __init__(self, size):
        super().__init__()
        layers = nn.Linear(size, 4), nn.Tanh(), nn.Linear(4, 1)
        self.layers = nn.Sequential(*layers).double()

    def forward(self, x):
        return self.layers(x.double()).to(x.dtype)


def network(size):
    """The same one each time."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Network(size)


def relax(size):
    """Maps anything to RELAX with a network that is not trained yet."""

    def make(samples=None):
        estimator = sf.Relax(network(size))
        estimator.baseline.made_inside = False  # as if a module had it
        return estimator

    return make


def moving_average():
    """One that has seen costs."""
    baseline = sf.MovingAverage(0.5)
    baseline.update(torch.full((1, 1, 1), 0.9), None)
    return baseline


def double_cv():
    """One that has learned a scale."""
    baseline = sf.DoubleCV()
    baseline.products.fill_(0.8)
    baseline.squares.fill_(1.0)
    return baseline


def rodeo():
    """One whose parameters are as if it had learned something."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        baseline = sf.Rodeo(4)
        with torch.no_grad():
            baseline.linear.fill_(0.8)
            baseline.others.fill_(0.6)
            baseline.output.weight.normal_(0, 0.5)
    names = ("cost", "slope", "gradient")
    baseline.units.learn(**dict(zip(names, torch.tensor([2.0, 0.7, 1.0]), strict=True)))
    return baseline.double()


def score(baseline=lambda: None, **claims):
    """The score function with a baseline, which `baseline` makes."""

    def make(samples=None):
        return sf.ScoreFunction(baseline(), samples or 1)

    return Member(make, **({"own": 2, "exact": True, "unfit": None} | claims))


def normal(eta):
    """Without a finite support."""
    return Normal(eta[..., 0], 1.0)


def poisson(eta):
    """Neither of a finite support, nor of quantiles, nor with an `rsample`."""
    return torch.distributions.Poisson(eta[..., 0].exp())


def laplace(eta):
    """Without a measure-valued derivative."""
    return torch.distributions.Laplace(eta[..., 0], 1.0)


COMPARED = {"needs_copies": True}
EQUAL = {"needs_copies": True, "equal_copies": True, "unfit": normal}
RELAXED = {"order": 0, "limited": True, "relaxed": True, "unfit": normal}

MEMBERS = {
    "ScoreFunction": score(),
    "Constant": score(lambda: sf.Constant(0.4)),
    "MovingAverage": score(moving_average),
    "Learned": score(lambda: sf.Learned(network(2))),
    "LeaveOneOut": score(sf.LeaveOneOut, **COMPARED),
    "GroupNormalized": score(sf.GroupNormalized, order=0, **COMPARED),
    "DoubleCV": score(double_cv, unfit=normal, **COMPARED),
    "Rodeo": score(rodeo, unfit=normal, **COMPARED),
    "SelfCritical": score(sf.SelfCritical),
    "Enumerate": Member(
        lambda samples: sf.Enumerate(), own=4, always_copies=True, exact=True, unfit=normal
    ),
    "Pathwise": Member(lambda samples: sf.Pathwise(), NUMBERS, relaxed=True, unfit=poisson),
    "Antithetic": Member(
        lambda samples: sf.Antithetic(samples=samples), own=2, unfit=poisson, **COMPARED
    ),
    "Stratified": Member(
        lambda samples: sf.Stratified(samples=samples), own=3, unfit=poisson, **COMPARED
    ),
    "DisARM": Member(sf.DisARM, own=2, order=1, limited=True, **EQUAL),
    "ARMS": Member(sf.ARMS, own=3, order=1, limited=True, **EQUAL),
    "ARMS of categories": Member(sf.ARMS, CATEGORIES, 2, order=1, limited=True, **EQUAL),
    "MeasureValued": Member(
        sf.MeasureValued,
        own=5,
        taken=5,
        order=1,
        limited=True,
        replays=False,
        **EQUAL | {"unfit": laplace},
    ),
    "UnorderedSet": Member(sf.UnorderedSet, CATEGORIES, 2, replays=False, **EQUAL),
    "UnorderedSet of bits": Member(sf.UnorderedSet, BITS, 3, 3, replays=False, **EQUAL),
    "SumAndSample": Member(sf.SumAndSample, CATEGORIES, 2, replays=False, **EQUAL),
    "SumAndSample of bits": Member(sf.SumAndSample, BITS, 3, 3, replays=False, **EQUAL),
    "Rebar": Member(
        lambda samples: sf.Rebar(samples=samples), BITS, 3, 3, replays=False, hard=False, **EQUAL
    ),
    "Rebar of vectors": Member(
        lambda samples: sf.Rebar(0.8, 0.6, samples),
        VECTORS,
        6,
        6,
        replays=False,
        hard=False,
        **EQUAL,
    ),
    "Relax": Member(relax(2), order=1, limited=True, replays=False, unfit=poisson),
    "Relax of categories": Member(
        relax(3), CATEGORIES, order=1, limited=True, replays=False, unfit=poisson
    ),
    "StraightThrough": Member(lambda samples: sf.StraightThrough(), exact=True, **RELAXED),
    "ReinMax": Member(lambda samples: sf.ReinMax(), VECTORS, exact=True, **RELAXED),
    "GumbelSoftmax": Member(
        lambda samples: sf.GumbelSoftmax(0.7), replays=False, hard=False, **RELAXED | {"order": -1}
    ),
    "hard GumbelSoftmax": Member(
        lambda samples: sf.GumbelSoftmax(0.7, hard=True), VECTORS, **RELAXED
    ),
}

WEIGHTED = {
    name: member
    for name, member in MEMBERS.items()
    if name.split()[0] in ("MeasureValued", "UnorderedSet", "SumAndSample", "Rebar", "Relax")
}
"""Those whose copies are weighed, or whose draw is compared with something learned."""


def distances(estimates, truth):
    """By how many standard errors means are off, of estimates `[N, P]`; 0 where they agree."""
    error = estimates.std(0) / len(estimates) ** 0.5
    rounding = 1e-9 * (1 + truth.abs())
    off = (estimates.mean(0) - truth).abs()
    return torch.where(off <= rounding, 0, off / error)


def value_and_gradient(member, eta=START):
    """The exact ones, `[3]`."""
    eta = eta.clone().requires_grad_()
    value = member.truth(eta)
    return torch.cat([value.detach().reshape(1), *torch.autograd.grad(value, eta)])
