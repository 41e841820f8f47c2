"""Slips with the pure functions."""

import numpy as np
import torch

import sfgrad as sf
from tests.slips import Slips, assert_refused

slip = Slips()
ones, zero = torch.ones(3), torch.tensor(0.0)


@slip("dim is 1: a tensor of shape .3. has the dimensions 0 to 0")
def a_time_axis_that_does_not_exist():
    sf.discounted_return(ones, 0.9, dim=1)


@slip("dim is of type float: give a whole number")
def a_float_of_an_axis():
    sf.discounted_return(ones, 0.9, dim=1.0)


@slip("discount is of type str: give a number in .0, 1.")
def a_string_of_a_discount():
    sf.discounted_return(ones, ".9")


@slip("discount is 99: it must be in .0, 1.")
def a_discount_in_percent():
    sf.discounted_return(ones, 99)


@slip("reward has no dimension: give it one of time")
def a_single_reward():
    sf.discounted_return(torch.tensor(1.0), 0.9)


@slip("reward is of type ndarray: give a tensor")
def an_array_of_rewards():
    sf.discounted_return(np.ones(3), 0.9)


@slip("last_value is of type float: give a tensor")
def a_number_as_the_last_value():
    sf.discounted_return(ones, 0.9, last_value=1.0)


@slip("done has shape .2. but reward has .3.")
def fewer_ends_than_steps():
    sf.discounted_return(ones, 0.9, done=torch.zeros(2))


@slip("done has entries other than 0 and 1: give booleans")
def an_end_that_counts():
    sf.discounted_return(ones, 0.9, done=torch.full((3,), 2))


@slip("gae_lambda is 2.0: it must be in .0, 1.")
def a_lambda_above_one():
    sf.generalized_advantage(ones, ones, zero, 0.9, 2.0)


@slip("value is of type list: give a tensor")
def a_list_of_values():
    sf.generalized_advantage(ones, [1, 1, 1], zero, 0.9, 0.9)


@slip("dim is 2: a tensor of shape .3. has the dimensions 0 to 0")
def a_sample_axis_that_does_not_exist():
    sf.leave_one_out(ones, dim=2)


@slip("leave-one-out over 1 sample: it needs at least two")
def one_sample_to_compare():
    sf.leave_one_out(torch.ones(1))


@slip("groups is of type list: give a tensor")
def a_list_of_groups():
    sf.leave_one_out(ones, groups=[0, 0, 0])


@slip("groups has a negative number: number the groups from 0 up")
def a_negative_group():
    sf.leave_one_out(ones, groups=torch.tensor([-1, 0, 0]))


@slip("eps is -1: it must be a number, at least 0")
def a_negative_eps():
    sf.standardize(ones, eps=-1)


@slip("eps is the string 'a': it must be a number")
def a_string_as_eps():
    sf.standardize(ones, eps="a")


@slip("dim is 1: a tensor of shape .3. has the dimensions 0 to 0")
def an_axis_that_does_not_exist():
    sf.standardize(ones, dim=1)


@slip("standardize got 1 element: it needs at least two")
def one_number_to_standardise():
    sf.standardize(torch.ones(1))


@slip("log_prob is of type float: give a tensor")
def a_number_in_a_magic_box():
    sf.magic_box(1.0)


@slip("advantage is of type float: give a tensor")
def one_advantage_for_all():
    sf.score_function_loss(ones, 1.0)


@slip("log_prob has shape .3. but advantage has .3, 1.: give one advantage per draw")
def advantages_that_would_be_broadcast():
    sf.score_function_loss(ones, torch.ones(3, 1))


@slip("the mask has shape .3. and type torch.float32: give booleans of shape .3.")
def a_mask_of_numbers():
    sf.score_function_loss(ones, ones, mask=torch.ones(3))


@slip.parametrize
def test_a_slip_ends_in_one_whole_sentence(make, message):
    assert_refused(make, message)
