"""Slips in distributions of one's own: the sentence names the node and the class."""

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Distribution, Independent

import sfgrad as sf
from tests.slips import Slips, assert_refused, train

slip = Slips()


def own(**methods):
    """A Bernoulli with other methods."""
    logits = torch.zeros(4, requires_grad=True)
    return type("Own", (Bernoulli,), methods)(logits=logits, validate_args=True)


class Uninitialised(Distribution):
    """It does not call `super().__init__()`."""

    def __init__(self):
        self.logits = torch.zeros(4, requires_grad=True)

    def sample(self, sample_shape=()):
        return torch.ones(*sample_shape, 4)

    def log_prob(self, value):
        return self.logits * value


class Duck:
    """It samples and scores, and is no Distribution."""

    sample, log_prob = Uninitialised.sample, Uninitialised.log_prob
    logits = torch.zeros(4, requires_grad=True)


class Shaped(Duck):
    """It also has the shapes, which is all that a score needs."""

    batch_shape, event_shape = torch.Size([4]), torch.Size([])


class Listed(Distribution):
    """Its batch shape is a list."""

    def __init__(self):
        super().__init__([4], [], validate_args=False)

    def sample(self, sample_shape=()):
        return torch.ones(4)


class Bare(Distribution):
    """It has neither `sample` nor `log_prob`."""

    def __init__(self):
        super().__init__(torch.Size([4]), validate_args=False)


class Unscored(Bare):
    """It has no `log_prob`."""

    def sample(self, sample_shape=()):
        return torch.ones(*sample_shape, 4)


@slip(
    r"node 'z': Uninitialised never called super\(\).__init__\(batch_shape, event_shape\), so its"
)
def a_distribution_without_super():
    train(distribution=Uninitialised())


@slip("node 'z': Duck is not a distribution, as it has no batch_shape, event_shape: derive it from")
def a_distribution_that_is_none():
    train(distribution=Duck())


@slip("node 'z': Duck is not a distribution, as it has no batch_shape, event_shape: derive it from")
def a_distribution_that_is_none_under_greedy():
    with sf.greedy():
        sf.sample(Duck(), name="z")


@slip("node 'z': Shaped has no mode and no finite support: draw from it instead")
def a_distribution_without_a_mode():
    with sf.greedy():
        sf.sample(Shaped(), name="z")


@slip("node 'z': Shaped has no rsample: use ScoreFunction")
def a_distribution_without_rsample():
    train(sf.Pathwise(), Shaped())


@slip("node 'z': Shaped cannot be enumerated: .*enumerate_support.*: draw from it by ScoreFunction")
def a_distribution_without_support():
    train(sf.Enumerate(), Shaped())


@slip(r"node 'z': the shapes of Listed are \[4\] and \[\]: make both torch.Size")
def a_batch_shape_that_is_a_list():
    train(distribution=Listed())


@slip(r"node 'z': Bare has no sample\(\): define sample\(self, sample_shape=torch.Size\(\)\)")
def a_distribution_that_does_not_sample():
    train(distribution=Bare())


@slip(r"node 'z': Bare has no sample\(\): define sample")
def a_distribution_that_does_not_sample_outside_of_a_graph():
    sf.sample(Bare(), name="z")


@slip(r"node 'z': Unscored has no log_prob\(\): define log_prob\(self, value\)")
def a_distribution_that_does_not_score():
    train(distribution=Unscored())


@slip(r"node 'z': Own has no rsample\(\): define rsample\(self, sample_shape=torch.Size\(\)\)")
def a_promise_of_rsample():
    train(sf.Pathwise(), own(has_rsample=True))


@slip(r"node 'z': Own.sample\(\) takes no sample_shape: define it as sample\(self, sample_shape")
def a_sample_without_a_shape():
    train(distribution=own(sample=lambda self: torch.ones(4)))


