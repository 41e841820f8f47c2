"""The gradient of the glimpse model is unbiased, and what is broken on purpose is found out.

First without randomness: the locator's Normal is put on a few locations, each as likely as its
density there, and everything else is the application's own. The mean over all draws of the
score-function gradient is compared with the derivative of the expected cost, which
`expected_cost` computes by hand. Then with the Normal itself, whose expected cost is that of a
lattice so fine that it makes no difference. Tests that draw at random have a family-wise error
rate of 1e-6 each and a fixed seed.
"""

import functools
import itertools
import math
from statistics import NormalDist

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical

import sfgrad as sf
from applications.glimpse.config import Config
from applications.glimpse.model import GlimpseModel
from applications.glimpse.retina import integral
from tests.applications.glimpse.digits import generated_digits

RTOL = 1e-9
FAMILY = 1e-6
PARTIAL = ("what", "where", "join", "core")
"""Modules whose gradient lacks a part of what they do to the locations, unless `steering` is 1."""

DIGITS = generated_digits(10, 1, seed=4)
TABLE, LABELS = integral(DIGITS.train_images).double(), DIGITS.train_labels
PRICE = torch.tensor([0.05, 0.2], dtype=torch.float64)
GRID = torch.tensor([[8.0, 10.0], [14.0, 20.0], [20.0, 6.0]], dtype=torch.float64) / 14 - 1
"""Whole pixels of 28, where the smooth retina sees what the other one sees."""
DECISIONS = torch.tensor([0.0, 1.0], dtype=torch.float64)


def make(kind=GlimpseModel, estimator=None, noise=0.5, **options):
    """A small model in double precision, with a locator that has learned something."""
    torch.manual_seed(1)
    sizes = {
        "glimpses": 3,
        "patch": 4,
        "scales": 2,
        "hidden": 6,
        "features": 6,
        "earlier_weight": 0.7,
        "spread": 0.0,
    }
    model = kind(Config(**(sizes | options)))
    model.noise = noise
    with torch.no_grad():  # it matters what was seen
        model.what.weight *= 4
        model.classify.weight *= 16
    torch.manual_seed(1)  # the same also where there is a critic
    for name, bias in ("locate", 0.3), ("weary", 3.0):
        if hasattr(model, name):
            last = getattr(model, name)[-1]
            nn.init.normal_(last.weight, std=0.2)
            nn.init.constant_(last.bias, bias)
    for name, parameter in model.named_parameters():
        if name.startswith("stop."):  # a baseline that is not 0
            nn.init.normal_(parameter, std=0.3)
    if estimator is not None:
        model.place = sf.StochasticNode(estimator)
    return model.double()


class OnGrid(sf.StochasticNode):
    """The node of the locations, which are now few."""

    def forward(self, dist, context=None, *, mask=None):
        choice = super().forward(Categorical(logits=log_masses(dist, GRID)), context, mask=mask)
        return GRID[choice.long()]


def on_grid(*args, **options):
    model = make(*args, **options)
    model.place = OnGrid(model.place.estimator)
    return model


def log_masses(dist, values):
    """Log-probabilities `[R, M]` of M values, as likely as their densities say."""
    return dist.log_prob(values[:, None]).T.log_softmax(1)


def learnable(model):
    """The parameters, by name, but for those of baselines."""
    own = model.named_parameters()
    return {name: p for name, p in own if not name.startswith(("place.", "stop."))}


# ---------------------------------------------------------------- the truth, by hand


class Told(nn.Module):
    """Takes a node's place: returns the values it is told to, and adds up their log-masses."""

    estimator = None

    def __init__(self, values, choices, log_mass):
        super().__init__()
        self.values, self.choices, self.log_mass = values, iter(choices), log_mass
        self.total = 0.0

    def forward(self, dist, context, mask=None):
        choice = next(self.choices)
        self.total = self.total + self.log_mass(dist, self.values, choice)
        return self.values[choice]


def among_few(dist, values, choice):
    """`[R]`, nats, of a chosen one of the values."""
    return log_masses(dist, values).gather(1, choice[:, None])[:, 0]


def expected_cost(model, node, values, table, label, price=0.0, log_mass=among_few):
    """Of one image: the sum over all sequences of draws, a row each; no library involved."""
    draws = model.glimpses - 1
    sequences = torch.cartesian_prod(*[torch.arange(len(values))] * draws).view(-1, draws)
    rows = len(sequences)
    kept, told = getattr(model, node), Told(values, sequences.T, log_mass)
    setattr(model, node, told)
    try:
        prices = torch.full((rows,), float(price), dtype=table.dtype) if price else None
        looks = list(model.look(table.expand(rows, -1, -1), price=prices))
    finally:
        setattr(model, node, kept)
    labels = label.expand(rows)
    errors = [F.cross_entropy(look.logits, labels, reduction="none") for look in looks]
    after = sequences.cumprod(1).sum(1) if node == "stop" else torch.full((rows,), draws)
    cost = price * after.double()  # the glimpses after the first
    for order, error in enumerate(errors):
        cost = cost + error * ((order == after) + model.earlier_weight * (order < after).double())
    return (told.total.exp() * cost).sum()


