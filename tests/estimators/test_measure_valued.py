"""Measure-valued derivatives: their formulas, their number of copies, what they refuse."""

import math
import re

import numpy as np
import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Categorical,
    Gamma,
    Independent,
    Laplace,
    Normal,
    OneHotCategorical,
    Poisson,
    Weibull,
)

import sfgrad as sf
from sfgrad.estimators import decompositions
from tests.comparison import THRESHOLD, constant, leaf
from tests.enumeration import gauss_hermite
from tests.estimators.test_subsets import Sizes


def row_gradients(make, parameters, cost):
    """Gradients by the parameters, row by row, and the loss of every row."""
    with sf.StochasticGraph() as graph:
        distribution = make(*parameters)
        samples = sf.MeasureValued.copies(distribution)
        z = sf.sample(distribution, sf.MeasureValued(samples))
        sf.add_cost(cost(z))
        loss = graph.loss(reduction="none").view(samples, -1).mean(0)
    return loss.detach(), torch.autograd.grad(loss.sum(), [p for p in parameters if p.is_leaf])


# ---------------------------------------------------------------- exact


@pytest.mark.parametrize(
    ("distribution", "copies"),
    [
        (Independent(Bernoulli(torch.full((4, 3), 0.5)), 1), 7),
        (Bernoulli(torch.full((4,), 0.5)), 3),
        (Categorical(torch.ones(4, 2, 5)), 11),
        (OneHotCategorical(torch.ones(4, 5)), 6),
        (Normal(torch.zeros(4, 2), 1.0), 7),
        (Poisson(torch.ones(4, 2)), 3),
        (Gamma(torch.ones(4), 1.0), 2),
        (Weibull(torch.ones(4, 3), torch.ones(4, 3)), 4),
    ],
    ids=lambda d: type(d).__name__,
)
def test_the_number_of_copies(distribution, copies):
    assert sf.MeasureValued.copies(distribution) == copies


def test_the_elements_are_those_after_the_rows():
    assert sf.MeasureValued.copies(Bernoulli(torch.full((4, 3), 0.5)), batch_ndims=2) == 3


def test_of_a_single_bit_the_gradient_has_no_variance():
    probs = leaf(0.3, 0.8, 0.0, 1.0)
    _, (gradient,) = row_gradients(lambda p: Bernoulli(p), [probs], lambda z: (z - 0.4).exp())
    difference = math.exp(0.6) - math.exp(-0.4)
    torch.testing.assert_close(gradient, torch.full_like(gradient, difference))


@pytest.mark.parametrize("kind", [Categorical, OneHotCategorical])
def test_of_categories_the_gradient_has_no_variance(kind):
    logits = torch.tensor([[0.1, 0.5, -0.4]] * 6, dtype=torch.float64, requires_grad=True)
    costs = constant(0.3, 2.0, -1.0)

    def cost(z):
        return costs[z] if kind is Categorical else z @ costs

    _, (gradient,) = row_gradients(lambda x: kind(logits=x), [logits], cost)
    probs = logits.detach().softmax(1)
    wanted = probs * (costs - (probs @ costs).unsqueeze(1))
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("taken", [False, True], ids=["own", "taken"])
def test_the_check_is_exact_for_bits(taken):
    """Two nodes, one after the other: bits, then categories by what they are."""
    eta, theta = leaf(0.3) if taken else leaf(0.3, -0.4), leaf(0.2, -0.1, 0.7)
    copies = 1 + 2 * len(eta)

    def model(x):
        bits = Independent(Bernoulli(logits=eta * x), 1)
        z = sf.sample(bits, sf.MeasureValued(None if taken else copies), name="bits")
        which = Categorical(logits=theta * (1 + z.sum(1, keepdim=True)))
        y = sf.sample(which, name="which")
        return (z[:, 0] - 0.3 * z[:, -1] + 0.5 * y) ** 2

    objective = sf.expectation(model, samples=copies if taken else 1)
    one = torch.ones(1, 1, dtype=torch.float64)
    report = sf.check_unbiased(objective, one, wrt=[eta, theta], mode="exact", repeats=30)
    assert report, report


class AtPoints(Gamma):
    """A Gamma whose draws are given."""

    def sample(self, sample_shape=()):
        return self.points


class WeibullAtPoints(Weibull):
    """A Weibull whose draws are given."""

    def sample(self, sample_shape=()):
        return self.points


class NormalAtPoints(Normal):
    """A Normal whose draws are given."""

    def sample(self, sample_shape=()):
        return self.points


def laguerre_pairs():
    """Points of two exponential variables, and their weights, exact for polynomials."""
    points, weights = (torch.tensor(part) for part in np.polynomial.laguerre.laggauss(12))
    first, second = torch.cartesian_prod(points, points).unbind(1)
    return first, second, torch.outer(weights, weights).reshape(-1)


