"""The fast recipe: that it learns, goes on, and what it refuses."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.progress import figures
from applications.kit.run import CHECKPOINT, METRICS, Run, read_config, read_metrics
from applications.pong import fast, weights
from applications.pong.__main__ import main
from applications.pong.learner import Learner
from applications.pong.rollout import Collector
from tests.applications.pong.lights import QUICK, Lights, train

CLOCKS = {"seconds", "steps_per_second", "emulator_limit"}
"""Metrics that a seed does not fix."""


def fixed(line):
    """The others of a line."""
    return {name: value for name, value in line.items() if name not in CLOCKS}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The folder of a run that learned where the light is."""
    folder = tmp_path_factory.mktemp("lights") / "run"
    train(folder, QUICK)
    return folder


@pytest.mark.training
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


@pytest.mark.training
def test_nothing_is_learned_from_the_wrong_advantages(tmp_path, monkeypatch):
    monkeypatch.setattr(Learner, "judge", shuffled(Learner.judge))
    metrics = train(tmp_path / "run", QUICK)
    assert abs(metrics[-1]["mean_return_100"]) < 5


@pytest.mark.training
def test_a_seed_fixes_the_training(tmp_path):
    courses = [
        [fixed(line) for line in train(tmp_path / name, replace(QUICK, steps=512, seed=seed))]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert len(courses[0]) == 4
    assert courses[0] == courses[1]
    assert all(line != other for line, other in zip(courses[0], courses[2], strict=True))


def test_a_run_can_begin_with_the_policy_of_another(learned, tmp_path):
    begun = train(tmp_path / "begun", replace(QUICK, steps=256, start=str(learned), seed=7))
    assert begun[0]["won"] > 120
    with pytest.raises(RunError, match=f"(?s)the policy in {learned} has another network: .*w1"):
        train(tmp_path / "other", replace(QUICK, start=str(learned), hidden=16))
    nowhere = tmp_path / "nowhere"
    with pytest.raises(RunError, match=f"{nowhere} holds no run"):
        train(tmp_path / "nothing", replace(QUICK, start=str(nowhere)))


def test_the_second_stage_is_sticky_calmer_and_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    told, learned = [], []

    def make(settings, games, **_):
        told.append(settings.sticky)
        return Lights(games)

    def noting(learner, steps, stage, left):
        metrics = learn(learner, steps, stage, left)
        (rate,) = {group["lr"] for group in learner.optimizer.param_groups}
        done = stage.sticky, steps.moves.shape[0], stage.minibatch, round(left, 3)
        learned.append((*done, round(rate / left, 9)))
        return metrics

    def dying(run, metrics):
        log(run, metrics)
        if metrics["update"] == 3 and not run.state:
            raise KeyboardInterrupt

    learn, log = Learner.learn, Run.log
    monkeypatch.setattr(fast, "make_emulators", make)
    monkeypatch.setattr(fast, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(Learner, "learn", noting)
    monkeypatch.setattr(Run, "log", dying)
    config = replace(QUICK, steps=256, sticky_steps=1536)
    with pytest.raises(KeyboardInterrupt), Run(tmp_path, config, False) as run:
        fast.train(config, run)
    assert weights.load(tmp_path, "fast")[1]["sticky"] == 0.0  # the second stage was not saved
    with Run(tmp_path, config, True) as run:
        assert run.state["update"] == 2
        assert fast.train(config, run)
    assert weights.load(tmp_path, "fast")[1]["sticky"] == 0.25
    assert told == [0, 0, 0.25, 0.25, 0.25, 0.25]  # two halves, and anew after the kill
    quick = [(0, 16, 64, left, 2.5e-3) for left in (1, 0.5)]
    calm = [(0.25, 64, 256, left, 1.5e-3) for left in (1, 1, 0.667, 0.333)]
    assert learned == quick + calm
    assert [line["sticky"] for line in read_metrics(tmp_path / METRICS)] == [0, 0, *3 * [0.25]]


def test_no_roll_out_is_played_for_nothing(tmp_path, monkeypatch):
    played = []
    collect = Collector.collect
    monkeypatch.setattr(
        Collector, "collect", lambda self, model: played.append(1) or collect(self, model)
    )
    train(tmp_path / "run", replace(QUICK, steps=512))
    assert len(played) == 4


def test_a_policy_that_sees_something_else_is_no_start(learned, tmp_path):
    with pytest.raises(RunError, match="the start was trained with shuffle False, and this policy"):
        train(tmp_path / "run", replace(QUICK, start=str(learned), shuffle=True))
    assert not (tmp_path / "run" / CHECKPOINT).exists()  # another try is not in the way


# ---------------------------------------------------------------- the command, on the real emulator

SMALL = ["--environments", "2", "--horizon", "16", "--hidden", "16", "--epochs", "1"]
SMALL += ["--minibatch", "16", "--steps", "320", "--sticky-steps", "0"]
DIES = """
import os, signal, sys
from applications.pong import fast
from applications.pong.__main__ import main
from applications.kit.run import Run

log, fast.SAVE_SECONDS = Run.log, 0.0

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
    assert fixed(lines[3]) != fixed(at_kill[3])
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
    command = r"\S*python\S* -m applications.pong train --resume"
    said = f"stopped at a checkpoint; continue with: {command}"
    assert re.search(rf"{said} --run-dir {folder}\n", capsys.readouterr().out)
    assert load_state(folder / CHECKPOINT)["update"] == 7  # the update in flight is finished
    assert [line["update"] for line in read_metrics(folder / METRICS)] == list(range(1, 8))


def test_chance_goes_on_where_it_was(killed, tmp_path, monkeypatch):
    folder, seeds, groups = copy_of(killed, tmp_path), [], fast.groups
    torch.set_rng_state(load_state(folder / CHECKPOINT)["rng"])
    wanted = int(torch.randint(2**30, ()))
    monkeypatch.setattr(
        fast, "groups", lambda *told, seed: seeds.append(seed) or groups(*told, seed=seed)
    )
    assert main(["train", "--resume", "--run-dir", str(folder)]) == 0
    assert seeds == [wanted]


def test_a_run_without_time_left_stays_what_it_was(killed, tmp_path, capsys):
    folder = copy_of(killed, tmp_path)
    assert main(["train", "--resume", "--run-dir", str(folder), "--seconds", "0"]) == 2
    assert "of 0 seconds: nothing is left to train" in capsys.readouterr().err
    before, after = load_state(killed / CHECKPOINT), load_state(folder / CHECKPOINT)
    assert after["update"] == 3
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
        (["--recipe", "blog", "--no-cut"], "--no-cut is no option of the recipe blog"),
        (["--horizon", "1"], "--horizon: 1 is not allowed: it must be at least 2"),
        (["--clip", "0"], "--clip-range: 0 is not allowed"),
        (["--network", "wide"], "invalid choice 'wide'"),
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


def test_a_training_that_diverges_says_what_to_lower(tmp_path):
    told = r"diverged in update \d+ \(.*\): lower --learning-rate and start another folder"
    with pytest.raises(RunError, match=told):
        train(tmp_path / "run", replace(QUICK, learning_rate=1e30))
    assert all(np.isfinite(line["entropy"]) for line in read_metrics(tmp_path / "run" / METRICS))
    assert load_state(tmp_path / "run" / CHECKPOINT)["policy"]["w1"].isfinite().all()


def test_a_policy_that_gave_up_is_told():
    trainer = fast.Trainer(QUICK, fast.Ranks())
    figures_of_an_update = {"sticky": 0.0, "kl": 0.0, "baseline_fit": 0.0, "gradient_snr": None}
    trainer.line([-21.0] * 3, {"entropy": 0.0, "emulator_limit": 1.0, **figures_of_an_update})
    trainer.tally.add([-21.0] * 3)
    assert trainer.warning().startswith("the policy loses (-21.0) and has no entropy left (0 nats)")
    assert "warning" in figures(trainer)
    trainer.latest["entropy"] = 0.5
    assert trainer.warning() is None
