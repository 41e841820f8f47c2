"""Costs normalised within groups: the advantage, the bias and what is learned."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli

import sfgrad as sf
from tests.comparison import leaf


def normalised(cost, eps):
    """Along the first dimension, written anew."""
    return (cost - cost.mean(0)) / (cost.std(0, unbiased=False) + eps)


def test_the_advantage_is_the_normalised_cost():
    logits, costs = leaf(0.3, -0.2), torch.randn(4, 2, dtype=torch.float64)
    z = torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0]], dtype=torch.float64)
    node = sf.ScoreFunction(sf.GroupNormalized(0.1), samples=4)
    with sf.StochasticGraph(draws={"z": z.flatten()}) as graph:
        sf.sample(Bernoulli(logits=logits), node, name="z")
        sf.add_cost(costs.flatten())
    loss = graph.loss()
    torch.testing.assert_close(loss, costs.mean())
    wanted = (normalised(costs, 0.1) * (z - logits.detach().sigmoid())).mean(0) / 2
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], wanted)


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_within_groups_of_any_size_and_order(shape):
    groups, costs = torch.tensor([7, -1, 7, 7, -1]), torch.randn(shape, dtype=torch.float64)
    logits = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    z = torch.ones(shape, dtype=torch.float64)
    with sf.StochasticGraph(len(shape), groups=groups, draws={"z": z}) as graph:
        sf.sample(Bernoulli(logits=logits), sf.ScoreFunction(sf.GroupNormalized(0.1)), name="z")
        sf.add_cost(costs)
    wanted = torch.empty_like(costs)
    for label in (7, -1):
        wanted[groups == label] = normalised(costs[groups == label], 0.1)
    (gradient,) = torch.autograd.grad(graph.loss(), logits)
    torch.testing.assert_close(gradient, wanted / 2 / costs.numel())


@pytest.mark.parametrize("groups", [None, torch.tensor([0, 0, 1, 1, 1])])
def test_equal_costs_give_no_gradient(groups):
    """The mean of equal numbers is off by rounding."""
    baseline, cost = sf.GroupNormalized(), torch.full((5,), 0.1)
    if groups is None:
        value = baseline.read(cost.view(1, 5, 1), None).flatten()
    else:
        value = baseline.read_groups(cost, groups)
    assert (cost - value).abs().max() < 1e-6


def model(baseline, power=2):
    """Two nodes, of which the second has the baseline."""
    eta = leaf(0.3, -0.8)
    second = sf.ScoreFunction(baseline)

    def fn(x):
        a = sf.sample(Bernoulli(logits=eta[0] + x), name="a")
        b = sf.sample(Bernoulli(logits=eta[1] + a), second, name="b")
        return (a + 2 * b - 0.7) ** power

    return fn, eta


def test_the_check_names_the_node():
    x = torch.zeros(1, dtype=torch.float64)
    fn, eta = model(sf.GroupNormalized())
    report = sf.check_unbiased(fn, x, wrt=[eta], samples=2, mode="exact", repeats=30)
    assert not report
    assert list(report.nodes) == ["b"]

    # A control: what is compared likewise, without a bias.
    fn, eta = model(sf.LeaveOneOut())
    assert sf.check_unbiased(fn, x, wrt=[eta], samples=2, mode="exact", repeats=30)


def test_only_the_direction_of_costs_matters():
    """Two draws: −1 and 1, however far apart their costs are."""
    costs = torch.tensor([[[1.0], [5.0]], [[0.3], [0.2]]])
    advantage = costs - sf.GroupNormalized(0.0).read(costs, None)
    torch.testing.assert_close(advantage, torch.tensor([[[-1.0], [1.0]], [[1.0], [-1.0]]]))


def test_it_learns():
    """Rows of very different cost. Over twenty seeds bits were off by .013 at most."""
    torch.manual_seed(0)
    logits = nn.Parameter(torch.zeros(4))
    node = sf.StochasticNode(sf.ScoreFunction(sf.GroupNormalized()))
    optimizer = torch.optim.Adam([logits], 0.1)
    wanted = torch.tensor([1.0, 0.0, 1.0, 1.0])

    def costs(x):
        bits = node(Bernoulli(logits=logits.expand(len(x), 4)))
        return (bits - wanted).abs().sum(1) + x

    objective = sf.expectation(costs, samples=8)
    for _ in range(100):
        optimizer.zero_grad()
        objective(torch.tensor([0.0, 100.0])).backward()
        optimizer.step()
    assert (logits.sigmoid() - wanted).abs().max() < 0.2


def test_masks_precision_state_and_settings():
    logits = torch.zeros(6, 3, dtype=torch.float16, requires_grad=True)
    node = sf.StochasticNode(sf.ScoreFunction(sf.GroupNormalized(0.01), samples=2))
    with sf.StochasticGraph() as graph:
        z = node(Bernoulli(logits=logits), mask=torch.tensor([[True], [False]] * 3).expand(6, 3))
        sf.add_cost(z.sum(1))
    graph.loss().backward()
    assert logits.grad.dtype == torch.float16
    assert not logits.grad[1::2].any()
    assert not node.state_dict()
    assert "GroupNormalized(eps=0.01)" in repr(node)


def test_refusals():
    with pytest.raises(ValueError, match="eps of GroupNormalized is -1: it must be at least 0"):
        sf.GroupNormalized(-1)
    with pytest.raises(ValueError, match="eps of GroupNormalized is nan: it must be at least 0"):
        sf.GroupNormalized(math.nan)
    with pytest.raises(TypeError, match="eps of GroupNormalized is the string 'small': it must be"):
        sf.GroupNormalized("small")
    with (
        sf.StochasticGraph(),
        pytest.raises(ValueError, match="node 'z': GroupNormalized has nothing to compare"),
    ):
        sf.sample(
            Bernoulli(logits=leaf(0.0, 1.0)), sf.ScoreFunction(sf.GroupNormalized()), name="z"
        )


def test_the_order_of_a_baseline_limits_that_of_its_estimator():
    assert sf.ScoreFunction(sf.GroupNormalized()).order == 0
    assert sf.ScoreFunction(sf.LeaveOneOut()).order == sf.ScoreFunction.order == float("inf")

    class First(sf.ScoreFunction):
        order = 1

    assert First(sf.LeaveOneOut()).order == 1
    assert First(sf.GroupNormalized()).order == 0
    node = sf.StochasticNode(sf.ScoreFunction(sf.GroupNormalized(), 4))
    assert "ScoreFunction, name=None, samples=4\n" in repr(node)
