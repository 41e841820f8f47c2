"""Whether a gymnasium environment is like the one a policy was trained in; its actions' numbers.

All of it is read and nothing is played: the emulator's settings, the wrappers around it from the
outermost to the innermost, and the observations and actions that the outermost one has.
"""

from collections.abc import Iterator
from math import prod

import gymnasium
import numpy as np
from ale_py.env import AtariEnv

from applications.pong.games import Settings
from applications.pong.screens import SCREEN

ACTIONS = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")
"""Pong's minimal set, by the emulator's names: RIGHT moves the paddle up, and LEFT down."""
STICKY = 0.25
"""The most that the shipped policy was trained with: the probability of a repeated action."""
REPEATS = {
    "AtariPreprocessing": "frame_skip",
    "MaxAndSkipObservation": "_skip",
    "RepeatAction": "num_repeats",
}
"""Wrappers that make a step several times, and their attribute that says how often."""
PLAIN = {
    "AddWhiteNoise",  # of what is rendered alone, as ObstructView
    "Autoreset",
    "ClipReward",
    "DtypeObservation",
    "FrameStackObservation",
    "GrayscaleObservation",
    "HumanRendering",
    "NormalizeReward",
    "ObstructView",
    "OrderEnforcing",
    "PassiveEnvChecker",
    "RecordEpisodeStatistics",
    "RecordVideo",
    "RenderCollection",
    "ReshapeObservation",
    "ResizeObservation",
    "TimeLimit",
    "TransformReward",
}
"""Wrappers that leave the actions alone, and the screens too unless their observation space is
another than that of what they wrap."""


def check_environment(environment: gymnasium.Env) -> None:
    """Whether it is one game of Pong that shows the emulator's own coloured screens.

    Raises:
        ValueError: it is several games, another game, or none of the emulator's, or what it
            observes is of another kind, shape or type.
    """
    if isinstance(environment, gymnasium.vector.VectorEnv):
        raise ValueError(
            f"the environment is a batch, num_envs={environment.num_envs}: load one policy a game, "
            "and make each environment by gymnasium.make"
        )
    emulator = getattr(environment, "unwrapped", environment)
    if not isinstance(emulator, AtariEnv):
        raise ValueError(
            f"the environment is a {type(emulator).__name__}, not the emulator's: make it by "
            "gymnasium.make('ALE/Pong-v5')"
        )
    if emulator._game != "pong":
        raise ValueError(
            f"the environment plays {emulator._game}, and the policy plays pong: make it by "
            "gymnasium.make('ALE/Pong-v5')"
        )
    if emulator._obs_type != "rgb":
        raise ValueError(
            f"the environment observes obs_type={emulator._obs_type!r}, and the policy needs the "
            "coloured screen: make the environment with obs_type='rgb'"
        )
    space = environment.observation_space
    if space.shape != SCREEN or space.dtype != np.uint8:
        shape = None if space.shape is None else list(space.shape)
        culprits = [type(each).__name__ for each in wrappers(environment) if resized(each)]
        raise ValueError(
            f"the environment's observations have shape {shape} and type {space.dtype}, and the "
            f"policy needs gymnasium's screens, {list(SCREEN)} uint8: leave out "
            f"{', '.join(culprits) or 'sound_obs=True'}"
        )


def numbers(environment: gymnasium.Env, actions: np.ndarray) -> np.ndarray:
    """The numbers that actions of Pong's minimal set have in the environment.

    Args:
        environment: one that `check_environment` lets pass.
        actions: the numbers in the minimal set, `[moves]` int.

    Returns:
        `[moves]` int; of the 18 actions of `full_action_space=True`, RIGHT is the fourth.

    Raises:
        ValueError: the environment lacks one of them, or has other actions than the emulator.
    """
    emulator = environment.unwrapped
    discrete = isinstance(emulator.action_space, gymnasium.spaces.Discrete)
    if not discrete or environment.action_space != emulator.action_space:
        raise ValueError(
            f"the environment's actions are {environment.action_space}, and the policy makes the "
            "emulator's own by their numbers: make the environment without continuous=True and "
            "without wrappers of actions"
        )
    meanings = emulator.get_action_meanings()
    needed = [ACTIONS[action] for action in actions]
    missing = [action for action in needed if action not in meanings]
    if missing:
        raise ValueError(
            f"the environment has no action {' and no '.join(missing)}, only "
            f"{', '.join(meanings)}, and the policy makes {', '.join(needed)}: make it by "
            "gymnasium.make('ALE/Pong-v5')"
        )
    return np.array([meanings.index(action) for action in needed])


