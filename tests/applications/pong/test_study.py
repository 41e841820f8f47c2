"""Trainings that differ in one option, side by side."""

import json
import os
import re
import signal
import subprocess

import imageio.v2 as imageio
import pytest

from applications.kit.commands import prepare
from applications.kit.files import save_state
from applications.kit.run import CHECKPOINT, CONFIG, METRICS
from applications.pong import bars, study
from applications.pong.__main__ import PongStart, main
from applications.pong.recipes import KINDS, RECIPES
from applications.pong.weights import RUNS


def line(episodes, steps, mean):
    return {"episodes": episodes, "agent_steps": steps, "seconds": steps / 100, "mean_return": mean}


COURSE = [
    line(0, 1000, None),
    line(49, 20_000, 19.0),  # of too few episodes
    line(50, 40_000, -3.0),
    line(60, 60_000, 1.0),
    line(90, 80_000, 17.0),
]


def test_marks_are_means_of_fifty_episodes():
    ahead, won = study.MARKS.values()
    assert study.time_to(ahead, [COURSE]) == ("60", "600")
    assert study.time_to(won, [COURSE]) == ("–", "–")
    even = [line(50, 20_000, 0.0), line(51, 30_000, 17.9), line(52, 40_000, 18.0)]
    assert study.time_to(ahead, [even]) == ("30", "300")
    assert study.time_to(won, [even]) == ("40", "400")
    faster = [line(50, 20_000, 18.5)]
    assert study.time_to(won, [COURSE, faster, faster]) == ("20 (20 to inf)", "200 (200 to inf)")
    assert study.time_to(ahead, [COURSE, faster, faster]) == ("20 (20 to 60)", "200 (200 to 600)")
    assert study.end([COURSE, faster]) == "+17.8 (+17.0 to +18.5)"
    assert study.end([[]]) == study.end([COURSE[:1]]) == "–"


def test_bars_are_medians_and_say_never():
    faster = [line(50, 20_000, 18.5)]
    summaries = {"slow": study.summary([COURSE]), "fast": study.summary([COURSE, faster, faster])}
    assert summaries["slow"] == ({"> 0": 60, "≥ +18": float("inf")}, 17.0)
    assert summaries["fast"] == ({"> 0": 20, "≥ +18": 20}, 18.5)
    never = study.summary([[line(50, 20_000, -4.0)]])
    left, right = bars.draw({**summaries, "never": never}).axes
    assert [text.get_text() for text in left.texts] == ["never > 0"]
    ahead, won = ([bar.get_width() for bar in marks] for marks in left.containers)
    assert (ahead, won) == ([60, 20, 0], [0, 20, 0])
    assert [bar.get_width() for bar in right.patches] == [17.0, 18.5, -4.0]


@pytest.mark.parametrize("asked", study.STUDIES.values())
def test_every_variant_is_a_command(asked):
    for told in asked.variants.values():
        options = f"{asked.common} {told}".split()
        config = prepare(KINDS, options, "train", RUNS, lambda _: "test", PongStart).config
        for name, value in zip(options, [*options[1:], "--"], strict=True):
            field = name.removeprefix("--no-").removeprefix("--").replace("-", "_")
            if name.startswith("--"):
                met = getattr(config, field)
                if value.startswith("--"):
                    assert met is not name.startswith("--no-")
                else:
                    assert met == type(met)(value)


@pytest.mark.parametrize("asked", study.STUDIES.values())
def test_no_variant_is_refused(asked, tmp_path, monkeypatch):
    for recipe in RECIPES.values():
        monkeypatch.setattr(recipe, "train", lambda *_: True)
    for number, told in enumerate(asked.variants.values()):
        options = f"{asked.common} {told}".split()
        assert main(["train", *options, "--run-dir", str(tmp_path / str(number))]) == 0


@pytest.fixture
def trainings(monkeypatch):
    """What would be started; a training leaves a course behind."""
    started = []

    def start(command, **_):
        started.append(command[3:])
        if command[3] == "evaluate":
            return subprocess.CompletedProcess(command, 0, json.dumps({"mean_return": 1234.5}))
        folder = study.Path(command[5])
        folder.mkdir(parents=True, exist_ok=True)
        save_state(folder / CHECKPOINT, {"agent_steps": 80_000, "seconds": 800.0})
        (folder / CONFIG).write_text('{"recipe": "fast"}')
        (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in COURSE))
        return subprocess.CompletedProcess(command, 0, "the run is in …")

    monkeypatch.setattr(study.subprocess, "run", start)
    return started


def test_a_study_trains_goes_on_and_tells(trainings, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    asked = ["study", "pixels", "--seeds", "3-4", "--run-dir", str(tmp_path)]
    asked += ["--variants", "dense", "dense, shuffled"]
    assert main(asked) == 0
    folders = [tmp_path / name for name in ("dense-3", "dense-4", "dense-shuffled-3")]
    common = study.STUDIES["pixels"].common.split()
    assert trainings[:3] == [
        ["train", "--run-dir", str(folders[0]), *common, "--seed=3"],
        ["train", "--run-dir", str(folders[1]), *common, "--seed=4"],
        ["train", "--run-dir", str(folders[2]), *common, "--shuffle", "--seed=3"],
    ]
    shown = capsys.readouterr().out
    assert re.search(r"60 \(60 to 60\) +│ 600 \(600 to 600\)", shown)
    assert imageio.imread(tmp_path / "curves.png").std() > 5
    assert imageio.imread(tmp_path / "bars.png").std() > 5
    trainings.clear()
    assert main(asked) == 0
    assert trainings[0] == ["train", "--run-dir", str(folders[0]), *common, "--seed=3", "--resume"]


def test_policies_of_other_games_play(trainings, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    asked = ["study", "games", "--run-dir", str(tmp_path), "--variants", "freeway"]
    assert main(asked) == 0
    assert [command[0] for command in trainings] == ["train", "evaluate"]
    assert trainings[1][3:] == ["--json", "--episodes=30"]  # whatever it was trained with
    shown = capsys.readouterr().out
    assert "1,234.5" in shown
    assert "k steps" not in shown


def failed():
    """A process that ended with an error."""
    return subprocess.CompletedProcess([], 2)


def interrupted():
    """A process that heard Ctrl-C, as this one does, and saved what it had."""
    os.kill(os.getpid(), signal.SIGINT)
    return subprocess.CompletedProcess([], 0)


@pytest.mark.parametrize(
    ("training", "message"),
    [(failed, "train of {} failed"), (interrupted, "stopped in {}: the same command continues")],
)
def test_a_training_that_does_not_end_ends_the_study(
    training, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(study.subprocess, "run", lambda *_, **__: training())
    assert main(["study", "weights", "--run-dir", str(tmp_path)]) == 2
    assert message.format(tmp_path / "L2-0-0") in capsys.readouterr().err


def test_a_failure_leaves_the_table_of_what_went_well(trainings, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    well = study.subprocess.run
    monkeypatch.setattr(
        study.subprocess,
        "run",
        lambda command, **_: failed() if "0.3" in command else well(command),
    )
    assert main(["study", "weights", "--run-dir", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert re.search(r"L2 0 .*\+17\.0", told.out)
    assert re.search(r"L2 0\.01 .*\+17\.0", told.out)
    assert "L2 0.3" not in told.out.partition("variant")[2]
    assert "failed" in told.err


def test_an_unknown_variant_is_named(capsys):
    assert main(["study", "weights", "--variants", "L3"]) == 2
    assert "the study weights has no variant 'L3': it has L2 0, L2 0.01" in capsys.readouterr().err
