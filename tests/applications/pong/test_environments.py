"""Environments that a policy can play, those it can play with a warning, and those it cannot."""

import sys
import warnings
from types import SimpleNamespace

import ale_py
import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers

from applications.pong.environments import PLAIN, REPEATS, frame_skip
from applications.pong.player import load_policy

STEPS = 300


@pytest.fixture(autouse=True)
def _games(monkeypatch):
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)
    # gymnasium's wrappers import it, and here none needs more of it than screens of their own size
    resize = SimpleNamespace(resize=lambda frame, size, interpolation: frame, INTER_AREA=3)
    monkeypatch.setitem(sys.modules, "cv2", resize)


def pong(**settings):
    return gymnasium.make("ALE/Pong-v5", **settings)


def turned(environment):
    """A wrapper of somebody's own: what it does cannot be read."""
    return wrappers.TransformObservation(
        environment, lambda screen: screen[:, ::-1], environment.observation_space
    )


def preprocessed(environment, **settings):
    usual = {"screen_size": (160, 210), "grayscale_obs": False}
    return wrappers.AtariPreprocessing(environment, **usual | settings)


# ---------------------------------------------------------------- actions


def test_all_eighteen_actions_play_the_same_game():
    games, points = [], []
    for full in (False, True):
        environment = pong(full_action_space=full, repeat_action_probability=0.0)
        policy = load_policy("pong", greedy=True, environment=environment)
        screen, _ = environment.reset(seed=0)
        screens, score, actions = [], [], set()
        for _ in range(STEPS):
            actions.add(action := policy(screen))
            screen, reward, *_ = environment.step(action)
            screens.append(screen.copy())
            score.append(reward)
        assert actions == ({0, 3, 4} if full else {0, 2, 3})
        games.append(np.array(screens))
        points.append(score)
    assert np.array_equal(*games)
    assert points[0] == points[1]
    assert sum(points[1]) > 0  # numbers of the minimal set lose every point


@pytest.mark.parametrize("missing", ["RIGHT", "LEFT", "NOOP"])
def test_an_environment_without_a_move_is_refused(missing):
    environment = pong()
    emulator = environment.unwrapped
    rest = [each for each in emulator._action_set if each != ale_py.Action[missing]]
    emulator._action_set = rest
    message = f"the environment has no action {missing}, only .* the policy makes LEFT, RIGHT, NOOP"
    with pytest.raises(ValueError, match=message):
        load_policy(environment=environment)


def test_other_actions_than_the_emulators_are_refused():
    message = r"the environment's actions are .*, and the policy makes the emulator's own"
    with pytest.raises(ValueError, match=message):
        load_policy(environment=pong(continuous=True))
    two = wrappers.TransformAction(pong(), lambda move: 2 + move, gymnasium.spaces.Discrete(2))
    with pytest.raises(ValueError, match=message):
        load_policy(environment=two)


# ---------------------------------------------------------------- observations


@pytest.mark.parametrize("kind", ["grayscale", "ram"])
def test_other_kinds_of_observations_are_refused(kind):
    message = f"observes obs_type='{kind}', and the policy needs the coloured screen: make the env"
    with pytest.raises(ValueError, match=message):
        load_policy(environment=pong(obs_type=kind))


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (wrappers.GrayscaleObservation, r"\[210, 160\] and type uint8.*out GrayscaleObservation"),
        (
            lambda game: wrappers.GrayscaleObservation(game, keep_dim=True),
            r"\[210, 160, 1\] and type uint8.*out GrayscaleObservation",
        ),
        (
            lambda game: wrappers.ResizeObservation(game, (84, 84)),
            r"\[84, 84, 3\] and type uint8.*leave out ResizeObservation",
        ),
        (
            lambda game: wrappers.FrameStackObservation(wrappers.TimeLimit(game, 100), 4),
            r"\[4, 210, 160, 3\] and type uint8.*leave out FrameStackObservation$",
        ),
        (
            lambda game: preprocessed(game, frame_skip=1, scale_obs=True),
            r"\[210, 160, 3\] and type float32.*leave out AtariPreprocessing",
        ),
        (
            lambda game: wrappers.DtypeObservation(game, np.float32),
            r"\[210, 160, 3\] and type float32.*leave out DtypeObservation",
        ),
    ],
)
def test_other_shapes_and_types_are_refused_by_the_wrappers_name(wrap, message):
    with pytest.raises(ValueError, match="the environment's observations have shape " + message):
        load_policy(environment=wrap(pong()))


def test_screens_with_sound_are_refused():
    with pytest.raises(ValueError, match=r"shape None and type None.*leave out sound_obs=True"):
        load_policy(environment=pong(sound_obs=True))


def test_other_games_are_refused():
    with pytest.raises(ValueError, match="the environment plays breakout, and the policy plays po"):
        load_policy(environment=gymnasium.make("ALE/Breakout-v5"))
    with pytest.raises(ValueError, match="the environment is a CartPoleEnv, not the emulator's: "):
        load_policy(environment=gymnasium.make("CartPole-v1"))
    with pytest.raises(ValueError, match="the environment is a str, not the emulator's: make it b"):
        load_policy(environment="ALE/Pong-v5")


