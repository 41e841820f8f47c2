"""REBAR: what its three copies are, exactly by quadrature over their noise, and what it refuses."""

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, OneHotCategorical

import sfgrad as sf
from sfgrad.estimators import conditional
from sfgrad.estimators.conditional import bounded_logits, given_value
from tests.comparison import constant, leaf

ETA = 0.7


class AtValues(Bernoulli):
    """Draws what is given."""

    def sample(self, sample_shape=()):
        return self.values.expand(*sample_shape, *self.values.shape)


def rule():
    """Points and weights of the unit interval, in equal steps of its log-odds."""
    y = torch.linspace(-36, 36, 2000, dtype=torch.float64)
    points = y.sigmoid()
    weights = points * (1 - points) * (y[1] - y[0])
    return points, weights


def cost(z):
    """Smooth, not quadratic."""
    return (1.5 * z - 0.4).exp() - z**3


def quadrature(monkeypatch, estimator, order=1):
    """Mean of the value and of the derivatives, by a sum over bits and a rule over the noise."""
    points, weights = rule()
    noise = torch.cat([points, points])
    bits = torch.cat([torch.zeros_like(points), torch.ones_like(points)])
    monkeypatch.setattr(conditional, "uniform", lambda like: noise.view(like.shape))
    logits = torch.full_like(bits, ETA).requires_grad_()
    distribution = AtValues(logits=logits)
    distribution.values = bits
    with sf.StochasticGraph() as graph:
        sf.add_cost(cost(sf.sample(distribution, estimator)))
        loss = graph.loss(reduction="none").view(3, -1).mean(0)
    probability = torch.where(bits > 0, logits.sigmoid(), (-logits).sigmoid()).detach()
    mass = probability * torch.cat([weights, weights])
    results = [mass @ loss.detach()]
    part = loss
    for _ in range(order):
        (part,) = torch.autograd.grad(part.sum(), logits, create_graph=True)
        results.append(mass @ part.detach())
    return torch.stack(results)


def truth(order=1):
    """Value and derivatives of the expected cost."""
    logit = leaf(ETA)
    part = (logit.sigmoid() * cost(constant(1.0)) + (-logit).sigmoid() * cost(constant(0.0))).sum()
    results = [part.detach()]
    for _ in range(order):
        (part,) = torch.autograd.grad(part.sum(), logit, create_graph=True)
        results.append(part.detach().sum())
    return torch.stack(results)


@pytest.mark.parametrize(("temperature", "scale"), [(0.5, 1.0), (1.0, 0.3), (2.0, -0.5)])
def test_value_and_three_derivatives_are_exact(temperature, scale, monkeypatch):
    found = quadrature(monkeypatch, sf.Rebar(temperature, scale, samples=3), order=3)
    torch.testing.assert_close(found, truth(3), rtol=1e-7, atol=1e-7)


class WithoutPath(sf.Rebar):
    """The relaxed values carry no gradient."""

    def draw(self, distribution, batch_ndims):
        draw = super().draw(distribution, batch_ndims)
        return draw._replace(value=draw.value.detach())


def test_negative_control_without_the_path(monkeypatch):
    found = quadrature(monkeypatch, WithoutPath(samples=3))
    torch.testing.assert_close(found[0], truth()[0], rtol=1e-7, atol=1e-7)
    assert abs(found[1] - truth()[1]) > 1e-3


def test_a_variable_given_its_value_follows_the_whole_when_the_value_does():
    """Drawn through a random value, it is logistic: its quantiles are those of the logits."""
    torch.manual_seed(0)
    logits = torch.full((100_000,), ETA, dtype=torch.float64)
    base = Bernoulli(logits=logits)
    variable = given_value(base, base.sample(), bounded_logits(base))
    uniform = (variable - ETA).sigmoid()
    error = (1 / 12 / len(uniform)) ** 0.5
    assert (uniform.mean() - 0.5).abs() < 5 * error
    assert (uniform.square().mean() - 1 / 3).abs() < 5 * (4 / 45 / len(uniform)) ** 0.5


@pytest.mark.parametrize("kind", [Bernoulli, OneHotCategorical])
def test_the_relaxed_copies_are_equal_and_agree_with_the_hard(kind):
    logits = torch.randn(50, 4, requires_grad=True)
    with sf.StochasticGraph():
        distribution = kind(logits=logits)
        z = sf.sample(distribution, sf.Rebar(samples=6)).view(3, 2, 50, 4)
    hard, free, given = z.detach()
    assert torch.equal(free, given)
    if kind is Bernoulli:
        assert torch.equal(hard, (free > 0.5).float())
    else:
        assert torch.equal(hard.argmax(-1), free.argmax(-1))
        torch.testing.assert_close(free.sum(-1), torch.ones(2, 50))


