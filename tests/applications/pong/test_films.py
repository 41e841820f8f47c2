"""Films of a policy, before, during and after its training, and the window that shows it live."""

import os
import re
import signal
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import Pipe

import numpy as np
import pytest
import torch

from applications.kit import trainer
from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, METRICS, Run, read_config, read_metrics
from applications.pong import fast, games, pictures, weights, window
from applications.pong.__main__ import main
from applications.pong.frames import SIDE, pong_view
from applications.pong.games import Settings, make_emulators
from applications.pong.learner import Config
from applications.pong.player import Game, Player, ScreenPlayer
from applications.pong.ranks import Onlooker, Ranks
from applications.pong.window import FRAMES_PER_SECOND, Window, visible_emulator
from tests.applications.pong.films import read_film

SMALL = Config(
    environments=2, horizon=16, hidden=8, epochs=1, minibatch=16, steps=160, sticky_steps=0
)
STICKY = Settings("pong", sticky=0.25)
MINUTE = 60.0
FRAMES = 12
"""Of a film during training."""

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"  # imageio's reader
)


def assert_shows_pong(film, frames):
    seen = read_film(film)
    assert len(seen) == frames
    assert {frame.shape for frame in seen} == {(420, 320, 3)}
    assert len(np.unique(seen[-1].reshape(-1, 3), axis=0)) >= 3  # field, a paddle, walls
    assert any((frame != seen[0]).any() for frame in seen)


# ---------------------------------------------------------------- during a training


@pytest.fixture
def _minutes(monkeypatch):
    """Learning from a roll-out takes a minute, and all else no time."""

    class Clock:
        now = 0.0
        process_time, thread_time = time.process_time, time.thread_time

        def monotonic(self):
            return self.now

    class Learner(fast.Learner):
        def learn(self, *arguments):
            clock.now += MINUTE
            return super().learn(*arguments)

    clock = Clock()
    monkeypatch.setattr(fast, "time", clock)
    monkeypatch.setattr(trainer, "time", clock)
    monkeypatch.setattr(fast, "Learner", Learner)
    monkeypatch.setattr(fast, "FILM_STEPS", FRAMES)


def train(folder, minutes):
    """Five updates of 32 agent steps: the checkpoint."""
    config = replace(SMALL, film_minutes=minutes)
    with Run(folder, config, False) as run:
        assert fast.train(config, run)
    return load_state(folder / CHECKPOINT)


def assert_same(got, wanted):
    assert got["policy"].keys() == wanted["policy"].keys()
    for name, weight in wanted["policy"].items():
        assert torch.equal(got["policy"][name], weight)
    for name in ("rng", "order_rng"):
        assert torch.equal(got[name], wanted[name])


@pytest.mark.usefixtures("_minutes")
def test_films_are_made_when_asked_and_leave_the_training_as_it_is(tmp_path, monkeypatch):
    plain, filmed = train(tmp_path / "plain", None), train(tmp_path / "filmed", 2.0)
    assert not list((tmp_path / "plain").glob("film*"))
    films = sorted(path.name for path in (tmp_path / "filmed").glob("film*"))
    assert films == ["film-128.mp4", "film-64.mp4"]  # after the second minute and the fourth
    for name in films:
        assert_shows_pong(tmp_path / "filmed" / name, FRAMES)
    assert_same(filmed, plain)
    told = [read_metrics(tmp_path / name / METRICS) for name in ("plain", "filmed")]
    for one, other in zip(*told, strict=True):
        assert {**one, "emulator_limit": 0.0} == {**other, "emulator_limit": 0.0}
    monkeypatch.setattr(fast, "film", lambda *_: torch.rand(1))
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
    with pytest.raises(AssertionError):
        assert_same(train(tmp_path / "disturbed", 2.0), plain)


@pytest.mark.usefixtures("_minutes")
def test_only_the_first_rank_films(tmp_path):
    ranks = Ranks()
    ranks.rank = 1
    assert fast.train(replace(SMALL, film_minutes=0.0), Onlooker(tmp_path, False), ranks)
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_may_be_filmed(tmp_path, monkeypatch):
    monkeypatch.setattr(fast, "FILM_STEPS", FRAMES)
    config = replace(SMALL, steps=64, seconds=0.0)
    with Run(tmp_path, config, False) as run:
        assert fast.train(config, run)
    more = ["train", "--resume", "--run-dir", str(tmp_path), "--film-minutes", "0"]
    assert main(more) == 0
    assert read_config(tmp_path)["film_minutes"] == 0
    assert {path.name for path in tmp_path.glob("film*")} == {"film-0.mp4", "film-32.mp4"}


