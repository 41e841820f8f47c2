"""LAX where the path cannot be differentiated twice, and what surrounds the module."""

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Beta,
    ContinuousBernoulli,
    Dirichlet,
    Exponential,
    Gamma,
    Independent,
    Kumaraswamy,
    StudentT,
)

import sfgrad as sf
from tests.comparison import leaf


class Squares(nn.Module):
    """The sum of squares, times a parameter that is 1."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, value):
        return self.scale * value.square().sum(1)


PATHS = {
    "gamma": lambda a, b: Independent(Gamma(a, b), 1),
    "beta": lambda a, b: Independent(Beta(a, b), 1),
    "dirichlet": lambda a, b: Dirichlet(a * b),
    "student": lambda a, b: Independent(StudentT(a + 3, a, b), 1),
    "kumaraswamy": lambda a, b: Independent(Kumaraswamy(a, b), 1),
}


@pytest.mark.parametrize("name", PATHS)
def test_paths_that_cannot_be_differentiated_twice_have_a_gradient(name):
    """A perfect module leaves the pathwise gradient of the very draws."""
    parameters = leaf(0.7, 1.9, 1.2), leaf(1.4, 0.8, 2.1)
    module, gradients = Squares(), []
    for estimator in (sf.Relax(module), sf.Pathwise()):
        node = sf.StochasticNode(estimator)
        torch.manual_seed(0)
        with sf.StochasticGraph() as graph:
            distribution = PATHS[name](*(part.expand(4, 3) for part in parameters))
            sf.add_cost(node(distribution).square().sum(1))
        loss = graph.loss()
        gradients.append(torch.autograd.grad(loss, parameters, retain_graph=True))
        if not gradients[1:]:
            loss.backward()
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)
    assert module.scale.grad.isfinite()


def test_the_error_has_the_derivative_by_the_module():
    """That of the mean square of the gradient by the rate, of which all is known."""
    rate, module = leaf(1.5), Squares()
    torch.manual_seed(0)
    node = sf.StochasticNode(sf.Relax(module))
    with sf.StochasticGraph() as graph:
        z = node(Independent(Exponential(rate.view(1, 1)), 1))
        sf.add_cost(3 * z.sum(1))
    graph.loss().backward()

    # z = noise / rate, so that its derivative is −z / rate; the score is 1 / rate − z.
    scale, z = leaf(1.0), z.detach()
    gradient = (3 * z - scale * z**2) * (1 / 1.5 - z) - scale * 2 * z**2 / 1.5
    gradient.square().sum().backward()
    torch.testing.assert_close(module.scale.grad, scale.grad.squeeze(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_module_gets_values_of_its_own_type(dtype):
    module = nn.Linear(2, 1, dtype=dtype)
    logits = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    node = sf.StochasticNode(sf.Relax(module))
    with sf.StochasticGraph() as graph:
        sf.add_cost(node(Independent(Bernoulli(logits=logits), 1)).sum(1))
    loss = graph.loss()
    loss.backward()
    assert loss.dtype == logits.grad.dtype == torch.float64
    assert module.weight.grad.dtype == dtype


def test_torch_func_is_refused_by_name():
    def loss(logits):
        with sf.StochasticGraph() as graph:
            sf.add_cost(sf.sample(Bernoulli(logits=logits), sf.Relax(nn.Linear(1, 1))))
        return graph.loss()

    with pytest.raises(ValueError, match="Relax takes the slope of its module by a backward pass"):
        torch.func.grad(loss)(torch.zeros(3))


def test_a_distribution_with_two_names_for_a_parameter_is_refused():
    distribution = ContinuousBernoulli(logits=torch.zeros(3, requires_grad=True))
    with (
        sf.StochasticGraph(),
        pytest.raises(ValueError, match="Relax does not draw from ContinuousBernoulli"),
    ):
        sf.sample(distribution, sf.Relax(nn.Linear(1, 1)))
