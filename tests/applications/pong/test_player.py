"""The trained policy at play, shipped, drawn and filmed; a run of the fast recipe gives it."""

import json
import shutil

import ale_py
import gymnasium
import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, CONFIG, METRICS, read_config, read_metrics
from applications.pong import weights
from applications.pong.__main__ import main
from applications.pong.frames import PIXELS, pong_view, shuffled
from applications.pong.games import Settings, make_emulators
from applications.pong.pictures import plot_curve
from applications.pong.player import Player, ScreenPlayer, load_policy
from applications.pong.policy import ActorCritic

STEPS = 200
CONFIG_OF_PONG = {"game": "pong", "frames": "pair"}
SMALL = ["--environments", "2", "--horizon", "16", "--hidden", "16", "--epochs", "1"]
SMALL += ["--minibatch", "16", "--learning-rate", "2.5e-3", "--steps", "64", "--sticky-steps", "0"]


def train(folder, *options):
    assert main(["train", *SMALL, "--run-dir", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two updates: a policy with an opinion, but no skill."""
    return train(tmp_path_factory.mktemp("pong") / "run")


@pytest.fixture(scope="module")
def shipped(run, tmp_path_factory):
    """A folder with that run's weights, exported."""
    folder = tmp_path_factory.mktemp("shipped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "SHIPPED", folder)
        assert main(["export", "--run-dir", str(run)]) == 0
    return folder


@pytest.fixture
def _ship(shipped, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", shipped)


# ---------------------------------------------------------------- at play


@pytest.fixture
def game():
    gymnasium.register_envs(ale_py)
    with gymnasium.make("ALE/Pong-v5", repeat_action_probability=0.0) as environment:
        yield environment


def assert_same_moves(game, play, same):
    """Two emulators play the same game: gymnasium's coloured one and our grey one."""
    emulators = make_emulators(Settings("pong", sticky=0.0), 1, same.view)
    screen, _ = game.reset(seed=1)
    grey, _ = emulators.reset(seed=1)
    actions = []
    for step in range(STEPS):
        actions.append(play(screen))
        (wanted,) = same.act(grey, np.array([step == 0]))
        assert actions[-1] == wanted
        screen, reward, *_ = game.step(actions[-1])
        grey, rewards, *_ = emulators.step(np.array([wanted]))
        assert reward == rewards[0]
    return set(actions)


@pytest.mark.usefixtures("_ship")
def test_greedy_moves_are_the_same_from_colours_and_from_greys(game):
    same = Player(*weights.load(None, "fast"), greedy=True)
    assert assert_same_moves(game, load_policy(greedy=True), same) != {2}


def test_a_policy_knows_its_moves_and_the_order_of_its_pixels(game, tmp_path):
    trained = weights.load(train(tmp_path / "run", "--shuffle"), "fast")
    play, same = ScreenPlayer(*trained, greedy=True), Player(*trained, greedy=True)
    assert len(assert_same_moves(game, play, same)) > 1
    assert np.array_equal(same.view.order, shuffled(pong_view()).order)
    screen, _ = game.reset(seed=1)
    torch.manual_seed(0)
    play = ScreenPlayer(*trained)
    assert {play(screen) for _ in range(STEPS)} == {0, 2, 3}


@pytest.mark.usefixtures("_ship")
def test_moves_are_drawn_unless_greedy(game):
    screen, _ = game.reset(seed=1)
    torch.manual_seed(0)
    play, greedy = load_policy(), load_policy(greedy=True)
    greedy(screen)
    actions = [play(screen) for _ in range(STEPS)]  # about as likely: 3 · (2/3)^200 to miss one
    assert set(actions) == {0, 2, 3}
    assert len({greedy(screen) for _ in range(STEPS)}) == 1


def motion_detector():
    """A policy that goes UP where more is seen now than before, and else DOWN."""
    policy = ActorCritic(hidden=1)
    with torch.no_grad():
        policy.w1[:PIXELS], policy.w1[PIXELS:] = 1.0, -1.0
        policy.heads.weight[:] = 1.0
        policy.heads.bias[:] = -0.5
    return policy


def test_reset_begins_another_episode():
    play = ScreenPlayer(motion_detector(), CONFIG_OF_PONG, greedy=True)
    field, ball = np.full((2, 210, 160, 3), 144, np.uint8)
    ball[100:108, 60:64] = 236
    assert [play(field), play(ball), play(ball)] == [3, 2, 3]
    play(field)
    play.reset()
    assert play(ball) == 3  # the field was seen in another episode


def test_games_are_kept_apart():
    player = Player(motion_detector(), CONFIG_OF_PONG, greedy=True)
    player.begin(3)
    screens = np.full((3, 1, 210, 160), 87, np.uint8)
    assert player.act(screens, np.ones(3, bool)).tolist() == [3, 3, 3]
    screens[1:, :, 100:108, 60:64] = 236
    assert player.act(screens, np.array([False, False, True])).tolist() == [3, 2, 3]


def test_screens_of_another_shape_are_refused():
    play = ScreenPlayer(motion_detector(), CONFIG_OF_PONG)
    message = r"the screen has shape \[84, 84\]: give gymnasium's, \[210, 160, 3\]"
    with pytest.raises(ValueError, match=message):
        play(np.zeros((84, 84), np.uint8))


@pytest.mark.usefixtures("_ship")
def test_a_policy_that_is_not_shipped_is_told():
    with pytest.raises(RunError, match="no policy for breakout by the recipe fast is shipped"):
        load_policy("breakout")


@pytest.mark.usefixtures("_ship")
def test_the_shipped_policy_is_evaluated(capsys):
    assert main(["evaluate", "--episodes", "1", "--json", "--environment", "training"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert -21 <= score["mean_return"] < 0
    assert (score["episodes"], score["sticky"]) == (1, 0.0)


# ---------------------------------------------------------------- as a file


@pytest.mark.usefixtures("_ship")
def test_exported_weights_are_the_runs(run, shipped):
    (policy, config), (small, config_too) = weights.load(run, "fast"), weights.load(None, "fast")
    assert config_too == {name: value for name, value in config.items() if name != "origin"}
    rows, hidden = policy.w1.unflatten(0, (-1, 80)), policy.w1.shape[1]
    error = (rows - small.w1.unflatten(0, (-1, 80))).abs().amax(1)  # [160 image rows, hidden]
    assert error.shape == (160, hidden)
    assert (error <= rows.abs().amax(1) / 254 * 1.001).all()  # half a step of 1/127
    assert error.max() > 0
    for name, weight in policy.named_parameters():
        assert name == "w1" or torch.equal(small.get_parameter(name), weight)
    exported = weights.shipped("fast")
    assert exported == shipped / "pong-fast.safetensors"
    assert exported.stat().st_size < 1.5 * policy.w1.numel()
    provenance, state = load_state(exported)["provenance"], load_state(run / CHECKPOINT)
    assert provenance["origin"] == read_config(run)["origin"]
    assert provenance["updates"] == state["update"] == 2
    assert provenance["agent_steps"] == 64
    assert read_metrics(weights.metrics_of(exported)) == read_metrics(run / METRICS)


def test_convolutions_are_trained_and_evaluated_but_not_exported(tmp_path, capsys):
    folder = train(tmp_path / "conv", "--network", "conv", "--frames", "difference")
    policy, config = weights.load(folder, "fast")
    assert (config["network"], policy.size) == ("conv", PIXELS)
    assert main(["export", "--run-dir", str(folder), "--output", str(tmp_path / "x")]) == 2
    wanted = f"{folder} is not of a dense network: only those are exported"
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert main(["plot", "--run-dir", str(folder)]) == 0
    assert {path.name for path in folder.glob("*.png")} == {"learning-curve.png"}


def test_weights_that_do_not_fit_their_config_are_told(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    config = read_config(folder)
    (folder / CONFIG).write_text(json.dumps({**config, "hidden": 17}))
    with pytest.raises(RunError, match="is of another run .hidden is 17 in the one and 16 in the"):
        weights.load(folder, "fast")


# ---------------------------------------------------------------- as pictures


def test_plot_draws_curve_and_units_of_both_frames(run, tmp_path, capsys):
    assert main(["plot", "--run-dir", str(run), "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for name in ("w1.png", "learning-curve.png"):
        assert f"{tmp_path / name}" in said
        image = imageio.imread(tmp_path / name)
        assert image.shape[0] > 300
        assert image.std() > 5
    units = imageio.imread(tmp_path / "w1.png")
    assert units.shape[:2] == (832, 1600)  # four rows of four, each unit two frames wide


def test_a_curve_begins_before_an_episode_ends(run):
    first, last = read_metrics(run / METRICS)
    assert first["returns"] == last["returns"] == []
    assert first["mean_return"] is None
    line, episodes = {"seconds": 7200.0, "episodes": 2, "mean_return": -20.0}, [-21.0, -19.0]
    figure = plot_curve([first, last, {**line, "returns": episodes}], "")
    for axes, x in zip(figure.axes, (2, 2.0), strict=True):  # episodes, hours
        dots, means = axes.lines
        np.testing.assert_array_equal(dots.get_xydata(), [[x, -21], [x, -19]])
        np.testing.assert_array_equal(means.get_ydata(), [np.nan, np.nan, -20])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio's reader
@pytest.mark.usefixtures("_ship")
def test_watch_films_the_shipped_policy(tmp_path, capsys):
    film = tmp_path / "game.gif"
    assert main(["watch", "--greedy", "--output", str(film), "--steps", "20"]) == 0
    assert f"{film}\npong: 20 agent steps, return " in capsys.readouterr().out
    frames = imageio.mimread(film)
    assert 10 < len(frames) <= 20  # a GIF joins equal frames
    assert frames[0].shape == (420, 320, 3)