def test_the_copies_are_weighed():
    logits = torch.zeros(4, requires_grad=True)
    with sf.StochasticGraph() as graph:
        sf.sample(Bernoulli(logits=logits), sf.Rebar(scale=0.25, samples=6), name="z")
    factor = graph.nodes["z"].draw.factor.view(3, 2, 4)
    assert torch.equal(factor, torch.tensor([3, 0.75, -0.75]).view(3, 1, 1).expand(3, 2, 4))


def test_it_has_less_variance_than_the_score_where_values_are_far_from_zero():
    """Of the cost (z + 1)², .53 of it, at three evaluations: nothing is tuned."""
    torch.manual_seed(0)
    variances = []
    for estimator in (sf.Rebar(samples=3), sf.ScoreFunction()):
        logits = torch.full((20_000,), ETA, requires_grad=True)
        with sf.StochasticGraph() as graph:
            z = sf.sample(Bernoulli(logits=logits), estimator)
            sf.add_cost((z + 1) ** 2)
            loss = graph.loss(reduction="none").view(-1, 20_000).mean(0).sum()
        variances.append(torch.autograd.grad(loss, logits)[0].var())
    assert variances[0] < 0.7 * variances[1]


def test_temperature_and_scale_may_be_assigned():
    estimator = sf.Rebar(samples=3)
    estimator.temperature, estimator.scale = 0.1, 0.5
    assert repr(estimator) == "Rebar(temperature=0.1, scale=0.5, samples=3)"
    with pytest.raises(ValueError, match="temperature is 0"):
        estimator.temperature = 0
    with pytest.raises(TypeError, match="scale is the string 'x'"):
        estimator.scale = "x"


def test_other_numbers_of_copies_are_refused():
    with pytest.raises(ValueError, match=r"samples is 4: Rebar needs three copies for each draw"):
        sf.Rebar(samples=4)
    rows = torch.zeros(2, requires_grad=True)
    with sf.StochasticGraph():
        bits = Bernoulli(logits=sf.branch(rows, 4))
        with pytest.raises(ValueError, match=r"there are 4 copies of every row: set samples="):
            sf.sample(bits, sf.Rebar())


def test_indices_of_categories_are_refused():
    categories = Categorical(logits=torch.zeros(2, 3, requires_grad=True))
    match = r"Rebar does not draw from Categorical, only from Bernoulli and OneHotCategorical"
    with sf.StochasticGraph(), pytest.raises(ValueError, match=match):
        sf.sample(categories, sf.Rebar(samples=3))


def test_ruled_out_categories_stay_out():
    logits = torch.tensor([[0.3, -torch.inf, 0.1]], requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = sf.sample(OneHotCategorical(logits=logits), sf.Rebar(samples=3))
        sf.add_cost((z * torch.tensor([1.0, 5.0, 2.0])).sum(1) ** 2)
        graph.loss().backward()
    assert (z[:, 1] == 0).all()
    assert logits.grad.isfinite().all()


def test_a_second_node_on_relaxed_values_is_scored_through_them():
    """Its parameters move with the relaxed value, and so does its score."""
    eta = torch.zeros(3, 2, requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = sf.sample(Independent(Bernoulli(logits=eta), 1), sf.Rebar(samples=3))
        sf.sample(Bernoulli(logits=z.sum(1)), name="next")
        sf.add_cost(torch.arange(9.0))
        (gradient,) = torch.autograd.grad(graph.loss(), eta)
    assert gradient.isfinite().all()
    assert graph.nodes["next"].draw.log_prob.requires_grad


def test_rows_without_elements_have_nothing_to_draw():
    with sf.StochasticGraph() as graph:
        logits = torch.zeros(2, 0, requires_grad=True)
        bits = sf.sample(Independent(Bernoulli(logits=logits), 1), sf.Rebar(samples=3))
        sf.add_cost(bits.sum(1) + 1)
    assert bits.shape == (6, 0)
    assert graph.loss() == 1


@pytest.mark.parametrize(
    "estimator", [sf.Rebar(samples=3), sf.Relax(torch.nn.Linear(1, 1))], ids=["Rebar", "Relax"]
)
def test_a_class_of_bits_with_other_arguments_is_drawn(estimator):
    """A subclass is made by what its author says, so no other one is made of it."""

    class Coins(Bernoulli):
        def __init__(self, heads):
            super().__init__(logits=heads, validate_args=False)

    logits = torch.zeros(4, requires_grad=True)
    loss = sf.expectation(lambda x: sf.sample(Coins(x), estimator).exp())(logits)
    loss.backward()
    assert logits.grad.isfinite().all()
