"""What the end of an episode keeps out of returns and advantages, and what is refused."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.func import grad, vmap

import sfgrad as sf
from sfgrad.recurrence import linear_recurrence

LENGTHS = [7, 60, 500]  # in a loop, in blocks, in blocks of blocks


def episodes(length, seed=0):
    """Rewards `[T, 4]` with a bad episode in each of three columns, ends, and where it is."""
    torch.manual_seed(seed)
    reward = torch.randn(length, 4, dtype=torch.float64)
    done = torch.rand(length, 4) < 4 / length
    done[length // 3] = done[2 * length // 3] = True
    number = done.cumsum(0) - done.long()
    bad = number == number[length // 2]
    bad[:, 3] = False
    reward[length // 2, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    return reward, done, bad


def advantage(reward, discount, done):
    """With predictions that are as bad as the rewards."""
    value = torch.where(reward.isfinite(), 0.1, reward)
    return sf.generalized_advantage(reward, value, value[0], discount, 0.8, done)


CALLS = pytest.mark.parametrize("call", [sf.discounted_return, advantage])
BY_STEP = pytest.mark.parametrize("by_step", [False, True])


@CALLS
@BY_STEP
@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_not_finite_stays_in_its_episode(call, by_step, length):
    reward, done, bad = episodes(length)
    clean = reward.where(reward.isfinite(), 0)
    discount = torch.full_like(reward, 0.9).requires_grad_() if by_step else 0.9
    results = []
    for given in (reward, clean):
        given = given.clone().requires_grad_()
        result = call(given, discount, done)
        wrt = [given, discount] if by_step else [given]
        results.append((result, *torch.autograd.grad(result.square().sum(), wrt)))
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found[~bad], wanted[~bad])
    assert not results[0][0][length // 2, :3].isfinite().any()


@CALLS
@pytest.mark.parametrize("length", [7, 60])
def test_it_stays_there_under_transforms_too(call, length):
    reward, done, bad = episodes(length)

    def loss(reward, done):
        return call(reward, 0.9, done).square().sum()

    columns = reward.T, done.T
    found = vmap(grad(loss))(*columns)
    wanted = vmap(grad(loss))(reward.where(reward.isfinite(), 0).T, done.T)
    torch.testing.assert_close(found[~bad.T], wanted[~bad.T])
    assert found[~bad.T].isfinite().all()


def test_it_stays_there_when_compiled():
    reward, done, bad = episodes(7)
    compiled = torch.compile(sf.discounted_return, fullgraph=True, backend="eager")
    wanted = sf.discounted_return(reward.where(reward.isfinite(), 0), 0.9, done)
    torch.testing.assert_close(compiled(reward, 0.9, done)[~bad], wanted[~bad])


@pytest.mark.parametrize("length", [7, 60])
def test_a_discount_of_0_is_an_end(length):
    reward, done, bad = episodes(length)
    found = sf.discounted_return(reward, 0.9 * (1 - done.double()))
    wanted = sf.discounted_return(reward.where(reward.isfinite(), 0), 0.9, done)
    torch.testing.assert_close(found[~bad], wanted[~bad])
    torch.testing.assert_close(sf.discounted_return(reward, 0.0), reward, equal_nan=True)
    error = sf.generalized_advantage(reward, 0 * done, reward[0] * 0, 0.9, 0.0, done)
    torch.testing.assert_close(error[~bad], reward[~bad])


def test_values_after_the_last_step_do_not_pass_an_end():
    last = torch.tensor([torch.nan, torch.inf])
    reward, done = torch.ones(3, 2), torch.tensor([[False] * 2, [False] * 2, [True] * 2])
    assert sf.discounted_return(reward, 1.0, done, last_value=last).tolist() == [
        [3, 3],
        [2, 2],
        [1, 1],
    ]
    found = sf.generalized_advantage(reward, torch.zeros(3, 2), last, 1.0, 1.0, done)
    assert found.tolist() == [[3, 3], [2, 2], [1, 1]]


def test_what_overflows_does_not_pass_an_end():
    reward = torch.tensor([1.0, 1.0, 3e38, 3e38])
    done = torch.tensor([0, 1, 0, 0])
    assert sf.discounted_return(reward, 1.0, done).tolist() == [2, 1, torch.inf, reward[3]]


@pytest.mark.parametrize("length", [5, 40])
def test_a_recurrence_with_ends_has_both_derivatives(length):
    torch.manual_seed(0)
    x, a = torch.rand(2, length, 2, dtype=torch.float64)
    ends = torch.rand(length, 2) < 0.2
    a = a.masked_fill(ends, 0)
    torch.testing.assert_close(linear_recurrence(x, a, ends), linear_recurrence(x, a))

    def solved(x, a):
        return linear_recurrence(x, a.masked_fill(ends, 0), ends)

    assert gradcheck(solved, (x.requires_grad_(), a.requires_grad_()))


def test_the_derivative_by_a_discount_of_0_is_kept():
    discount = torch.zeros(3, requires_grad=True)
    sf.discounted_return(torch.tensor([1.0, 2.0, 3.0]), discount)[0].backward()
    assert discount.grad.tolist() == [2, 0, 0]
    by_func = grad(lambda d: sf.discounted_return(torch.tensor([1.0, 2.0, 3.0]), d)[0])
    assert by_func(torch.zeros(3)).tolist() == [2, 0, 0]


def test_rewards_of_half_types_are_summed_in_single_precision():
    reward = torch.ones(1000, dtype=torch.bfloat16)
    found = sf.discounted_return(reward, 1.0)
    assert found.dtype == torch.bfloat16
    assert found[0] == 1000  # in bfloat16 it stops at 256
    value = torch.zeros_like(reward)
    found = sf.generalized_advantage(reward, value, value[0], 1.0, 1.0)
    assert found.dtype == torch.bfloat16
    assert found[0] == 1000


# ---------------------------------------------------------------- refusals

ONES = torch.ones(3)


@pytest.mark.parametrize("done", [torch.tensor([0, 2, 0]), torch.tensor([0, 0.5, torch.nan])])
def test_ends_are_0_or_1(done):
    with pytest.raises(ValueError, match="done has entries other than 0 and 1: give booleans"):
        sf.discounted_return(ONES, 0.9, done)
    with pytest.raises(ValueError, match="done has entries other than 0 and 1: give booleans"):
        sf.generalized_advantage(ONES, ONES, ONES[0], 0.9, 0.9, done)


@pytest.mark.parametrize("given", [np.ones(3), [1.0, 1.0, 1.0], 1.0])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("reward", lambda x: sf.discounted_return(x, 0.9)),
        ("done", lambda x: sf.discounted_return(ONES, 0.9, x)),
        ("last_value", lambda x: sf.discounted_return(ONES, 0.9, last_value=x)),
        ("reward", lambda x: sf.generalized_advantage(x, ONES, ONES[0], 0.9, 0.9)),
        ("value", lambda x: sf.generalized_advantage(ONES, x, ONES[0], 0.9, 0.9)),
        ("last_value", lambda x: sf.generalized_advantage(ONES, ONES, x, 0.9, 0.9)),
        ("done", lambda x: sf.generalized_advantage(ONES, ONES, ONES[0], 0.9, 0.9, x)),
        (
            "final_value",
            lambda x: sf.generalized_advantage(ONES, ONES, ONES[0], 0.9, 0.9, final_value=x),
        ),
    ],
)
def test_what_is_no_tensor_is_named(name, call, given):
    kind = type(given).__name__
    with pytest.raises(TypeError, match=f"^{name} is of type {kind}: give a tensor"):
        call(given)


@pytest.mark.parametrize("given", [np.ones(3), [0.9, 0.9, 0.9], "0.9", ONES])
def test_what_is_no_number_is_named(given):
    kind = type(given).__name__
    if given is not ONES:
        with pytest.raises(TypeError, match=f"discount is of type {kind}: give a number in"):
            sf.discounted_return(ONES, given)
    with pytest.raises(TypeError, match=f"gae_lambda is of type {kind}: give a number in"):
        sf.generalized_advantage(ONES, ONES, ONES[0], 0.9, given)


def test_rewards_without_time_or_of_complex_numbers():
    with pytest.raises(ValueError, match="reward has no dimension: give it one of time"):
        sf.discounted_return(torch.tensor(1.0), 0.9)
    with pytest.raises(ValueError, match=r"reward is complex \(torch.complex64\)"):
        sf.discounted_return(1j * ONES, 0.9)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_no_steps_or_no_rows_make_nothing(shape):
    reward = torch.zeros(shape)
    last = torch.zeros(shape[1:])
    for done in (None, reward.bool()):
        assert sf.discounted_return(reward, 0.9, done, last_value=last).shape == shape
        assert sf.generalized_advantage(reward, reward, last, 0.9, 0.9, done).shape == shape
