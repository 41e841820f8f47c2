"""The fast recipe: what it looks up, records and learns, that it goes on, and what it refuses.

Tests that draw at random have a family-wise error rate of 1e-6 each and a fixed seed.
"""

import os
import signal
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import partial
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import Generator
from torch.autograd import gradcheck, gradgradcheck
from torch.distributions import Bernoulli, Categorical

import sfgrad as sf
from applications.pong import fast, policy
from applications.pong.__main__ import main
from applications.pong.frames import SIGHTS, Frames, Pairs
from applications.pong.games import view_and_actions
from applications.pong.learner import LIMITS, Config, Learner, signal_to_noise, stages
from applications.pong.policy import NETWORKS, ActorCritic, look_up
from applications.pong.rollout import Collector, Steps, groups
from applications.runs import (
    CHECKPOINT,
    METRICS,
    Run,
    RunError,
    load_state,
    read_config,
    read_metrics,
)
from tests.applications.lights import Lights

FAMILY = 1e-6
VIEW, ACTIONS = view_and_actions("pong")
CLOCKS = {"seconds", "steps_per_second", "emulator_limit"}
"""Metrics that a seed does not fix."""
QUICK = Config(
    environments=8, horizon=16, hidden=32, epochs=4, minibatch=64, steps=2560, sticky_steps=0
)
STAGE = stages(QUICK)[0]
QUICK = replace(QUICK, learning_rate=2.5e-3, entropy=0.01)


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# ---------------------------------------------------------------- looking up


def listed(values):
    """Seven frames of 20 pixels, the first, the fourth and the last of them empty."""
    random = np.random.default_rng(0)
    counts = np.array([0, 3, 5, 0, 1, 12, 0])
    pixels = [random.choice(20, count, replace=False) for count in counts]
    levels = random.integers(1, 256, counts.sum()) if values else None
    return Frames.of(np.concatenate(pixels).astype(np.int16), levels, counts, 1 / 255)


def looked_up_and_dense(frames):
    """The look-up and the dense product, each with its gradient for the same weights."""
    random = Generator().manual_seed(0)
    table = torch.randn(20, 3, dtype=torch.float64, generator=random, requires_grad=True)
    dense = frames.dense(20).double() @ table
    weights = torch.randn(dense.shape, dtype=torch.float64, generator=random)
    for product in look_up(frames, table), dense:
        yield product, torch.autograd.grad(product, table, weights)[0]


NONE = Frames.of(np.zeros(0, np.int16), None, np.zeros(4, np.int64), 1.0)
FRAMES = pytest.mark.parametrize(
    "frames", [listed(True), listed(False), NONE], ids=["values", "ones", "empty"]
)


