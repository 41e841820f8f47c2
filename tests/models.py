"""Random models of every kind of node, and their exact value and gradient by brute force.

A model has one to three nodes on one or two rows, and may end in a loop whose rows end one by one.
Bits, categories, one-hot vectors, counts, Gaussians, straight-through draws and ragged rows feed
later nodes and costs by a number each, their feature. The brute force sums over the outcomes of a
row and knows nothing of the library, nor of `torch.distributions`.
"""

import random
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

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
