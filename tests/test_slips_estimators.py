"""Slips with estimators, and with estimators of one's own."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import sfgrad as sf
from tests.slips import Slips, assert_refused, coins, train

slip = Slips()


@slip(r"the baseline of ScoreFunction is 4: give an object .*; the number of draws is samples=4")
def a_number_of_draws_in_place_of_the_baseline():
    sf.ScoreFunction(4)


@slip(r"the baseline of ScoreFunction is 0.5: give .*; a fixed number is Constant\(0.5\)")
def a_number_as_baseline():
    sf.ScoreFunction(0.5)


@slip("the baseline of ScoreFunction is the string 'leave-one-out': give an object")
def a_baseline_by_its_name():
    sf.ScoreFunction("leave-one-out")


@slip(r"is the class LeaveOneOut: give an object .*; call the class, LeaveOneOut\(\)")
def a_baseline_that_is_not_called():
    sf.ScoreFunction(sf.LeaveOneOut)


@slip(r"the baseline of ScoreFunction is a Linear: .*predicts the cost is Learned\(network\)")
def a_network_as_baseline():
    sf.ScoreFunction(nn.Linear(2, 1))


@slip("the baseline of ScoreFunction is a tensor of shape \\[4\\]: give an object")
def a_tensor_as_baseline():
    sf.ScoreFunction(torch.zeros(4))


@slip("the baseline of ScoreFunction is a function: give an object")
def a_function_as_baseline():
    sf.ScoreFunction(lambda cost: cost.mean())


@slip("samples is 4.0: it must be a whole number")
def a_float_number_of_samples():
    sf.ScoreFunction(samples=4.0)


@slip("samples is the string '4': it must be a whole number")
def a_number_of_samples_from_the_command_line():
    sf.ScoreFunction(samples="4")


@slip("samples is True: it must be a whole number")
def samples_that_are_switched_on():
    sf.ScoreFunction(samples=True)


@slip("samples is a tuple that begins with 4: it must be a whole number")
def a_sample_shape():
    sf.ScoreFunction(samples=(4,))


@slip("samples is 2.5: it must be a whole number")
def samples_that_are_changed_to_no_number():
    sf.ScoreFunction().samples = 2.5


@slip(r"the baseline of a ScoreFunction is fixed: .*node.estimator = ScoreFunction\(baseline\)")
def a_baseline_that_is_changed_in_its_estimator():
    sf.StochasticNode().estimator.baseline = sf.LeaveOneOut()


@slip("max_size is None: it must be a whole number")
def no_limit_to_enumerate():
    sf.Enumerate(max_size=None)


@slip("max_size is 0: it must be at least 1")
def a_limit_of_no_value():
    sf.Enumerate(max_size=0)


@slip("max_size is a LeaveOneOut: it must be a whole number")
def a_baseline_for_enumerate():
    sf.Enumerate(sf.LeaveOneOut())


@slip(r"node 'z': Bernoulli has no rsample: use ScoreFunction\(\) or Enumerate\(\)")
def pathwise_on_something_discrete():
    train(sf.Pathwise(), Independent(Bernoulli(logits=torch.zeros(4, 3)), 1))


@slip("node 'z': Categorical has no rsample: use ScoreFunction")
def pathwise_on_something_discrete_and_masked():
    train(sf.Pathwise(), Categorical(logits=torch.zeros(4, 3)), mask=torch.ones(4).bool())


@slip("node 'z': Bernoulli has no rsample: use ScoreFunction")
def pathwise_on_something_discrete_outside_of_a_graph():
    sf.sample(coins(), sf.Pathwise(), name="z")


@slip("node 'z': Normal cannot be enumerated: it has no finite support: draw from it by ScoreFunc")
def enumerate_on_something_continuous():
    train(sf.Enumerate(), Independent(Normal(torch.zeros(4, 3), 1.0), 1))


@slip("node 'z': 1048576 values are more than 4096: draw from it by ScoreFunction")
def enumerate_on_too_many_bits():
    train(sf.Enumerate(), Bernoulli(logits=torch.zeros(4, 20)))


# ---------------------------------------------------------------- estimators of one's own


def own(draw, **attributes):
    """An estimator of one's own, with that `draw`."""
    return type("Own", (sf.Estimator,), {"draw": draw, **attributes})()


@slip(r"node 'z': Own.draw returned a tensor of shape \[4\]: return a Draw\(value")
def a_draw_that_is_only_a_value():
    train(own(lambda self, distribution, ndims: distribution.sample()))


@slip("node 'z': Own.draw returned a tuple that begins with a tensor .*: return a Draw")
def a_draw_that_is_a_pair():
    train(own(lambda self, distribution, ndims: (distribution.sample(), torch.zeros(4))))


@slip("node 'z': Own.draw returned None: return a Draw")
def a_draw_that_is_not_returned():
    train(own(lambda self, distribution, ndims: None))


