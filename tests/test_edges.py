"""Edges where something went silently wrong, or ended in an error of torch's own."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal, Uniform

import sfgrad as sf

INDEX = torch.tensor([0, 0, 1, 1, 1])


@pytest.fixture
def logits():
    return torch.tensor([0.3, -1.0, 2.0], requires_grad=True)


def test_rows_of_one_dimension_are_refused_where_two_are_said(logits):
    """Once copies were made before the second dimension was known, they were taken for copies."""

    def fn(logits):
        first = sf.sample(Bernoulli(logits=logits), name="first")
        return first[:, None] + sf.sample(Bernoulli(logits=torch.zeros(len(logits), 2)))

    with pytest.raises(ValueError, match=r"'first' has batch shape \[6\].*first 2 dimension"):
        sf.expectation(fn, samples=2, batch_ndims=2)(logits)


def ragged(branched):
    """Two rows of two and three ones, in two copies."""
    eta, ones = torch.zeros(5, requires_grad=True), torch.ones(10)
    with sf.StochasticGraph(draws={"z": ones}) as graph:
        h = sf.branch(eta, 2, index=INDEX) if branched else sf.branch(eta, 2)
        sf.sample(Bernoulli(logits=h), index=INDEX, name="z")
        assert sf.align(torch.arange(5), index=INDEX).tolist() == [0, 1, 2, 3, 4] * 2
        sf.add_cost(ones, index=INDEX)
    return graph, eta


def test_elements_of_ragged_rows_are_branched_with_their_index():
    graph, eta = ragged(True)
    assert graph.rows == 4
    loss = graph.loss()
    loss.backward()
    assert loss.item() == 2.5
    assert eta.grad.tolist() == [0.5, 0.5, 0.75, 0.75, 0.75]
    with pytest.raises(ValueError, match=r"names 2 rows, but branch\(\) was given 5.*index=index"):
        ragged(False)


def test_ragged_rows_are_summed_in_single_precision():
    index, ones = torch.zeros(1000, dtype=torch.int64), torch.ones(1000, dtype=torch.bfloat16)
    with sf.StochasticGraph() as graph:
        sf.sample(Bernoulli(logits=0 * ones), index=index, name="z")
        sf.add_cost(ones, index=index)
    assert graph.costs["cost"].value.item() == 1000  # in bfloat16 it stops at 256
    assert graph.nodes["z"].draw.log_prob.item() == pytest.approx(-693, abs=4)


def test_ragged_draws_are_replayed_where_there_are_as_many_elements_as_rows(logits):
    index = torch.tensor([2, 0, 1])

    def play(draws=None):
        with sf.StochasticGraph(draws=draws) as graph:
            z = sf.sample(Bernoulli(logits=logits), index=index, name="z")
            sf.add_cost(z, index=index)
        return graph

    with torch.no_grad():
        rollout = play()
    draw = play(rollout.draws).nodes["z"].draw
    torch.testing.assert_close(draw.log_prob, draw.log_density)


def test_enumerated_draws_with_masked_elements_are_replayed_at_their_weight():
    torch.manual_seed(0)
    logits = torch.randn(2, 2, requires_grad=True)
    mask = torch.tensor([[True, False], [True, True]])

    def play(draws=None):
        with sf.StochasticGraph(draws=draws) as graph:
            distribution = Independent(Bernoulli(logits=logits), 1)
            z = sf.sample(distribution, sf.Enumerate(), mask=mask, name="z")
            sf.add_cost(z[:, 0] * 3 + 1)
        return graph

    live = play()
    torch.testing.assert_close(play(live.draws).loss(), live.loss())


@pytest.mark.parametrize("by", ["torch", "numpy"])
def test_a_mask_that_is_used_again_is_kept_as_it_was(by):
    logits = torch.zeros(4, 3, requires_grad=True)
    gradients = []
    for copies in (True, False):
        torch.manual_seed(0)
        array = np.ones(4, dtype=bool)
        alive = torch.from_numpy(array)
        with sf.StochasticGraph() as graph:
            for _ in range(3):
                z = sf.sample(Categorical(logits=logits), mask=alive.clone() if copies else alive)
                sf.add_cost(z.float() + 1)
                if by == "torch":
                    alive &= z != 0
                else:
                    array &= (z != 0).numpy()
        gradients.append(torch.autograd.grad(graph.loss(), logits)[0])
    assert gradients[0].any(1).all()
    torch.testing.assert_close(*gradients)


def test_what_was_made_in_inference_mode_may_be_used(logits):
    with torch.inference_mode():
        mask, context = torch.tensor([True, True, False]), torch.ones(3, 1)
    learned = sf.Learned(nn.Linear(1, 1))
    with sf.StochasticGraph() as graph:
        distribution = Bernoulli(logits=logits)
        z = sf.sample(distribution, sf.ScoreFunction(learned), mask=mask, context=context)
        sf.add_cost(z)
    graph.loss().backward()
    assert learned.module.weight.grad is not None


def test_a_context_that_does_not_count_does_not_reach_the_module(logits):
    learned = sf.Learned(nn.Linear(1, 1))
    context = torch.tensor([[1.0], [2.0], [torch.nan]])
    with sf.StochasticGraph() as graph:
        mask = torch.tensor([True, True, False])
        sf.sample(Bernoulli(logits=logits), sf.ScoreFunction(learned), mask=mask, context=context)
        sf.add_cost(torch.ones(3))
    graph.loss().backward()
    assert learned.module.weight.grad.isfinite().all()


def test_a_limit_of_ratios_leaves_masked_rows_and_the_record_alone():
    recorded = {"z": (torch.ones(2), torch.tensor([-5.0, -7.0]))}
    with sf.StochasticGraph(draws=recorded, max_ratio=2.0) as graph:
        logits = torch.zeros(2, requires_grad=True)
        sf.sample(Bernoulli(logits=logits), mask=torch.tensor([True, False]), name="z")
        sf.add_cost(torch.ones(2))
    assert graph.loss(reduction="none").tolist() == pytest.approx([2.0, 1.0])
    assert graph.draws["z"][1].tolist() == [-5.0, 0.0]


def test_log_probabilities_with_time_first_are_refused():
    logits = torch.zeros(3, 2)
    recorded = {"z": (torch.ones(3, 2), torch.zeros(2, 3))}
    with (
        sf.StochasticGraph(2, draws=recorded),
        pytest.raises(ValueError, match=r"log-probability has shape \[2, 3\]: give one number"),
    ):
        sf.sample(Bernoulli(logits=logits), name="z")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones(3), "draws= gives ndarray, NoneType: give a tensor, or a pair"),
        ((torch.ones(3), 0.5), "draws= gives Tensor, float: give a tensor, or a pair"),
        (torch.ones(3, dtype=torch.int64), "the distribution refuses the replayed value"),
    ],
)
def test_what_cannot_be_replayed_names_the_node(logits, given, message):
    with (
        sf.StochasticGraph(draws={"z": given}),
        pytest.raises(ValueError, match=f"node 'z': {message}"),
    ):
        sf.sample(Bernoulli(logits=logits), name="z")


def test_an_empty_batch_says_so():
    with sf.StochasticGraph():
        with pytest.raises(ValueError, match="node 'z' has no rows: the batch is empty"):
            sf.sample(Bernoulli(logits=torch.zeros(0)), name="z")
        with pytest.raises(ValueError, match="empty index as the first record"):
            sf.add_cost(torch.zeros(0), index=torch.zeros(0, dtype=torch.int64))


def test_a_mode_that_is_not_a_number_is_not_known():
    with sf.greedy(), pytest.raises(ValueError, match="Uniform has no mode"):
        sf.sample(Uniform(torch.zeros(2), torch.ones(2)))


def test_a_loss_that_was_refused_may_be_asked_for_again(logits):
    with sf.StochasticGraph(draws={"typo": torch.ones(3)}) as graph:
        sf.sample(Bernoulli(logits=logits), name="z")
        sf.add_cost(torch.ones(3))
    for _ in range(2):
        with pytest.raises(ValueError, match="draws= names typo"):
            graph.loss()


def test_a_sample_that_carries_a_path_is_scored_without_it():
    class Reparametrised(Normal):
        def sample(self, sample_shape=()):
            return super().rsample(sample_shape)

    loc = torch.zeros(3, requires_grad=True)
    torch.manual_seed(0)
    with sf.StochasticGraph() as graph:
        z = sf.sample(Reparametrised(loc, 1.0))
        sf.add_cost(z**2)
    graph.loss().backward()
    assert not z.requires_grad
    torch.testing.assert_close(loc.grad, z**3 / 3)


def test_a_baseline_that_compares_needs_two_draws(logits):
    class Others(sf.Baseline):
        compares = True

        def read(self, cost_to_go, prediction):
            return sf.leave_one_out(cost_to_go, dim=1)

    with (
        sf.StochasticGraph(),
        pytest.raises(ValueError, match="node 'z': Others has nothing to compare"),
    ):
        sf.sample(Bernoulli(logits=logits), sf.ScoreFunction(Others()), name="z")
