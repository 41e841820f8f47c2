"""Every refusal of the core, by its message."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Exponential,
    Independent,
    Normal,
    Poisson,
)
from torch.utils.checkpoint import checkpoint

import sfgrad as sf


def bernoulli(rows=4):
    return Bernoulli(logits=torch.zeros(rows))


@pytest.fixture
def graph():
    with sf.StochasticGraph() as graph:
        yield graph


def test_batch_ndims():
    with pytest.raises(ValueError, match="batch_ndims is -1: it must be 1"):
        sf.StochasticGraph(batch_ndims=-1)


def test_a_scalar_cost_where_rows_exist(graph):
    sf.sample(bernoulli(), name="gate")
    with pytest.raises(
        ValueError, match=r"cost 'recon' has shape \[\] but the graph has 4 rows.*reduction='none'"
    ):
        sf.add_cost(torch.tensor(1.0), name="recon")


def test_a_scalar_cost_before_rows_are_known(graph):
    with pytest.raises(
        ValueError,
        match=r"cost 'cost' has shape \[\] but the graph has several rows: keep one cost",
    ):
        sf.add_cost(torch.tensor(1.0))


def test_a_cost_on_another_number_of_rows(graph):
    sf.sample(bernoulli(), name="gate")
    with pytest.raises(
        ValueError, match="cost 'c' has 1 rows but the graph has 4: rows come first"
    ):
        sf.add_cost(torch.ones(1), name="c")


def test_a_cost_from_before_the_copies(graph):
    sf.sample(bernoulli(), sf.ScoreFunction(samples=3))
    with pytest.raises(ValueError, match=r"'c' has 4 rows but the graph has 12.*align\(\)"):
        sf.add_cost(torch.ones(4), name="c")


def test_a_distribution_on_another_number_of_rows(graph):
    sf.add_cost(torch.ones(4))
    with pytest.raises(ValueError, match="node 'z' has 5 rows but the graph has 4.*align"):
        sf.sample(bernoulli(5), name="z")


def test_a_distribution_without_rows(graph):
    with pytest.raises(ValueError, match="node 'z' has no batch shape: give one entry per row"):
        sf.sample(Independent(bernoulli(), 1), name="z")


def test_a_cost_that_is_no_tensor(graph):
    with pytest.raises(TypeError, match="cost 'cost' is a float: give a tensor"):
        sf.add_cost(1.0)


def test_a_cost_outside_a_graph():
    sf.add_cost(torch.ones(2))  # inference
    with pytest.warns(UserWarning, match=r"add_cost\(\) was called where no graph is open"):
        sf.add_cost(torch.ones(2, requires_grad=True))


def test_align_of_rows_the_graph_never_had(graph):
    sf.sample(bernoulli(), sf.ScoreFunction(samples=2))
    with pytest.raises(ValueError, match=r"align\(\) got 5 rows: the graph has 8 and had 4"):
        sf.align(torch.ones(5))


def test_branch_into_none(graph):
    with pytest.raises(ValueError, match="copies is 0"):
        sf.branch(torch.ones(2), 0)


def test_copies_of_a_single_row():
    with (
        sf.StochasticGraph(batch_ndims=0),
        pytest.raises(ValueError, match="node 'z' makes 2 copies but batch_ndims=0"),
    ):
        sf.sample(bernoulli(), sf.ScoreFunction(samples=2), name="z")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_cost_that_is_not_finite(graph, bad):
    sf.sample(bernoulli())
    sf.add_cost(torch.tensor([0.0, 0.0, bad, 0.0]), name="c")
    with pytest.raises(ValueError, match="cost 'c' is NaN or infinite in 1 of 4 rows, first row 2"):
        graph.loss()


def test_a_log_probability_that_is_not_finite(graph):
    z = sf.sample(Normal(torch.zeros(3), torch.ones(3)), sf.Pathwise(), name="z")
    loc = torch.where(torch.arange(3) == 1, torch.nan, z)
    sf.sample(Normal(loc, 1.0, validate_args=False), name="w")
    sf.add_cost(torch.ones(3))
    with pytest.raises(
        ValueError, match="log-prob.* of node 'w' is NaN or infinite in 1 of 3 rows, first row 1"
    ):
        graph.loss()


def test_a_draw_of_probability_zero(graph):
    class Impossible(Bernoulli):
        def log_prob(self, value):
            return super().log_prob(value) - math.inf

    sf.sample(Impossible(logits=torch.zeros(2)), name="z")
    sf.add_cost(torch.ones(2))
    with pytest.raises(ValueError, match="log-probability or importance ratio of node 'z' is NaN"):
        graph.loss()


def test_a_baseline_that_is_not_finite(graph):
    sf.sample(bernoulli(), sf.ScoreFunction(sf.Constant(math.nan)))
    sf.add_cost(torch.ones(4))
    with pytest.raises(ValueError, match="a baseline, a product of weights or a sum of costs is"):
        graph.loss()


def test_costs_whose_sum_is_not_finite(graph):
    sf.sample(bernoulli())
    sf.add_cost(torch.full((4,), 3e38))
    with pytest.raises(ValueError, match="a sum of costs is.*and how large the costs are"):
        graph.loss()


def test_pathwise_without_rsample(graph):
    with pytest.raises(ValueError, match="Bernoulli has no rsample.*ScoreFunction"):
        sf.sample(bernoulli(), sf.Pathwise())


@pytest.mark.parametrize(
    ("dist", "message"),
    [
        (Poisson(torch.ones(4)), "Poisson cannot be enumerated: it has no finite support"),
        (Normal(torch.zeros(4), 1.0), "Normal cannot be enumerated: it has no finite support"),
        (Binomial(torch.tensor([1.0, 2.0, 2.0, 2.0]), torch.ones(4) / 2), "Binomial cannot be"),
        (Bernoulli(logits=torch.zeros(4, 13)), "8192 values are more than 4096"),
    ],
)
def test_enumerate_on_what_cannot_be_enumerated(graph, dist, message):
    with pytest.raises(ValueError, match=message):
        sf.sample(dist, sf.Enumerate())


def test_leave_one_out_with_nothing_to_compare(graph):
    with pytest.raises(ValueError, match="node 'z': leave-one-out has nothing to compare"):
        sf.sample(bernoulli(), sf.ScoreFunction(sf.LeaveOneOut()), name="z")


def test_leave_one_out_does_not_compare_enumerated_copies(graph):
    sf.sample(bernoulli(), sf.Enumerate())
    with pytest.raises(ValueError, match="nothing to compare"):
        sf.sample(bernoulli(8), sf.ScoreFunction(sf.LeaveOneOut()))


def test_learned_without_context(graph):
    with pytest.raises(ValueError, match="node 'z' has a Learned baseline but no context"):
        sf.sample(bernoulli(), sf.ScoreFunction(sf.Learned(nn.Linear(2, 1))), name="z")


def test_learned_of_another_shape(graph):
    learned = sf.Learned(nn.Linear(2, 3))
    with pytest.raises(ValueError, match=r"returned shape \[4, 3\] for 4 rows of context"):
        sf.sample(bernoulli(), sf.ScoreFunction(learned), context=torch.zeros(4, 2))


@pytest.mark.parametrize("rows", [2, 3])
def test_context_of_another_number_of_rows(graph, rows):
    learned = sf.Learned(nn.Linear(2, 1))
    message = f"node 'z' has {rows} rows of context but 4 of its distribution.*align"
    with pytest.raises(ValueError, match=message):
        sf.sample(bernoulli(), sf.ScoreFunction(learned), context=torch.zeros(rows, 2), name="z")


def test_loss_without_cost(graph):
    sf.sample(bernoulli())
    with pytest.raises(ValueError, match="the graph has no cost"):
        graph.loss()


def test_loss_twice(graph):
    sf.sample(bernoulli())
    sf.add_cost(torch.ones(4))
    graph.loss()
    with pytest.raises(ValueError, match=r"loss\(\) was called twice"):
        graph.loss()


def test_a_record_after_the_loss(graph):
    sf.sample(bernoulli())
    sf.add_cost(torch.ones(4))
    graph.loss()
    with pytest.raises(ValueError, match=r"node 'late' comes after loss\(\)"):
        sf.sample(bernoulli(), name="late")


def test_a_node_that_no_cost_is_credited_to(graph):
    sf.sample(bernoulli(), name="first")
    sf.add_cost(torch.ones(4))
    sf.sample(bernoulli(), name="last")
    with pytest.raises(ValueError, match="node 'last' is credited with no cost"):
        graph.loss()


def test_a_node_that_parents_leave_out(graph):
    sf.sample(bernoulli(), name="a")
    sf.sample(bernoulli(), name="b")
    sf.add_cost(torch.ones(4), parents=["a"])
    with pytest.raises(ValueError, match="node 'b' is credited with no cost"):
        graph.loss()


@pytest.mark.parametrize("parent", ["nobody", torch.ones(4)])
def test_a_parent_that_is_not_in_the_graph(graph, parent):
    sf.sample(bernoulli(), name="a")
    with pytest.raises(ValueError, match="cost 'c': parent .* is not in the graph, which has a"):
        sf.add_cost(torch.ones(4), parents=[parent], name="c")


def test_a_replayed_name_that_was_never_drawn():
    with sf.StochasticGraph(draws={"move": torch.ones(4)}) as graph:
        sf.sample(bernoulli(), name="step")
        sf.add_cost(torch.ones(4))
    with pytest.raises(
        ValueError, match="draws= names move, which the graph never drew: it drew st"
    ):
        graph.loss()


@pytest.mark.parametrize("shape", [(3,), (5, 2), (4, 2), (), (0,)])
def test_a_replayed_value_of_another_shape(shape):
    with (
        sf.StochasticGraph(draws={"z": torch.ones(shape)}),
        pytest.raises(ValueError, match=r"node 'z': the replayed value has shape .* draws \[4\]"),
    ):
        sf.sample(bernoulli(), name="z")


def test_a_replayed_log_probability_of_another_shape():
    with (
        sf.StochasticGraph(draws={"z": (torch.ones(4), torch.ones(4, 2))}),
        pytest.raises(ValueError, match=r"log-probability has shape \[4, 2\].*each of the 4 rows"),
    ):
        sf.sample(bernoulli(), name="z")


def test_a_node_under_another_grad_mode(graph):
    with torch.no_grad(), pytest.raises(ValueError, match="node 'z' is sampled with gradients off"):
        sf.sample(bernoulli(), name="z")


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_node_inside_of_checkpointing_is_never_silently_wrong(use_reentrant):
    logits = torch.zeros(4, requires_grad=True)

    def fn():
        return checkpoint(
            lambda x: sf.sample(Bernoulli(logits=x)) * x, logits, use_reentrant=use_reentrant
        )

    message = (
        r"node 'node' .*draw outside no_grad\(\) and checkpoint\(\)"
        if use_reentrant
        else r"node 'node' is drawn inside checkpoint\(\), which would draw it again"
    )
    with pytest.raises(ValueError, match=message):
        sf.expectation(fn)()


def test_another_device(graph):
    sf.sample(bernoulli(), name="z")
    with pytest.raises(ValueError, match="cost 'c' is on meta but the graph began on cpu"):
        sf.add_cost(torch.ones(4, device="meta"), name="c")


def test_a_moving_average_on_another_device():
    with pytest.raises(ValueError, match="the moving average is on cpu but the costs are on meta"):
        sf.MovingAverage().read(torch.ones(1, 1, 4, device="meta"), None)


def test_a_moving_average_without_memory_bound():
    with pytest.raises(ValueError, match="decay is 1"):
        sf.MovingAverage(decay=1)


def test_samples_below_one():
    with pytest.raises(ValueError, match="samples is 0"):
        sf.ScoreFunction(samples=0)
    with pytest.raises(ValueError, match="samples is 0"):
        sf.expectation(bernoulli, samples=0)


def test_samples_of_a_single_row():
    with pytest.raises(ValueError, match="samples=2 repeats rows, but .* use batch_ndims=1"):
        sf.expectation(bernoulli, samples=2, batch_ndims=0)


def test_samples_of_no_argument():
    with pytest.raises(ValueError, match="found no tensor to repeat among the arguments"):
        sf.expectation(lambda: torch.ones(2), samples=2)()


def test_samples_of_arguments_that_disagree():
    with pytest.raises(ValueError, match="'y' .* has 3 rows where argument 'x' has 2"):
        sf.expectation(lambda x, y: x, samples=2)(torch.ones(2), torch.ones(3))


def test_samples_of_a_scalar_argument():
    with pytest.raises(
        ValueError, match="'s' is .* mark the argument without rows None in in_dims"
    ):
        sf.expectation(lambda x, s: x * s, samples=2)(torch.ones(2), torch.tensor(3.0))


def test_in_dims_of_another_length():
    with pytest.raises(ValueError, match="in_dims has 1 entries for 2 arguments"):
        sf.expectation(lambda x, y: x, samples=2, in_dims=(0,))(torch.ones(2), torch.ones(2))


def test_exponential_draws_are_scored():
    """A control: a distribution that enumerate refuses is fine for the score function."""
    rate = torch.ones(4, requires_grad=True)
    sf.expectation(lambda: sf.sample(Exponential(rate)))().backward()
    assert rate.grad is not None


def test_categorical_masks_may_be_enumerated():
    """Probability zero is no error where values are enumerated: their weight is zero."""
    logits = torch.tensor([[0.0, 0.0, -math.inf]], requires_grad=True)
    loss = sf.expectation(lambda: sf.sample(Categorical(logits=logits), sf.Enumerate()).float())()
    assert loss.item() == pytest.approx(0.5)
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.25, 0.25, 0.0]]))


class Forgetful(sf.Estimator):
    """Tells log p and not log q."""

    def draw(self, distribution, batch_ndims):
        value = distribution.sample()
        return sf.Draw(value, distribution.log_prob(value))


def test_a_draw_has_both_logarithms_or_none(graph):
    sf.sample(bernoulli(), name="other")
    with pytest.raises(ValueError, match="node 'z' has a Draw with log_prob alone: give both"):
        sf.sample(bernoulli(), Forgetful(), name="z")
