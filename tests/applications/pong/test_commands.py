"""The command line, on the real emulator."""

import json
import signal
import subprocess
import sys
import time

import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from applications.control.__main__ import main as control
from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, CONFIG, METRICS, read_config, read_metrics
from applications.memory.__main__ import main as memory
from applications.pong import blog, weights
from applications.pong.__main__ import main
from tests.applications.pong.films import read_film

COMMAND = [sys.executable, "-m", "applications.pong"]
SMALL = ["--recipe", "blog", "--environments", "4", "--batch-episodes", "1"]
PATIENCE = 90  # seconds


def train_until(folder, updates, number, *options):
    """Start training, send it a signal after so many updates: its exit status and output."""
    command = [*COMMAND, "train", "--run-dir", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while len(read_metrics(folder / METRICS)) < updates:
            assert process.poll() is None, "the training ended by itself"
            assert time.monotonic() < deadline, "the training makes no progress"
            time.sleep(0.02)
        process.send_signal(number)
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, output


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was killed, resumed and interrupted; with what each call said."""
    folder = tmp_path_factory.mktemp("pong") / "run"
    killed = train_until(folder, 2, signal.SIGKILL, *SMALL, "--seed", "3")
    at_kill = read_metrics(folder / METRICS)
    with open(folder / METRICS, "a") as file:
        file.write('{"update": 99, "ret')
    stopped = train_until(folder, len(at_kill) + 2, signal.SIGINT, "--resume")
    return folder, killed, at_kill, stopped


def test_a_killed_run_goes_on(run):
    folder, (status, output), at_kill, _ = run
    assert status == -signal.SIGKILL
    assert "Pong from pixels" in output
    assert "agent steps" in output
    lines = read_metrics(folder / METRICS)
    assert lines[: len(at_kill) - 1] == at_kill[:-1]  # at most the update in flight is lost
    assert [line["update"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["episodes"] for line in lines] == [line["update"] for line in lines]
    for name in ("seconds", "agent_steps"):
        course = [line[name] for line in lines]
        assert course == sorted(set(course))
    for line in lines:
        assert len(line["returns"]) == 1
        assert -21 <= line["mean_return"] <= 21
        assert 0 < line["entropy"] <= np.log(2) + 1e-6


def test_interrupt_leaves_a_checkpoint_and_says_how_to_go_on(run):
    folder, _, _, (status, output) = run
    assert status == 0
    assert f"-m applications.pong train --resume --run-dir {folder}\n" in output
    state, lines = load_state(folder / CHECKPOINT), read_metrics(folder / METRICS)
    assert state["update"] == lines[-1]["update"]
    assert state["agent_steps"] >= lines[-1]["agent_steps"]
    config = read_config(folder)
    assert (config["seed"], config["environments"], config["sticky"]) == (3, 4, 0.25)
    assert config["origin"]["command"].startswith("python -m applications.pong train --run-dir")


def test_a_run_ends_at_its_limits(run, capsys, monkeypatch):
    folder, *_ = run
    done, seeds, play = load_state(folder / CHECKPOINT), [], blog.Rollout
    torch.set_rng_state(done["rng"])
    wanted = int(torch.randint(2**30, ()))
    arguments = ["train", "--resume", "--run-dir", str(folder)]
    with monkeypatch.context() as patch:
        patch.setattr(
            blog, "Rollout", lambda *told, seed: seeds.append(seed) or play(*told, seed=seed)
        )
        config = (folder / CONFIG).read_text()
        for limit, amount in (("episodes", done["episodes"]), ("seconds", 0)):
            assert main([*arguments, f"--{limit}", str(amount)]) == 2
            told = f"of {amount} {limit}: nothing is left to train; all limits are totals"
            assert told in capsys.readouterr().err
        assert (folder / CONFIG).read_text() == config
        torch.testing.assert_close(load_state(folder / CHECKPOINT), done, rtol=0, atol=0)
        assert main([*arguments, "--episodes", str(done["episodes"] + 1)]) == 0
    assert seeds == [wanted]  # chance goes on where it was
    assert f"the run is in {folder}" in capsys.readouterr().out
    assert load_state(folder / CHECKPOINT)["episodes"] == done["episodes"] + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--game", "pnog"], "no game 'pnog': did you mean pong"),
        (["train", "--environments", "0"], "--environments: 0 is not allowed: it must be at least"),
        (
            ["train", "--recipe", "blog", "--episodes", "0"],
            "--episodes: 0 is not allowed: it must be at least 1",
        ),
        (["train", "--seconds", "-1"], "--seconds: -1 is not allowed: it must be at least 0"),
        (["train", "--sticky", "2"], "--sticky: 2 is not allowed: it must be from 0 to 1"),
        (["train", "--recipe", "cake"], "invalid choice 'cake'"),
        (["evaluate", "--episodes", "x"], "invalid literal for int() with base 10: 'x'"),
        (["export"], "name it by --run-dir"),
        (["watch", "--output", "x.avi"], "x.avi ends in neither .mp4 nor .gif: name the file so"),
        (["watch", "--live", "--output", "x.mp4"], "writes no film: leave out --output"),
        (["train", "--film-minutes", "-1"], "-1 is not allowed: it must be at least 0"),
        (
            ["train", "--recipe", "blog", "--film-minutes", "1"],
            "--film-minutes is no option of the recipe blog",
        ),
        (["train", "--bound", "0.1"], "--max-kl does nothing without --trust line or natural"),
        (["train", "--trust", "line", "--clip", "0.1"], "--clip-range does nothing without"),
        (["train", "--teacher", "shipped"], "--teacher does nothing without --imitation-steps"),
        (
            ["train", "--sticky-steps", "0", "--caution", "1"],
            "--sticky-rate does nothing without --sticky-steps",
        ),
        (["train", "--game", "breakout", "--no-rest"], "--rest does nothing without --game pong"),
        (
            ["train", "--recipe", "blog", "--credit", "game", "--discount", "1"],
            "--discount does nothing without --credit discounted",
        ),
        (["curves", "runs", "--run-dir", "runs"], "--run-dir is no option of python"),
    ],
)
def test_wrong_options_are_told_and_end_with_2(arguments, message, capsys):
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err


def test_help_tells_what_an_option_is_by_default(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for line in (
        "Games that are played at the same time. (default: 8)",
        "λ of the generalised advantages. (default: 0.95)",
        "in which the emulator executes every action as sent. (default: 700000)",
        "Recipe to train (default: `fast`; with --resume, that of the run).",
        "Continue the run in the folder, with its own options. (default: False)",
        "A resumed run may differ in --seconds and --film-minutes only.",
        "in total (default: no limit).",
        "to those of the policy that played it. `line` and `natural` bound",
    ):
        assert line in text
    assert "None)" not in text


def test_another_application_leaves_a_run_alone(run, capsys):
    folder, *_ = run
    before = (folder / CONFIG).read_text()
    for application in control, memory:
        assert application(["train", "--resume", "--run-dir", str(folder)]) == 2
        assert "is of another application" in capsys.readouterr().err
    assert (folder / CONFIG).read_text() == before


def test_wrong_folders_are_told(run, tmp_path, capsys):
    folder, *_ = run
    for arguments, message in [
        (["train", "--run-dir", str(folder)], "holds a run already"),
        (["train", "--resume", "--run-dir", str(tmp_path)], "holds no run"),
        (
            ["train", "--resume", "--run-dir", str(folder), "--game", "breakout"],
            "has game = pong, not breakout",
        ),
        (["evaluate", "--run-dir", str(tmp_path)], "holds no run"),
        (
            ["evaluate", "--run-dir", str(folder), "--environment", "ALE/Breakout-v5"],
            "the policy was trained on pong, not on ALE/Breakout-v5",
        ),
    ]:
        assert main(arguments) == 2
        assert message in capsys.readouterr().err


def test_json_is_one_object_and_nothing_else(run):
    folder, *_ = run
    command = [*COMMAND, "evaluate", "--run-dir", str(folder), "--json", "--episodes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    score = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert list(score) == ["mean_return", "standard_error", "episodes", "environment", "sticky"]
    assert -21 <= score["mean_return"] <= 21
    assert (score["episodes"], score["environment"], score["sticky"]) == (1, "ALE/Pong-v5", 0.25)


def test_exported_weights_play_alike_and_know_where_they_come_from(run, tmp_path, monkeypatch):
    folder, *_ = run
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    with pytest.raises(RunError, match="no policy for pong by the recipe blog is shipped"):
        weights.load(None, "blog")
    assert main(["export", "--run-dir", str(folder)]) == 0
    exported = tmp_path / "pong-blog.safetensors"
    assert exported.stat().st_size < 2e6
    assert read_metrics(weights.metrics_of(exported)) == read_metrics(folder / METRICS)
    policy, config = weights.load(folder, "fast")  # a folder knows its recipe
    small, config_too = weights.load(None, "blog")
    assert config_too["sticky"] == config["sticky"]
    assert (small.w1 - policy.w1).abs().max() <= policy.w1.abs().max() / 254
    assert torch.equal(small.w2, policy.w2)
    provenance = load_state(exported)["provenance"]
    assert provenance["episodes"] == load_state(folder / CHECKPOINT)["episodes"]
    assert provenance["origin"] == config["origin"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio's reader
@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_watch_writes_a_film(run, tmp_path, ending, capsys):
    folder, *_ = run
    film = tmp_path / f"game.{ending}"
    arguments = ["watch", "--run-dir", str(folder), "--output", str(film), "--steps", "30"]
    assert main(arguments) == 0
    assert "30 agent steps" in capsys.readouterr().out
    frames = read_film(film)
    assert 25 < len(frames) <= 30  # a GIF joins equal frames
    assert frames[0].shape == (420, 320, 3)
    assert len(np.unique(frames[-1].reshape(-1, 3), axis=0)) >= 4  # field, ball, two paddles


def test_plot_draws_curve_and_units(run, tmp_path, capsys):
    folder, *_ = run
    assert main(["plot", "--run-dir", str(folder), "--output", str(tmp_path)]) == 0
    for name in ("w1.png", "learning-curve.png"):
        image = imageio.imread(tmp_path / name)
        assert image.shape[0] > 300
        assert image.std() > 5
    arguments = ["plot", "--run-dir", str(folder), "--output", str(tmp_path), "--format", "svg"]
    assert main(arguments) == 0
    assert (tmp_path / "w1.svg").read_text().startswith("<?xml")


def test_another_game_trains_with_a_categorical(tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = ["--game", "ALE/Breakout-v5", "--episodes", "4", *SMALL, "--run-dir", str(folder)]
    assert main(["train", *arguments]) == 0
    lines = read_metrics(folder / METRICS)
    assert [line["update"] for line in lines] == [1, 2, 3, 4]
    assert np.log(2) < lines[0]["entropy"] <= np.log(4) + 1e-6
    assert main(["evaluate", "--run-dir", str(folder), "--episodes", "2"]) == 0
    assert "ALE/Breakout-v5" in capsys.readouterr().out