def true_gradient(model, node, values, table, labels, price=None):
    """By name, of the mean over the images."""
    inputs = zip(table, labels, len(table) * [0.0] if price is None else price, strict=True)
    value = torch.stack([expected_cost(model, node, values, *one) for one in inputs]).mean()
    named = learnable(model)
    return dict(zip(named, gradients(value, named), strict=True))


def gradients(value, named):
    return torch.autograd.grad(value, list(named.values()), materialize_grads=True)


# ---------------------------------------------------------------- the estimator, enumerated


def on_values(dist, values):
    """The distribution of the draws: of the values' numbers, where there is a grid of them."""
    return Categorical(logits=log_masses(dist, values)) if values is GRID else dist


def mean_gradient(model, node, values, table, labels, *price, samples=1):
    """By name, the mean over all draws of all rows of the score-function gradient."""
    objective, named = sf.expectation(model, samples), learnable(model)
    shape = model.glimpses - 1, samples * len(table)
    names = [node, *(f"{node}.{count}" for count in range(1, shape[0]))]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    totals, mass = [torch.zeros_like(p) for p in named.values()], 0.0
    for choices in itertools.product(range(len(values)), repeat=shape[0] * shape[1]):
        draws = torch.tensor(choices, dtype=torch.float64).view(shape)
        graph = sf.StochasticGraph(draws=dict(zip(names, draws, strict=True)))
        drawn_from = []  # also what a mask leaves out has its probability
        hook = getattr(model, node).register_forward_pre_hook(
            lambda _, inputs, made=drawn_from: made.append(inputs[0])
        )
        objective.record(graph, table, labels, *price)
        hook.remove()
        pairs = zip(drawn_from, graph.draws.values(), strict=True)
        scored = [on_values(dist, values).log_prob(value).detach() for dist, (value, _) in pairs]
        probability = sum(log_mass.sum() for log_mass in scored).exp()
        for total, part in zip(totals, gradients(graph.loss(), named), strict=True):
            total += probability * part
        mass += probability
        for buffer, before in buffers:  # a moving average learned from this outcome
            buffer.copy_(before)
    assert mass.item() == pytest.approx(1)
    return dict(zip(named, totals, strict=True))


def distance(found, wanted):
    """Of the parameter that is furthest off, in units of its gradient's largest entry."""
    largest = max(want.abs().max() for want in wanted.values())
    return max(
        ((found[name] - want).abs().max() / (want.abs().max() + 1e-6 * largest)).item()
        for name, want in wanted.items()
    )


def batch(samples):
    """Two rows in all, so that there are not too many outcomes."""
    images = 2 // samples
    return TABLE[:images], LABELS[:images]


BASELINES = {"none": 1, "average": 1, "learned": 1, "leave-one-out": 2, "both": 2}


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_leaves_the_gradient_exact(name):
    samples = BASELINES[name]
    model, inputs = on_grid(baseline=name), batch(samples)
    torch.manual_seed(0)
    for _ in range(3):  # averages that know something
        sf.expectation(model, samples)(*inputs)
    wanted = true_gradient(model, "place", GRID, *inputs)
    assert distance(mean_gradient(model, "place", GRID, *inputs, samples=samples), wanted) < RTOL
    report = sf.check_unbiased(model, *inputs, samples=samples, mode="exact", rtol=RTOL, repeats=30)
    assert report, report
    assert len(report.comparisons) == 1 + len(learnable(model))


def test_the_oracle_agrees_with_the_sum_by_hand():
    model = on_grid(baseline="none")
    wanted = true_gradient(model, "place", GRID, TABLE, LABELS)
    _, found = sf.exact_gradient(model, TABLE, LABELS, wrt=list(learnable(model).values()))
    assert distance(dict(zip(wanted, found, strict=True)), wanted) < RTOL


# ---------------------------------------------------------------- what less steering leaves out


