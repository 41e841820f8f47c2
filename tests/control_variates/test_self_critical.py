"""Self-critical training: the cost of the likeliest run, and what that run leaves alone."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal, Uniform

import sfgrad as sf
from tests.control_variates.models import Chain, X, exactly_unbiased

SELF = sf.ScoreFunction(sf.SelfCritical())


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("kind", ["bits", "one-hot", "numbers"])
def test_a_chain_is_exactly_unbiased(kind, copies):
    assert exactly_unbiased(sf.expectation(Chain(SELF, kind=kind), samples=copies), X)


def test_own_copies_and_double_control_variates():
    model = Chain(
        sf.ScoreFunction(sf.SelfCritical(), samples=2), sf.ScoreFunction(sf.DoubleCV(0.8))
    )
    assert exactly_unbiased(model, X)


def test_it_is_the_cost_to_go_of_the_likeliest_run():
    """Three letters, the end being 0, and one cost for each letter and one at the end."""
    logits = torch.tensor([[0.1, 0.7], [0.2, 0.6], [0.5, 0.4]]).requires_grad_()
    price = torch.tensor([1.0, 10.0, 100.0])

    def model(x):
        for step in range(3):
            z = sf.sample(Categorical(logits=logits[step].expand(2, 2)), SELF, name="z")
            sf.add_cost(price[step] * z.to(x) * x, name="letter")
        sf.add_cost(x)

    objective = sf.expectation(model)
    graph = sf.StochasticGraph()
    torch.manual_seed(0)
    objective.record(graph, torch.tensor([1.0, 2.0]))
    graph.loss().backward()

    # The likeliest letters are 1, 1, 0.
    wanted = torch.zeros(3, 2)
    drawn = torch.stack([node.draw.value for node in graph.nodes.values()]).float()
    rows = torch.tensor([1.0, 2.0])
    costs = price.unsqueeze(1) * drawn * rows
    for step, likeliest in enumerate([11.0, 10.0, 0.0]):
        advantage = costs[step:].sum(0) + rows - (likeliest + 1) * rows
        score = drawn[step] - logits[step].softmax(0)[1].detach()
        wanted[step] = advantage * score
    torch.testing.assert_close(logits.grad[:, 1], wanted.mean(1))


def test_a_loss_of_some_costs_is_compared_with_these():
    logits = torch.tensor([2.0], requires_grad=True)

    def model():
        z = sf.sample(Bernoulli(logits=logits), SELF, name="z")
        sf.add_cost(z, name="one")
        sf.add_cost(100 * z, name="other")

    objective, graph = sf.expectation(model), sf.StochasticGraph(draws={"z": torch.zeros(1)})
    objective.record(graph)
    graph.loss(["one"]).backward()
    torch.testing.assert_close(logits.grad, -1 * (0 - torch.sigmoid(logits.detach())))


def test_a_node_that_the_likeliest_run_does_not_reach_is_compared_with_0():
    logits = torch.tensor([-2.0], requires_grad=True)

    def model():
        z = sf.sample(Bernoulli(logits=logits), name="go")
        if z.item():
            z = z + sf.sample(Bernoulli(logits=logits), SELF, name="on")
        sf.add_cost(torch.exp(z))

    objective = sf.expectation(model)
    graph = sf.StochasticGraph(draws={"go": torch.ones(1), "on": torch.ones(1)})
    objective.record(graph)
    assert "on" not in graph.tape.greedy.nodes
    graph.loss().backward()
    torch.testing.assert_close(
        logits.grad, 2 * torch.exp(torch.tensor([2.0])) * torch.sigmoid(-logits)
    )


@pytest.mark.parametrize("shape", ["rows", "elements"])
def test_masks(shape):
    logits = torch.tensor([[0.3, -0.8], [0.9, 0.1]], dtype=torch.float64, requires_grad=True)
    seen = torch.tensor([[True, False], [False, True]])
    mask = torch.tensor([True, False])
    mask, seen = (mask, mask.unsqueeze(1)) if shape == "rows" else (seen, seen)

    def model():
        z = sf.sample(Independent(Bernoulli(logits=logits), 1), SELF, mask=mask)
        return torch.exp((z * seen).sum(1))

    assert exactly_unbiased(model, wrt=[logits])


def test_rows_of_several_dimensions_and_ragged_ones():
    logits = torch.tensor([[0.3, -0.8]], dtype=torch.float64, requires_grad=True)

    def tokens(logits):
        return torch.exp(sf.sample(Bernoulli(logits=logits), SELF) * torch.tensor([1.0, 2.0]))

    assert exactly_unbiased(sf.expectation(tokens, batch_ndims=2, samples=2), logits, wrt=[logits])

    def ragged():
        index = torch.tensor([0, 1, 1])
        z = sf.sample(Bernoulli(logits=logits.expand(3, 2)[:, 0]), SELF, index=index)
        sf.add_cost(torch.exp(z), index=index)

    assert exactly_unbiased(ragged, wrt=[logits])


# ---------------------------------------------------------------- what the run leaves alone


class Norm(nn.Module):
    """A model with statistics and noise of its own."""

    def __init__(self, estimator):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.node = nn.BatchNorm1d(2), sf.StochasticNode(estimator)
        self.logits = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        z = self.node(Independent(Bernoulli(logits=self.norm(x) + self.logits), 1))
        return (z * nn.functional.dropout(x, 0.5, self.training)).sum(1)


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: lambda x: model(x)])
@pytest.mark.parametrize("training", [True, False])
def test_statistics_and_the_random_state_are_those_of_one_run(training, wrap):
    states = []
    for estimator in (sf.ScoreFunction(), SELF):
        model = Norm(estimator).train(training)
        objective = sf.expectation(wrap(model))
        torch.manual_seed(1)
        objective(torch.randn(5, 2)).backward()
        assert model.logits.grad is not None
        statistics = dict(model.norm.named_buffers())
        states.append((statistics, torch.get_rng_state()))
    torch.testing.assert_close(*states)


def test_the_value_of_the_loss_is_that_without_it():
    losses = []
    for estimator in (sf.ScoreFunction(), SELF):
        torch.manual_seed(1)
        model = Chain(estimator)
        torch.manual_seed(2)
        losses.append(sf.expectation(model)(X.repeat(7, 1)))
    torch.testing.assert_close(*losses)


# ---------------------------------------------------------------- what it is for


def test_training_by_it_finds_the_minimum():
    """Of 8 bits; after 400 steps of 8 rows all probabilities are within .1; .029 over 20 seeds."""
    torch.manual_seed(0)
    wanted = (torch.arange(8) % 2).float()
    logits = nn.Parameter(torch.zeros(8))

    def model(x):
        z = sf.sample(Independent(Bernoulli(logits=logits.expand(len(x), 8)), 1), SELF)
        return (z != wanted).sum(1)

    objective = sf.expectation(model)
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        objective(torch.zeros(8, 1)).backward()
        optimizer.step()
    assert ((logits.sigmoid() - wanted).abs() < 0.1).all()


def test_negative_control_a_run_of_the_drawn_values_is_found():
    class SeesItsDraw(sf.SelfCritical):
        def pair(self, evidence):
            return (evidence.cost_to_go / 2,) * 2

    model = Chain(sf.ScoreFunction(SeesItsDraw()), sf.ScoreFunction())
    report = exactly_unbiased(model, X)
    assert not report
    assert set(report.nodes) == {"first"}


# ---------------------------------------------------------------- what is refused


def test_a_bare_graph_cannot_run_the_model():
    logits = torch.zeros(2, requires_grad=True)
    message = r"node 'z': SelfCritical compares .* through expectation\(model\)"
    with sf.StochasticGraph(), pytest.raises(ValueError, match=message):
        sf.sample(Bernoulli(logits=logits), SELF, name="z")


def test_a_distribution_without_a_mode_is_named():
    logits = torch.zeros(2, requires_grad=True)

    def model():
        z = sf.sample(Bernoulli(logits=logits), SELF, name="z")
        return z + sf.sample(Uniform(z, z + 1), name="u")

    with pytest.raises(ValueError, match="node 'u': Uniform has no mode"):
        sf.expectation(model)()


def test_other_rows_are_refused():
    logits = torch.full((2,), 5.0, requires_grad=True)

    def model():
        z = sf.sample(Bernoulli(logits=logits), SELF, name="z")
        return sf.branch(z, 2) if z.any() else z

    objective = sf.expectation(model, draws={"z": torch.zeros(2)})
    with pytest.raises(ValueError, match="likeliest values has 4 rows but the usual one has 2"):
        objective()


def test_where_gradients_are_off_the_model_runs_once():
    calls = []

    def model(x):
        calls.append(1)
        return sf.sample(Normal(x, 1.0), SELF)

    with torch.no_grad():
        sf.expectation(model)(torch.zeros(2))
    assert len(calls) == 1
    sf.expectation(model)(torch.zeros(2, requires_grad=True))
    assert len(calls) == 3
