"""What baselines learn, when they do not, and how much variance they remove."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli

import sfgrad as sf


class Offset(nn.Module):
    """A large constant cost, which a baseline should take away."""

    def __init__(self, baseline):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(()))
        self.node = sf.StochasticNode(sf.ScoreFunction(baseline), name="z")

    def forward(self, x):
        z = self.node(Bernoulli(logits=self.logits.expand(len(x))), x)
        return 10 * x[:, 0] + z


def gradient_variance(objective, x, repeats=200):
    found = []
    for _ in range(repeats):
        objective.zero_grad()
        objective(x).backward()
        found.append(objective.fn.logits.grad.item())
    return torch.tensor(found[repeats // 2 :]).var().item()


def test_moving_average_is_corrected_for_its_start():
    average = sf.MovingAverage(decay=0.9)
    cost = torch.full((1, 1, 3), 4.0)
    assert average.read(cost, None).item() == 0
    average.update(cost, None)
    assert average.read(cost, None).item() == pytest.approx(4)
    average.update(torch.full((1, 1, 3), 8.0), None)
    assert average.read(cost, None).item() == pytest.approx((0.9 * 4 + 8) / 1.9)


def test_a_refused_loss_teaches_nothing():
    average = sf.MovingAverage()
    objective = sf.expectation(Offset(average))
    with pytest.raises(ValueError, match="NaN"):
        objective(torch.tensor([[1.0], [float("nan")]]))
    assert average.mass == 0
    assert objective(torch.ones(4, 1)).isfinite()
    assert average.average.isfinite()


@pytest.mark.parametrize("state", ["eval", "no grad"])
def test_nothing_learns_in_eval_mode_or_without_grad(state):
    average = sf.MovingAverage()
    objective = sf.expectation(Offset(average))
    objective(torch.ones(4, 1))
    before = average.average.item()
    assert before != 0
    if state == "eval":
        objective.eval()
        objective(torch.ones(4, 1))
    else:
        with torch.no_grad():
            objective(torch.ones(4, 1))
    assert average.average.item() == before


def test_learned_does_not_learn_in_eval_mode():
    learned = sf.Learned(nn.Linear(1, 1))
    objective = sf.expectation(Offset(learned)).eval()
    objective(torch.ones(4, 1)).backward()
    assert learned.module.weight.grad is None


@pytest.mark.training
def test_learned_learns_from_the_same_backward_and_leaves_value_and_context_alone():
    torch.manual_seed(0)
    learned = sf.Learned(nn.Linear(1, 1))
    objective = sf.expectation(Offset(learned))
    x = torch.rand(64, 1, requires_grad=True)
    optimizer = torch.optim.Adam(learned.parameters(), 0.1)
    for _ in range(600):
        optimizer.zero_grad()
        torch.manual_seed(1)
        loss = objective(x)
        loss.backward()
        optimizer.step()
    torch.manual_seed(1)
    plain = sf.expectation(Offset(None))(x)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-6)
    assert learned.module.weight.item() == pytest.approx(10, abs=0.5)
    assert learned.module.bias.item() == pytest.approx(0.5, abs=0.5)
    x.grad = None
    objective(x).backward()
    assert x.grad.flatten().tolist() == pytest.approx([10 / 64] * 64)  # the cost's own, no more


def test_the_value_is_right_where_the_error_of_learned_overflows():
    learned = sf.Learned(nn.Linear(1, 1, bias=False))
    nn.init.zeros_(learned.module.weight)
    with sf.StochasticGraph() as graph:
        node = sf.StochasticNode(sf.ScoreFunction(learned))
        node(Bernoulli(logits=torch.zeros(2, requires_grad=True)), torch.ones(2, 1))
        sf.add_cost(torch.tensor([1e30, 3e30]))
        loss = graph.loss()
    loss.backward()
    assert loss.item() == pytest.approx(2e30)
    assert learned.module.weight.grad.item() == pytest.approx(-4e30)  # of the mean square


@pytest.mark.parametrize("name", ["constant", "moving average", "learned", "leave-one-out"])
@pytest.mark.training
def test_every_baseline_takes_the_offset_away(name):
    """The variance without one is 110²/4/R; each must leave under a tenth, after a warm-up."""
    torch.manual_seed(0)
    linear = nn.Linear(1, 1)
    nn.init.constant_(linear.weight, 10.0)
    baseline = {
        "constant": sf.Constant(10.0),
        "moving average": sf.MovingAverage(0.9),
        "learned": sf.Learned(linear),
        "leave-one-out": sf.LeaveOneOut(),
    }[name]
    x = torch.ones(8, 1)
    plain = gradient_variance(sf.expectation(Offset(None), samples=2), x)
    assert gradient_variance(sf.expectation(Offset(baseline), samples=2), x) < 0.1 * plain


def test_learned_sees_copies_made_after_its_context():
    learned = sf.Learned(nn.Linear(2, 1))
    with sf.StochasticGraph() as graph:
        x = torch.randn(3, 2)
        z = sf.sample(
            Bernoulli(logits=torch.zeros(3)), sf.ScoreFunction(learned, samples=4), context=x
        )
        sf.add_cost(z)
    node = graph.nodes["node"]
    assert node.prediction.shape == (3,)
    graph.loss().backward()
    assert learned.module.weight.grad is not None


def test_state_is_saved_and_loaded():
    objective = sf.expectation(Offset(sf.MovingAverage()))
    objective(torch.ones(4, 1))
    other = sf.expectation(Offset(sf.MovingAverage()))
    other.load_state_dict(objective.state_dict())
    assert other.fn.node.baseline.average.item() == objective.fn.node.baseline.average.item() != 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_moving_average_is_kept_in_single_precision(dtype):
    """In bfloat16 it stops at 12.25 on the way to 13."""
    node = sf.StochasticNode(sf.ScoreFunction(sf.MovingAverage(0.99))).to(dtype)
    average = node.baseline
    assert average.average.dtype == average.mass.dtype == torch.float32
    for _ in range(2000):
        average.update(torch.full((1, 1, 4), 13.0, dtype=dtype), None)
    assert average.read(torch.zeros(1, 1, 4, dtype=dtype), None).item() == pytest.approx(13)
    assert node.double().baseline.average.dtype == torch.float64
    assert node.to(dtype).baseline.average.dtype == torch.float32
    assert node.baseline.average.item() == pytest.approx(13, rel=1e-3)


def test_costs_of_half_precision_meet_an_average_of_single_precision():
    logits = torch.zeros(4, dtype=torch.bfloat16, requires_grad=True)
    estimator = sf.ScoreFunction(sf.MovingAverage())
    with sf.StochasticGraph() as graph:
        z = sf.sample(Bernoulli(logits=logits), estimator)
        sf.add_cost(z + 1)
    graph.loss().backward()
    assert logits.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("weight", [1.0, 0.25])
@pytest.mark.parametrize("detach", [True, False])
def test_a_trunk_may_learn_from_the_error_of_the_baseline(detach, weight):
    torch.manual_seed(0)
    trunk = nn.Linear(1, 2)
    learned = sf.Learned(nn.Linear(2, 1), detach=detach, weight=weight)
    x = torch.randn(8, 1)
    with sf.StochasticGraph() as graph:
        h = trunk(x)
        z = sf.sample(Bernoulli(logits=torch.zeros(8)), sf.ScoreFunction(learned), context=h)
        sf.add_cost(z + 1)
    loss = graph.loss()
    assert loss.item() == pytest.approx((z + 1).mean().item())
    loss.backward()
    error = (learned.module(trunk(x))[:, 0] - (z + 1)).square().mean() * weight
    parts = [learned.module.weight, trunk.weight]
    wanted, of_trunk = torch.autograd.grad(error, parts)
    torch.testing.assert_close(learned.module.weight.grad, wanted)
    if detach:
        assert trunk.weight.grad is None
    else:
        torch.testing.assert_close(trunk.weight.grad, of_trunk)


# ---------------------------------------------------------------- one owner


def test_a_node_takes_over_the_baseline_of_an_estimator_that_is_assigned():
    node = sf.StochasticNode(name="gate")
    assert node.baseline is None
    assert not node.state_dict()
    learned = sf.Learned(nn.Linear(2, 1))
    node.estimator = sf.ScoreFunction(learned)
    assert node.baseline is node.estimator.baseline is learned
    assert sorted(node.state_dict()) == ["baseline.module.bias", "baseline.module.weight"]
    assert len(list(node.parameters())) == 2
    node.estimator = sf.ScoreFunction()
    assert node.baseline is None
    assert not list(node.parameters())


def test_the_two_names_of_a_baseline_cannot_part():
    class Own(sf.Estimator):
        def __init__(self):
            self.baseline = sf.Constant(1.0)

        def draw(self, distribution, batch_ndims):
            return sf.ScoreFunction().draw(distribution, batch_ndims)

    node = sf.StochasticNode(sf.ScoreFunction(sf.Constant(1.0)), name="gate")
    with pytest.raises(AttributeError, match="node.estimator = ScoreFunction"):
        node.baseline = sf.Constant(2.0)
    with pytest.raises(AttributeError, match="the baseline of a ScoreFunction is fixed"):
        node.estimator.baseline = sf.Constant(2.0)
    node.estimator = Own()
    node.estimator.baseline = sf.Constant(3.0)
    with pytest.raises(ValueError, match="node 'gate': the baseline of its estimator was replaced"):
        node(Bernoulli(logits=torch.zeros(2)))


# ---------------------------------------------------------------- one look


def test_finiteness_is_asked_once(monkeypatch):
    """Each time waits for the device."""
    asked = []
    item = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda x: asked.append(x) or item(x))
    sf.expectation(Offset(sf.MovingAverage()))(torch.ones(4, 1))
    assert len(asked) == 1


# [group-normalised advantages]
class GroupNormalized(sf.Baseline):
    """Divides by the deviation of the copies: the baseline that leaves their standardised cost."""

    compares = True

    def read(self, cost_to_go, prediction):
        return cost_to_go - sf.standardize(cost_to_go, eps=1e-4, dim=1)


# [/group-normalised advantages]


@pytest.mark.parametrize("mode", ["exact", "monte_carlo"])
def test_group_normalised_advantages_are_biased_and_the_check_finds_it(mode):
    eta = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    rows = 1 if mode == "exact" else 64

    def fn(baseline):
        estimator = sf.ScoreFunction(baseline, samples=3)
        return (sf.sample(Bernoulli(logits=eta.expand(rows)), estimator, name="z") - 0.2) ** 2

    settings = {"wrt": [eta], "mode": mode, "repeats": 100, "seed": 0}
    report = sf.check_unbiased(lambda: fn(GroupNormalized()), **settings)
    assert not report
    assert set(report.nodes) == {"z"}
    assert sf.check_unbiased(lambda: fn(sf.LeaveOneOut()), **settings)