def slopes(model, step=1e-5):
    """By module: the estimator's mean along a random direction, and the true derivative there.

    The truth comes from differences of the value, from which no `detach` can hide anything.
    """
    found = true_gradient(model, "place", GRID, *batch(1))  # the estimator's, as shown above
    images = list(zip(*batch(1), strict=True))
    values, generator = {}, torch.Generator().manual_seed(0)
    for module in ("what", "where", "join", "core", "classify", "locate", "plan"):
        named = {n: p for n, p in learnable(model).items() if n.startswith(module)}
        directions = [torch.randn(p.shape, generator=generator).double() for p in named.values()]

        def value(size, named=named, directions=directions):
            moved = list(zip(named.values(), directions, strict=True))
            with torch.no_grad():
                for parameter, direction in moved:
                    parameter += size * direction
                ends = [expected_cost(model, "place", GRID, *one) for one in images]
                for parameter, direction in moved:
                    parameter -= size * direction
            return torch.stack(ends).mean()

        along = zip(named, directions, strict=True)
        slope = sum((found[name] * direction).sum() for name, direction in along)
        values[module] = slope.item(), ((value(step) - value(-step)) / (2 * step)).item()
    return values


@pytest.mark.parametrize("steering", [0.0, 0.2, 1.0])
def test_only_what_the_state_depends_on_lacks_a_part(steering):
    partial = PARTIAL if steering < 1 else ()
    model = on_grid(baseline="none", steering=steering)
    for module, (found, wanted) in slopes(model).items():
        error = abs(found / wanted - 1)
        assert error > 1e-4 if module in partial else error < 1e-6, (module, found, wanted)


# ---------------------------------------------------------------- when to stop


def stopping(**options):
    return make(stop_price=0.3, **options)


def test_the_gradient_of_the_decision_to_stop_is_exact():
    model = stopping(policy="centre")
    inputs = TABLE[:2], LABELS[:2], PRICE
    wanted = true_gradient(model, "stop", DECISIONS, *inputs)
    assert wanted["weary.2.bias"].abs().item() > 1e-3
    assert distance(mean_gradient(model, "stop", DECISIONS, *inputs), wanted) < RTOL
    _, found = sf.exact_gradient(model, *inputs, wrt=list(learnable(model).values()))
    assert distance(dict(zip(wanted, found, strict=True)), wanted) < RTOL


def test_where_and_whether_to_look_are_exact_together():
    model = on_grid(stop_price=0.3)
    report = sf.check_unbiased(
        model, TABLE[:1], LABELS[:1], PRICE[:1], mode="exact", rtol=RTOL, repeats=30
    )
    assert report, report


def nudges(module):
    """Zeros added to what the module puts out, one tensor a call: their gradient is a row's own."""
    made = []

    def nudge(module, inputs, output):
        made.append(torch.zeros_like(output, requires_grad=True))
        return output + made[-1]

    module.register_forward_hook(nudge)
    return made


def test_who_has_stopped_adds_no_noise():
    """Draws after the last glimpse: the gradient by what they were drawn from is exactly 0."""
    model, rows = stopping(glimpses=4), 40
    decided, moved = nudges(model.weary), nudges(model.locate)
    torch.manual_seed(0)
    table, labels = TABLE[:1].expand(rows, -1, -1), LABELS[:1].expand(rows)
    with sf.StochasticGraph() as graph:
        model(table, labels, PRICE[:1].expand(rows))
    graph.loss().backward()
    decisions = [value for value, _ in graph.draws.values() if value.dim() == 1]
    assert len(decisions) == 3
    looking = torch.ones(rows, dtype=torch.bool)
    for decision, weary, locate in zip(decisions, decided, moved, strict=True):
        assert torch.equal(weary.grad.abs().sum(1) > 0, looking)
        looking = looking & (decision > 0)
        assert torch.equal(locate.grad.abs().sum(1) > 0, looking)
    assert 0 < looking.sum() < rows


# ---------------------------------------------------------------- the real, continuous locations


SMALL = integral(DIGITS.train_images[:1, ::2, ::2]).double()
"""14 pixels a side: not too many of them for a lattice."""
STEP = 1 / 7 / 6  # six to a pixel: the retina changes its mind only between two of them
TICKS = torch.arange(-2 + STEP / 2, 2, STEP, dtype=torch.float64)
LATTICE = torch.cartesian_prod(TICKS, TICKS)


def of_the_cell(dist, values, choice):
    """`[R]`, nats; the sum is the integral, but for a thirtieth of a standard error below."""
    return dist.log_prob(values[choice]) + 2 * math.log(STEP)


def make_once(*args, **options):
    """With one draw of a location."""
    return make(*args, glimpses=2, noise=0.25, **options)


@functools.cache
def integral_slope():
    """The integral's derivative `[2]` by the mean location, before its tanh."""
    model = make_once()
    value = expected_cost(model, "place", LATTICE, SMALL[0], LABELS[0], log_mass=of_the_cell)
    return torch.autograd.grad(value, model.locate[-1].bias)[0]


def slopes_by_the_draw(model, draws, samples):
    """Independent estimates of it, `[draws, 2]`."""
    made, objective = nudges(model.locate), sf.expectation(model, samples)
    loss = objective(SMALL.expand(draws, -1, -1), LABELS[:1].expand(draws))
    (gradient,) = torch.autograd.grad(loss, made)
    return (gradient * draws).view(samples, draws, 2).sum(0)


