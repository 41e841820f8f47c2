"""Random models, right and broken on purpose, through `exact_gradient` and `check_unbiased`.

    .venv/bin/python -m tests.verdicts --programs 2000

Whether a break moves the expectation of value or gradient is decided by enumeration of the tests'
own, which scripts every draw. If it does, the report must be BIASED and name nodes at fault, and no
others; if it does not, the report must be true.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Binomial, Distribution, Normal

import sfgrad as sf
from sfgrad.masks import base_distribution
from tests.enumeration import Script
from tests.models import (
    HEAD,
    ORDER,
    Changes,
    Model,
    binomial_weights,
    brute_force,
    copies_of,
    make_estimators,
    outcomes,
    random_model,
    write,
)

FAR, NEAR = 1e-6, 1e-9
"""Distances from the truth, relative to the largest figure: a bias, and none."""


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


# ---------------------------------------------------------------- enumeration of the tests' own


def script_draws(script: Script) -> Callable[[str, Distribution], None]:
    """Lets distributions draw what the script says."""

    def scripted(name: str, distribution: Distribution) -> None:
        def choices(weights: Tensor, sample_shape: Any) -> Tensor:
            weights = copies_of(weights, sample_shape)
            rows = weights.reshape(-1, weights.shape[-1]).tolist()
            possible = [[weight for weight in row if weight > 0] for row in rows]  # the first ones
            return torch.tensor([script.choose(row) for row in possible]).reshape(
                weights.shape[:-1]
            )

        def points(sample_shape=()):
            equal = torch.as_tensor(script.weights).expand(*distribution.loc.shape, ORDER)
            noise = torch.as_tensor(script.points)[choices(equal, sample_shape)]
            return distribution.loc + distribution.scale * noise

        def sample(sample_shape=()):
            if isinstance(distribution, Normal):
                return points(sample_shape).detach()
            probs = distribution.probs
            if isinstance(distribution, Bernoulli):
                return choices(torch.stack([1 - probs, probs], -1), sample_shape).to(probs)
            if isinstance(distribution, Binomial):
                return choices(binomial_weights(distribution), sample_shape).to(probs)
            drawn = choices(probs, sample_shape)
            if distribution.event_shape:
                return torch.nn.functional.one_hot(drawn, 3).to(probs)
            return drawn

        distribution.sample = sample
        if isinstance(distribution, Normal):
            distribution.rsample = points

    return scripted


def mean_of_estimator(model: Model, broken: Broken = RIGHT) -> Tensor:
    """The mean of value and gradient over all draws, `[1 + P]`."""
    script = Script(ORDER)
    estimators = estimators_of(model, broken)
    baselines = [e.baseline for e in estimators if e.baseline is not None]
    before = [{k: v.clone() for k, v in b.state_dict().items()} for b in baselines]
    usual, broken.changes.draws = broken.changes.draws, script_draws(script)

    def once() -> Tensor:
        theta = model.theta.clone().requires_grad_()
        fn = write(model, theta, estimators, broken.changes)
        objective = sf.expectation(fn, model.samples, batch_ndims=model.batch_ndims)
        loss = objective(model.inputs())
        (gradient,) = torch.autograd.grad(loss, theta)
        for baseline, state in zip(baselines, before, strict=True):
            baseline.load_state_dict(state)
        return torch.cat([loss.detach().reshape(1), gradient.flatten()])

    try:
        return script.mean(once)
    finally:
        broken.changes.draws = usual


def estimators_of(model: Model, broken: Broken) -> list[sf.Estimator]:
    """The model's, and the broken ones among them."""
    estimators = make_estimators(model)
    return [broken.estimators.get(i, estimator) for i, estimator in enumerate(estimators)]


def moves_expectation(model: Model, broken: Broken) -> bool | None:
    """Whether a break moves the expectation; None if it can hardly be told."""
    if broken.scored is not None:
        return broken.scored
    truth = brute_force(model)
    distance = (mean_of_estimator(model, broken) - truth).abs().max() / truth.abs().max()
    return None if NEAR < distance < FAR else bool(distance >= FAR)


# ---------------------------------------------------------------- verdicts


def check(model: Model, broken: Broken = RIGHT, mode: str = "exact", repeats: int = 30) -> Any:
    """The report of `check_unbiased`."""
    theta = model.theta.clone().requires_grad_()
    return sf.check_unbiased(
        write(model, theta, estimators_of(model, broken), broken.changes),
        model.inputs(),
        samples=model.samples,
        wrt=[theta],
        mode=mode,
        repeats=repeats,
        quadrature=ORDER,
        batch_ndims=model.batch_ndims,
        seed=model.seed,
    )


