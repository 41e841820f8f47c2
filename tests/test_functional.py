"""The pure functions against hand-computed constants, loops and gradcheck."""

import pytest
import torch
from torch.autograd import gradcheck

import sfgrad as sf
from sfgrad.recurrence import linear_recurrence


def test_score_function_loss_by_hand():
    log_prob = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    advantage = torch.tensor([2.0, -1.0, 0.0], requires_grad=True)
    loss = sf.score_function_loss(log_prob, advantage)
    assert loss.item() == pytest.approx((2.0 - 2.0) / 3)
    loss.backward()
    torch.testing.assert_close(log_prob.grad, torch.tensor([-2 / 3, 1 / 3, 0.0]))
    assert advantage.grad is None


def test_score_function_loss_broadcasts_nothing():
    with pytest.raises(ValueError, match=r"shape \[3\] but advantage has \[3, 1\]"):
        sf.score_function_loss(torch.ones(3), torch.ones(3, 1))


def test_magic_box_is_one_and_keeps_every_derivative():
    x = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    box = sf.magic_box(x.log())  # d^k/dx^k of x/stop(x): 1/x, then 0
    assert box.item() == 1
    first = torch.autograd.grad(box, x, create_graph=True)[0]
    assert first.item() == pytest.approx(1 / 0.7)
    assert torch.autograd.grad(first, x)[0].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_leave_one_out_by_loop(dim):
    cost = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    found = sf.leave_one_out(cost, dim).movedim(dim, 0)
    moved = cost.detach().movedim(dim, 0)
    for k in range(len(moved)):
        others = torch.cat([moved[:k], moved[k + 1 :]])
        torch.testing.assert_close(found[k], others.mean(0))
    assert not found.requires_grad


@pytest.mark.parametrize("cost", [torch.ones(1, 3), torch.tensor(1.0)])
def test_leave_one_out_of_one(cost):
    with pytest.raises(ValueError, match="leave-one-out over 1 sample"):
        sf.leave_one_out(cost)


def test_standardize_by_hand():
    torch.testing.assert_close(
        sf.standardize(torch.tensor([[1.0, 2.0], [3.0, 6.0]])),
        torch.tensor([[-2.0, -1.0], [0.0, 3.0]]) / 3.5**0.5,
    )
    assert not sf.standardize(torch.full((5,), 3.0)).any()
    with pytest.raises(ValueError, match="standardize got 1 element"):
        sf.standardize(torch.ones(1))


# ---------------------------------------------------------------- returns


@pytest.mark.parametrize("length", [0, 1, 2, 31, 32, 33, 34, 49, 50, 1000])
def test_linear_recurrence_by_loop(length):
    torch.manual_seed(length)
    x, a = torch.randn(2, length, 3, dtype=torch.float64)
    found, y = linear_recurrence(x, a), torch.zeros(3, dtype=torch.float64)
    assert found.shape == x.shape
    for t in reversed(range(length)):
        y = x[t] + a[t] * y
        torch.testing.assert_close(found[t], y, rtol=1e-9, atol=1e-9 * y.abs().max().item())


@pytest.mark.parametrize("length", [5, 40])
def test_linear_recurrence_has_both_derivatives(length):
    torch.manual_seed(0)
    x, a = torch.rand(2, length, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(linear_recurrence, (x.detach().requires_grad_(), a.detach().requires_grad_()))


@pytest.mark.parametrize("dim", [0, 1])
def test_discounted_return_by_loop(dim):
    torch.manual_seed(0)
    reward = torch.randn(60, 7, dtype=torch.float64)
    done = torch.rand(60, 7) < 0.2
    found = sf.discounted_return(
        reward.movedim(0, dim), 0.9, done=done.movedim(0, dim), dim=dim
    ).movedim(dim, 0)
    running = torch.zeros(7, dtype=torch.float64)
    for t in reversed(range(60)):
        running = torch.where(done[t], reward[t], reward[t] + 0.9 * running)
        torch.testing.assert_close(found[t], running)


def test_whole_rewards_are_discounted_too():
    reward = torch.tensor([1, 0, 1])
    assert sf.discounted_return(reward, 0.5).tolist() == [1.25, 0.5, 1.0]
    found = sf.generalized_advantage(reward, torch.zeros(3), torch.zeros(()), 0.5, 1.0)
    assert found.tolist() == [1.25, 0.5, 1.0]


def test_the_sum_restarts_at_each_point_of_pong():
    reward = torch.tensor([0.0, 0.0, -1.0, 0.0, 1.0])
    found = sf.discounted_return(reward, 0.5, done=reward != 0)
    assert found.tolist() == [-0.25, -0.5, -1.0, 0.5, 1.0]


def test_generalized_advantage_by_loop():
    torch.manual_seed(0)
    reward, value = torch.randn(2, 40, 3, dtype=torch.float64)
    last, done = torch.randn(3, dtype=torch.float64), torch.rand(40, 3) < 0.2
    found = sf.generalized_advantage(reward, value, last, 0.9, 0.8, done)
    following, running = last, torch.zeros(3, dtype=torch.float64)
    for t in reversed(range(40)):
        alive = (~done[t]).double()
        running = reward[t] + 0.9 * alive * following - value[t] + 0.9 * 0.8 * alive * running
        following = value[t]
        torch.testing.assert_close(found[t], running)


def test_generalized_advantage_with_full_trace_is_return_minus_value():
    reward, value = torch.randn(2, 9, 2, dtype=torch.float64)
    found = sf.generalized_advantage(reward, value, torch.zeros(2), 0.9, 1.0, dim=0)
    torch.testing.assert_close(found, sf.discounted_return(reward, 0.9) - value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: sf.discounted_return(r, 1.5), "discount is 1.5"),
        (
            lambda r: sf.discounted_return(r, 0.5, done=r[:2]),
            r"done has shape \[2, 2\]: reward has",
        ),
        (lambda r: sf.generalized_advantage(r, r, r[0], 0.5, -1), "trace is -1"),
        (
            lambda r: sf.generalized_advantage(r, r[:, :1], r[0], 0.5, 1),
            r"value has shape \[3, 1\]",
        ),
        (lambda r: sf.generalized_advantage(r, r, r[:1], 0.5, 1), r"last_value has shape \[1, 2\]"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(3, 2))
