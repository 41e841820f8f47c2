"""The cross-entropy method on Pong: the blocks it sees, what it learns, that it goes on."""

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Categorical

from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, METRICS, Run, read_metrics
from applications.pong import cross_entropy, weights
from applications.pong.__main__ import main
from applications.pong.cross_entropy import Config
from applications.pong.frames import PIXELS, Frames
from applications.pong.policy import Blocks
from tests.applications.pong.lights import Lights

QUICK = Config(
    block_height=40, block_width=40, population=24, elite=6, horizon=24, generations=12, noise=0.0
)
CLOCKS = {"seconds", "steps_per_second"}
"""Metrics that a seed does not fix."""


# ---------------------------------------------------------------- blocks


def listed(values):
    """Three pairs of frames, the second of them empty."""
    random = np.random.default_rng(0)
    counts = np.array([40, 0, 700])
    pixels = [random.choice(2 * PIXELS, count, replace=False) for count in counts]
    levels = random.integers(1, 256, counts.sum()) if values else None
    return Frames.of(np.concatenate(pixels).astype(np.int16), levels, counts, 1 / 255)


@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize(("height", "width"), [(8, 16), (20, 5)])
def test_blocks_are_summed(values, height, width):
    frames = listed(values)
    images = frames.dense(2 * PIXELS).view(3, 2, 80 // height, height, 80 // width, width)
    sums = Blocks(2, height, width).sums(frames)
    assert (sums[:, 0] == 1).all()
    torch.testing.assert_close(sums[:, 1:], images.sum((3, 5)).flatten(1))


def test_blocks_need_not_fit():
    pixels = np.array([0, 79, 80 * 79, PIXELS - 1, PIXELS, 2 * PIXELS - 1], np.int16)
    policy = Blocks(2, 30, 50)  # three rows of two blocks
    sums = policy.sums(Frames.of(pixels, None, np.array([6]), 1.0))
    assert sums.tolist() == [[1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1]]
    assert policy.weight.shape == (1, 13)


@pytest.mark.parametrize("moves", [2, 3])
def test_every_game_is_played_with_weights_of_its_own(moves):
    torch.manual_seed(0)
    frames, policy = listed(False), Blocks(moves)
    own = torch.randn(3, *policy.weight.shape)
    dist = policy(frames, own)
    assert isinstance(dist, Bernoulli if moves == 2 else Categorical)
    for row, weight in enumerate(own):
        policy.weight.data = weight
        torch.testing.assert_close(policy.choose(frames).probs[row], dist.probs[row])
    assert dist.probs.std() > 0.1


# ---------------------------------------------------------------- the search, on the lights


@pytest.fixture
def lights(monkeypatch):
    """Games of `Lights` instead of the emulator's."""
    monkeypatch.setattr(cross_entropy, "make_emulators", lambda settings, games, _: Lights(games))


def train(folder, config, resume=False):
    """Train, to the end: the metrics."""
    with Run(folder, config, resume) as run:
        assert cross_entropy.train(config, run)
    return read_metrics(folder / METRICS)


@pytest.mark.usefixtures("lights")
@pytest.mark.training
def test_the_recipe_learns_where_the_light_is(tmp_path):
    lines = train(tmp_path / "run", QUICK)
    assert [line["update"] for line in lines] == list(range(1, 13))
    steps = 24 * (24 + cross_entropy.TRIAL_GAMES)
    assert [line["agent_steps"] for line in lines] == [steps * (1 + k) for k in range(12)]
    assert abs(lines[0]["points"]) < 12  # of 24 moves
    assert all(line["points_elite"] > line["points"] for line in lines[:4])
    assert lines[-1]["points"] > 18
    assert lines[-1]["spread"] < lines[0]["spread"]
    assert np.mean(lines[-1]["returns"]) > 10  # of the mean policy; 12 is perfect


@pytest.mark.usefixtures("lights")
@pytest.mark.training
def test_without_selection_nothing_is_learned(tmp_path):
    lines = train(tmp_path / "run", replace(QUICK, elite=QUICK.population))
    assert all(abs(line["points"]) < 12 for line in lines)


def fixed(lines):
    """The metrics that a seed fixes."""
    return [{name: value for name, value in line.items() if name not in CLOCKS} for line in lines]


@pytest.mark.usefixtures("lights")
@pytest.mark.training
def test_a_seed_fixes_the_search(tmp_path):
    few = replace(QUICK, generations=3)
    one, same, other = (
        train(tmp_path / name, replace(few, seed=seed))
        for name, seed in zip("abc", (1, 1, 2), strict=True)
    )
    assert fixed(one) == fixed(same)
    assert all(a["points"] != b["points"] for a, b in zip(one, other, strict=True))


@pytest.mark.usefixtures("lights")
def test_an_interrupt_leaves_a_checkpoint(tmp_path, monkeypatch):
    log = Run.log

    def log_and_interrupt(run, metrics):
        log(run, metrics)
        if metrics["update"] == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Run, "log", log_and_interrupt)
    with Run(tmp_path, QUICK, False) as run:
        assert not cross_entropy.train(QUICK, run)
    assert load_state(tmp_path / CHECKPOINT)["update"] == 2