# ---------------------------------------------------------------- as a file


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run without an update."""
    folder, config = tmp_path_factory.mktemp("pong") / "run", replace(SMALL, seconds=0.0)
    with Run(folder, config, False) as run:
        fast.train(config, run)
    return folder


def game_of(name):
    """A game of an untrained policy."""
    config = asdict(replace(SMALL, game=name))
    return Game(Player(weights.build(config), config), Settings(name, sticky=0.25), seed=1)


def test_another_game_is_filmed(tmp_path, monkeypatch):
    usual = np.zeros((SIDE, SIDE), np.uint8), 4
    monkeypatch.setattr(games, "usual_screen", lambda game: usual)  # to look takes seconds
    game, path = game_of("breakout"), tmp_path / "game.mp4"
    pictures.film(game, game.moves(FRAMES), path)
    assert_shows_pong(path, FRAMES)
    assert game.steps == FRAMES


def test_a_film_is_there_as_a_whole_or_not_at_all(tmp_path):
    def moves():
        yield from game.moves(FRAMES)
        raise KeyboardInterrupt

    game, path = game_of("pong"), tmp_path / "game.mp4"
    path.write_text("an older film")
    with pytest.raises(KeyboardInterrupt):
        pictures.film(game, moves(), path)
    assert game.steps == FRAMES
    assert path.read_text() == "an older film"


def test_ctrl_c_ends_a_film(run, tmp_path, monkeypatch, capsys):
    def interrupted(self, limit):
        for step, move in enumerate(moves(self, limit)):
            if step == FRAMES:
                os.kill(os.getpid(), signal.SIGINT)
            yield move

    moves, path = Game.moves, tmp_path / "game.mp4"
    monkeypatch.setattr(Game, "moves", interrupted)
    assert main(["watch", "--run-dir", str(run), "--output", str(path)]) == 0
    assert f"{path}\npong: {FRAMES} agent steps, return " in capsys.readouterr().out
    assert_shows_pong(path, FRAMES)


# ---------------------------------------------------------------- live


class Pane:
    """Takes the place of a window: closed, or interrupted by Ctrl-C, at its third move."""

    closes = interrupts = False
    shown, closed = 0, False

    def __init__(self, settings, seed):
        type(self).settings = settings

    def __enter__(self):
        return self

    def __exit__(self, *_):
        type(self).closed = True

    def show(self, action):
        type(self).shown += 1
        if self.shown == 3 and self.interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        return not (self.shown == 3 and self.closes)


@pytest.mark.parametrize(
    ("options", "shown", "steps"),
    [
        ({}, 5, 5),
        ({"closes": True}, 3, 2),  # the third move is not seen to its end
        ({"interrupts": True}, 3, 3),
    ],
    ids=["limit", "closed", "Ctrl-C"],
)
def test_a_live_game_ends(run, monkeypatch, capsys, options, shown, steps):
    pane = type("Pane", (Pane,), options)
    monkeypatch.setattr(pictures, "Window", pane)
    assert main(["watch", "--live", "--run-dir", str(run), "--steps", "5"]) == 0
    assert (pane.shown, pane.closed) == (shown, True)
    assert pane.settings == Settings("pong", sticky=0.0)  # the run's
    assert capsys.readouterr().out == f"pong: {steps} agent steps, return +0\n"


def test_a_live_game_ends_by_itself(run, monkeypatch, capsys):
    monkeypatch.setattr(pictures, "Window", Pane)
    assert main(["watch", "--live", "--greedy", "--run-dir", str(run)]) == 0
    told = re.fullmatch(r"pong: (\d+) agent steps, return ([+-]\d+)\n", capsys.readouterr().out)
    steps, score = map(int, told.groups())
    assert 700 < steps < 5000
    assert -21 <= score < -10  # of a policy that has learned nothing


def test_the_window_shows_the_game_that_the_policy_plays(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    moves = np.random.default_rng(0).choice([2, 3], 40)
    emulators = make_emulators(STICKY, 1, pong_view(), grey=False)

    def played(seed):
        screens = [emulators.reset(seed=seed)[0]]
        screens += [emulators.step(np.array([move]))[0] for move in moves]
        return np.concatenate(screens)[:, 0]

    shown = visible_emulator(STICKY, 1)
    screens, actions = [shown.getScreenRGB()], shown.getMinimalActionSet()
    for move in moves:
        for _ in range(STICKY.frame_skip):
            shown.act(actions[move])
        screens.append(shown.getScreenRGB())
    assert np.array_equal(screens, played(seed=1))
    assert not np.array_equal(screens, played(seed=2))  # other actions are repeated


def test_a_policy_plays_live(run, monkeypatch, capsys):
    class Tried(Window):
        def __enter__(self):
            os.kill(self.process.pid, signal.SIGINT)  # Ctrl-C reaches it as well
            self.began = time.monotonic()
            return super().__enter__()

        def __exit__(self, *error):
            took.append(time.monotonic() - self.began)
            self.process.kill()
            open_still.append(self.show(2))
            super().__exit__(*error)

    took, open_still = [], []
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(pictures, "Window", Tried)
    assert main(["watch", "--live", "--run-dir", str(run), "--steps", "10"]) == 0
    assert capsys.readouterr().out == "pong: 10 agent steps, return +0\n"
    assert took[0] > (10 * 4 - 1) / FRAMES_PER_SECOND
    assert open_still == [False]


class Inline:
    """Takes the place of the context that starts a process: calls the target instead."""

    Pipe = staticmethod(Pipe)

    class Process:
        def __init__(self, target, args, daemon):
            self.start, self.join = partial(target, *args), lambda: None


@pytest.mark.parametrize(
    "driver",
    [
        "none such",
        pytest.param(
            "",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="there is always a display"),
        ),
    ],
)
def test_a_missing_display_is_told(run, monkeypatch, capsys, driver):
    monkeypatch.setattr(window, "get_context", lambda kind: Inline)
    monkeypatch.setenv("SDL_VIDEODRIVER", driver)
    monkeypatch.setenv("DISPLAY", "")
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    assert main(["watch", "--live", "--run-dir", str(run)]) == 2
    wanted = "no window can be opened here (Failed to initialize SDL): leave out --live to record"
    assert wanted in capsys.readouterr().err


# ---------------------------------------------------------------- what is refused


def test_only_pong_is_played_from_coloured_screens():
    config = asdict(SMALL)
    message = "a policy for breakout sees the emulator's grey screens, not gymnasium's coloured"
    with pytest.raises(ValueError, match=message):
        ScreenPlayer(weights.build(config), {**config, "game": "breakout"})


def test_a_window_that_dies_at_once_is_told():
    with pytest.raises(RunError, match="no window can be opened here .its process ended at once"):
        Window(Settings("no_such_game", sticky=0.0), seed=0)
