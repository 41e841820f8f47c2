"""RELAX and LAX: exact by quadrature over their noise, how the module learns, what it sees."""

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Gamma,
    Independent,
    LogNormal,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Poisson,
    TransformedDistribution,
)
from torch.distributions.transforms import AffineTransform

import sfgrad as sf
from sfgrad.estimators import conditional, surrogate
from tests.comparison import THRESHOLD, constant, leaf
from tests.estimators.test_rebar import ETA, AtValues, cost, rule, truth


class Cubic(nn.Module):
    """A control variate with nothing in common with the cost."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(constant(0.4, -1.1, 0.8))

    def forward(self, x):
        powers = torch.stack([x, x**2, x**3], -1)
        return (powers @ self.weight).sum(1)


class Zero(nn.Module):
    """Begins by saying 0."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x @ self.weight


def quadrature(monkeypatch):
    """Mean of the value and the gradient, by a sum over bits and a rule over the noise: `[2]`."""
    points, weights = rule()
    noise = torch.cat([points, points])
    bits = torch.cat([torch.zeros_like(points), torch.ones_like(points)])
    monkeypatch.setattr(conditional, "uniform", lambda like: noise.view(like.shape))
    logits = torch.full_like(bits, ETA).requires_grad_()
    distribution = AtValues(logits=logits)
    distribution.values = bits
    node = sf.StochasticNode(sf.Relax(Cubic()))
    # The rule draws what a distribution of that class would, so its twin may be a Bernoulli.
    monkeypatch.setattr(AtValues, "sample", lambda self, sample_shape=(): bits)
    with sf.StochasticGraph() as graph:
        sf.add_cost(cost(node(distribution)))
        loss = graph.loss(reduction="none")
    probability = torch.where(bits > 0, logits.sigmoid(), (-logits).sigmoid()).detach()
    mass = probability * torch.cat([weights, weights])
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    return torch.stack([mass @ loss.detach(), mass @ gradient])


def test_value_and_gradient_are_exact(monkeypatch):
    torch.testing.assert_close(quadrature(monkeypatch), truth(), rtol=1e-7, atol=1e-7)


def test_negative_control_a_relaxation_that_moves_with_the_value(monkeypatch):
    def twice(path, value):
        return value  # as if ζ were ζ̃

    monkeypatch.setattr(surrogate, "with_gradient_of", twice)
    found = quadrature(monkeypatch)
    torch.testing.assert_close(found[0], truth()[0], rtol=1e-7, atol=1e-7)
    assert abs(found[1] - truth()[1]) > 1e-4


# ---------------------------------------------------------------- continuous


class Smooth(nn.Module):
    """Adds up sines."""

    def forward(self, x):
        return (0.7 * x).sin().sum(1)


def continuous(name, rows):
    """A distribution over rows, its parameters `[rows]`, the costs' derivatives by them."""
    loc = torch.full((rows,), 0.3, dtype=torch.float64, requires_grad=True)
    scale = torch.full((rows,), 0.8, dtype=torch.float64, requires_grad=True)
    if name == "Normal":
        return Normal(loc, scale), [loc, scale], [0.6, 1.6]
    if name == "Independent":
        pair = Normal(torch.stack([loc, loc], 1), scale.unsqueeze(1))
        return Independent(pair, 1), [loc, scale], [1.2, 3.2]
    if name == "MultivariateNormal":
        root = scale.view(-1, 1, 1) * torch.eye(2, dtype=torch.float64)
        together = MultivariateNormal(torch.stack([loc, loc], 1), scale_tril=root)
        return together, [loc, scale], [1.2, 3.2]
    if name == "LogNormal":  # E[z²] = exp(2·loc + 2·scale²)
        second = torch.tensor(2 * 0.3 + 2 * 0.8**2).double().exp().item()
        return LogNormal(loc, scale), [loc, scale], [2 * second, 4 * 0.8 * second]
    return Gamma(scale, 1 + 0 * loc), [scale], [2 * 0.8 + 1]  # E[z²] = a² + a


NAMES = ["Normal", "Independent", "MultivariateNormal", "LogNormal", "Gamma"]


def errors(name, factor=1.0):
    """By how many standard errors the gradients of E[Σ z²] are off."""
    torch.manual_seed(0)
    rows = 20_000
    distribution, parameters, slopes = continuous(name, rows)
    node = sf.StochasticNode(sf.Relax(Smooth()))
    with sf.StochasticGraph() as graph:
        z = node(distribution)
        assert not z.requires_grad
        sf.add_cost(factor * z.square().reshape(rows, -1).sum(1))
        loss = graph.loss()
    gradients = torch.autograd.grad(rows * loss, parameters)
    return torch.stack(
        [
            (g.mean() - slope).abs() / (g.std() / rows**0.5)
            for g, slope in zip(gradients, slopes, strict=True)
        ]
    )