@pytest.mark.parametrize("kind", ["gamma", "weibull"])
def test_gamma_and_weibull_are_exact_by_quadrature(kind, monkeypatch):
    """Of concentration 1 both are exponential, and so is the noise that is added."""
    first, second, weights = laguerre_pairs()
    monkeypatch.setattr(decompositions, "exponential", lambda like: second)
    parameter = torch.full_like(first, 1.7).requires_grad_()
    one = torch.ones_like(first)

    def make(theta):
        distribution = AtPoints(one, theta) if kind == "gamma" else WeibullAtPoints(theta, one)
        scale = 1 / theta if kind == "gamma" else theta
        distribution.points = (first * scale).detach()
        return distribution

    loss, (gradient,) = row_gradients(make, [parameter], lambda z: z**3 - 2 * z)
    scale = torch.tensor(1.7, dtype=torch.float64).requires_grad_()
    mean = 1 / scale if kind == "gamma" else scale
    truth = 6 * mean**3 - 2 * mean
    torch.testing.assert_close(weights @ loss, truth.detach(), rtol=1e-9, atol=1e-9)
    (slope,) = torch.autograd.grad(truth, scale)
    torch.testing.assert_close(weights @ gradient, slope, rtol=1e-9, atol=1e-9)


def test_the_scale_of_a_normal_is_exact_by_quadrature(monkeypatch):
    """Of an even cost, that is: ε² + 2·noise is a polynomial in both."""
    points, weights = (torch.tensor(part) for part in gauss_hermite(12))
    noises, masses = (torch.tensor(part) for part in np.polynomial.laguerre.laggauss(12))
    epsilon, noise = torch.cartesian_prod(points, noises).unbind(1)
    weight = torch.outer(weights, masses).reshape(-1)
    monkeypatch.setattr(decompositions, "exponential", lambda like: noise)
    scale = torch.full_like(epsilon, 0.6).requires_grad_()

    def make(scale):
        distribution = NormalAtPoints(torch.zeros_like(scale), scale)
        distribution.points = (epsilon * scale).detach()
        return distribution

    loss, (gradient,) = row_gradients(make, [scale], lambda z: z**4 + z**2)
    truth = 3 * 0.6**4 + 0.6**2
    torch.testing.assert_close(weight @ loss, constant(truth)[0], rtol=1e-9, atol=1e-9)
    slope = 12 * 0.6**3 + 2 * 0.6
    torch.testing.assert_close(weight @ gradient, constant(slope)[0], rtol=1e-9, atol=1e-9)


def test_of_a_count_the_gradient_of_every_draw_is_known():
    """Of f(z) = z² it is f(z + 1) − f(z)."""
    rate = torch.full((50,), 2.5, dtype=torch.float64, requires_grad=True)
    loss, (gradient,) = row_gradients(Poisson, [rate], lambda z: z**2)
    torch.testing.assert_close(gradient, 2 * loss.sqrt() + 1)


# ---------------------------------------------------------------- Monte Carlo


CONTINUOUS = {
    "Normal": (Normal, (0.3, 0.8)),
    "Poisson": (Poisson, (1.7,)),
    "Gamma": (lambda rate: Gamma(torch.full_like(rate, 2.3), rate), (1.4,)),
    "Weibull": (lambda scale: Weibull(scale, torch.full_like(scale, 1.6)), (0.7,)),
}


def moments(name, parameters):
    """E[z² + .5·z] by its closed form."""
    if name == "Normal":
        loc, scale = parameters
        return loc**2 + scale**2 + 0.5 * loc
    (theta,) = parameters
    if name == "Poisson":
        return theta**2 + 1.5 * theta
    if name == "Gamma":
        return 2.3 * 3.3 / theta**2 + 0.5 * 2.3 / theta
    return theta**2 * math.gamma(1 + 2 / 1.6) + 0.5 * theta * math.gamma(1 + 1 / 1.6)


def errors(name, elements, scale=1.0):
    """By how many standard errors the loss and the gradients of the first element are off."""
    make, numbers = CONTINUOUS[name]
    torch.manual_seed(0)
    rows = 20_000
    shape = (rows, elements) if elements > 1 else (rows,)
    parameters = [torch.full(shape, x, dtype=torch.float64).requires_grad_() for x in numbers]

    def cost(z):
        return scale * (z**2 + 0.5 * z).reshape(len(z), -1).sum(1)

    loss, gradients = row_gradients(make, parameters, cost)
    leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in numbers]
    truth = moments(name, leaves)
    slopes = torch.autograd.grad(truth, leaves)
    found = [loss, *(g.reshape(rows, -1)[:, 0] for g in gradients)]
    wanted = [elements * truth.detach(), *slopes]
    return torch.stack(
        [(f.mean() - w).abs() / (f.std() / rows**0.5) for f, w in zip(found, wanted, strict=True)]
    )


