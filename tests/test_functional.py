"""The pure functions against hand-computed constants, loops and gradcheck."""

import pytest
import torch
from torch.autograd import gradcheck

import sfgrad as sf
from sfgrad.optim import clipped_surrogate
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


def test_generalized_advantage_with_lambda_one_is_return_minus_value():
    reward, value = torch.randn(2, 9, 2, dtype=torch.float64)
    found = sf.generalized_advantage(reward, value, torch.zeros(2), 0.9, 1.0, dim=0)
    torch.testing.assert_close(found, sf.discounted_return(reward, 0.9) - value)


def test_a_discount_for_each_step():
    torch.manual_seed(0)
    reward = torch.randn(50, 3, dtype=torch.float64)
    value, last = torch.randn(50, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    discount, done = torch.rand(50, 3, dtype=torch.float64), torch.rand(50, 3) < 0.2
    returns = sf.discounted_return(reward, discount, done, last_value=last)
    advantages = sf.generalized_advantage(reward, value, last, discount, 0.8, done)
    following, running, following_value = last, torch.zeros(3, dtype=torch.float64), last
    for t in reversed(range(50)):
        carry = discount[t] * ~done[t]
        following = reward[t] + carry * following
        running = reward[t] + carry * (following_value + 0.8 * running) - value[t]
        following_value = value[t]
        torch.testing.assert_close(returns[t], following)
        torch.testing.assert_close(advantages[t], running)


def test_a_roll_out_cut_in_the_middle_is_the_whole_up_to_the_last_value():
    reward = torch.randn(40, 2, dtype=torch.float64)
    whole = sf.discounted_return(reward, 0.9)
    part = sf.discounted_return(reward[:25].T, 0.9, dim=1, last_value=whole[25])
    torch.testing.assert_close(part.T, whole[:25])


def test_a_time_limit_is_not_an_end():
    """Two episodes of a state worth 10 that are cut off: nothing is gained or lost there."""
    reward, value = torch.ones(6), torch.full((6,), 10.0)
    done = torch.tensor([0, 0, 1, 0, 0, 1])
    final = torch.tensor([0.0, 0, 10, 0, 0, 10])
    last = torch.tensor(7.0)
    found = sf.generalized_advantage(reward, value, last, 0.9, 0.95, done, final_value=final)
    torch.testing.assert_close(found, torch.zeros(6), atol=1e-6, rtol=0)
    ended = sf.generalized_advantage(reward, value, last, 0.9, 0.95, done)
    assert (ended < -1).all()


@pytest.mark.parametrize("length", [5, 60])
def test_what_is_masked_counts_for_nothing(length):
    torch.manual_seed(0)
    log_prob = torch.randn(3, length, requires_grad=True)
    advantage, mask = torch.randn(3, length), torch.rand(3, length) < 0.6
    mask[:, :2] = True  # two at least to standardise
    bad = torch.where(mask, advantage, torch.nan)
    found = sf.score_function_loss(log_prob.where(mask, -torch.inf), bad, mask)
    wanted = sf.score_function_loss(log_prob[mask], advantage[mask])
    torch.testing.assert_close(found, wanted)
    found, wanted = (torch.autograd.grad(x, log_prob)[0] for x in (found, wanted))
    torch.testing.assert_close(found, wanted)
    assert sf.score_function_loss(log_prob, bad, torch.zeros_like(mask)).item() == 0

    standard = sf.standardize(bad, mask=mask)
    torch.testing.assert_close(standard[mask], sf.standardize(advantage[mask]))
    assert not standard[~mask].any()
    by_row = sf.standardize(bad, dim=1, mask=mask)
    for row in range(3):
        kept = mask[row]
        torch.testing.assert_close(by_row[row][kept], sf.standardize(advantage[row][kept]))


def test_standardize_along_one_dimension():
    x = torch.randn(4, 6)
    columns = torch.stack([sf.standardize(column) for column in x.T], 1)
    torch.testing.assert_close(sf.standardize(x, dim=0), columns)
    with pytest.raises(ValueError, match="standardize got 1 element"):
        sf.standardize(x[:1], dim=0)


@pytest.mark.parametrize("dim", [0, 1])
def test_leave_one_out_within_groups_by_loop(dim):
    torch.manual_seed(0)
    cost, groups = torch.randn(6, 3), torch.tensor([2, 0, 2, 0, 2, 0])
    found = sf.leave_one_out(cost.movedim(0, dim), dim, groups).movedim(dim, 0)
    for k in range(6):
        others = [cost[j] for j in range(6) if j != k and groups[j] == groups[k]]
        torch.testing.assert_close(found[k], torch.stack(others).mean(0))
    with pytest.raises(ValueError, match="over a group of 1 sample"):
        sf.leave_one_out(cost, 0, torch.tensor([0, 0, 1, 2, 2, 2]))


@pytest.mark.parametrize(
    "call",
    [
        lambda x, mask: sf.score_function_loss(x, x, mask),
        lambda x, mask: sf.standardize(x, mask=mask),
        lambda x, mask: clipped_surrogate(x, x, x, 0.2, mask),
    ],
)
@pytest.mark.parametrize("mask", [torch.ones(4), torch.ones(3, dtype=torch.bool)])
def test_a_mask_is_of_booleans_and_of_the_same_shape(call, mask):
    with pytest.raises(ValueError, match=r"the mask has shape .* give booleans of shape \[4\]"):
        call(torch.ones(4), mask)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: sf.discounted_return(r, 2 * torch.ones(3, 2)), "discount has entries outside"),
        (
            lambda r: sf.discounted_return(r, torch.ones(2)),
            r"discount has shape \[2\] but reward has",
        ),
        (
            lambda r: sf.discounted_return(r, 0.5, last_value=torch.ones(3)),
            r"last_value has shape \[3\]: one step of reward has \[2\]",
        ),
        (
            lambda r: sf.generalized_advantage(r, r, r[0], 0.5, 1.0, final_value=r),
            "final_value is not 0 at a step where done is",
        ),
        (
            lambda r: sf.generalized_advantage(r, r, r[0], 0.5, 1.0, 1 - r, final_value=r),
            "final_value is not 0 at a step where done is",
        ),
        (
            lambda r: sf.generalized_advantage(r, r, r[0], 0.5, 1.0, final_value=r[:1]),
            r"final_value has shape \[1, 2\]",
        ),
        (lambda r: sf.discounted_return(r, 1.5), "discount is 1.5"),
        (
            lambda r: sf.discounted_return(r, 0.5, done=r[:2]),
            r"done has shape \[2, 2\] but reward has",
        ),
        (lambda r: sf.generalized_advantage(r, r, r[0], 0.5, -1), "gae_lambda is -1"),
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