@pytest.mark.parametrize("name", NAMES)
def test_lax_is_unbiased(name):
    """At most 1e-6 of all seeds fail by chance, in all comparisons of a case together."""
    assert (errors(name) < THRESHOLD).all()


@pytest.mark.parametrize("name", NAMES)
def test_negative_control_another_cost_is_found(name):
    assert (errors(name, 1.5) > THRESHOLD).any()


def test_a_perfect_module_leaves_the_pathwise_gradient():
    class Perfect(nn.Module):
        def forward(self, x):
            return x.square().sum(1)

    loc = torch.zeros(50, dtype=torch.float64, requires_grad=True)
    node = sf.StochasticNode(sf.Relax(Perfect()))
    with sf.StochasticGraph() as graph:
        z = node(Normal(loc, 1.0))
        sf.add_cost(z**2)
        loss = graph.loss(reduction="none").sum()
    torch.testing.assert_close(torch.autograd.grad(loss, loc)[0], 2 * z)


# ---------------------------------------------------------------- learning


def variance(node, rows=20_000):
    """Of the gradient of E[(b + 1)²] by the logit."""
    logits = torch.full((rows,), ETA, dtype=torch.float64, requires_grad=True)
    node.eval()
    with sf.StochasticGraph() as graph:
        sf.add_cost((node(Bernoulli(logits=logits)) + 1) ** 2)
        loss = graph.loss(reduction="none").sum()
    node.train()
    return torch.autograd.grad(loss, logits)[0].var().item()