def z_scores(model, samples, draws=20_000):
    """Of both coordinates: distance of the mean from the truth, and of the truth from 0."""
    torch.manual_seed(0)
    found, wanted = slopes_by_the_draw(model, draws, samples), integral_slope()
    error = found.std(0) / draws**0.5
    return (found.mean(0) - wanted).abs() / error, wanted.abs() / error


def check_with_the_normal(model, samples, reference, rows=100):
    inputs = SMALL.expand(rows, -1, -1), LABELS[:1].expand(rows)
    settings = {"mode": "monte_carlo", "repeats": 100, "error_rate": FAMILY, "seed": 0}
    return sf.check_unbiased(model, *inputs, samples=samples, reference=reference, **settings)


THRESHOLD = NormalDist().inv_cdf(1 - FAMILY / (2 * 2))


@pytest.mark.parametrize("name", BASELINES)
def test_with_the_normal_the_gradient_is_that_of_the_integral(name):
    from_truth, from_zero = z_scores(make_once(baseline=name), BASELINES[name])
    assert from_truth.max() < THRESHOLD
    assert from_zero.max() > 2 * THRESHOLD


class Smooth(GlimpseModel):
    """Sees between pixels whatever its estimator."""

    pathwise = True


@pytest.mark.parametrize("name", ["learned", "leave-one-out"])
def test_the_score_function_agrees_with_differentiating_the_smooth_retina(name):
    model, samples = make(Smooth, baseline=name), BASELINES[name]
    report = check_with_the_normal(model, samples, sf.Pathwise())
    assert report, report


# ---------------------------------------------------------------- negative controls


class Undetached(sf.Estimator):
    """The classic mistake: a location that keeps its gradient has a score of 0."""

    def draw(self, distribution, batch_ndims):
        value = distribution.rsample()
        log_prob = sf.row_log_prob(distribution, value, batch_ndims)
        return sf.Draw(value, log_prob, log_prob.detach())


class Hindsight(sf.Baseline):
    """A critic that is given the state after the glimpse: it knows what the draw led to."""

    def read(self, cost_to_go, prediction):
        return 0.9 * cost_to_go


class OwnIncluded(sf.Baseline):
    """The mean over all samples, the own one included."""

    def read(self, cost_to_go, prediction):
        return cost_to_go.mean(1, keepdim=True)


class TooEarly(GlimpseModel):
    """Credits what all glimpses cost as if it were recorded before it looks."""

    def forward(self, table, labels, price=None):
        due = table.new_zeros(len(table))
        for look in self.look(table):
            due = due + F.cross_entropy(look.logits, labels, reduction="none")
        sf.add_cost(due, parents=[])
        sf.add_cost(0 * due)  # the library refuses a last draw without a cost


EXACT_CONTROLS = {
    "a critic that knows the draw": (GlimpseModel, sf.ScoreFunction(Hindsight()), 1),
    "an average with the own draw": (GlimpseModel, sf.ScoreFunction(OwnIncluded()), 2),
    "costs before their draw": (TooEarly, sf.ScoreFunction(), 1),
}
CONTROLS = EXACT_CONTROLS | {"a location that keeps its gradient": (GlimpseModel, Undetached(), 1)}


@pytest.mark.parametrize("name", EXACT_CONTROLS)
def test_the_exact_tests_find_what_is_broken(name):
    kind, estimator, samples = EXACT_CONTROLS[name]
    model, inputs = on_grid(kind, estimator, glimpses=2, earlier_weight=1.0), batch(samples)
    wanted = true_gradient(model, "place", GRID, *inputs)
    assert distance(mean_gradient(model, "place", GRID, *inputs, samples=samples), wanted) > 0.1
    report = sf.check_unbiased(model, *inputs, samples=samples, mode="exact", rtol=RTOL, repeats=30)
    assert not report
    assert set(report.nodes) == {"place"}


@pytest.mark.parametrize("name", CONTROLS)
def test_the_tests_with_the_normal_find_what_is_broken(name):
    kind, estimator, samples = CONTROLS[name]
    from_truth, _ = z_scores(make_once(kind, estimator, earlier_weight=1.0), samples)
    assert from_truth.max() > 2 * THRESHOLD
    model = make_once(kind, estimator, earlier_weight=1.0)
    # With so many rows a hundred runs are certain, and no alarm has to be repeated.
    rows = 1500 if name == "an average with the own draw" else 1000  # the least of the biases
    report = check_with_the_normal(model, samples, sf.ScoreFunction(sf.Constant(7.0)), rows)
    assert not report
    assert set(report.nodes) == {"place"}
