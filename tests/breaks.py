"""Ways to break a random model, and the nodes that are then at fault."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.distributions import Bernoulli, Binomial, Distribution, Normal

import sfgrad as sf
from sfgrad.masks import base_distribution
from tests.library_models import Changes, make_estimators
from tests.models import HEAD, Model


@dataclass
class Broken:
    """A break of a model."""

    kind: str
    at_fault: set[str]
    """Nodes, a repeated one by its first name."""
    estimators: dict[int, sf.Estimator] = field(default_factory=dict)
    """By position, in place of the model's."""
    changes: Changes = field(default_factory=Changes)
    scored: bool | None = None
    """Of draws that do not follow their density: whether anything of the node is scored."""


RIGHT = Broken("right", set())

# ---------------------------------------------------------------- breaks


class SeesItsOwnDraw(sf.Baseline):
    """Half of the own cost to go."""

    def read(self, cost_to_go, prediction):
        return cost_to_go / 2


class UpdatesBeforeItReads(sf.MovingAverage):
    """Holds the present cost when it is read."""

    def read(self, cost_to_go, prediction):
        super().update(cost_to_go, None)
        return super().read(cost_to_go, prediction)


class Scaled(sf.ScoreFunction):
    """A score of another scale, or sign."""

    def __init__(self, baseline, samples, scale):
        super().__init__(baseline, samples)
        self.scale = scale

    def draw(self, distribution, batch_ndims):
        draw = super().draw(distribution, batch_ndims)
        log_prob = self.scale * draw.log_prob
        return draw._replace(log_prob=log_prob, log_density=log_prob)


class KeepsItsGradient(sf.ScoreFunction):
    """A value with a path, which is scored as well."""

    def draw(self, distribution, batch_ndims):
        draw = super().draw(distribution, batch_ndims)
        mean = base_distribution(distribution).mean
        mean = mean.repeat(draw.copies, *[1] * (mean.dim() - 1)) if draw.copies > 1 else mean
        return draw._replace(value=draw.value + mean - mean.detach())


def scored_positions(model: Model) -> list[int]:
    """Nodes under the score function, and the loop."""
    nodes = [i for i, node in enumerate(model.nodes) if node.estimator == "score"]
    return nodes + [len(model.nodes)] * (model.steps > 0)


def name_of(model: Model, position: int) -> str:
    """Of a node or the loop."""
    return HEAD if position == len(model.nodes) else f"z{position}"


def broken_estimator(model: Model, choose: random.Random, kind: str) -> Broken | None:
    """A node under the score function whose estimator is wrong."""
    positions = scored_positions(model)
    if kind == "keeps its gradient":
        kinds = [*(node.kind for node in model.nodes), "bernoulli"]
        positions = [i for i in positions if kinds[i] != "categorical"]
    if not positions:
        return None
    position = choose.choice(positions)
    estimator = make_estimators(model)[position]
    baseline, samples = estimator.baseline, estimator.samples
    early = UpdatesBeforeItReads(0.5)
    early.update(torch.full((1, 1, 1), 0.9), None)
    wrong = {
        "sees its own draw": lambda: sf.ScoreFunction(SeesItsOwnDraw(), samples),
        "updates before it reads": lambda: sf.ScoreFunction(early, samples),
        "wrong sign": lambda: Scaled(baseline, samples, -1.0),
        "wrong scale": lambda: Scaled(baseline, samples, choose.choice([0.5, 1.3, 2.0])),
        "keeps its gradient": lambda: KeepsItsGradient(baseline, samples),
    }[kind]()
    return Broken(kind, {name_of(model, position)}, {position: wrong})


def ancestors(model: Model, parents: list[int], changes: Changes | None) -> set[int]:
    """Nodes that influence these, and they themselves: in truth, or by what is claimed."""
    result: set[int] = set()
    for position in parents:
        node = model.nodes[position]
        above = node.depends
        if changes is not None:
            above = above if node.names_parents else list(range(position))
            above = changes.node_claims.get(position, above)
        result |= {position} | ancestors(model, above, changes)
    return result