@slip(r"node 'z': Own.sample\(\) takes no sample_shape: define it as sample")
def a_sample_without_a_shape_that_is_drawn_several_times():
    train(sf.ScoreFunction(samples=3), own(sample=lambda self: torch.ones(4)))


@slip(r"node 'z': Own.sample\(\) takes no sample_shape: define it as sample")
def a_sample_without_a_shape_under_a_mask():
    train(distribution=own(sample=lambda self: torch.ones(4)), mask=torch.ones(4).bool())


@slip(r"node 'z': a value of Own has shape \[4\]: it must be \[3, 4\], which is sample_shape")
def a_sample_that_ignores_the_shape():
    train(sf.ScoreFunction(samples=3), own(sample=lambda self, shape=(): torch.ones(4)))


@slip(r"node 'z': Own.sample\(\) returned a numpy array: return a tensor of shape \[4\]")
def a_sample_of_numpy():
    train(distribution=own(sample=lambda self, shape=(): np.zeros(4)))


@slip(r"node 'z': Own.sample\(\) returned a numpy array: return a tensor of shape \[4\]")
def a_sample_of_numpy_outside_of_a_graph():
    sf.sample(own(sample=lambda self, shape=(): np.zeros(4)), name="z")


@slip(r"node 'z': Own.sample\(\) returned a numpy array: return a tensor of shape \[4\]")
def a_sample_of_numpy_in_a_rollout():
    with torch.no_grad():
        train(distribution=own(sample=lambda self, shape=(): np.zeros(4)))


@slip(r"node 'z': Own.sample\(\) returned None: return a tensor")
def a_sample_that_is_not_returned():
    train(distribution=own(sample=lambda self, shape=(): None))


@slip(r"node 'z': Own.sample\(\) returned a tuple that begins with a tensor .*: return a tensor")
def a_sample_with_its_log_probability():
    train(distribution=own(sample=lambda self, shape=(): (torch.ones(4), torch.zeros(4))))


@slip(r"node 'z': Own.rsample\(\) returned a numpy array: return a tensor")
def an_rsample_of_numpy():
    train(sf.Pathwise(), own(has_rsample=True, rsample=lambda self, shape=(): np.zeros(4)))


@slip(
    r"node 'z': Own.sample\(\) returned shape \[3\]: return \[4\], which is sample_shape \+ batch"
)
def a_sample_of_another_number_of_rows():
    train(distribution=own(sample=lambda self, shape=(): torch.ones(3)))


@slip(r"node 'z': a value of Own has shape \[4, 1\]: it must be \[4\], which is sample_shape")
def a_sample_that_is_a_column():
    train(distribution=own(sample=lambda self, shape=(): torch.ones(4, 1)))


@slip(r"node 'z': Own.log_prob\(\) refuses what Own.sample\(\) drew: draw within the support")
def a_sample_outside_of_the_support():
    train(distribution=own(sample=lambda self, shape=(): torch.full((4,), 2.0)))


@slip(r"node 'z': Own.log_prob\(\) returned -1.0: return a tensor of shape \[4\]")
def a_log_probability_that_is_a_number():
    train(distribution=own(log_prob=lambda self, value: -1.0))


@slip(r"node 'z': Own.log_prob\(\) returned -1.0: return a tensor of shape \[4, 3\]")
def a_log_probability_that_is_a_number_inside_of_independent():
    logits = torch.zeros(4, 3, requires_grad=True)
    single = type("Own", (Bernoulli,), {"log_prob": lambda self, value: -1.0})(logits=logits)
    train(distribution=Independent(single, 1))


@slip(r"node 'z': Own.log_prob\(\) returned -1.0: return a tensor of shape \[2, 4\]")
def a_log_probability_that_is_a_number_where_values_are_enumerated():
    train(sf.Enumerate(), own(log_prob=lambda self, value: -1.0))


@slip(r"node 'z': Own.log_prob\(\) returned -1.0: return a tensor of shape \[2, 4\]")
def a_log_probability_that_is_a_number_where_two_values_are_drawn():
    train(sf.ScoreFunction(samples=2), own(log_prob=lambda self, value: -1.0))


