"""Random programs, and their exact value, gradient and Hessian by brute force.

    .venv/bin/python -m tests.programs --programs 2000

A program has one to four nodes on one or two rows (of one or two dimensions), every estimator and
baseline, masks of draws that matter to no cost, a branch, `parents=` narrowed to what is true, and
may be replayed. The brute force sums over all draws of a row and knows nothing of the library.
"""

import argparse
import itertools
import random
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.distributions import Categorical

import sfgrad as sf
from tests.enumeration import Script

BASELINES = ("none", "constant", "average", "learned", "leave-one-out")


@dataclass
class Node:
    """A draw that depends on some of those before it."""

    values: int
    """How many it may take: 2 is a Bernoulli."""
    depends: list[int]
    estimator: str
    """`score` or `enumerate`."""
    baseline: str
    samples: int
    masked: bool
    """Whether it counts nowhere, and so is part of no cost."""
    names_parents: bool


@dataclass
class Program:
    """What is drawn, what it costs, and how it is written."""

    seed: int
    batch_ndims: int
    branch: int
    nodes: list[Node]
    costs: list[list[int]]
    """Of every cost, the nodes that it depends on."""
    names_parents: list[bool]
    replays: bool
    theta: Tensor = field(repr=False, default=None)
    claims: dict[int, list[int]] = field(default_factory=dict)
    """Parents that costs claim to have, by their number, where they are not the truth."""


def random_program(seed: int) -> Program:
    """The program of a seed."""
    choose = random.Random(seed)
    batch_ndims = choose.choice([0, 1, 1, 2])
    copies = choose.choice([1, 1, 2]) if batch_ndims else 1
    nodes: list[Node] = []
    for position in range(choose.randint(1, 4)):
        counted = [i for i in range(position) if not nodes[i].masked]
        node = Node(
            values=choose.choice([2, 2, 3]),
            depends=[i for i in counted if choose.random() < 0.6],
            estimator="score",
            baseline=choose.choice(BASELINES[: 5 if copies > 1 else 4]),
            samples=1,
            masked=choose.random() < 0.15,
            names_parents=choose.random() < 0.4,
        )
        if batch_ndims and choose.random() < 0.25:
            node.estimator, node.baseline = "enumerate", "none"
        elif batch_ndims and choose.random() < 0.15:
            node.samples, node.baseline = 2, choose.choice(BASELINES)
        nodes.append(node)
    counted = [i for i, node in enumerate(nodes) if not node.masked]
    costs = [[i for i in counted if choose.random() < 0.6] for _ in range(choose.randint(1, 2))]
    costs.append(counted)  # every draw has a cost
    program = Program(
        seed,
        batch_ndims,
        copies,
        nodes,
        costs,
        [choose.random() < 0.4 for _ in costs[:-1]] + [False],
        replays=choose.random() < 0.3,
    )
    generator = torch.Generator().manual_seed(seed)
    program.theta = 0.8 * torch.randn(len(nodes), 3, generator=generator, dtype=torch.float64)
    return program


def logits_of(program: Program, position: int, theta: Tensor, draws: list[Tensor]) -> Tensor:
    """`[..., values]`: of a node, from what was drawn before it."""
    node, row = program.nodes[position], theta[position]
    shape = draws[0].shape if draws else ()
    start = torch.zeros(shape, dtype=torch.float64)
    shift = sum((0.5 * row[1] * (draws[i] + 1) for i in node.depends), start)
    slope = torch.arange(node.values, dtype=torch.float64)
    return (row[0] + shift).unsqueeze(-1) * slope + row[2] * slope**2 / 2


def cost_of(program: Program, number: int, theta: Tensor, draws: list[Tensor]) -> Tensor:
    """`[...]`, of degree 2 in the draws and of the parameters themselves."""
    total = sum((theta[i, 0] * draws[i] + 0.3 * i for i in program.costs[number]), theta[0, 2])
    return (total - 0.4) ** 2 + 0 * draws[0]


def expected(program: Program, theta: Tensor) -> Tensor:
    """The expected cost of a row, by brute force."""
    result = torch.zeros((), dtype=torch.float64)
    for values in itertools.product(*[range(node.values) for node in program.nodes]):
        draws = [torch.tensor(float(v), dtype=torch.float64) for v in values]
        log_mass = sum(
            logits_of(program, i, theta, draws).log_softmax(-1)[v] for i, v in enumerate(values)
        )
        costs = [cost_of(program, i, theta, draws) for i in range(len(program.costs))]
        result = result + log_mass.exp() * sum(costs)
    return result


class Scripted(Categorical):
    """Draws what the script says; a Bernoulli is one of two values."""

    def __init__(self, script, logits):
        super().__init__(logits=logits)
        self.script = script

    def sample(self, sample_shape=()):
        """The script's choice of every element."""
        probs = self.probs.detach().expand(*sample_shape, *self.probs.shape)
        rows = probs.reshape(-1, probs.shape[-1]).tolist()
        drawn = torch.tensor([self.script.choose(row) for row in rows])
        return drawn.reshape(probs.shape[:-1])


