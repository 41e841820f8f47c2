"""The random models of `tests.models` in the library's words, as they are or changed."""

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
from tests.models import ELEMENTS, HEAD, WORTH, Model, Node, cost_of, head_of, level_of


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