@slip(r"node 'z': Own.draw does not take the two .*: define it as draw\(self, distribution, batch_")
def a_draw_that_takes_no_number_of_rows():
    train(own(lambda self, distribution: sf.Draw(distribution.sample())))


@slip("node 'z': Own returned a Draw whose value is a numpy array: it must be a tensor")
def a_draw_of_numpy():
    train(own(lambda self, distribution, ndims: sf.Draw(np.zeros(4))))


@slip("node 'z': Own returned a Draw whose log_prob is -1.0: it must be a tensor")
def a_draw_whose_log_probability_is_a_number():
    train(own(lambda self, distribution, ndims: sf.Draw(distribution.sample(), -1.0, -1.0)))


@slip("node 'z': Own returned a Draw whose log_density is 0.0: it must be a tensor")
def a_draw_whose_log_density_is_a_number():
    train(own(lambda self, distribution, ndims: sf.Draw(torch.ones(4), torch.zeros(4), 0.0)))


@slip("node 'z': Own returned a Draw whose copies is 1.0: it must be a whole number")
def a_draw_of_a_float_number_of_copies():
    zeros = torch.zeros(4)
    train(own(lambda self, distribution, ndims: sf.Draw(zeros, zeros, zeros.clone(), 1.0)))


def detached(self, distribution, ndims):
    value = distribution.sample()
    log_prob = sf.row_log_prob(distribution, value, ndims)
    return sf.Draw(value, log_prob.detach(), log_prob)


@slip("logits of Bernoulli requires a gradient but the log-probability has none: do not detach it")
def a_draw_whose_score_is_detached():
    train(own(detached))


def infinite(self, distribution, ndims):
    value = distribution.sample()
    log_prob = sf.row_log_prob(distribution, value, ndims)
    return sf.Draw(value, log_prob, torch.full_like(log_prob, torch.inf))


@slip(r"node 'z': the log-density that it was drawn at is \+inf, so its weight would be 0: give")
def a_draw_whose_density_is_infinite():
    train(own(infinite))


@slip(r"the baseline of node 'z' is the class LeaveOneOut: .* call the class, LeaveOneOut\(\)")
def a_class_as_the_baseline_of_an_own_estimator():
    train(own(sf.ScoreFunction.draw, baseline=sf.LeaveOneOut, _sample_shape=torch.Size()))


@slip(r"the baseline of the Own of StochasticNode is 3.0: .* a fixed number is Constant\(3.0\)")
def a_number_as_the_baseline_of_an_own_estimator():
    sf.StochasticNode(own(detached, baseline=3.0))


@slip("node 'z': Own.plain returned a numpy array: return a tensor")
def a_plain_draw_of_numpy():
    sf.sample(coins(), own(detached, plain=lambda self, distribution: np.zeros(4)), name="z")


@slip(r"row_log_prob\(\) got a Bernoulli as the value: give a tensor")
def a_log_probability_of_swapped_arguments():
    sf.row_log_prob(torch.zeros(4), coins(), 1)


@slip(r"row_log_prob\(\) got values \[4, 1\] for a distribution that draws \[4\]: give that shape")
def a_log_probability_of_a_column():
    sf.row_log_prob(coins(), torch.zeros(4, 1), 1)


@slip("node 'z' draws from Bernoulli by Own, which fails: Expected value argument")
def a_draw_outside_of_the_support():
    outside = torch.full((4,), 3.0)
    train(own(lambda self, distribution, ndims: sf.row_log_prob(distribution, outside, ndims)))


@slip.parametrize
def test_a_slip_ends_in_a_whole_sentence(make, message):
    assert_refused(make, message)


@pytest.mark.parametrize("number", [4, np.int64(4)])
def test_samples_may_be_changed(number):
    """A control: whole numbers of any kind are fine, also later."""
    estimator = sf.ScoreFunction(samples=number)
    assert train(estimator, coins(1)).shape == ()
    estimator.samples = np.int64(3)
    with sf.StochasticGraph() as graph:
        assert len(sf.sample(coins(), estimator)) == 12
    assert graph.rows == 12


def test_estimators_show_their_settings():
    baseline = sf.MovingAverage(0.9)
    assert repr(sf.ScoreFunction(baseline, 4)) == (
        "ScoreFunction(baseline=MovingAverage(decay=0.9), samples=4)"
    )
    assert repr(sf.ScoreFunction(sf.Constant(0.5))) == (
        "ScoreFunction(baseline=Constant(0.5), samples=1)"
    )
    assert "detach=False, weight=0.1" in repr(sf.Learned(nn.Linear(2, 1), False, 0.1))
    assert repr(sf.Enumerate(8)) == "Enumerate(max_size=8)"
    assert repr(sf.StochasticNode(sf.Enumerate(8), "gate")) == (
        "StochasticNode(Enumerate, name='gate', max_size=8)"
    )
    assert "ScoreFunction, name=None, samples=4" in repr(
        sf.StochasticNode(sf.ScoreFunction(baseline, 4))
    )