def make_estimator(node: Node) -> sf.Estimator:
    """The estimator of a node, with a baseline that is not 0."""
    if node.estimator == "enumerate":
        return sf.Enumerate()
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


def record(program: Program, theta: Tensor, script, estimators, draws=None) -> sf.StochasticGraph:
    """One run of the program in the library's words."""
    shape = (1,) * program.batch_ndims
    graph = sf.StochasticGraph(program.batch_ndims, draws=draws)
    with graph:
        start = torch.zeros(shape, dtype=torch.float64)
        if program.branch > 1:
            start = sf.branch(start, program.branch)
        values: list[Tensor] = []
        for position, node in enumerate(program.nodes):
            first = start if not values else values[0]
            logits = logits_of(program, position, theta, values or [first])
            logits = logits.expand(*first.shape, node.values)
            names = [f"z{i}" for i in node.depends]
            drawn = sf.sample(
                Scripted(script, logits) if script else Categorical(logits=logits),
                estimators[position],
                mask=torch.zeros(first.shape, dtype=torch.bool) if node.masked else None,
                context=first.unsqueeze(-1) if program.batch_ndims else first.reshape(1, 1),
                parents=names if node.names_parents else None,
                name=f"z{position}",
            )
            values = [sf.align(value) for value in values]
            values.append(drawn.double())
        for number, depends in enumerate(program.costs):
            named = program.names_parents[number]
            parents = [f"z{i}" for i in program.claims.get(number, depends)]
            cost = cost_of(program, number, theta, values)
            sf.add_cost(cost, parents=parents if named or number in program.claims else None)
    return graph


def mean_derivatives(program: Program, script) -> list[Tensor]:
    """The library's value, gradient and Hessian, in expectation over all its draws."""
    estimators = [make_estimator(node) for node in program.nodes]
    averages = [e.baseline for e in estimators if isinstance(e.baseline, sf.MovingAverage)]

    def once() -> Tensor:
        theta = program.theta.clone().requires_grad_()
        kept = [(a, a.average.clone(), a.mass.clone()) for a in averages]
        graph = record(program, theta, script, estimators)
        if program.replays:
            theta = program.theta.clone().requires_grad_()
            recorded = {name: (v, q) for name, (v, q) in graph.draws.items()}
            graph = record(program, theta, None, estimators, recorded)
        loss = graph.loss()
        for average, mean, mass in kept:
            average.average.copy_(mean)
            average.mass.copy_(mass)
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        rows = [torch.zeros_like(theta)] * theta.numel()
        if gradient.requires_grad:
            rows = [
                torch.autograd.grad(g, theta, retain_graph=True, materialize_grads=True)[0]
                for g in gradient.flatten()
            ]
        hessian = torch.stack(rows).flatten()
        return torch.cat([loss.detach().reshape(1), gradient.detach().flatten(), hessian])

    count = program.theta.numel()
    return list(script.mean(once).split([1, count, count**2]))


def brute_force(program: Program) -> list[Tensor]:
    """The same of the expected cost."""
    theta = program.theta

    def fn(flat: Tensor) -> Tensor:
        return expected(program, flat.view_as(theta))

    flat = theta.flatten()
    gradient = torch.autograd.functional.jacobian(fn, flat)
    hessian = torch.autograd.functional.hessian(fn, flat, vectorize=True)
    return [fn(flat).reshape(1), gradient, hessian.flatten()]


def disagreement(program: Program) -> str:
    """What of the library differs from brute force; empty if nothing does."""
    found, wanted = mean_derivatives(program, Script()), brute_force(program)
    for name, a, b in zip(("value", "gradient", "Hessian"), found, wanted, strict=True):
        if not torch.allclose(a, b, rtol=1e-8, atol=1e-8):
            return f"{name} off by {(a - b).abs().max():.2e}"
    return ""


def outcomes(program: Program) -> int:
    """How many joint draws the library's run has, at most."""
    total, copies = 1, program.branch
    for node in program.nodes:
        if node.estimator == "enumerate":
            copies *= node.values
        else:
            copies *= node.samples
            total *= node.values**copies
    return total


def main() -> None:
    """Try many programs, and tell those that are off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--outcomes", type=int, default=64, help="leave out larger ones")
    options = parser.parse_args()
    tried = wrong = 0
    seed = options.first
    while tried < options.programs:
        program = random_program(seed)
        seed += 1
        if outcomes(program) > options.outcomes:
            continue
        tried += 1
        if off := disagreement(program):
            wrong += 1
            print(f"{off}: {program}", flush=True)
    print(f"{tried} programs, seeds {options.first} to {seed - 1}: {wrong} wrong")


if __name__ == "__main__":
    main()
