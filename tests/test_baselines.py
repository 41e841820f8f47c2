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