def missing_parent(model: Model, choose: random.Random, kind: str) -> Broken | None:
    """A cost, or a draw that a cost names, that claims not to depend on what it depends on."""
    numbers = [n for n, depends in enumerate(model.costs[:-1]) if depends]
    if not numbers:
        return None
    number = choose.choice(numbers)
    depends = model.costs[number]
    changes = Changes(cost_claims={number: depends})
    if kind == "a cost without parents":
        changes.cost_claims[number] = []
    elif kind == "a cost without a parent":
        left_out = choose.choice(depends)
        changes.cost_claims[number] = [i for i in depends if i != left_out]
    else:
        dependent = [i for i in depends if model.nodes[i].depends]
        if not dependent:
            return None
        changes.node_claims = {choose.choice(dependent): []}

    missing: set[int] = set()
    for n, of_cost in enumerate(model.costs[:-1]):
        if model.names_parents[n] or n == number:
            claimed = changes.cost_claims.get(n, of_cost)
            missing |= ancestors(model, of_cost, None) - ancestors(model, claimed, changes)
    return Broken(kind, {f"z{i}" for i in missing}, changes=changes)


def squared_path(model: Model, choose: random.Random, kind: str) -> Broken | None:
    """Straight-through draws in costs that are not linear."""
    names = {f"z{i}" for i, node in enumerate(model.nodes) if node.kind == "straight-through"}
    return Broken(kind, names, changes=Changes(squared=True)) if names else None


def strange_draws(model: Model, choose: random.Random, kind: str) -> Broken | None:
    """A node whose `sample()` explores, or is clipped."""
    kinds = [node.kind for node in model.nodes]
    positions = [i for i, of_node in enumerate(kinds) if of_node != "straight-through"]
    positions += [len(kinds)] * (model.steps > 0)
    if not positions:
        return None
    position = choose.choice(positions)
    name = name_of(model, position)
    scored = True
    if position < len(kinds):
        node = model.nodes[position]
        scored = node.estimator != "pathwise" and any(node.counts)
    changes = Changes(draws=lambda drawn, d: make_strange(d) if drawn == name else None)
    return Broken(kind, {name}, changes=changes, scored=scored)


def make_strange(distribution: Distribution) -> None:
    """Clip Gaussian draws at the mean; of others let half take the value that is least likely.

    It is the same value in all rows, so that their scores do not cancel.
    """
    healthy = distribution.sample

    def sample(sample_shape=()):
        value = healthy(sample_shape)
        if isinstance(distribution, Normal):
            return value.minimum(distribution.loc.detach())
        if isinstance(distribution, Bernoulli | Binomial):
            rare = distribution.mean.new_tensor(float(distribution.probs.mean() < 0.5))
            rare = rare * getattr(distribution, "total_count", 1)
            explores = torch.rand(value.shape) < 0.5
        else:
            rare = distribution.probs.reshape(-1, 3).mean(0).argmin()
            explores = torch.rand((*sample_shape, *distribution.batch_shape)) < 0.5
            if distribution.event_shape:
                rare = torch.nn.functional.one_hot(rare, 3).double()
                explores = explores.unsqueeze(-1)
        return torch.where(explores, rare.to(value.dtype).expand(value.shape), value)

    distribution.sample = sample


BREAKS: dict[str, Callable[[Model, random.Random, str], Broken | None]] = {
    "sees its own draw": broken_estimator,
    "updates before it reads": broken_estimator,
    "wrong sign": broken_estimator,
    "wrong scale": broken_estimator,
    "keeps its gradient": broken_estimator,
    "a cost without parents": missing_parent,
    "a cost without a parent": missing_parent,
    "a draw without parents": missing_parent,
    "squared, straight through": squared_path,
    "draws off their density": strange_draws,
}


def random_break(model: Model) -> Broken | None:
    """One of those that the model can have."""
    choose = random.Random(-1 - model.seed)
    broken = [make(model, choose, kind) for kind, make in BREAKS.items()]
    broken = [b for b in broken if b is not None]
    return choose.choice(broken) if broken else None