@FRAMES
def test_a_look_up_is_the_dense_product(frames):
    for got, wanted in zip(*looked_up_and_dense(frames), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


@FRAMES
def test_a_look_up_can_be_differentiated_twice(frames):
    table = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(partial(look_up, frames), table)
    assert gradgradcheck(partial(look_up, frames), table)


def test_the_way_back_must_sort(monkeypatch):
    monkeypatch.setattr(policy.np, "argsort", lambda pixels, kind: np.arange(len(pixels)))
    (got, gradient), (wanted, right) = looked_up_and_dense(listed(True))
    torch.testing.assert_close(got, wanted)
    with pytest.raises(AssertionError, match="not close"):
        torch.testing.assert_close(gradient, right)


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("moves", [2, 6])
@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_choose_and_judge(network, sight, moves):
    torch.manual_seed(0)
    size = SIGHTS[sight].size
    model = NETWORKS[network](moves, 8, size)
    pixels = np.array([5, 70, size - 1, 6, 3000], np.int16)
    frames = Frames.of(pixels, None, np.array([3, 0, 2]), 1.0)
    dist, value = model(frames)
    assert isinstance(dist, Bernoulli if moves == 2 else Categorical)
    draws = dist.sample((200,))
    assert set(draws.unique().tolist()) == set(range(moves))
    assert value.shape == dist.log_prob(draws[0]).shape == (3,)
    np.testing.assert_allclose(dist.entropy().detach(), np.log(moves), rtol=0.01)  # at first
    assert len(set(value.tolist())) == 3  # each frame is seen
    assert torch.equal(model.choose(frames).logits, dist.logits)
    assert model.out.shape == (1 if moves == 2 else moves, 8)


def test_the_dense_network_is_the_formula():
    torch.manual_seed(0)
    model, frames = ActorCritic(6, 4, 20), listed(True)
    torch.nn.init.normal_(model.b1)
    hidden = (frames.dense(20) @ model.w1 + model.b1).relu()
    dist, value = model(frames)
    weight, bias = model.heads.weight, model.heads.bias
    torch.testing.assert_close(value, hidden @ weight[0] + bias[0])
    torch.testing.assert_close(dist.probs, (hidden @ weight[1:].T + bias[1:]).softmax(1))


# ---------------------------------------------------------------- roll-outs


def collector(environments, horizon):
    """Of games of `Lights`."""
    games = groups(Lights, environments, partial(Pairs, VIEW), ACTIONS, seed=5)
    return Collector(games, horizon, VIEW.scale)


def opinionated(model):
    """The model in float64, made to prefer some moves and to expect something."""
    torch.nn.init.normal_(model.heads.weight)
    return model.double()


def mask(screens):
    """The text's rule, `[N, 1, 210, 160]` to `[N, 6400]`."""
    return (screens[:, 0, 35:195:2, ::2] != 87).reshape(len(screens), -1)


def plain_loop(moves, sizes):
    """The same moves, made one after the other.

    Yields a step's frames, rewards and ends `[N]`, and the returns of the episodes that it ended.
    """
    emulators = [Lights(size) for size in sizes]
    first = [True] * sum(sizes)
    now = np.concatenate([mask(e.reset(5 + 5 * i)[0]) for i, e in enumerate(emulators)])
    last, scores = now, [0.0] * len(now)
    for chosen in moves.numpy():
        frames = np.concatenate([now, np.where(np.array(first)[:, None], now, last)], 1)
        parts = []
        for emulator, part in zip(emulators, np.split(chosen, sizes[:1]), strict=True):
            emulator.send(np.where(part == 1, 2, 3))
            parts.append(emulator.recv())
        last, now = now, np.concatenate([mask(part[0]) for part in parts])
        rewards, first = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
        finished = []
        for game in range(len(scores)):
            scores[game] += rewards[game]
            if first[game]:
                finished.append(scores[game])
                scores[game] = 0.0
        yield frames, rewards, first, finished


def test_every_step_is_recorded_once_and_as_it_was():
    """Two roll-outs of two groups, three and two games, under two policies."""
    torch.manual_seed(0)
    models = [opinionated(ActorCritic(hidden=8)) for _ in range(2)]
    play = collector(environments=5, horizon=19)
    rollouts = [play.collect(model) for model in models]
    steps = plain_loop(torch.cat([rollout.moves for rollout in rollouts]), [3, 2])
    for rollout, model in zip(rollouts, models, strict=True):
        rows = Frames.of(*rollout.changes, 1.0)
        dense = rows.dense(Pairs.size).numpy().reshape(19, 5, -1)
        returns = []
        for t in range(19):
            frames, rewards, ended, finished = next(steps)
            np.testing.assert_array_equal(dense[t], frames)
            np.testing.assert_array_equal(rollout.rewards[t], rewards)
            np.testing.assert_array_equal(rollout.ended[t], ended)
            returns += finished
        assert rollout.returns == returns
        assert len(returns) >= 5
        dist, value = by_product(model, torch.from_numpy(dense).flatten(0, 1))
        for got, wanted in [
            (rollout.log_probs.flatten(), dist.log_prob(rollout.moves.flatten().double())),
            (rollout.values[:-1].flatten(), value),
        ]:
            torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)
            assert wanted.std() > 0.1
    torch.testing.assert_close(
        models[1](first_frames(rollouts[1]))[1], rollouts[1].values[0], rtol=1e-9, atol=1e-12
    )
    torch.testing.assert_close(  # where a roll-out ends, the next begins
        models[0](first_frames(rollouts[1]))[1], rollouts[0].values[-1], rtol=1e-9, atol=1e-12
    )


def first_frames(rollout):
    pixels, levels, counts = rollout.changes
    first = counts[: rollout.moves.shape[1]]
    return Frames.of(pixels[: first.sum()], levels, first, 1.0)


def by_product(model, frames):
    """An `ActorCritic` written out, on dense frames."""
    hidden = (frames.double() @ model.w1 + model.b1).relu()
    out = hidden @ model.heads.weight.T + model.heads.bias
    return Bernoulli(logits=out[:, 1]), out[:, 0]


# ---------------------------------------------------------------- the gradient


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
                later = delta + config.discount * config.trace * later
            else:
                later = delta
            advantage[t, game] = later
    return advantage


