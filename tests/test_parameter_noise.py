"""Evolution strategies: parameters drawn row by row, and gradients that arrive at their mean."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent

import sfgrad as sf
from tests.comparison import THRESHOLD


def linear(inputs=2, outputs=1, dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, dtype=dtype)


def drawn_parameters(graph, name="node"):
    return graph.draws[name][0]


# ---------------------------------------------------------------- the draw


def test_every_row_has_its_own_parameters():
    module = linear(3, 2)
    policy, x = (
        sf.ParameterNoise(module, 0.3, sf.ScoreFunction()),
        torch.randn(5, 3, dtype=torch.float64),
    )
    with sf.StochasticGraph() as graph:
        y = policy(x)
        sf.add_cost(y.square().sum(1))
    assert list(graph.nodes) == ["node"]
    drawn = drawn_parameters(graph)
    assert drawn.shape == (5, 8)
    weights, biases = drawn[:, :6].view(5, 2, 3), drawn[:, 6:]
    torch.testing.assert_close(y, (weights @ x.unsqueeze(2)).squeeze(2) + biases)
    assert not y.requires_grad


def test_the_gradient_is_that_of_a_normal_distribution_of_the_parameters():
    module, x = linear(), torch.randn(4, 2, dtype=torch.float64)
    with sf.StochasticGraph() as graph:
        cost = sf.ParameterNoise(module, 0.3, sf.ScoreFunction())(x).squeeze(1) ** 4
        sf.add_cost(cost)
    gradients = torch.autograd.grad(graph.loss(), module.parameters())

    theta = torch.cat([p.detach().flatten() for p in module.parameters()])
    score = (drawn_parameters(graph) - theta) / 0.3**2
    wanted = (cost.unsqueeze(1) * score).mean(0)
    torch.testing.assert_close(torch.cat([g.flatten() for g in gradients]), wanted)


@pytest.mark.parametrize(
    "estimator", [sf.ScoreFunction(), sf.ScoreFunction(sf.Constant(0.4)), sf.Pathwise()]
)
def test_gradients_are_exact_by_quadrature(estimator):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.policy = sf.ParameterNoise(linear(1), 0.3, estimator)

        def forward(self, x):
            return (self.policy(x).squeeze(1) - 0.3) ** 2

    x = torch.tensor([[0.7]], dtype=torch.float64)
    model = Model()
    report = sf.check_unbiased(model, x, mode="exact", repeats=30, quadrature=4)
    assert report, report

    # The truth in closed form: E (m + s·ε − .3)², with s² = scale²·(x² + 1).
    value, (_, bias) = sf.exact_gradient(model, x, quadrature=4)
    mean = model.policy.module(x).item() - 0.3
    torch.testing.assert_close(value.item(), mean**2 + 0.09 * (0.49 + 1))
    torch.testing.assert_close(bias.item(), 2 * mean)


def test_a_biased_estimator_is_named():
    """A control: the second node sees its own draw."""

    class Peeking(sf.Baseline):
        def read(self, cost_to_go, prediction):
            return cost_to_go / 2

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = sf.ParameterNoise(linear(1), 0.3, sf.ScoreFunction())
            self.second = sf.ParameterNoise(linear(1), 0.3, sf.ScoreFunction(Peeking()))

        def forward(self, x):
            return (self.second(self.first(x)).squeeze(1) - 0.3) ** 2

    x = torch.tensor([[0.7]], dtype=torch.float64)
    report = sf.check_unbiased(Model(), x, mode="exact", repeats=30, quadrature=3)
    assert not report
    assert list(report.nodes) == ["second.node"]


def test_the_mean_over_rows_is_that_of_closed_form():
    """Monte Carlo over rows: E (w·x)² has the derivative 2·w·x², and its value a variance more."""
    torch.manual_seed(0)
    n, weight = 200_000, nn.Linear(1, 1, bias=False, dtype=torch.float64)
    x = torch.full((n, 1), 0.8, dtype=torch.float64)
    node = sf.ParameterNoise(weight, 0.5)
    with torch.no_grad():
        y = node(x).squeeze(1)
    errors = (y**2 - (weight.weight.item() ** 2 + 0.25) * 0.64).mean() / ((y**2).var() / n).sqrt()
    assert errors.abs() < THRESHOLD


# ---------------------------------------------------------------- antithetic by default


def test_two_copies_go_opposite_ways():
    policy = sf.ParameterNoise(linear(), 0.3)
    theta = torch.cat([p.detach().flatten() for p in policy.parameters()])
    with sf.StochasticGraph() as graph:
        x = sf.branch(torch.randn(3, 2, dtype=torch.float64), 2)
        sf.add_cost(policy(x).squeeze(1) ** 4)
    first, second = drawn_parameters(graph).view(2, 3, 3)
    torch.testing.assert_close(first + second, (2 * theta).expand(3, 3))
    graph.loss().backward()
    assert policy.module.weight.grad.abs().sum() > 0


def test_the_default_is_unbiased_by_monte_carlo():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.policy = sf.ParameterNoise(linear(1), 0.3)

        def forward(self, x):
            return (self.policy(x).squeeze(1) - 0.3) ** 3

    x = torch.full((200, 1), 0.7, dtype=torch.float64)
    report = sf.check_unbiased(
        Model(), x, samples=2, mode="monte_carlo", quadrature=6, repeats=200, seed=0
    )
    assert report, report


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("batch_ndims", [0, 1, 2])
def test_rows_of_any_number_of_dimensions(batch_ndims):
    module, x = linear(3, 2), torch.randn(4, 5, 3, dtype=torch.float64)
    with sf.StochasticGraph(batch_ndims=batch_ndims) as graph:
        y = sf.ParameterNoise(module, 0.1, sf.ScoreFunction())(x)
        sf.add_cost(y.square().reshape(*x.shape[:batch_ndims], -1).sum(-1))
    assert y.shape == (4, 5, 2)
    drawn = drawn_parameters(graph)
    assert drawn.shape == (*x.shape[:batch_ndims], 8)
    drawn = drawn.view(*x.shape[:batch_ndims], *[1] * (2 - batch_ndims), 8).expand(4, 5, 8)
    weights = drawn[..., :6].reshape(4, 5, 2, 3)
    wanted = (weights @ x.unsqueeze(-1)).squeeze(-1) + drawn[..., 6:]
    torch.testing.assert_close(y, wanted)
    graph.loss().backward()
    assert module.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("own", [True, False])
def test_copies_draw_independently(own):
    module, x = linear(), torch.randn(3, 2, dtype=torch.float64)
    estimator = sf.ScoreFunction(sf.LeaveOneOut(), samples=2 if own else 1)
    policy = sf.ParameterNoise(module, 0.1, estimator)
    shapes = []

    def costs(x):
        y = policy(x)
        shapes.append(y.shape)
        return (y - sf.align(x)[:, :1]).squeeze(1) ** 2

    sf.expectation(costs, samples=1 if own else 2)(x).backward()
    assert shapes == [(6, 1)]
    assert module.weight.grad.abs().sum() > 0


def test_several_inputs_containers_and_what_rows_share():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = linear(2, 2)

        def forward(self, x, y, factor, flag=None):
            assert flag == "yes"
            assert x.shape == (1, 2)
            return {"sum": self.linear(x) + y, "product": (factor * y,)}

    x, factor = torch.randn(3, 2, dtype=torch.float64), torch.tensor([2.0, 3.0])
    out = sf.ParameterNoise(Pair(), 0.1)(x, x + 1, factor=factor, flag="yes")
    assert out["sum"].shape == (3, 2)
    torch.testing.assert_close(out["product"][0], factor * (x + 1))


# ---------------------------------------------------------------- modes, state and types


def test_outside_a_graph_it_draws_and_greedily_it_does_not():
    module, x = linear(), torch.randn(3, 2, dtype=torch.float64)
    policy = sf.ParameterNoise(module, 0.1)
    assert not torch.equal(policy(x), policy(x))
    with sf.greedy():
        assert torch.equal(policy(x), module(x))


def test_draws_are_replayed():
    module, x = linear(), torch.randn(3, 2, dtype=torch.float64)
    policy = sf.ParameterNoise(module, 0.1, sf.ScoreFunction())
    results = []
    draws = None
    for _ in range(2):
        with sf.StochasticGraph(draws=draws) as graph:
            y = policy(x)
            sf.add_cost(y.squeeze(1))
        draws = graph.draws
        loss = graph.loss()
        results.append((y, *torch.autograd.grad(loss, [*module.parameters()])))
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted)


def test_frozen_parameters_and_buffers_stay_as_they_are():
    module = nn.Sequential(linear(2, 2), nn.BatchNorm1d(2, dtype=torch.float64).eval())
    module[0].weight.requires_grad_(False)
    policy = sf.ParameterNoise(module, 0.1, sf.ScoreFunction())
    with sf.StochasticGraph() as graph:
        sf.add_cost(policy(torch.randn(3, 2, dtype=torch.float64)).sum(1))
    assert drawn_parameters(graph).shape == (3, 6)
    graph.loss().backward()
    assert module[0].weight.grad is None
    assert module[1].weight.grad is not None


def test_state_and_settings():
    policy = sf.ParameterNoise(linear(), 0.1, sf.ScoreFunction(sf.MovingAverage()))
    names = {"module.weight", "module.bias", "node.baseline.average", "node.baseline.mass"}
    assert set(policy.state_dict()) == names
    policy.scale = 0.5
    assert "scale=0.5" in repr(policy)
    other = sf.ParameterNoise(nn.Linear(2, 1).double(), 0.1, sf.ScoreFunction(sf.MovingAverage()))
    other.load_state_dict(policy.state_dict())
    assert torch.equal(other.module.weight, policy.module.weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_precision_stays(dtype):
    module = linear(dtype=dtype)
    with sf.StochasticGraph() as graph:
        y = sf.ParameterNoise(module, 0.1, sf.ScoreFunction())(torch.randn(3, 2, dtype=dtype))
        sf.add_cost(y.squeeze(1))
    graph.loss().backward()
    assert y.dtype == module.weight.grad.dtype == dtype


def test_a_chain_with_a_discrete_node():
    policy = sf.ParameterNoise(linear(2, 3), 0.1, sf.ScoreFunction(sf.LeaveOneOut()))

    def costs(x):
        logits = policy(x)
        bits = sf.sample(Independent(Bernoulli(logits=logits), 1), name="bits")
        return bits.sum(1) ** 2

    sf.expectation(costs, samples=3)(torch.randn(4, 2, dtype=torch.float64)).backward()
    assert policy.module.weight.grad.abs().sum() > 0


def test_it_learns_what_has_no_derivative():
    """Points on the right side of a line, from a wrong one. Over twenty seeds .96 or more."""
    torch.manual_seed(0)
    module = nn.Linear(2, 1)
    nn.init.constant_(module.weight, -0.1)
    policy = sf.ParameterNoise(module, 0.3, sf.ScoreFunction(sf.LeaveOneOut()))
    optimizer = torch.optim.Adam(module.parameters(), 0.05)
    x = torch.randn(100, 2)
    label = (x.sum(1) > 0).float()

    def costs(x):
        return ((policy(x).squeeze(1) > 0).float() - (x.sum(1) > 0).float()).abs()

    objective = sf.expectation(costs, samples=8)
    for _ in range(100):
        optimizer.zero_grad()
        objective(x).backward()
        optimizer.step()
    with sf.greedy():
        accuracy = ((policy(x).squeeze(1) > 0).float() == label).float().mean()
    assert accuracy > 0.8


# ---------------------------------------------------------------- errors


def test_what_makes_no_sense_is_refused():
    with pytest.raises(TypeError, match="the module of ParameterNoise is a function: give an nn.M"):
        sf.ParameterNoise(lambda x: x, 0.1)
    with pytest.raises(ValueError, match="the ReLU of ParameterNoise has no parameter that requir"):
        sf.ParameterNoise(nn.ReLU(), 0.1)
    with pytest.raises(ValueError, match="Sequential of ParameterNoise holds a StochasticNode"):
        sf.ParameterNoise(nn.Sequential(linear(), sf.StochasticNode()), 0.1)
    with pytest.raises(TypeError, match="the estimator of StochasticNode is the class Pathwise"):
        sf.ParameterNoise(linear(), 0.1, sf.Pathwise)
    for scale in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"scale is {scale}: it must be a finite number above"):
            sf.ParameterNoise(linear(), scale)


def test_inputs_without_rows_are_refused():
    policy = sf.ParameterNoise(linear(), 0.1)
    with pytest.raises(ValueError, match=r"got inputs of shapes \[\]: give at least one"):
        policy()
    with pytest.raises(ValueError, match=r"inputs of shapes \[\[\]\]: give at least one, and the"):
        policy(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"shapes \[\[3, 2\], \[2, 2\]\]: .* the same rows in all"):
        policy(torch.zeros(3, 2), torch.zeros(2, 2))
    with pytest.raises(TypeError, match="got the string 'x' as an input: give tensors, rows first"):
        policy("x")


def test_an_estimator_that_does_not_fit_names_the_node():
    policy = sf.ParameterNoise(linear(), 0.1, sf.Enumerate())
    with (
        sf.StochasticGraph(),
        pytest.raises(ValueError, match="node 'node': Normal cannot be enum"),
    ):
        policy(torch.zeros(3, 2).double())


# ---------------------------------------------------------------- pairs of copies


@pytest.mark.parametrize("samples", [2, 4])
def test_pairs_of_copies_are_mirrored(samples):
    """An output that is linear in the parameters has the mean of its pairs at θ."""
    policy, x = sf.ParameterNoise(linear(), 0.3), torch.ones(3, 2).double()
    outputs = []

    def cost(x):
        outputs.append(policy(x).squeeze(1))
        return outputs[-1]

    sf.expectation(cost, samples=samples)(x)
    first, second = outputs[0].view(2, -1)
    torch.testing.assert_close(
        (first + second) / 2, policy.module(x).squeeze(1).repeat(samples // 2)
    )
    assert not torch.allclose(first, second)


def test_an_odd_number_of_copies_is_drawn_independently():
    policy = sf.ParameterNoise(linear(), 0.3)
    loss = sf.expectation(lambda x: policy(x).square(), samples=3)(torch.ones(3, 2).double())
    loss.backward()
    assert policy.module.weight.grad.isfinite().all()


def test_mirrored_noise_is_unbiased():
    policy, x = sf.ParameterNoise(linear(), 0.3), torch.ones(40, 2).double()
    report = sf.check_unbiased(
        lambda x: policy(x).squeeze(1).sin(), x, samples=2, wrt=list(policy.parameters()),
        quadrature=8, mode="monte_carlo", seed=0, repeats=300, max_outcomes=100_000,
    )  # fmt: skip
    assert report, report


# ---------------------------------------------------------------- modules that vmap does not know


def test_a_recurrent_layer_is_called_row_after_row():
    """With so little noise each output is that of the module, and all weights get gradients."""
    torch.manual_seed(0)
    layer = nn.GRU(2, 3, batch_first=True)
    noisy, x = sf.ParameterNoise(layer, 1e-6), torch.randn(5, 4, 2)
    output, state = noisy(x)
    wanted, last = layer(x)
    torch.testing.assert_close(output, wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(state.squeeze(1), last.squeeze(0), rtol=0, atol=1e-4)

    sf.expectation(lambda x: noisy(x)[0].square().sum((1, 2)), samples=2)(x).backward()
    assert all(weight.grad.abs().max() > 0 for weight in layer.parameters())


def test_batch_normalisation_in_training_is_refused():
    layers = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    noisy = sf.ParameterNoise(layers, 0.1)
    with pytest.raises(ValueError, match=r"batch normalisation in training, '1': each row has"):
        noisy(torch.zeros(5, 2))
    noisy.eval()
    assert noisy(torch.zeros(5, 2)).shape == (5, 2)
    forgetful = sf.ParameterNoise(nn.BatchNorm1d(2, track_running_stats=False).eval(), 0.1)
    with pytest.raises(ValueError, match="batch normalisation in training: each row has"):
        forgetful(torch.zeros(5, 2))


def test_what_cannot_be_called_row_after_row_is_refused():
    with pytest.raises(ValueError, match="got no row, and calls GRU row after row"):
        sf.ParameterNoise(nn.GRU(2, 3), 0.1)(torch.zeros(0, 4, 2))

    class Counting(nn.GRU):
        def forward(self, x):
            return super().forward(x)[0], 3

    with pytest.raises(TypeError, match="Counting of ParameterNoise returned 3 among"):
        sf.ParameterNoise(Counting(2, 3), 0.1)(torch.zeros(5, 4, 2))
