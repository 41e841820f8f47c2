"""Baselines that are made anew in each call, and so never learn."""

import warnings

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli

import sfgrad as sf

MESSAGE = "node 'z' has a {} baseline that was made while the graph recorded, and that no module"
X = torch.zeros(3, 1)


class Counting(sf.Baseline):
    """A baseline of one's own, with a state."""

    count = 0

    def read(self, cost_to_go, prediction):
        return torch.tensor(0.0)

    def update(self, cost_to_go, prediction, mask=None):
        self.count += 1


class Model(nn.Module):
    """One draw by an estimator that is made in each call, or kept after the first."""

    def __init__(self, make, keep=None):
        super().__init__()
        self.make, self.keep = make, keep
        self.linear, self.critic = nn.Linear(1, 1), nn.Linear(1, 1)

    def forward(self, x):
        distribution = Bernoulli(logits=self.linear(x)[:, 0])
        if self.keep == "node":
            if not hasattr(self, "node"):
                self.node = sf.StochasticNode(self.make(self), "z")
            return self.node(distribution, context=x)
        if self.keep == "list":
            if not hasattr(self, "baselines"):
                self.estimator = self.make(self)
                self.baselines = nn.ModuleList([self.estimator.baseline])
            estimator = self.estimator
        else:
            estimator = self.make(self)
        return sf.sample(distribution, estimator, context=x, name="z")


MAKES = {
    "MovingAverage": lambda model: sf.ScoreFunction(sf.MovingAverage()),
    "Learned": lambda model: sf.ScoreFunction(sf.Learned(nn.Linear(1, 1))),
    "Counting": lambda model: sf.ScoreFunction(Counting()),
}


@pytest.mark.parametrize("kind", MAKES)
def test_a_baseline_that_is_made_in_each_call_warns(kind):
    objective = sf.expectation(Model(MAKES[kind]))
    for _ in range(2):
        with pytest.warns(UserWarning, match=MESSAGE.format(kind)) as caught:
            objective(X)
        assert len(caught) == 1


@pytest.mark.parametrize(
    ("make", "title"),
    [
        (lambda model: sf.Relax(nn.Linear(1, 1)), "Relax control variate"),
        (lambda model: sf.Antithetic(sf.MovingAverage(), samples=2), "MovingAverage baseline"),
    ],
    ids=["Relax", "Antithetic"],
)
def test_it_warns_in_words_of_what_was_written(make, title):
    with pytest.warns(UserWarning, match=f"node 'z' has a {title} that was made while") as caught:
        sf.expectation(Model(make))(X)
    (warning,) = caught
    assert "StochasticNode(estimator)" in str(warning.message)
    assert "Surrogate" not in str(warning.message)
    assert "ScoreFunction" not in str(warning.message)


def test_a_relax_in_two_losses_is_named():
    node = sf.StochasticNode(sf.Relax(nn.Linear(1, 1)))
    with sf.StochasticGraph() as graph:
        for name in ("first", "second"):
            z = node(Bernoulli(logits=torch.zeros(2, requires_grad=True)))
            sf.add_cost(z, name=name)
    graph.loss(["first"])
    with pytest.raises(ValueError, match="a Relax control variate would learn from two losses"):
        graph.loss(["second"])


def test_it_warns_once_a_graph_and_once_a_line():
    objective = sf.expectation(Model(MAKES["MovingAverage"]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            objective(X)
    assert len(caught) == 1
    with sf.StochasticGraph() as graph:
        for _ in range(3):
            estimator = sf.ScoreFunction(sf.MovingAverage())
            sf.sample(Bernoulli(torch.tensor([0.5])), estimator, name="step")
        sf.add_cost(torch.ones(1))
    with pytest.warns(UserWarning, match="node 'step' has a MovingAverage") as caught:
        graph.loss()
    assert len(caught) == 1


def test_a_node_that_is_thrown_away_owns_nothing():
    def fn(x):
        node = sf.StochasticNode(sf.ScoreFunction(sf.MovingAverage()), "z")
        return node(Bernoulli(logits=x[:, 0]))

    with pytest.warns(UserWarning, match=MESSAGE.format("MovingAverage")):
        sf.expectation(fn)(X.clone().requires_grad_())


@pytest.mark.parametrize("keep", ["node", "list"])
@pytest.mark.parametrize("kind", MAKES)
def test_a_baseline_that_is_made_in_the_first_call_and_kept(kind, keep):
    model = Model(MAKES[kind], keep)
    objective = sf.expectation(model)
    for _ in range(3):
        objective(X)
    if kind == "MovingAverage":
        average = (model.node if keep == "node" else model).state_dict()
        assert any(name.endswith("mass") and mass > 0.02 for name, mass in average.items())


def test_a_baseline_that_was_made_before_is_not_looked_at():
    estimator = sf.ScoreFunction(sf.MovingAverage())
    sf.expectation(Model(lambda model: estimator))(X)


@pytest.mark.parametrize("baseline", [sf.Constant(1.0), sf.LeaveOneOut()])
def test_a_baseline_without_a_state_may_be_made_in_each_call(baseline):
    make = type(baseline)
    arguments = [1.0] if make is sf.Constant else []
    sf.expectation(Model(lambda model: sf.ScoreFunction(make(*arguments))), samples=2)(X)


def test_a_critic_that_somebody_keeps_does_learn():
    """A `Learned` of each call is but a wrapper."""
    model = Model(lambda model: sf.ScoreFunction(sf.Learned(model.critic)))
    sf.expectation(model)(X).backward()
    assert model.critic.bias.grad.item() != 0

    critic = nn.Linear(1, 1)
    sf.expectation(Model(lambda model: sf.ScoreFunction(sf.Learned(critic))))(X)
    with sf.StochasticGraph() as graph:
        local = nn.Linear(1, 1)
        estimator = sf.ScoreFunction(sf.Learned(local))
        sf.sample(Bernoulli(torch.tensor([0.5])), estimator, context=torch.ones(1, 1))
        sf.add_cost(torch.ones(1))
    graph.loss()


def test_the_checks_do_not_warn():
    def fn(x):
        estimator = sf.ScoreFunction(sf.MovingAverage())
        return (sf.sample(Bernoulli(logits=x[:, 0]), estimator, name="z") - 0.3) ** 2

    x = X.double().requires_grad_()
    assert sf.check_unbiased(fn, x[:1], wrt=[x])
    with torch.no_grad():
        sf.expectation(fn)(x)