@slip(r"node 'z': Own.log_prob\(\) returned shape \[\] for values \[4, 3, 2\]: return one number")
def a_log_probability_that_is_a_sum_inside_of_independent():
    logits = torch.zeros(4, 3, 2, requires_grad=True)
    methods = {"log_prob": lambda self, value: Bernoulli.log_prob(self, value).sum()}
    train(distribution=Independent(type("Own", (Bernoulli,), methods)(logits=logits), 2))


@slip(r"node 'z': Own.log_prob\(\) returned a numpy array: return a tensor of shape \[4\]")
def a_log_probability_of_numpy():
    train(distribution=own(log_prob=lambda self, value: np.zeros(4)))


def rescore(change):
    """A distribution whose log-probability is changed."""
    return own(log_prob=lambda self, value: change(Bernoulli.log_prob(self, value)))


@slip(
    r"node 'z': Own.log_prob\(\) returned shape \[\] for values \[4\]: return one number for each"
)
def a_log_probability_that_is_summed_over_rows():
    train(distribution=rescore(torch.sum))


@slip(r"node 'z': Own.log_prob\(\) returned shape \[4, 4\] for values \[4\]: return one number for")
def a_log_probability_that_is_broadcast():
    train(distribution=rescore(lambda log_prob: log_prob[:, None] + log_prob))


@slip(r"node 'z': Own.log_prob\(\) returned shape \[4, 1\] for values \[4\]: return one number for")
def a_log_probability_that_is_a_column():
    train(distribution=rescore(lambda log_prob: log_prob[:, None]))


@slip("node 'z': logits of Own requires a gradient but the log-probability has none: do not detach")
def a_log_probability_that_is_detached():
    train(distribution=rescore(torch.detach))


@slip("node 'z': logits of Own requires a gradient but the log-probability has none: do not detach")
def a_log_probability_by_numpy():
    train(distribution=rescore(lambda log_prob: torch.from_numpy(log_prob.detach().numpy())))


@slip(r"node 'z': Own.enumerate_support\(\) returned a numpy array: return a tensor of its values")
def a_support_of_numpy():
    train(sf.Enumerate(), own(enumerate_support=lambda self, expand=True: np.arange(2.0)))


@slip(r"node 'z': Own cannot be enumerated: .*unexpected keyword argument 'expand'")
def a_support_that_cannot_be_left_unexpanded():
    train(sf.Enumerate(), own(enumerate_support=lambda self: torch.arange(2.0)))


@slip.parametrize
def test_a_slip_ends_in_a_whole_sentence(make, message):
    assert_refused(make, message)


def test_what_has_the_shapes_may_be_drawn_from():
    """A control: a score needs the shapes, `sample` and `log_prob`, and no base class."""
    assert train(distribution=Shaped()).requires_grad


def test_an_error_in_the_users_own_code_is_left_as_it_is():
    """It says more than the library could; a note names the node and the class."""

    class DivergedError(Exception):
        pass

    def log_prob(self, value):
        raise DivergedError("step 7")

    with pytest.raises(DivergedError, match="step 7") as info:
        train(distribution=own(log_prob=log_prob))
    assert info.value.__notes__ == ["Raised where node 'z' draws from Own by ScoreFunction."]


def test_a_diagnosis_takes_nothing_from_the_generator():
    torch.manual_seed(0)
    wanted = torch.rand(())
    torch.manual_seed(0)
    with pytest.raises(TypeError, match="has no log_prob"):
        train(distribution=Unscored())
    assert torch.rand(()) == wanted


def test_a_constant_score_is_fine_where_no_parameter_requires_a_gradient():
    """A control: nothing is lost where there is nothing to differentiate by."""
    still = type("Own", (Bernoulli,), {})(logits=torch.zeros(4))
    assert not train(distribution=still).requires_grad
