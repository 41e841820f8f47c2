"""Slips with copies, replays and greedy()."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Normal

import sfgrad as sf
from tests.slips import Slips, assert_refused, coins, inside

slip = Slips()


def replay(recorded, distribution=None):
    """A recorded draw, up to the loss."""
    with sf.StochasticGraph(draws={"z": recorded}) as graph:
        sf.sample(coins() if distribution is None else distribution, name="z")
        sf.add_cost(torch.ones(4))
    return graph.loss()


def new_graph():
    """A graph with a draw and a cost."""
    with sf.StochasticGraph() as graph:
        sf.sample(coins(), name="z")
        sf.add_cost(torch.ones(4), name="c")
    return graph


# ---------------------------------------------------------------- copies


@slip(
    r"branch\(\) got 3: give a tensor, rows first, then the number of copies, as in branch\(x, 3\)"
)
def a_branch_of_swapped_arguments():
    inside(sf.branch, 3, torch.ones(4))


@slip(r"branch\(\) got a list that begins with 1: give a tensor, rows first")
def a_branch_of_a_list():
    sf.branch([1, 2, 3, 4], 2)


@slip("copies is 2.0: it must be a whole number, at least 1, as in copies=2")
def a_branch_into_a_float_number():
    inside(sf.branch, torch.ones(4), 2.0)


@slip("copies is True: it must be a whole number")
def a_branch_that_is_switched_on():
    inside(sf.branch, torch.ones(4), True)


@slip(r"align\(\) got 3: give a tensor, rows first")
def an_aligned_number():
    inside(sf.align, 3)


@slip(r"align\(\) got a tuple that begins with a tensor .*: give a tensor, .* aligned one by one")
def an_aligned_pair():
    inside(sf.align, (torch.ones(4), torch.ones(4)))


@slip(r"align\(\): the index is a list that begins with 0: give int64 \[N\]")
def an_aligned_tensor_with_an_index_in_a_list():
    inside(sf.align, torch.ones(4), index=[0, 1, 2, 3])


@slip("cost 'cost' has 4 rows but the graph has 12: .*align")
def a_cost_from_before_the_copies():
    with sf.StochasticGraph():
        sf.sample(coins(), sf.ScoreFunction(samples=3))
        sf.add_cost(torch.ones(4))


# ---------------------------------------------------------------- replay


@slip(r"draws= is a list that .*: give a dict of what each node drew, by its name, .*'move': value")
def draws_in_a_list():
    sf.StochasticGraph(draws=[torch.ones(4)])


@slip(r"draws= is a tensor of shape \[4\]: give a dict of what each node drew, by its name")
def draws_without_a_name():
    sf.StochasticGraph(draws=torch.ones(4))


@slip("draws= is a StochasticGraph: give a dict .*; those of a graph are graph.draws")
def draws_that_are_a_graph():
    sf.StochasticGraph(draws=new_graph())


@slip("draws= is a dict that begins with 0: give a dict of what each node drew, by its name")
def draws_by_position():
    sf.StochasticGraph(draws={0: torch.ones(4)})


@slip(r"node 'z': draws= gives Node, NoneType: give a tensor, .* as graph.draws has them")
def draws_that_are_nodes():
    replay(new_graph().nodes["z"])


@slip("node 'z': draws= gives ndarray, NoneType: give a tensor, or a pair of tensors")
def draws_of_numpy():
    replay(np.zeros(4))


@slip("node 'z': draws= gives Tensor, float: give a tensor, or a pair of tensors")
def a_recorded_log_probability_that_is_a_number():
    replay((torch.ones(4), -0.5))


@slip(
    "node 'z': the recorded log-probability is above 0 in every row, .* give the logarithm, not the"
)
def a_recorded_probability():
    replay((torch.ones(4), torch.full((4,), 0.5)))


@slip("node 'z': the recorded log-probability is NaN or infinite, so the draw cannot be replayed")
def a_recorded_log_probability_that_is_infinite():
    replay((torch.ones(4), torch.full((4,), torch.inf)))


@slip(
    r"node 'z': the replayed value has shape \[1, 4\] but the distribution draws \[4\]: give that"
)
def a_replayed_batch_of_a_batch():
    replay(torch.ones(1, 4))


@slip("node 'z': the distribution refuses the replayed value: Expected value argument")
def a_replayed_action_that_does_not_exist():
    replay(torch.full((4,), 5), Categorical(logits=torch.zeros(4, 3), validate_args=True))


@slip("draws= names gate, which the graph never drew: it drew z")
def draws_of_another_model():
    with sf.StochasticGraph(draws={"gate": torch.ones(4)}) as graph:
        sf.add_cost(sf.sample(coins(), name="z"))
    graph.loss()


# ---------------------------------------------------------------- greedy


@slip(r"greedy\(\) inside a graph: leave the graph first, its values are drawn")
def greedy_while_a_graph_is_open():
    with sf.StochasticGraph(), sf.greedy():
        pass


@slip(r"a graph under greedy\(\) has no draws to score: leave greedy\(\) first")
def a_training_step_under_greedy():
    with sf.greedy():
        new_graph()


@slip(r"mode\(\) of node 'gate' inside a graph: there a node draws, so leave the graph")
def the_mode_while_a_graph_is_open():
    inside(sf.StochasticNode(name="gate").mode, Normal(torch.zeros(4), 1.0))


@slip.parametrize
def test_a_slip_ends_in_a_whole_sentence(make, message):
    assert_refused(make, message)


def test_a_pair_may_be_a_tuple_of_any_kind():
    """A control: a record of one's own with two fields is a pair."""

    class Recorded(NamedTuple):
        action: torch.Tensor
        log_prob: torch.Tensor

    assert replay(Recorded(torch.ones(4), torch.full((4,), -0.7))).item() == pytest.approx(
        math.exp(0.7) / 2
    )


def test_a_density_may_be_above_one():
    """A control: log-probabilities above 0 are refused of discrete distributions only."""
    narrow = Normal(torch.zeros(4), 0.01)
    assert replay((torch.zeros(4), narrow.log_prob(torch.zeros(4))), narrow).item() == 1