@pytest.mark.parametrize("cut", [True, False])
def test_moves_are_judged_by_generalised_advantages(cut):
    steps, config = scored(), replace(QUICK, cut=cut, standardize=False, discount=0.9, trace=0.8)
    advantage, target = Learner(config, 2, 1.0).judge(steps)
    wanted = by_loop(steps, config, cut)
    np.testing.assert_allclose(advantage, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(target, wanted + steps.values[:-1].numpy(), rtol=1e-9, atol=1e-12)
    assert np.abs(wanted - by_loop(steps, config, not cut)).max() > 0.1
    advantage, same = Learner(replace(config, standardize=True), 2, 1.0).judge(steps)
    np.testing.assert_allclose(advantage, (wanted - wanted.mean()) / wanted.std(), rtol=1e-6)
    assert torch.equal(same, target)


@pytest.fixture
def one_minibatch():
    """A learner in float64 and a roll-out of its own policy, to be learned from in one update."""
    config = replace(QUICK, epochs=1, minibatch=64, environments=4, horizon=16)
    learner = Learner(replace(config, value=0.0, entropy=0.0), 2, VIEW.scale)
    opinionated(learner.model)
    return learner, collector(4, 16).collect(learner.model)


def test_the_first_gradient_is_the_score_functions(one_minibatch):
    learner, steps = one_minibatch
    before = deepcopy(learner.model).cpu()
    metrics = learner.learn(steps, STAGE, left=1.0)
    dense = Frames.of(*steps.changes, 1.0).dense(Pairs.size)
    log_prob = by_product(before, dense)[0].log_prob(steps.moves.flatten().double())
    advantage = learner.judge(steps)[0].flatten()
    sf.score_function_loss(log_prob, advantage).backward()
    for name, wanted in before.named_parameters():
        got = learner.model.get_parameter(name).grad.cpu()  # of the only update
        torch.testing.assert_close(got, wanted.grad, rtol=1e-6, atol=1e-9)
    assert before.w1.grad.abs().max() > 1e-3
    assert metrics["kl"] == pytest.approx(0, abs=1e-9)
    assert metrics["clipped"] == 0


def test_the_loss_is_the_formula(one_minibatch):
    learner, steps = one_minibatch
    learner.config = replace(learner.config, value=0.7, clip=0.3)
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


# ---------------------------------------------------------------- training


def train(folder, config):
    """Train on `Lights`: the metrics."""
    with pytest.MonkeyPatch.context() as patch, Run(folder, config, False, LIMITS) as run:
        patch.setattr(fast, "make_emulators", lambda settings, games, **_: Lights(games))
        assert fast.train(config, run)
    return read_metrics(folder / METRICS)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The folder of a run that learned where the light is."""
    folder = tmp_path_factory.mktemp("lights") / "run"
    train(folder, QUICK)
    return folder


def test_the_recipe_learns_where_the_light_is(learned):
    metrics = read_metrics(learned / METRICS)
    assert [line["update"] for line in metrics] == list(range(1, 21))
    assert [line["agent_steps"] for line in metrics] == list(range(128, 2561, 128))
    assert abs(metrics[0]["mean_return"]) < 6  # of the first ten games, 0 ± 1.1
    assert np.mean(metrics[-1]["returns"]) > 11.5  # 12 is perfect
    assert metrics[-1]["entropy"] < metrics[0]["entropy"] / 2
    assert metrics[-1]["won"] > 124
    assert metrics[-1]["won"] + metrics[-1]["lost"] == 128


def shuffled(judge):
    """Every move is credited with what another one earned."""

    def wrongly(self, steps):
        advantage, target = judge(self, steps)
        order = torch.randperm(advantage.numel(), generator=self.generator)
        return advantage.flatten()[order].view_as(advantage), target

    return wrongly


def test_nothing_is_learned_from_the_wrong_advantages(tmp_path, monkeypatch):
    monkeypatch.setattr(Learner, "judge", shuffled(Learner.judge))
    metrics = train(tmp_path / "run", QUICK)
    assert abs(metrics[-1]["mean_return_100"]) < 5


def test_a_seed_fixes_the_training(tmp_path):
    courses = [
        [
            {name: value for name, value in line.items() if name not in CLOCKS}
            for line in train(tmp_path / name, replace(QUICK, steps=512, seed=seed))
        ]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert len(courses[0]) == 4
    assert courses[0] == courses[1]
    assert all(line != other for line, other in zip(courses[0], courses[2], strict=True))


def test_a_run_can_begin_with_the_policy_of_another(learned, tmp_path):
    begun = train(tmp_path / "begun", replace(QUICK, steps=256, start=str(learned), seed=7))
    assert begun[0]["won"] > 120
    with pytest.raises(RunError, match=f"(?s)the policy in {learned} is another network: .*w1"):
        train(tmp_path / "other", replace(QUICK, start=str(learned), hidden=16))
    nowhere = tmp_path / "nowhere"
    with pytest.raises(RunError, match=f"there is no {nowhere}"):
        train(tmp_path / "nothing", replace(QUICK, start=str(nowhere)))


# ---------------------------------------------------------------- the command, on the real emulator

SMALL = ["--environments", "2", "--horizon", "16", "--hidden", "16", "--epochs", "1"]
SMALL += ["--minibatch", "16", "--steps", "320", "--sticky-steps", "0"]
DIES = """
import os, signal, sys
from applications.pong import fast
from applications.pong.__main__ import main
from applications.runs import Run

log, fast.SAVE = Run.log, 0.0

def log_and_die(run, metrics):
    log(run, metrics)
    if metrics["update"] == 4:
        os.kill(os.getpid(), signal.SIGKILL)

Run.log = log_and_die
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed between the metrics of its fourth update and their checkpoint."""
    folder = tmp_path_factory.mktemp("pong") / "run"
    arguments = ["train", *SMALL, "--seed", "3", "--run-dir", str(folder)]
    died = subprocess.run([sys.executable, "-c", DIES, *arguments], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    return folder


def copy_of(folder, tmp_path):
    os.makedirs(tmp_path / "copy")
    for file in folder.iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "copy"


def test_a_killed_run_goes_on(killed, tmp_path, capsys):
    folder = copy_of(killed, tmp_path)
    at_kill = read_metrics(folder / METRICS)
    assert [line["update"] for line in at_kill] == [1, 2, 3, 4]
    assert load_state(folder / CHECKPOINT)["update"] == 3
    assert main(["train", "--resume", "--run-dir", str(folder)]) == 0
    assert f"the run is in {folder}" in capsys.readouterr().out
    lines = read_metrics(folder / METRICS)
    assert lines[:3] == at_kill[:3]
    assert lines[3] != at_kill[3]
    assert [line["update"] for line in lines] == list(range(1, 11))  # 320 / (2 · 16)
    assert [line["agent_steps"] for line in lines] == list(range(32, 321, 32))
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    config = read_config(folder)
    assert (config["recipe"], config["seed"], config["steps"]) == ("fast", 3, 320)
    state = load_state(folder / CHECKPOINT)
    assert (state["update"], state["agent_steps"]) == (10, 320)
    (group,) = state["optimizer"]["param_groups"]
    assert group["lr"] == pytest.approx(config["learning_rate"] / 10)  # in the last of ten


def test_an_interrupt_leaves_a_checkpoint_and_says_how_to_go_on(
    killed, tmp_path, monkeypatch, capsys
):
    folder, log = copy_of(killed, tmp_path), Run.log

    def log_and_interrupt(run, metrics):
        log(run, metrics)
        if metrics["update"] == 6:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Run, "log", log_and_interrupt)
    assert main(["train", "--resume", "--run-dir", str(folder)]) == 0
    said = "stopped at a checkpoint; go on with: python -m applications.pong train --resume"
    assert f"{said} --run-dir {folder}" in capsys.readouterr().out
    assert load_state(folder / CHECKPOINT)["update"] == 7  # the update in flight is finished
    assert [line["update"] for line in read_metrics(folder / METRICS)] == list(range(1, 8))


def test_a_run_without_time_left_stays_what_it_was(killed, tmp_path, capsys):
    folder = copy_of(killed, tmp_path)
    assert main(["train", "--resume", "--run-dir", str(folder), "--seconds", "0"]) == 0
    assert f"the run is in {folder}" in capsys.readouterr().out
    before, after = load_state(killed / CHECKPOINT), load_state(folder / CHECKPOINT)
    assert after["update"] == 3
    before.pop("rng"), after.pop("rng")  # the player's, who began another roll-out
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_a_damaged_checkpoint_is_named(killed, tmp_path, capsys):
    folder = copy_of(killed, tmp_path)
    content = bytearray((folder / CHECKPOINT).read_bytes())
    content[-20] ^= 1
    (folder / CHECKPOINT).write_bytes(content)
    assert main(["train", "--resume", "--run-dir", str(folder)]) == 2
    assert f"error: {folder / CHECKPOINT} is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "640"], "has steps = 320, not 640: resume it with its own options"),
        (["--no-cut"], "has cut = True, not False"),
        (["--recipe", "blog"], "has recipe = fast, not blog"),
        (["--episodes", "9"], "--episodes is no option of the recipe fast"),
    ],
)
def test_another_config_is_not_resumed(killed, options, message, capsys):
    assert main(["train", "--resume", "--run-dir", str(killed), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--episodes", "9"], "--episodes is no option of the recipe fast"),
        (["--batch-episodes", "9"], "--batch-episodes is no option of the recipe fast"),
        (["--credit", "game"], "--credit is no option of the recipe fast"),
        (["--recipe", "blog", "--steps", "9"], "--steps is no option of the recipe blog"),
        (["--recipe", "blog", "--no-cut"], "--cut is no option of the recipe blog"),
        (["--horizon", "1"], "--horizon: 1 is not allowed: it must be at least 2"),
        (["--clip", "0"], "--clip: 0 is not allowed"),
        (["--network", "wide"], "invalid choice: 'wide'"),
    ],
)
def test_wrong_options_are_named(options, message, tmp_path, capsys):
    folder = tmp_path / "run"
    try:
        status = main(["train", "--run-dir", str(folder), *options])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not folder.exists()
