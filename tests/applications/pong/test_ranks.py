"""Pong in several processes, as torchrun starts them."""

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from applications.kit.files import load_state, save_state
from applications.kit.run import CHECKPOINT, METRICS, read_metrics
from applications.pong import __main__ as command_line
from applications.pong.__main__ import main
from applications.pong.config import Config, stages
from applications.pong.learner import Learner
from applications.pong.policy import ActorCritic
from applications.pong.ranks import Ranks, join
from applications.pong.rollout import Steps

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
PONG = ["-m", "applications.pong", "train"]
SMALL = ["--environments", "2", "--horizon", "16", "--hidden", "16", "--epochs", "1"]
SMALL += ["--minibatch", "16", "--steps", "320", "--sticky-steps", "0"]
TIME, GAMES = 16, 4
ROWS = TIME * GAMES
CONFIG = Config(hidden=8, epochs=1, standardize=False, entropy_coefficient=0.0, learning_rate=1e-2)


def under_torchrun(*arguments):
    """What two processes of it said, and how they ended."""
    return subprocess.run([*TORCHRUN, *arguments], capture_output=True, text=True, timeout=120)


def roll_out(seed):
    """Steps made up; three pixels in each pair of frames."""
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(ActorCritic().size, (3 * ROWS,), generator=random)
    moves, rewards, ended = torch.randint(3, (3, TIME, GAMES), generator=random)
    values = torch.randn(TIME + 1, GAMES, generator=random)
    changes = pixels.numpy().astype(np.int16), None, np.full(ROWS, 3)
    log_probs = torch.full((TIME, GAMES), 1 / 3).log()
    return Steps(changes, moves, log_probs, values, rewards - 1.0, ended == 0, [])


def learned(rollouts, ranks=None):
    """The weights after one update from roll-outs side by side."""
    learner = Learner(CONFIG, 3, 1.0, ranks)
    pixels = [rollout.changes[0].reshape(TIME, -1) for rollout in rollouts]
    parts = {
        name: torch.cat([getattr(rollout, name) for rollout in rollouts], 1)
        for name in ("moves", "log_probs", "values", "rewards", "ended")
    }
    rows = ROWS * len(rollouts)
    changes = np.concatenate(pixels, 1).flatten(), None, np.full(rows, 3)
    stage = replace(stages(CONFIG)[1], minibatch=rows)
    learner.learn(Steps(changes, returns=[], **parts), stage, left=1.0)
    return learner.model.state_dict()


def one_rank(folder):
    """What each process of the test below does."""
    with join() as ranks:
        weights = learned([roll_out(ranks.rank)], ranks)
        mine = {"returns": [0.1] * (1 + 9 * ranks.rank), "stop": ranks.rank == 1, "none": None}
        with patch("torch.distributed.all_gather_object", None):  # it unpickles what others send
            gathered = ranks.gather(mine)
        save_state(Path(folder) / f"{ranks.rank}.safetensors", {**weights, "gathered": gathered})


@pytest.mark.training
def test_two_ranks_learn_what_one_learns_from_both(tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(f"from {__name__} import one_rank\none_rank({str(tmp_path)!r})\n")
    done = under_torchrun(str(script))
    assert done.returncode == 0, done.stderr
    wanted, alone = learned([roll_out(0), roll_out(1)]), learned([roll_out(0)])
    for rank in (0, 1):
        got = load_state(tmp_path / f"{rank}.safetensors")
        assert got["gathered"] == [
            {"returns": [0.1], "stop": False, "none": None},
            {"returns": [0.1] * 10, "stop": True, "none": None},
        ]
        for name, value in wanted.items():
            torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-5)
    assert (alone["w1"] - wanted["w1"]).abs().max() > 1e-3  # or nothing was shown


def test_two_ranks_train_and_one_keeps_the_run(tmp_path):
    folder = tmp_path / "run"
    done = under_torchrun(*PONG, *SMALL, "--run-dir", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the run is in") == 1
    lines = read_metrics(folder / METRICS)
    assert [line["agent_steps"] for line in lines] == list(range(64, 321, 64))  # 2 · 2 · 16
    assert load_state(folder / CHECKPOINT)["agent_steps"] == 320
    state = load_state(folder / CHECKPOINT)
    save_state(folder / CHECKPOINT, state | {"update": 4, "agent_steps": 256})
    assert main(["train", "--resume", "--run-dir", str(folder)]) == 0  # one can go on alone
    assert load_state(folder / CHECKPOINT)["agent_steps"] == 320


def test_the_blog_recipe_refuses_several(tmp_path, monkeypatch, capsys):
    ranks = Ranks()
    ranks.size = 2
    monkeypatch.setattr(command_line, "join", lambda: nullcontext(ranks))
    assert main(["train", "--recipe", "blog", "--run-dir", str(tmp_path / "run")]) == 2
    assert "the recipe blog trains in one process" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_ranks_begin_with_the_same_weights_and_play_games_of_their_own():
    ranks = Ranks(), Ranks()
    ranks[1].rank = 1
    drawn, orders, weights = [], [], []
    for one in ranks:
        learner = Learner(CONFIG, 3, 1.0, one)
        drawn.append(torch.randint(2**30, (9,)))  # seeds of games and moves come from here
        orders.append(learner.generator.initial_seed())
        weights.append(learner.model.state_dict())
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert not torch.equal(*drawn)
    assert orders[0] != orders[1]


def test_ranks_are_what_the_environment_says(monkeypatch):
    ranks = Ranks()
    assert (ranks.rank, ranks.size, ranks.gather(3)) == (0, 1, [3])
    for name, value in {"RANK": 3, "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 10**6}.items():
        monkeypatch.setenv(name, str(value))
    ranks = Ranks()
    assert (ranks.rank, ranks.size, ranks.cores) == (3, 4, 1)
