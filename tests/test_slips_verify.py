"""Slips with the oracle and the check."""

import pytest
import torch
from torch.distributions import Bernoulli, Normal

import sfgrad as sf
from tests.slips import Slips, assert_refused

slip = Slips()
eta = torch.zeros(2, dtype=torch.float64, requires_grad=True)


def coin():
    return sf.sample(Bernoulli(logits=eta, validate_args=True), name="z")


def bell():
    return sf.sample(Normal(eta, 1.0, validate_args=True), name="z")


@slip("wrt is a tensor of shape .*: give a list of tensors")
def a_tensor_to_differentiate_by():
    sf.check_unbiased(coin, wrt=eta)


@slip("wrt.0. is the string 'eta': give the tensor itself")
def the_name_of_a_tensor():
    sf.exact_gradient(coin, wrt=["eta"])


@slip("wrt is 3: give a list")
def a_number_to_differentiate_by():
    sf.exact_gradient(coin, wrt=3)


@slip("wrt.1. does not require a gradient: call requires_grad_")
def a_tensor_without_gradient():
    sf.exact_gradient(coin, wrt=[eta, torch.zeros(2)])


@slip("got a Tensor: give it the model")
def a_loss_in_place_of_a_model():
    sf.check_unbiased(coin().sum(), wrt=[eta])


@slip("got the class Linear: give a module")
def a_class_in_place_of_a_model():
    sf.exact_gradient(torch.nn.Linear)


@slip("repeats is the string '100': it must be a whole number")
def a_string_of_repeats():
    sf.check_unbiased(coin, wrt=[eta], repeats="100")


@slip("repeats is 100.5: it must be a whole number")
def half_a_repeat():
    sf.check_unbiased(coin, wrt=[eta], repeats=100.5)


@slip("repeats is 10: it must be at least 30, since the standard error of fewer")
def few_repeats():
    sf.check_unbiased(coin, wrt=[eta], repeats=10)


@slip("seed is the string 'a': it must be a whole number")
def a_string_as_a_seed():
    sf.check_unbiased(coin, wrt=[eta], mode="monte_carlo", seed="a")


@slip("max_trajectories is the string 'a': it must be a whole number")
def a_string_of_trajectories():
    sf.exact_gradient(coin, wrt=[eta], max_trajectories="a")


@slip("max_trajectories is 0: it must be at least 1")
def no_trajectory():
    sf.exact_gradient(coin, wrt=[eta], max_trajectories=0)


@slip("max_trajectories is 0: it must be at least 1")
def no_outcome():
    sf.check_unbiased(coin, wrt=[eta], max_outcomes=0)


@slip("error_rate is 0: it must be a probability")
def no_error():
    sf.check_unbiased(coin, wrt=[eta], mode="monte_carlo", error_rate=0)


@slip("error_rate is 5: it must be a probability")
def an_error_rate_in_percent():
    sf.check_unbiased(coin, wrt=[eta], mode="monte_carlo", error_rate=5)


@slip("rtol is -1: it must be a number, at least 0")
def a_negative_tolerance():
    sf.check_unbiased(coin, wrt=[eta], rtol=-1)


@slip("quadrature is 8.0: it must be a whole number")
def a_float_of_an_order():
    sf.exact_gradient(bell, wrt=[eta], quadrature=8.0)


@slip("quadrature is 0: it must be at least 1")
def no_order():
    sf.check_unbiased(bell, wrt=[eta], quadrature=0)


@slip("quadrature..z.. is the string '8': it must be a whole number")
def a_string_of_an_order():
    sf.exact_gradient(bell, wrt=[eta], quadrature={"z": "8"})


@slip(
    "quadrature= names 'w', which is not a Gaussian node of the model: name only Gaussian nodes .z."
)
def an_order_for_a_node_that_does_not_exist():
    sf.exact_gradient(bell, wrt=[eta], quadrature={"z": 8, "w": 8})


@slip("quadrature= names 'z', which is not a Gaussian node .*: name only Gaussian nodes .none.")
def an_order_for_a_node_that_is_not_gaussian():
    sf.exact_gradient(coin, wrt=[eta], quadrature={"z": 8})


@slip("estimator of node 'z' is the string 'pathwise': give an object")
def a_string_as_a_reference():
    sf.check_unbiased(bell, wrt=[eta], reference="pathwise")


@slip("estimator of node 'z' is the class Pathwise: .*call the class")
def a_class_as_a_reference():
    sf.check_unbiased(bell, wrt=[eta], reference=sf.Pathwise)


@slip("mode is None: it must be 'auto', 'exact' or 'monte_carlo'")
def no_mode():
    sf.check_unbiased(coin, wrt=[eta], mode=None)


@slip("samples=4, but the expectation passed as the model has samples=1: set it there")
def samples_beside_those_of_an_expectation():
    sf.check_unbiased(sf.expectation(coin), wrt=[eta], samples=4)


@slip.parametrize
def test_a_slip_ends_in_one_whole_sentence(make, message):
    assert_refused(make, message)


@pytest.mark.parametrize("order", [3, {"z": 3}])
def test_what_is_right_is_taken(order):
    value, _ = sf.exact_gradient(lambda: bell() ** 2, wrt=(eta,), quadrature=order)
    assert value.item() == pytest.approx(1.0)
