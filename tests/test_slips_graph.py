"""Slips with graphs, costs and losses."""

import numpy as np
import pytest
import torch
from torch import nn

import sfgrad as sf
from tests.slips import Slips, assert_refused, coins

slip = Slips()


def cost(value, **request):
    """A draw and that cost, up to the loss."""
    with sf.StochasticGraph() as graph:
        z = sf.sample(coins(), name="z")
        sf.add_cost(value(z) if callable(value) else value, **request)
    return graph.loss()


def new_graph():
    """A graph with a draw and a cost."""
    with sf.StochasticGraph() as graph:
        sf.sample(coins(), name="z")
        sf.add_cost(torch.ones(4), name="c")
    return graph


# ---------------------------------------------------------------- graphs


@slip("batch_ndims is True: it must be 1")
def rows_that_are_switched_on():
    sf.StochasticGraph(batch_ndims=True)


@slip("batch_ndims is 1.0: it must be 1")
def a_float_number_of_row_dimensions():
    sf.StochasticGraph(batch_ndims=1.0)


@slip("batch_ndims is the string 'x': it must be 1")
def a_string_of_row_dimensions():
    sf.StochasticGraph(batch_ndims="x")


@slip("batch_ndims is a Linear: it must be 1")
def a_graph_of_a_model():
    sf.StochasticGraph(nn.Linear(2, 2))


@slip("max_ratio is the string '10': it must be a number above 0")
def a_largest_ratio_from_the_command_line():
    sf.StochasticGraph(max_ratio="10")


@slip(r"max_ratio is a tensor of shape \[3\]: it must be a number above 0")
def a_largest_ratio_for_every_row():
    sf.StochasticGraph(max_ratio=torch.ones(3))


@slip(r"groups= must be int64 \[R\], .* but it is a list that begins with 0: rows of equal number")
def groups_in_a_list():
    sf.StochasticGraph(groups=[0, 0, 1, 1])


@slip(r"groups= must be int64 \[R\], .* but it is torch.float32 \[4\]: rows of equal number")
def groups_of_floats():
    sf.StochasticGraph(groups=torch.zeros(4))


@slip("the graph has no cost: call .* inside its with block")
def a_graph_that_is_never_entered():
    graph = sf.StochasticGraph()
    sf.sample(coins())
    graph.loss()


@slip(r"node 'z.1' comes after loss\(\): record everything .* make a new graph for every step")
def a_graph_for_all_steps():
    graph = new_graph()
    graph.loss()
    with graph:
        sf.sample(coins(), name="z")


@slip(r"node 'late' comes after loss\(\): record everything before taking the loss")
def a_draw_after_the_loss():
    with sf.StochasticGraph() as graph:
        sf.add_cost(sf.sample(coins()))
        graph.loss()
        sf.sample(coins(), name="late")


@slip(r"loss\(\) was called twice: keep its result")
def a_loss_to_print_and_a_loss_to_learn_from():
    graph = new_graph()
    print(graph.loss().item())
    graph.loss().backward()


@slip(r"costs is the string 'none': give a list, .* how to reduce over rows is reduction=")
def a_reduction_by_position():
    new_graph().loss("none")


@slip("costs is 3: give a list of names")
def a_number_of_costs():
    new_graph().loss(costs=3)


@slip(r"costs holds a tensor of shape \[4\]: give a list of names")
def the_costs_themselves():
    new_graph().loss(costs=[torch.ones(4)])


@slip("costs holds a list that begins with the string 'c': give a list of names")
def a_list_of_lists_of_costs():
    new_graph().loss(costs=[["c"]])


@slip("reduction is 'sum': it must be 'mean' or 'none'")
def a_sum_over_rows():
    new_graph().loss(reduction="sum")


# ---------------------------------------------------------------- costs


@slip("cost 'cost' is .*: give a tensor")
def a_cost_that_is_a_number():
    cost(3.0)


@slip("cost 'cost' is a list.*: give a tensor")
def costs_in_a_list():
    cost([1.0, 2.0, 3.0, 4.0])


@slip("cost 'cost' is a .*array: give a tensor")
def a_cost_of_numpy():
    cost(np.ones(4))


@slip(
    r"cost 'cost' has shape \[\] but the graph has 4 rows: keep one cost per row, reduction='none'"
)
def a_mean_cost():
    cost(torch.mean)


@slip("cost 'cost' has 3 rows but the graph has 4: rows come first")
def a_transposed_cost():
    cost(torch.ones(3, 4))


@slip("name is 3: it must be a string")
def a_number_as_the_name_of_a_cost():
    cost(torch.ones(4), name=3)


@slip("cost 'cost': parents is the string 'z': give a list of names or tensors")
def a_cost_whose_parent_is_not_in_a_list():
    cost(torch.ones(4), parents="z")


@slip("cost 'cost': parents is 1: give a list of names or tensors")
def a_cost_with_a_number_of_parents():
    cost(torch.ones(4), parents=1)


@slip("cost 'cost': parent 0 is not in the graph, which has z: give names, or the very tensors")
def a_cost_whose_parent_is_a_position():
    cost(torch.ones(4), parents=[0])


@slip(
    "node 'z' is credited with no cost and would get no gradient: add its costs after it is drawn"
)
def a_cost_without_parents():
    cost(torch.ones(4), parents=[])


@slip.parametrize
def test_a_slip_ends_in_a_whole_sentence(make, message):
    assert_refused(make, message)


def test_torchs_own_draw_in_place_of_ours_warns():
    """No error, since a cost may have a gradient of its own; but no silence either."""
    with pytest.warns(UserWarning, match="the graph recorded no draw"):
        sf.expectation(lambda logits: coins().sample() * logits)(torch.ones(4, requires_grad=True))