def test_several_games_are_refused():
    games = gymnasium.make_vec("ALE/Pong-v5", 2, vectorization_mode="sync")
    with pytest.raises(ValueError, match="a batch, num_envs=2: load one policy a game, and make"):
        load_policy(environment=games)
    games.close()


# ---------------------------------------------------------------- warnings


def test_usual_environments_are_played_without_a_word():
    plain = pong(render_mode="rgb_array", max_episode_steps=100)
    plain = wrappers.RecordEpisodeStatistics(wrappers.RenderCollection(plain))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for environment in (
            pong(),
            pong(frameskip=(4, 5)),  # of this range 5 is no part
            wrappers.ClipReward(plain, -1, 1),
            wrappers.RepeatAction(pong(frameskip=2), 2),
            wrappers.ResizeObservation(pong(), (210, 160)),
            wrappers.StickyAction(pong(), 0.0),
            preprocessed(pong(), frame_skip=1, noop_max=0),
            gymnasium.make("PongNoFrameskip-v4", frameskip=4),
        ):
            load_policy("pong", environment=environment)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: pong(frameskip=5),
            "frame skip is 5, its .* included, and .* was trained with 4: expect",
        ),
        (lambda: pong(frameskip=1), "frame skip is 1, "),
        (lambda: pong(frameskip=(2, 5)), "frame skip is drawn from 2 to 4, "),
        (lambda: wrappers.RepeatAction(pong(), 3), "frame skip is 12, "),
        (
            lambda: wrappers.RepeatAction(pong(frameskip=(1, 4)), 2),
            "frame skip is drawn from 2 to 6, ",
        ),
        (
            lambda: wrappers.MaxAndSkipObservation(pong(frameskip=1), 4),
            "MaxAndSkipObservation shows the maximum of two frames, and the policy was trained on",
        ),
        (
            lambda: preprocessed(pong(frameskip=1)),
            "AtariPreprocessing shows the maximum of two frames",
        ),
        (
            lambda: pong(repeat_action_probability=0.5),
            "repeats the last action with probability 0.5 a frame, .* with 0.25 at most: expect",
        ),
        (lambda: wrappers.StickyAction(pong(), 0.25), "StickyAction repeats actions for whole st"),
        (lambda: turned(pong()), "what TransformObservation makes of screens and actions cannot"),
        (lambda: wrappers.DelayObservation(pong(), 1), "what DelayObservation makes of screens"),
    ],
)
def test_what_it_was_not_trained_for_is_warned_of(make, message):
    with pytest.warns(UserWarning, match=message) as record:
        load_policy("pong", environment=make())
    assert [warning.filename for warning in record] == [__file__]  # one, at the user's own line


def test_each_doubt_has_a_warning_of_its_own():
    class TimeLimit(gymnasium.Wrapper):
        """Of the name of gymnasium's own, which is all that is known of it."""

    environment = TimeLimit(wrappers.MaxAndSkipObservation(pong(), 2))
    with warnings.catch_warnings(record=True, action="always") as record:
        load_policy("pong", environment=environment)
    texts = [str(warning.message) for warning in record]
    assert len(texts) == 3
    assert "frame skip is 8, " in texts[0]
    assert "what TimeLimit makes of screens and actions cannot be read" in texts[1]
    assert "MaxAndSkipObservation shows the maximum of two frames" in texts[2]


def test_grey_that_is_made_coloured_again_cannot_be_read():
    shape = gymnasium.spaces.Box(0, 255, (210, 160, 3), np.uint8)
    grey = wrappers.GrayscaleObservation(pong())
    again = wrappers.TransformObservation(grey, lambda screen: np.stack([screen] * 3, -1), shape)
    with pytest.warns(UserWarning, match="cannot be read") as record:
        policy = load_policy("pong", environment=again)
    said = [str(warning.message).split(" makes ")[0] for warning in record]
    assert said == ["what TransformObservation", "what GrayscaleObservation"]
    screen, _ = again.reset(seed=0)
    with pytest.raises(ValueError, match="6,400 of the 6,400 pixels"):
        policy(screen)


def test_somebodys_own_rewards_are_nothing_to_warn_of():
    class Halved(gymnasium.RewardWrapper):
        def reward(self, reward):
            return reward / 2

    load_policy("pong", environment=Halved(pong()))


def test_the_wrappers_that_are_known_are_gymnasiums():
    for name in {*PLAIN, *REPEATS}:
        assert issubclass(getattr(wrappers, name), gymnasium.Wrapper)


def test_frames_a_step_are_the_emulators_times_the_wrappers():
    environment = wrappers.RepeatAction(wrappers.MaxAndSkipObservation(pong(frameskip=3), 2), 5)
    assert frame_skip(environment) == (30, 30)