def test_the_variance_falls_as_the_module_learns():
    """To .009 of what it was, at most, for each of twenty seeds; the bound is half."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    node = sf.StochasticNode(sf.Relax(network))
    before = variance(node)
    optimizer = torch.optim.Adam(node.parameters(), 0.03)
    logits = torch.full((200,), ETA, dtype=torch.float64, requires_grad=True)
    for _ in range(150):
        optimizer.zero_grad()
        objective = sf.expectation(lambda: (node(Bernoulli(logits=logits)) + 1) ** 2)
        objective().backward()
        optimizer.step()
    assert variance(node) < 0.5 * before


def test_the_error_trains_the_module_alone():
    """The gradient by the logits is that of the formula, also while the module learns."""
    gradients = []
    for training in (True, False):
        torch.manual_seed(0)
        logits = leaf(0.3, -0.4, 1.0)
        node = sf.StochasticNode(sf.Relax(Cubic()))
        node.train(training)
        with sf.StochasticGraph() as graph:
            sf.add_cost((node(Bernoulli(logits=logits)) + 1) ** 2)
            graph.loss().backward()
        gradients.append(logits.grad)
        weight = node.baseline.module.weight
        assert (weight.grad is not None and bool(weight.grad.any())) == training
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_what_is_minimised_is_the_mean_square_of_the_gradient():
    torch.manual_seed(0)
    logits = leaf(0.3, -0.4, 1.0)
    node = sf.StochasticNode(sf.Relax(Cubic()))
    with sf.StochasticGraph() as graph:
        sf.add_cost((node(Bernoulli(logits=logits)) + 1) ** 2)
        rows = graph.loss(reduction="none")
    (gradient,) = torch.autograd.grad(rows.sum(), logits, retain_graph=True)

    # The loss of a row has the error of all rows, without its value.
    (found,) = torch.autograd.grad(rows[0], node.baseline.module.weight, retain_graph=True)
    knowledge = graph.nodes["node"].observation
    cost_to_go = graph.costs["cost"].value
    square = (cost_to_go - knowledge.prediction).unsqueeze(1) * knowledge.score + knowledge.slope
    torch.testing.assert_close(square.detach().squeeze(1), gradient)
    (wanted,) = torch.autograd.grad(square.square().mean(), node.baseline.module.weight)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("scale", [1e20, 1e30])
def test_the_value_is_right_where_the_square_of_the_gradient_overflows(scale):
    gradients = []
    for unit in (1.0, scale):
        torch.manual_seed(0)
        logits = torch.tensor([0.3, -0.4, 1.0], requires_grad=True)
        node = sf.StochasticNode(sf.Relax(Zero()))
        with sf.StochasticGraph() as graph:
            z = node(Bernoulli(logits=logits))
            sf.add_cost(unit * (z + 1) ** 2)
            loss = graph.loss()
        loss.backward()
        assert loss.item() == pytest.approx(unit * ((z + 1) ** 2).mean().item())
        gradients.append([logits.grad / unit, node.baseline.module.weight.grad / unit])
    torch.testing.assert_close(*gradients)


def test_masked_rows_do_not_train_it():
    logits = leaf(0.3, -0.4)
    node = sf.StochasticNode(sf.Relax(Cubic()))
    with sf.StochasticGraph() as graph:
        z = node(Bernoulli(logits=logits), mask=torch.tensor([False, False]))
        sf.add_cost((z + 1) ** 2)
        graph.loss().backward()
    assert not node.baseline.module.weight.grad.any()


def test_the_module_is_the_node_s():
    node = sf.StochasticNode(sf.Relax(nn.Linear(3, 1)))
    assert list(node.state_dict()) == ["baseline.module.weight", "baseline.module.bias"]
    assert len(list(node.parameters())) == 2
    assert repr(node.estimator) == "Relax(module=Linear(in_features=3, out_features=1, bias=True))"


# ---------------------------------------------------------------- what the module sees


class Watching(nn.Module):
    """Keeps the shapes that it is given."""

    def __init__(self):
        super().__init__()
        self.shapes, self.extremes = [], []

    def forward(self, x):
        self.shapes.append(list(x.shape))
        self.extremes += [x.min().item(), x.max().item()]
        return x.sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("distribution", "batch_ndims", "shape"),
    [
        (Bernoulli(torch.full((4,), 0.5, requires_grad=True)), 1, [4, 1]),
        (Bernoulli(torch.full((4, 3), 0.5, requires_grad=True)), 1, [4, 3]),
        (Bernoulli(torch.full((4, 3), 0.5, requires_grad=True)), 2, [12, 1]),
        (Bernoulli(torch.full((4, 3), 0.5, requires_grad=True)), 0, [1, 12]),
        (Categorical(torch.ones(4, 5, requires_grad=True)), 1, [4, 5]),
        (OneHotCategorical(torch.ones(4, 2, 5, requires_grad=True)), 1, [4, 10]),
        (Normal(torch.zeros(4, 2, requires_grad=True), 1.0), 1, [4, 2]),
    ],
    ids=str,
)
def test_the_module_sees_the_rows_flattened(distribution, batch_ndims, shape):
    module = Watching()
    node = sf.StochasticNode(sf.Relax(module))
    with sf.StochasticGraph(batch_ndims=batch_ndims) as graph:
        z = node(distribution)
        rows = z.shape[:batch_ndims]
        sf.add_cost(z.double().reshape(*rows, -1).sum(-1))
        graph.loss().backward()
    assert all(found == shape for found in module.shapes)
    if not isinstance(distribution, Normal):
        assert min(module.extremes) > 0
        assert max(module.extremes) < 1


def test_a_module_that_does_not_look_is_a_constant():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return self.value.expand(len(x))

    node = sf.StochasticNode(sf.Relax(Constant()))
    logits = torch.zeros(3, requires_grad=True)
    with sf.StochasticGraph() as graph:
        sf.add_cost(node(Bernoulli(logits=logits)) + 5)
        graph.loss().backward()
    assert logits.grad.any()
    assert node.baseline.module.value.grad < 0  # the costs are above it


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("module", [nn.Linear, sf.Constant(1.0), lambda x: x, None])
def test_what_is_no_module_is_refused(module):
    with pytest.raises(TypeError, match="the module of Relax is"):
        sf.Relax(module)


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (nn.Linear(2, 1), r"the Linear of Relax fails on torch.float32 \[3, 1\] on cpu"),
        (nn.Linear(1, 2), r"returned shape \[3, 2\] for 3 rows: return one number per row"),
        (nn.LSTM(1, 1), r"the LSTM of Relax returned a tuple"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(module, match):
    node = sf.StochasticNode(sf.Relax(module), name="z")
    with sf.StochasticGraph(), pytest.raises(ValueError, match=f"node 'z': .*{match}"):
        node(Bernoulli(logits=torch.zeros(3, requires_grad=True)))


@pytest.mark.parametrize(
    "distribution",
    [
        Poisson(torch.ones(3, requires_grad=True)),
        TransformedDistribution(
            Normal(torch.zeros(3, requires_grad=True), 1.0), [AffineTransform(1.0, 2.0)]
        ),
    ],
    ids=["Poisson", "TransformedDistribution"],
)
def test_other_distributions_are_refused_by_name(distribution):
    node = sf.StochasticNode(sf.Relax(nn.Linear(1, 1)))
    match = f"Relax does not draw from {type(distribution).__name__}: it takes bits"
    with sf.StochasticGraph(), pytest.raises(ValueError, match=match):
        node(distribution)


def test_values_that_are_replayed_alone_are_not_compared():
    logits = leaf(0.4, -0.3)
    values = constant(1.0, 0.0)
    losses = []
    for estimator in (sf.Relax(Cubic()), sf.ScoreFunction()):
        with sf.StochasticGraph(draws={"z": values}) as graph:
            sf.add_cost(sf.sample(Bernoulli(logits=logits), estimator, name="z") + 1)
            losses.append(torch.autograd.grad(graph.loss(), logits)[0])
    torch.testing.assert_close(*losses)