@pytest.mark.parametrize("elements", [1, 3])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_formulas_are_unbiased(name, elements):
    """At most 1e-6 of all seeds fail by chance, in all comparisons of a case together."""
    assert (errors(name, elements) < THRESHOLD).all()


@pytest.mark.parametrize("name", CONTINUOUS)
def test_negative_control_another_cost_is_found(name):
    assert (errors(name, 1, scale=1.2) > THRESHOLD).all()


def test_the_variance_is_below_that_of_the_score():
    """Of the cost sin(z) under a Normal: .09 of it for the mean, .15 for the scale."""
    torch.manual_seed(0)
    variances = []
    for measure in (True, False):
        loc, scale = (torch.full((20_000,), x, requires_grad=True) for x in (0.3, 0.8))
        if measure:
            _, gradients = row_gradients(Normal, [loc, scale], torch.sin)
        else:
            with sf.StochasticGraph() as graph:
                sf.add_cost(sf.sample(Normal(loc, scale)).sin())
                loss = graph.loss(reduction="none").sum()
            gradients = torch.autograd.grad(loss, [loc, scale])
        variances.append(torch.stack([g.var() for g in gradients]))
    assert (variances[0] < 0.3 * variances[1]).all()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("kind", [Gamma, Weibull])
def test_a_parameter_without_a_formula_is_refused_by_name(kind):
    one, concentration = torch.ones(3), torch.ones(3, requires_grad=True)
    arguments = (concentration, one) if kind is Gamma else (one, concentration)
    match = f"'node'.*concentration of {kind.__name__} requires a gradient"
    with sf.StochasticGraph(), pytest.raises(ValueError, match=match):
        sf.sample(kind(*arguments), sf.MeasureValued(2))


def test_another_distribution_is_named():
    match = "Laplace has no measure-valued derivative here: there is one for Bernoulli, Normal"
    with sf.StochasticGraph(), pytest.raises(ValueError, match=match):
        sf.sample(Laplace(torch.ones(3, requires_grad=True), 1.0), sf.MeasureValued(2))
    with pytest.raises(ValueError, match=match):
        sf.MeasureValued.copies(Laplace(torch.ones(3), 1.0))


@pytest.mark.parametrize("taken", [True, False])
def test_another_number_of_copies_is_refused(taken):
    logits = torch.zeros(3, 2, requires_grad=True)
    match = re.escape(
        "MeasureValued has 4 copies of every row, but Bernoulli of 2 elements needs 5"
    )
    with sf.StochasticGraph():
        bits = Bernoulli(logits=sf.branch(logits, 4) if taken else logits)
        with pytest.raises(ValueError, match=match):
            sf.sample(bits, sf.MeasureValued(None if taken else 4))


def test_twins_do_not_teach_later_baselines():
    """A moving average sees the copy of weight 1 alone, whose cost is 1 in every row."""
    average = sf.MovingAverage(0.5)
    logits = torch.full((8,), 50.0, requires_grad=True)  # every draw is 1, one twin is 0
    with sf.StochasticGraph() as graph:
        z = sf.sample(Bernoulli(logits=logits), sf.MeasureValued(3))
        sf.sample(Bernoulli(logits=0 * sf.align(logits)), sf.ScoreFunction(average))
        sf.add_cost(z)
        graph.loss()
    assert average.read(torch.zeros(1, 1, 1), None).item() == pytest.approx(1)


def test_twins_are_made_under_vmap():
    """For one bit nothing is random but the rounding."""

    def loss(logits, cost):
        bits = Bernoulli(logits=logits.unsqueeze(0), validate_args=False)
        with sf.StochasticGraph() as graph:
            sf.add_cost(cost * sf.sample(bits, sf.MeasureValued(samples=3)))
        return graph.loss()

    logits, costs = torch.tensor(0.4), torch.tensor([1.0, 2.0, -3.0])
    gradient = torch.func.vmap(torch.func.grad(loss), (None, 0), randomness="different")
    probability = logits.sigmoid()
    torch.testing.assert_close(gradient(logits, costs), costs * probability * (1 - probability))


def test_copies_of_its_own_take_memory_like_the_categories_but_not_like_their_square():
    logits = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    costs = torch.linspace(-1, 1, 1000)
    categories = Categorical(logits=logits)
    with Sizes() as sizes:
        with sf.StochasticGraph() as graph:
            z = sf.sample(categories, sf.MeasureValued(samples=1001))
            sf.add_cost(costs[z])
        (gradient,) = torch.autograd.grad(graph.loss(), logits)
    assert sizes.largest < 10_000
    (wanted,) = torch.autograd.grad((logits.softmax(1) @ costs).mean(), logits)
    torch.testing.assert_close(gradient, wanted)