def test_more_elite_than_population_is_refused(tmp_path, capsys):
    with pytest.raises(RunError, match="the elite of 9 is no part of a population of 8"):
        Config(population=8, elite=9)
    arguments = ["--recipe", "cross-entropy", "--population", "4", "--run-dir", str(tmp_path)]
    assert main(["train", *arguments]) == 2
    assert "is no part of a population of 4" in capsys.readouterr().err


# ---------------------------------------------------------------- the command, on the real emulator

SMALL = ["--recipe", "cross-entropy", "--population", "4", "--elite", "2", "--horizon", "30"]


def test_a_search_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cross_entropy, "TRIAL_GAMES", 1)
    folder = tmp_path / "run"
    assert main(["train", *SMALL, "--generations", "2", "--run-dir", str(folder)]) == 0
    before, lines = load_state(folder / CHECKPOINT), read_metrics(folder / METRICS)
    resume, seeds, games = ["train", "--resume", "--run-dir", str(folder)], [], cross_entropy.Games
    with monkeypatch.context() as patch:
        patch.setattr(cross_entropy, "Games", lambda *told: seeds.append(told[-1]) or games(*told))
        assert main([*resume, "--generations", "4"]) == 0
    torch.set_rng_state(before["rng"])
    assert seeds == [int(torch.randint(2**30, ()))]  # chance goes on where it was
    assert f"the run is in {folder}" in capsys.readouterr().out
    resumed = read_metrics(folder / METRICS)
    assert resumed[:2] == lines
    assert [line["update"] for line in resumed] == [1, 2, 3, 4]
    assert [line["agent_steps"] for line in resumed] == [150, 300, 450, 600]
    search = load_state(folder / CHECKPOINT)["search"]
    assert search["iteration"] == 4
    policy, _ = weights.load(folder, "fast")  # a folder knows its recipe
    assert torch.equal(policy.weight[0], search["mean"])
    watch_and_judge(folder, tmp_path, capsys)


def watch_and_judge(folder, tmp_path, capsys):
    """The other commands take such a run."""
    evaluate = ["evaluate", "--run-dir", str(folder), "--environment", "training"]
    assert main([*evaluate, "--episodes", "1", "--json"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert -21 <= score["mean_return"] <= 21
    assert score["sticky"] == 0
    film = str(tmp_path / "game.gif")
    assert main(["watch", "--run-dir", str(folder), "--output", film, "--steps", "3"]) == 0
    assert main(["plot", "--run-dir", str(folder), "--output", str(tmp_path)]) == 0
    assert (tmp_path / "learning-curve.png").exists()
    assert main(["export", "--run-dir", str(folder)]) == 2
    assert "is not of a dense network" in capsys.readouterr().err
