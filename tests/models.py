"""Random models of every kind of node, and their exact value and gradient by brute force.

A model has one to three nodes on one or two rows, and may end in a loop whose rows end one by one.
Bits, categories, one-hot vectors, counts, Gaussians, straight-through draws and ragged rows feed
later nodes and costs by a number each, their feature. The brute force sums over the outcomes of a
row and knows nothing of the library, nor of `torch.distributions`.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Distribution,
    Independent,
    Normal,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)

import sfgrad as sf
from tests.enumeration import gauss_hermite

KINDS = (
    *("bernoulli", "bernoulli", "categorical", "one-hot", "binomial", "unequal", "independent"),
    *("normal", "straight-through", "ragged"),
)
SMOOTH = ("normal", "straight-through")
"""Kinds that feed no logits, where neither quadrature nor a linear path would be exact."""
ORDER = 3
"""Of quadrature: costs are of degree 2, and the score is, too."""
WORTH = torch.tensor([0.0, 1.0, -0.5], dtype=torch.float64)
"""The features of a one-hot vector's places."""
ELEMENTS = [0, 1, 1]
"""The rows of ragged elements, of one row or two."""
HEAD = "head"
"""The node of the loop."""


@dataclass
class Node:
    """A draw that depends on some of those before it."""

    kind: str
    depends: list[int]
    estimator: str
    """`score`, `enumerate` or `pathwise`."""
    baseline: str
    samples: int
    counts: list[bool]
    """Of every row, whether the draw counts there."""
    names_parents: bool


