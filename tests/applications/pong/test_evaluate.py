"""How well a policy plays: exactly, on games whose returns are known."""

import json

import numpy as np
import pytest

from applications.kit.errors import RunError
from applications.pong import evaluate
from applications.pong.__main__ import main
from applications.pong.games import Settings, environment_of, find_game
from applications.pong.progress import Tally


class Scripted:
    """Games of which the g-th has episodes of g + 1 steps; the k-th of them returns 100 g + k."""

    def __init__(self, settings, games, view):
        self.games = np.arange(games)
        self.episode, self.time = np.zeros(games, int), np.zeros(games, int)

    def reset(self, seed):
        return self.screens(), {}

    def screens(self):
        return np.zeros((len(self.games), 1, 210, 160), np.uint8)

    def step(self, actions):
        rewards = np.where(self.time == 0, 100.0 * self.games + self.episode, 0.0)
        self.time += 1
        over = self.time > self.games
        self.time[over], self.episode[over] = 0, self.episode[over] + 1
        odd = self.games % 2 == 1  # some of them are cut off
        return self.screens(), rewards, over & ~odd, over & odd, {}


class Still:
    """A player that makes no move, and notes which screens it is told are an episode's first."""

    view = None

    def begin(self, games):
        self.firsts = []

    def act(self, screens, first):
        self.firsts.append(first.copy())
        return np.zeros(len(screens), int)


def test_every_game_plays_its_share_and_returns_begin_anew(monkeypatch):
    monkeypatch.setattr(evaluate, "make_emulators", Scripted)
    monkeypatch.setattr(evaluate, "GAMES", 3)
    player = Still()
    returns = list(evaluate.play(player, Settings("pong", 0.0), 8, seed=0))
    assert sorted(returns) == [0, 1, 2, 100, 101, 102, 200, 201]  # not what ended first
    assert [list(first) for first in player.firsts[:4]] == [
        [True, True, True],
        [True, False, False],
        [True, True, False],
        [True, False, True],
    ]


def test_fewer_episodes_than_games(monkeypatch):
    monkeypatch.setattr(evaluate, "make_emulators", Scripted)
    assert sorted(evaluate.play(Still(), Settings("pong", 0.0), 2, seed=0)) == [0, 100]


def test_the_mean_and_its_standard_error_are_told(monkeypatch, capsys):
    made, seeds = [], []

    class Noting(Scripted):
        def __init__(self, settings, games, view):
            super().__init__(settings, games, view)
            made.append(settings)

        def reset(self, seed):
            seeds.append(seed)
            return super().reset(seed)

    def player(policy, config, greedy):
        made.append(greedy)
        return Still()

    trained = {"game": "pong", "sticky": 0.0}
    monkeypatch.setattr(evaluate.weights, "load", lambda *_: (None, trained))
    monkeypatch.setattr(evaluate, "Player", player)
    monkeypatch.setattr(evaluate, "make_emulators", Noting)
    told = ["evaluate", "--json", "--episodes", "8", "--seed", "5", "--greedy"]
    assert main(told) == 0
    score = json.loads(capsys.readouterr().out)
    returns = [100.0 * game for game in range(8)]
    assert score == {
        "mean_return": 350.0,
        "standard_error": pytest.approx(np.std(returns, ddof=1) / 8**0.5),
        "episodes": 8,
        "environment": "ALE/Pong-v5",
        "sticky": 0.25,
    }
    assert made == [True, Settings("pong", 0.25, 4, 108_000)]
    assert seeds == [5 * 1_000_003 % 2**30]
    assert main([*told[:-1], "--environment", "training"]) == 0
    assert json.loads(capsys.readouterr().out)["sticky"] == 0
    assert made[2:] == [False, Settings("pong", 0.0)]


def test_means_are_of_the_last_fifty_and_hundred_episodes():
    tally = Tally()
    tally.add([0.0] * 60)
    tally.add([1.0] * 25 + [3.0] * 25)
    line = tally.metrics()
    assert (line["update"], line["episodes"]) == (2, 110)
    assert (line["mean_return"], line["mean_return_100"]) == (2.0, 1.0)
    assert tally.course == [0.0, 2.0]


@pytest.mark.parametrize(
    ("name", "game", "environment"),
    [
        ("Pong", "pong", "ALE/Pong-v5"),
        ("ALE/SpaceInvaders-v5", "space_invaders", "ALE/SpaceInvaders-v5"),
        ("up-n-down", "up_n_down", "ALE/UpNDown-v5"),
        ("TicTacToe3D", "tic_tac_toe_3d", "ALE/TicTacToe3D-v5"),
    ],
)
def test_games_go_by_several_names(name, game, environment):
    assert find_game(name) == game
    assert environment_of(game) == environment
    assert find_game(environment) == game


def test_a_game_that_is_not_there_is_told_with_its_likes():
    with pytest.raises(RunError, match="no game 'Pongg': did you mean pong"):
        find_game("Pongg")


def test_a_run_of_another_application_is_told(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"task": "copy"}))
    assert main(["evaluate", "--run-dir", str(tmp_path)]) == 2
    assert f"{tmp_path} holds a run of another application" in capsys.readouterr().err


def test_seeds_that_no_emulator_takes_are_refused(capsys):
    assert main(["watch", "--seed", "3000000000"]) == 2
    assert "3000000000 is not allowed: it must be from 0 to 2147483647" in capsys.readouterr().err