def doubts(environment: gymnasium.Env) -> list[str]:
    """What the policy can play but was not trained for, a sentence each.

    Args:
        environment: one that `check_environment` lets pass.
    """
    return [*doubts_of_time(environment), *doubts_of_wrappers(environment)]


def doubts_of_time(environment: gymnasium.Env) -> Iterator[str]:
    """Other numbers of frames a step, and actions that are repeated more often."""
    least, most = frame_skip(environment)
    usual = Settings.frame_skip
    if (least, most) != (usual, usual):
        skip = f"{least}" if least == most else f"drawn from {least} to {most}"
        yield (
            f"the environment's frame skip is {skip}, its wrappers' included, and the policy was "
            f"trained with {usual}: expect it to lose points, or make the environment with "
            f"frameskip={usual}"
        )
    sticky = environment.unwrapped.ale.getFloat("repeat_action_probability")
    if sticky > STICKY:
        yield (
            f"the environment repeats the last action with probability {sticky:.2g} a frame, and "
            f"the policy was trained with {STICKY} at most: expect it to lose points, or make the "
            f"environment with repeat_action_probability={STICKY}"
        )


def doubts_of_wrappers(environment: gymnasium.Env) -> Iterator[str]:
    """Maxima of two frames, actions that are repeated whole, and wrappers that are not known."""
    for wrapper in wrappers(environment):
        name = type(wrapper).__name__
        if pools(wrapper):
            yield (
                f"{name} shows the maximum of two frames, and the policy was trained on single "
                "ones: expect it to lose points, or leave the wrapper out and make the environment "
                f"with frameskip={Settings.frame_skip}"
            )
        if kind(wrapper) == "StickyAction" and wrapper.repeat_action_probability > 0:
            yield (
                f"{name} repeats actions for whole steps, and the policy was trained with actions "
                "that are repeated for single frames: expect it to lose points, or make the "
                f"environment with repeat_action_probability={STICKY} and without the wrapper"
            )
        if not readable(wrapper):
            yield (
                f"what {name} makes of screens and actions cannot be read, and the policy needs "
                "both as the emulator has them: make sure that the wrapper leaves them so"
            )


def wrappers(environment: gymnasium.Env) -> Iterator[gymnasium.Wrapper]:
    """The wrappers, from the outermost on."""
    while isinstance(environment, gymnasium.Wrapper):
        yield environment
        environment = environment.env


def kind(wrapper: gymnasium.Wrapper) -> str:
    """The name of gymnasium's own class of wrappers; of any other class, an empty string."""
    cls = type(wrapper)
    return cls.__name__ if cls.__module__.startswith("gymnasium.wrappers.") else ""


def readable(wrapper: gymnasium.Wrapper) -> bool:
    """Whether it is known what the wrapper does to screens and actions."""
    if resized(wrapper):
        return False  # and another one has made screens of what it shows
    known = kind(wrapper) in {*PLAIN, *REPEATS, "StickyAction"}
    return known or isinstance(wrapper, gymnasium.RewardWrapper)


def resized(wrapper: gymnasium.Wrapper) -> bool:
    """Whether the wrapper's observations are of another space than what it wraps."""
    return wrapper.observation_space != wrapper.env.observation_space


def pools(wrapper: gymnasium.Wrapper) -> bool:
    """Whether the wrapper shows the larger of each pixel's last two levels."""
    return kind(wrapper) in ("AtariPreprocessing", "MaxAndSkipObservation") and repeats(wrapper) > 1


def repeats(wrapper: gymnasium.Wrapper) -> int:
    """How many steps of what it wraps the wrapper makes in a step of its own."""
    attribute = REPEATS.get(kind(wrapper))
    return 1 if attribute is None else getattr(wrapper, attribute)


def frame_skip(environment: gymnasium.Env) -> tuple[int, int]:
    """The least and the most frames of a step, the wrappers' repetitions included."""
    skip = environment.unwrapped._frameskip
    # the emulator draws from a range without its end
    least, most = (skip[0], skip[1] - 1) if isinstance(skip, tuple) else (skip, skip)
    times = prod(repeats(wrapper) for wrapper in wrappers(environment))
    return least * times, most * times