def wrong_oracle(model: Model) -> str:
    """How `exact_gradient` differs from brute force; empty if it does not."""
    theta = model.theta.clone().requires_grad_()
    fn = write(model, theta, make_estimators(model), Changes())
    settings = {"wrt": [theta], "quadrature": ORDER, "batch_ndims": model.batch_ndims}
    value, (gradient,) = sf.exact_gradient(fn, model.inputs(), **settings)
    distance = torch.cat([value.reshape(1), gradient.flatten()]) - brute_force(model)
    return f"off by {distance.abs().max():.1e}" if distance.abs().max() > 1e-9 else ""


def wrong_verdict(model: Model, broken: Broken, report: Any, biased: bool) -> str:
    """What is wrong about a report; empty if nothing is."""
    wanted = "BIASED" if biased else "unbiased"
    if report.verdict != wanted or bool(report) == biased:
        return f"{report.verdict}, not {wanted}"
    names = {name.partition(".")[0] for name in report.nodes}
    if biased and not names and not set(report.untested) & broken.at_fault:
        return "no node is named"
    if not names <= (broken.at_fault if biased else set()):
        return f"names {sorted(names)}, not {sorted(broken.at_fault)}"
    return ""


def wrong_refusal(model: Model) -> str:
    """What is wrong where rows interact, or a cost has noise; empty if nothing is."""
    cases = [(Changes(noise=True), "two replays with the same draws differ")]
    if model.period > 1 and model.nodes[0].kind != "ragged" and all(model.nodes[0].counts):
        cases.append((Changes(rows_interact=True), "rows interact"))
    for changes, words in cases:
        try:
            report = check(model, Broken("refused", set(), changes=changes))
        except ValueError as error:
            if words not in str(error):
                return f"refused by {error}"
        else:
            return f"{report.verdict} where it should say {words!r}"
    return ""


def verdicts(model: Model, checked: Callable[..., Any] = check) -> dict[str, str]:
    """What is wrong, by what was tried: an empty string if nothing is.

    Args:
        model: right.
        checked: what makes the reports.
    """

    def attempt(trial: Callable[[], str]) -> str:
        try:
            return trial()
        except Exception as error:  # a crash is a finding like any other
            return f"{type(error).__name__}: {error}"

    result = {
        "oracle": attempt(lambda: wrong_oracle(model)),
        "right": attempt(lambda: wrong_verdict(model, RIGHT, checked(model), biased=False)),
        "refusal": attempt(lambda: wrong_refusal(model)),
    }
    broken = random_break(model)
    if broken is not None:
        biased = moves_expectation(model, broken)
        repeats = 30 if broken.scored is None else 100
        kind = f"{broken.kind}{'' if biased else ', without effect'}"
        if biased is not None:
            result[kind] = attempt(
                lambda: wrong_verdict(
                    model, broken, checked(model, broken, repeats=repeats), biased
                )
            )
    return result


def wrong_monte_carlo(
    model: Model, checked: Callable[..., Any] = check, repeats: int = 60
) -> dict[str, str]:
    """As `verdicts`, by Monte Carlo mode on many rows, wherever chance leaves no doubt.

    A bias that exact mode finds must be found if it is above twice what chance explains.
    """
    many = replace(model, tiles=64 if model.batch_ndims else 1)
    result = {"right": ""}
    if (report := checked(many, RIGHT, "monte_carlo", repeats)).verdict == "BIASED":
        result["right"] = f"{report.verdict}: {report.nodes}"

    broken = random_break(model)
    if broken is None or broken.kind == "updates before it reads":  # rows share that bias
        return result
    report = checked(many, broken, "monte_carlo", repeats)
    exact = check(model, broken)
    figures = [*exact.comparisons, *exact.scores.values()]
    chance = [*report.comparisons, *report.scores.values()]
    pairs = list(zip(figures, chance, strict=True))
    biased = any(truth.bias > 2 * found.allowed and truth.biased for truth, found in pairs)
    names = {name.partition(".")[0] for name in report.nodes}
    result[broken.kind if biased else "small"] = ""
    if biased and report.verdict != "BIASED":
        result[broken.kind] = f"{report.verdict}, not BIASED"
    elif not names <= broken.at_fault:
        result[broken.kind] = f"names {sorted(names)}, not {sorted(broken.at_fault)}"
    return result


def main() -> None:
    """Try many models, and tell what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--outcomes", type=int, default=64, help="leave out larger ones")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tried: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    models, seed = 0, options.first
    while models < options.programs:
        model = random_model(seed)
        seed += 1
        if outcomes(model) > options.outcomes:
            continue
        models += 1
        for what, problem in verdicts(model).items():
            tried[what] += 1
            if problem:
                wrong[what] += 1
                print(f"seed {model.seed}, {what}: {problem}", flush=True)
    for what, count in tried.items():
        print(f"{what}: {count} tried, {wrong[what]} wrong")
    print(f"{models} programs, seeds {options.first} to {seed - 1}, {time.process_time():.0f} s")


if __name__ == "__main__":
    main()
