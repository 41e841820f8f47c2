"""What a roll-out teaches: advantages, gradient, loss, signal-to-noise ratio.

Tests that draw at random have a family-wise error rate of 1e-6 each and a fixed seed.
"""

from copy import deepcopy
from dataclasses import replace
from functools import partial
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import Generator

import sfgrad as sf
from applications.pong.frames import Frames, Pairs
from applications.pong.learner import Config, Learner, signal_to_noise
from applications.pong.rollout import Steps
from tests.applications.pong.lights import QUICK, STAGE, VIEW, by_product, collector, opinionated

FAMILY = 1e-6


def scored(time=40, games=3):
    """A roll-out of points and ends at random."""
    random = Generator().manual_seed(1)
    draw = partial(torch.randint, size=(time, games), generator=random)
    values = torch.randn(time + 1, games, dtype=torch.float64, generator=random)
    nothing = torch.zeros(time, games)
    rewards, ended = (draw(9) // 4 - draw(9) // 8).clamp(-1, 1).double(), draw(8) == 0
    assert (rewards != 0).any()
    assert (rewards < 0).any()
    return Steps((), nothing, nothing, values, rewards, ended, [])


def by_loop(steps, config, cut):
    """Generalised advantages, one at a time."""
    advantage = np.zeros(steps.rewards.shape)
    values, rewards = steps.values.numpy(), steps.rewards.numpy()
    for game in range(advantage.shape[1]):
        later = 0.0
        for t in reversed(range(len(advantage))):
            goes_on = not (steps.ended[t, game] or (cut and rewards[t, game] != 0))
            delta = rewards[t, game] - values[t, game]
            if goes_on:
                delta += config.discount * values[t + 1, game]
                later = delta + config.discount * config.gae_lambda * later
            else:
                later = delta
            advantage[t, game] = later
    return advantage


@pytest.mark.parametrize("cut", [True, False])
def test_moves_are_judged_by_generalised_advantages(cut):
    steps, config = (
        scored(),
        replace(QUICK, cut=cut, standardize=False, discount=0.9, gae_lambda=0.8),
    )
    advantage, target = Learner(config, 2, 1.0).judge(steps)
    wanted = by_loop(steps, config, cut)
    np.testing.assert_allclose(advantage, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(target, wanted + steps.values[:-1].numpy(), rtol=1e-9, atol=1e-12)
    assert np.abs(wanted - by_loop(steps, config, not cut)).max() > 0.1
    advantage, same = Learner(replace(config, standardize=True), 2, 1.0).judge(steps)
    np.testing.assert_allclose(advantage, (wanted - wanted.mean()) / wanted.std(), rtol=1e-6)
    assert torch.equal(same, target)


def test_without_a_baseline_nothing_is_subtracted():
    config = replace(QUICK, baseline=False, standardize=False, discount=0.9, gae_lambda=0.8)
    steps = scored()
    credit, target = Learner(config, 2, 1.0).judge(steps)
    advantage, same = Learner(replace(config, baseline=True), 2, 1.0).judge(steps)
    assert torch.equal(target, same)
    assert torch.equal(credit, target)
    np.testing.assert_allclose(credit - steps.values[:-1], advantage, rtol=1e-9, atol=1e-12)
    assert (credit - advantage).abs().max() > 0.1


def test_rewards_count_by_their_signs_and_only_pong_is_cut_at_points():
    steps, config = scored(), Config(game="breakout", environments=3, hidden=8)
    larger = replace(steps, rewards=30 * steps.rewards)
    advantage, _ = Learner(config, 4, 1.0).judge(steps)
    assert torch.equal(Learner(config, 4, 1.0).judge(larger)[0], advantage)
    wanted = [by_loop(steps, config, cut) for cut in (True, False)]
    wanted = [(one - one.mean()) / one.std() for one in wanted]
    np.testing.assert_allclose(advantage, wanted[1], rtol=1e-6)
    assert np.abs(wanted[0] - wanted[1]).max() > 0.1


@pytest.fixture
def one_minibatch():
    """A learner in float64 and a roll-out of its own policy, to be learned from in one update."""
    config = replace(QUICK, epochs=1, minibatch=64, environments=4, horizon=16)
    learner = Learner(
        replace(config, value_coefficient=0.0, entropy_coefficient=0.0), 2, VIEW.scale
    )
    opinionated(learner.model)
    return learner, collector(4, 16).collect(learner.model)


@pytest.mark.parametrize(("entropy", "left"), [(0.0, 1.0), (0.5, 0.4)])
def test_the_first_gradient_is_the_score_functions(one_minibatch, entropy, left):
    learner, steps = one_minibatch
    learner.config = replace(learner.config, entropy_coefficient=entropy)
    before = deepcopy(learner.model).cpu()
    metrics = learner.learn(steps, STAGE, left)
    dense = Frames.of(*steps.changes, 1.0).dense(Pairs.size)
    dist, _ = by_product(before, dense)
    log_prob = dist.log_prob(steps.moves.flatten().double())
    advantage = learner.judge(steps)[0].flatten()
    loss = sf.score_function_loss(log_prob, advantage) - entropy * left * dist.entropy().mean()
    loss.backward()
    for name, wanted in before.named_parameters():
        got = learner.model.get_parameter(name).grad.cpu()  # of the only update
        torch.testing.assert_close(got, wanted.grad, rtol=1e-6, atol=1e-9)
    assert before.w1.grad.abs().max() > 1e-3
    assert metrics["kl"] == pytest.approx(0, abs=1e-9)
    assert metrics["clipped"] == 0


def test_the_loss_is_the_formula(one_minibatch):
    learner, steps = one_minibatch
    learner.config = replace(learner.config, value_coefficient=0.7, clip_range=0.3)
    random = Generator().manual_seed(2)
    moves, advantage, target, noise = torch.randn(4, 64, dtype=torch.float64, generator=random)
    moves = (moves > 0).double()
    dist, value = by_product(learner.model, Frames.of(*steps.changes, 1.0).dense(Pairs.size))
    ratio = (noise / 3).exp()
    old = dist.log_prob(moves) - ratio.log()
    kept = torch.where(advantage > 0, ratio.clamp(max=1.3), ratio.clamp(min=0.7))
    wanted = (
        0.7 * (value - target).square().mean() - (kept * advantage).mean(),
        dist.entropy().mean(),
        (ratio - 1 - ratio.log()).mean(),
        ((ratio > 1.3) | (ratio < 0.7)).float().mean(),
    )
    frames = Frames.of(*steps.changes, 1.0)
    for got, want in zip(learner.loss(frames, moves, old, advantage, target), wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
    assert 0.1 < wanted[3] < 0.9


def test_every_row_is_in_one_minibatch_of_an_epoch():
    learner = Learner(replace(QUICK, epochs=3), 2, 1.0)
    parts = list(learner.minibatches(10, replace(STAGE, minibatch=4)))
    assert [(epoch, len(rows)) for epoch, rows in parts] == [
        (epoch, size) for epoch in range(3) for size in (4, 4, 2)
    ]
    orders = [torch.cat([rows for at, rows in parts if at == epoch]) for epoch in range(3)]
    assert all(order.sort().values.tolist() == list(range(10)) for order in orders)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[1], orders[2])


def test_the_step_size_falls_to_nothing(one_minibatch):
    learner, steps = one_minibatch
    before = deepcopy(learner.model.state_dict())
    metrics = learner.learn(steps, STAGE, left=0.0)
    assert all(torch.equal(before[name], w) for name, w in learner.model.state_dict().items())
    _, target = learner.judge(steps)
    fit = 1 - (target - steps.values[:-1]).var() / target.var()
    assert metrics["baseline_fit"] == pytest.approx(fit.item())


def test_signal_to_noise_is_the_formula():
    gradients = torch.tensor([[1.0, 2.0], [3.0, 2.0], [2.0, 5.0]])
    assert signal_to_noise(gradients) == pytest.approx((2**2 + 3**2 - 4 / 3) / 4)
    assert signal_to_noise(gradients[:1]) is None


def test_signal_to_noise_of_a_known_gradient():
    """Of normal gradients, mean and variance are independent: the expectation is known exactly."""
    runs, rows, columns, mean, deviation = 2000, 4, 50, 0.2, 2.0
    random = Generator().manual_seed(0)
    shape = runs, rows, columns
    draws = mean + deviation * torch.randn(shape, generator=random, dtype=torch.float64)
    signal, noise = columns * mean**2, columns * deviation**2
    freedom = (rows - 1) * columns
    expected = (signal + noise / rows) / noise * freedom / (freedom - 2) - 1 / rows

    def z(estimates):
        estimates = np.array(estimates)
        return abs(estimates.mean() - expected) / (estimates.std(ddof=1) / runs**0.5)

    threshold = NormalDist().inv_cdf(1 - FAMILY / 2)
    assert z([signal_to_noise(gradients) for gradients in draws]) < threshold
    naive = [(g.mean(0).square().sum() / g.var(0).sum()).item() for g in draws]
    assert z(naive) > threshold  # what noise adds to the squared mean is not taken off


def test_moments_end_at_zero_and_not_among_subnormal_numbers():
    torch.set_flush_denormal(False)  # as in a new process
    learner = Learner(QUICK, 2, 1.0)
    w1 = learner.model.w1
    w1.grad = torch.full_like(w1, 1e-38)
    learner.optimizer.step()
    assert (learner.optimizer.state[w1]["exp_avg"] == 0).all()
