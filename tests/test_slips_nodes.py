"""Slips with nodes, and with what a draw is given."""

import numpy as np
import torch
from torch import nn
from torch.distributions import Bernoulli

import sfgrad as sf
from tests.slips import Slips, assert_refused, coins, inside, train

slip = Slips()


@slip(r"node 'z': the distribution is a tensor of shape \[4\]: give .* such as Bernoulli\(logits=x")
def logits_in_place_of_a_distribution():
    train(distribution=torch.zeros(4))


@slip("node 'z': the distribution is a tensor of shape")
def logits_in_place_of_a_distribution_outside_of_a_graph():
    sf.sample(torch.zeros(4), name="z")


@slip("node 'z': the distribution is a tensor of shape")
def logits_in_place_of_a_distribution_under_greedy():
    with sf.greedy():
        sf.sample(torch.zeros(4), name="z")


@slip("node 'z': the distribution is the class Bernoulli: give an object of torch.distributions")
def a_distribution_that_is_not_called():
    train(distribution=Bernoulli)


@slip("node 'z': the distribution is a Linear: give an object of torch.distributions")
def a_network_in_place_of_its_distribution():
    train(distribution=nn.Linear(2, 2))


@slip("node 'node': the distribution is None: give an object")
def a_head_that_returns_nothing():
    sf.expectation(lambda: sf.sample(None))()


@slip(r"the estimator of node 'z' is a LeaveOneOut: give .* a baseline belongs in it, ScoreFunc")
def a_baseline_in_place_of_the_estimator():
    train(sf.LeaveOneOut())


@slip("the estimator of node 'node' is a LeaveOneOut: give an object")
def a_baseline_in_place_of_the_estimator_outside_of_a_graph():
    sf.sample(coins(), sf.LeaveOneOut())


@slip(r"the estimator of node 'z' is the class ScoreFunction: .* call the class, ScoreFunction\(\)")
def an_estimator_that_is_not_called():
    train(sf.ScoreFunction)


@slip("the estimator of node 'z' is the string 'pathwise': give an object")
def an_estimator_by_its_name():
    train("pathwise")


@slip("the estimator of node 'node' is None: give an object")
def no_estimator():
    inside(sf.sample, coins(), None)


@slip("the estimator of node 'z' is a StochasticNode: give an object")
def a_node_in_place_of_the_estimator():
    train(sf.StochasticNode())


@slip("name is 3: it must be a string, as in name='gate'")
def a_number_as_the_name_of_a_draw():
    inside(sf.sample, coins(), name=3)


@slip("name is a list that begins with the string 'z': it must be a string")
def several_names_of_a_draw():
    inside(sf.sample, coins(), name=["z"])


@slip("node 'node': parents is the string 'z': give a list of names or tensors")
def a_parent_that_is_not_in_a_list():
    inside(sf.sample, coins(), parents="z")


@slip("node 'node': parents is 3: give a list of names or tensors")
def a_number_of_parents():
    inside(sf.sample, coins(), parents=3)


@slip("node 'node': parents is a StochasticNode: give a list of names or tensors")
def a_module_as_parents():
    inside(sf.sample, coins(), parents=sf.StochasticNode(name="z"))


@slip("parent a StochasticNode is not in the graph, which has z: give names, or the very tensors")
def a_module_among_the_parents():
    inside(sf.sample, coins(), parents=[sf.StochasticNode(name="z")])


@slip(r"parent a tensor of shape \[4\] is not in the graph, which has z: give names, or the very")
def a_parent_that_was_computed_from_a_draw():
    with sf.StochasticGraph():
        z = sf.sample(coins(), name="z")
        sf.sample(coins(), parents=[2 * z])


@slip("node 'z': the mask is of torch.int64: give booleans")
def a_mask_of_numbers():
    train(mask=torch.ones(4, dtype=torch.int64))


@slip("node 'z': the mask is a numpy array: give booleans, a tensor")
def a_mask_of_numpy():
    train(mask=np.ones(4, dtype=bool))


@slip("node 'z': the mask is on meta but the draws are on cpu: give mask.to")
def a_mask_on_another_device():
    train(mask=torch.ones(4, device="meta").bool())


@slip("node 'z': the index is torch.float32 \\[4\\]: give int64")
def an_index_of_floats():
    train(index=torch.zeros(4))


@slip("node 'z': the index is a list that begins with 0: give int64")
def an_index_in_a_list():
    train(index=[0, 0, 1, 1])


@slip("node 'z': the index is on meta but the draws are on cpu: give index.to")
def an_index_on_another_device():
    train(index=torch.zeros(4, dtype=torch.int64, device="meta"))


# ---------------------------------------------------------------- nodes


@slip(r"the estimator of StochasticNode is a LeaveOneOut: .* a baseline belongs in it, ScoreFunct")
def a_node_of_a_baseline():
    sf.StochasticNode(sf.LeaveOneOut())


@slip("the estimator of StochasticNode is the class ScoreFunction: .* call the class")
def a_node_of_an_estimator_that_is_not_called():
    sf.StochasticNode(sf.ScoreFunction)


@slip("the estimator of StochasticNode is the string 'gate': .* a name is given as name='gate'")
def a_node_of_a_name():
    sf.StochasticNode("gate")


@slip("the estimator of StochasticNode is a Bernoulli: .* a distribution is given at each draw")
def a_node_of_a_distribution():
    sf.StochasticNode(coins())


@slip(r"the estimator of StochasticNode is None: give an .* ScoreFunction\(\) or Enumerate\(\)$")
def a_node_whose_estimator_is_taken_away():
    sf.StochasticNode().estimator = None


@slip("a node's baseline is that of its estimator: assign the estimator")
def a_node_that_is_given_a_baseline():
    sf.StochasticNode().baseline = sf.LeaveOneOut()


@slip("name is 3: it must be a string")
def a_node_with_a_number_as_name():
    sf.StochasticNode(name=3)


@slip(r"node 'gate': the distribution is a tensor of shape \[3\]: give an object")
def a_node_that_is_given_logits():
    sf.StochasticNode(name="gate")(torch.zeros(3))


@slip("node 'gate': the context is a ScoreFunction: an estimator is given where the node is made")
def a_node_that_is_given_an_estimator_at_the_draw():
    inside(sf.StochasticNode(name="gate"), coins(), sf.ScoreFunction())


@slip("node 'gate': the context is a tensor of booleans, .*: give a mask as mask=")
def a_node_that_is_given_a_mask_as_context():
    inside(sf.StochasticNode(name="gate"), coins(), torch.ones(4).bool())


@slip(r"node 'gate': the distribution is a tensor of shape \[3\]: give an object")
def the_mode_of_logits():
    sf.StochasticNode(name="gate").mode(torch.zeros(3))


@slip.parametrize
def test_a_slip_ends_in_a_whole_sentence(make, message):
    assert_refused(make, message)