@dataclass
class Model:
    """What is drawn, what it costs, and how it is written."""

    seed: int
    batch_ndims: int
    period: int
    """Rows that differ from each other."""
    copies: int
    by_samples: bool
    """Whether copies are made by `samples=`, not by `branch`."""
    nodes: list[Node]
    costs: list[list[int]]
    """Of every cost, the nodes that it depends on."""
    names_parents: list[bool]
    steps: int
    """Of the loop at most; 0 without one."""
    masks_ended: bool
    """Whether draws of rows that have ended are masked."""
    tiles: int = 1
    """How often the rows are repeated."""
    theta: Tensor = field(repr=False, default=None)

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.period * self.tiles

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions of the rows."""
        return {0: (), 1: (self.rows,), 2: (self.tiles, self.period)}[self.batch_ndims]

    @property
    def samples(self) -> int:
        """Of the expectation."""
        return self.copies if self.by_samples else 1

    def inputs(self) -> Tensor:
        """A number for every row."""
        return (0.5 * torch.arange(self.period).double()).repeat(self.tiles).reshape(self.shape)


def random_model(seed: int) -> Model:
    """The model of a seed."""
    choose = random.Random(seed)
    batch_ndims = choose.choice([0, 1, 1, 1, 2])
    period = choose.choice([1, 2]) if batch_ndims else 1
    kinds = [choose.choice(KINDS) for _ in range(choose.choice([1, 1, 2, 2, 3]))]
    ragged = batch_ndims == 1 and "ragged" in kinds
    single = ragged or not batch_ndims  # there are no copies
    copies = 1 if single else choose.choice([1, 1, 2])

    nodes: list[Node] = []
    for position, kind in enumerate(kinds):
        kind = "bernoulli" if kind == "ragged" and not ragged else kind
        usable = [i for i in range(position) if nodes[i].kind not in SMOOTH]
        node = Node(
            kind,
            depends=[i for i in usable if choose.random() < 0.6],
            estimator="pathwise" if kind == "straight-through" else "score",
            baseline=choose.choice(["none", "constant", "average", "learned"]),
            samples=1,
            counts=[choose.random() < 0.85 for _ in range(period)],
            names_parents=choose.random() < 0.5,
        )
        if kind == "normal" and choose.random() < 0.5:
            node.estimator = "pathwise"
        elif not single and node.estimator == "score":
            if kind not in ("unequal", "normal") and choose.random() < 0.25:
                node.estimator = "enumerate"
            elif choose.random() < 0.15:
                node.samples = 2
            if copies * node.samples > 1 and choose.random() < 0.4:
                node.baseline = "leave-one-out"
        nodes.append(node)

    everything = list(range(len(nodes)))
    costs = [[i for i in everything if choose.random() < 0.6] for _ in range(choose.randint(0, 2))]
    model = Model(
        seed,
        batch_ndims,
        period,
        copies,
        by_samples=choose.random() < 0.5 and not ragged,
        nodes=nodes,
        costs=[*costs, everything],
        names_parents=[choose.random() < 0.5 for _ in costs] + [False],
        steps=choose.choice([0, 0, 0, 2, 3]),
        masks_ended=choose.random() < 0.5,
    )
    generator = torch.Generator().manual_seed(seed)
    model.theta = 0.7 * torch.randn(len(nodes) + 1, 3, generator=generator, dtype=torch.float64)
    return model


def outcomes(model: Model) -> int:
    """How many joint draws a run has, at most."""
    sizes = {"bernoulli": 2, "independent": 4}
    total, copies = 1, model.copies
    for node in model.nodes:
        size = sizes.get(node.kind, 3)
        if node.estimator == "enumerate":
            copies *= size
            continue
        copies *= node.samples
        draws = 3 if node.kind == "ragged" else model.period * copies
        total *= (2 if node.kind == "ragged" else size) ** draws
    return total * 2 ** (model.steps * model.period * copies)


# ---------------------------------------------------------------- formulae that both ways share


def level_of(model: Model, position: int, theta: Tensor, x: Tensor, features: list) -> Tensor:
    """The logit or location of a node, in the shape of the inputs and features."""
    shift = sum((features[i] + 1 for i in model.nodes[position].depends), 0 * x)
    return theta[position, 0] + 0.4 * x + 0.4 * theta[position, 1] * shift


def cost_of(
    model: Model, number: int, theta: Tensor, features: list, squared: bool = False
) -> Tensor:
    """Of degree 2 in the draws; straight-through ones have a cost of their own, a linear one.

    Args:
        model: the model.
        number: of the cost.
        theta: parameters.
        features: of all nodes.
        squared: whether the straight-through ones are squared, which their path does not allow.
    """
    total, linear = theta[0, 2] - 0.4, 0.0
    for i in model.costs[number]:
        if model.nodes[i].kind == "straight-through":
            linear = linear + (1 + theta[i, 0] ** 2) * features[i] ** (2 if squared else 1)
        else:
            total = total + (theta[i, 0] + 0.3) * features[i]
    return total**2 + linear + 0 * features[0]


def head_of(model: Model, theta: Tensor, features: list, step: int) -> tuple[Tensor, Tensor]:
    """The logit and the price of a step of the loop."""
    usable = [f for f, node in zip(features, model.nodes, strict=True) if node.kind not in SMOOTH]
    level = sum(usable, 0 * features[0])
    return theta[-1, 0] + 0.3 * level - 0.2 * step, (theta[-1, 1] + 0.3 * level + step) ** 2


# ---------------------------------------------------------------- brute force


def support_of(node: Node, row: int, level: Tensor, bend: Tensor) -> tuple[Tensor, Tensor]:
    """Features and log-masses of all outcomes in a row, both `[M, K]`, of levels `[M]`."""
    level = level.unsqueeze(1)
    if node.kind == "normal":
        points, weights = (torch.as_tensor(part).double() for part in gauss_hermite(ORDER))
        return level + (0.3 * bend).exp() * points, weights.log() + 0 * level
    if node.kind in ("categorical", "one-hot", "straight-through"):
        k = torch.arange(3).double()
        weights = k * level + bend * k**2 / 2
        feature = k if node.kind == "categorical" else WORTH
        return feature + 0 * level, weights - weights.logsumexp(1, keepdim=True)

    # What is left are sums of bits, each with a logit and a worth.
    if node.kind == "independent":
        bits = [(level, 1.0), (bend + 0 * level, 2.0)]
    elif node.kind == "ragged":
        bits = [(level + 0.3 * n, 1.0) for n, of in enumerate(ELEMENTS) if of == row]
    else:
        count = {"bernoulli": 1, "binomial": 2, "unequal": 1 + row}[node.kind]
        bits = [(level, 1.0)] * count
    features = log_mass = 0 * level
    for logit, worth in bits:
        features = torch.cat([features, features + worth], 1)
        off, on = (
            log_mass - nn.functional.softplus(logit),
            log_mass - nn.functional.softplus(-logit),
        )
        log_mass = torch.cat([off, on], 1)
    return features, log_mass


def expected(model: Model, theta: Tensor) -> Tensor:
    """The expected cost, mean over rows."""
    return torch.stack([expected_of_row(model, theta, row) for row in range(model.period)]).mean()


def expected_of_row(model: Model, theta: Tensor, row: int) -> Tensor:
    """Σ over all outcomes of the nodes `[M]`, and of the loop, of mass times cost."""
    x = torch.full((1,), 0.5 * row).double()
    log_mass, features = 0 * x, []
    for position, node in enumerate(model.nodes):
        level = level_of(model, position, theta, x, features)
        feature, mass = support_of(node, row, level, theta[position, 2])
        width = feature.shape[1]
        features = [earlier.repeat_interleave(width) for earlier in features]
        features.append(feature.flatten() * node.counts[row])
        log_mass = (log_mass.unsqueeze(1) + mass).flatten()
        x = x.repeat_interleave(width)

    total = sum(cost_of(model, number, theta, features) for number in range(len(model.costs)))
    alive = torch.ones_like(x)
    for step in range(model.steps):
        logit, price = head_of(model, theta, features, step)
        total = total + alive * price
        alive = alive * logit.sigmoid()
    return (log_mass.exp() * total).sum()


def brute_force(model: Model) -> Tensor:
    """The exact value and gradient, `[1 + P]`."""
    theta = model.theta.clone().requires_grad_()
    value = expected(model, theta)
    (gradient,) = torch.autograd.grad(value, theta)
    return torch.cat([value.detach().reshape(1), gradient.flatten()])


# ---------------------------------------------------------------- in the library's words


@dataclass
class Changes:
    """What is to be different from the model as it is: a way to draw, or something broken."""

    draws: Callable[[str, Distribution], None] = lambda name, distribution: None
    """Is shown every distribution before it is used, without its `Independent`."""
    cost_claims: dict[int, list[int]] = field(default_factory=dict)
    """By the number of a cost, the parents that it claims to have."""
    node_claims: dict[int, list[int]] = field(default_factory=dict)
    squared: bool = False
    """Whether costs square what is drawn straight through."""
    rows_interact: bool = False
    noise: bool = False
    """Whether a cost has randomness of its own."""


def make_estimator(node: Node) -> sf.Estimator:
    """The estimator of a node, with a baseline that is not 0."""
    if node.estimator != "score":
        return sf.Enumerate() if node.estimator == "enumerate" else sf.Pathwise()
    baseline = None
    if node.baseline == "constant":
        baseline = sf.Constant(0.7)
    elif node.baseline == "average":
        baseline = sf.MovingAverage(0.5)
        baseline.update(torch.full((1, 1, 1), 0.9), None)
    elif node.baseline == "learned":
        baseline = sf.Learned(nn.Linear(1, 1).double())
    elif node.baseline == "leave-one-out":
        baseline = sf.LeaveOneOut()
    return sf.ScoreFunction(baseline, node.samples)


def make_estimators(model: Model) -> list[sf.Estimator]:
    """Of all nodes, and of the loop."""
    torch.manual_seed(model.seed)  # for the modules of learned baselines
    return [*map(make_estimator, model.nodes), sf.ScoreFunction(sf.Constant(0.3))]


def make_distribution(
    node: Node, level: Tensor, bend: Tensor, sizes: Tensor
) -> tuple[Distribution, int]:
    """The distribution of a node without its `Independent`, and how many dimensions that takes."""
    if node.kind == "normal":
        return Normal(level, (0.3 * bend).exp()), 0
    if node.kind in ("binomial", "unequal"):
        return Binomial(2.0 if node.kind == "binomial" else sizes, logits=level), 0
    if node.kind == "independent":
        return Bernoulli(logits=torch.stack([level, bend.expand(level.shape)], -1)), 1
    if node.kind in ("bernoulli", "ragged"):
        return Bernoulli(logits=level), 0
    k = torch.arange(3).double()
    weights = k * level.unsqueeze(-1) + bend * k**2 / 2
    classes = {"categorical": Categorical, "one-hot": OneHotCategorical}
    return classes.get(node.kind, OneHotCategoricalStraightThrough)(logits=weights), 0


def feature_of(node: Node, drawn: Tensor, index: Tensor | None, rows: int) -> Tensor:
    """One number for every row."""
    if node.kind == "ragged":
        return drawn.new_zeros(rows).index_add(0, index, drawn)
    if node.kind == "independent":
        return drawn @ torch.tensor([1.0, 2.0]).double()
    if node.kind in ("one-hot", "straight-through"):
        return drawn @ WORTH
    return drawn.double()


def write(
    model: Model, theta: Tensor, estimators: list[sf.Estimator], changes: Changes
) -> Callable[[Tensor], None]:
    """The model as a function of its inputs, for `expectation`."""

    def of_row(pattern: list) -> Tensor:
        return sf.align(torch.tensor(pattern * model.tiles).reshape(model.shape))

    def draw_node(position: int, x: Tensor, features: list[Tensor]) -> Tensor:
        node, name = model.nodes[position], f"z{position}"
        level = level_of(model, position, theta, x, features)
        mask = of_row(node.counts)
        context = x.unsqueeze(-1) if model.batch_ndims else x.reshape(1, 1)
        index = element_mask = None
        if node.kind == "ragged":
            elements = torch.tensor([n for n, row in enumerate(ELEMENTS) if row < model.period])
            rows = torch.tensor(ELEMENTS)[elements]
            index = torch.cat([rows + model.period * tile for tile in range(model.tiles)])
            level = level[index] + 0.3 * elements.double().repeat(model.tiles)
            element_mask = mask[index]
        sizes = of_row([1.0 + row for row in range(model.period)]).double()
        distribution, inner = make_distribution(node, level, theta[position, 2], sizes)
        changes.draws(name, distribution)
        named = node.names_parents or position in changes.node_claims
        parents = [f"z{i}" for i in changes.node_claims.get(position, node.depends)]
        drawn = sf.sample(
            Independent(distribution, inner) if inner else distribution,
            estimators[position],
            mask=None if all(node.counts) else mask if index is None else element_mask,
            index=index,
            context=context,
            parents=parents if named else None,
            name=name,
        )
        mask = sf.align(mask)
        return feature_of(node, drawn, index, len(mask) if index is not None else 0) * mask

    def loop(features: list[Tensor]) -> None:
        done = torch.zeros(features[0].shape, dtype=torch.bool)
        step = 0
        while not done.all() and step < model.steps:
            logit, price = head_of(model, theta, features, step)
            distribution = Bernoulli(logits=logit)
            changes.draws(HEAD, distribution)
            sf.add_cost(torch.where(done, 0.0, price))
            head = sf.sample(
                distribution, estimators[-1], mask=~done if model.masks_ended else None, name=HEAD
            )
            done, step = done | (head < 0.5), step + 1
        sf.add_cost(0 * features[0])  # of the last draw

    def fn(x: Tensor) -> None:
        if model.copies > 1 and not model.by_samples:
            x = sf.branch(x, model.copies)
        features: list[Tensor] = []
        for position in range(len(model.nodes)):
            drawn = draw_node(position, x, features)
            features = [*map(sf.align, features), drawn]
            x = sf.align(x)
        for number, depends in enumerate(model.costs):
            named = model.names_parents[number] or number in changes.cost_claims
            parents = [f"z{i}" for i in changes.cost_claims.get(number, depends)]
            cost = cost_of(model, number, theta, features, changes.squared)
            if changes.rows_interact:
                cost = cost + features[0].mean() * features[0]
            if changes.noise:
                cost = cost * torch.rand(())
            sf.add_cost(cost, parents=parents if named else None)
        if model.steps:
            loop(features)

    return fn


def copies_of(weights: Tensor, sample_shape: tuple[int, ...]) -> Tensor:
    """As many of them as are to be drawn, without their gradient."""
    return weights.detach().expand(*sample_shape, *weights.shape)


def binomial_weights(distribution: Binomial) -> Tensor:
    """The probability of every count up to the largest, `[..., M]`."""
    n, p = distribution.total_count, distribution.logits.sigmoid()
    n = torch.as_tensor(n).double().expand(p.shape)
    counts = range(int(n.max()) + 1)
    weights = [
        torch.tensor([math.comb(int(m), k) for m in n.flatten().tolist()]).reshape(n.shape)
        * p**k
        * (1 - p) ** (n - k).clamp(min=0)
        for k in counts
    ]
    return torch.stack(weights, -1)
