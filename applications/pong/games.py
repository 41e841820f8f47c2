"""Names, settings and actions of the emulator's games."""

import difflib
import re
from dataclasses import dataclass

import ale_py
import gymnasium
import numpy as np
from ale_py import roms

from applications.pong.frames import View, any_view, pong_view, shuffled
from applications.runs import RunError


@dataclass(frozen=True)
class Settings:
    """What the emulator is told."""

    game: str
    """ROM name."""
    sticky: float
    """Probability that the last action is repeated instead of the one sent, per frame."""
    frame_skip: int = 4
    """Frames per agent step."""
    max_frames: int = 108_000
    """An episode ends after so many frames: half an hour of play, 27,000 agent steps."""


def find_game(name: str) -> str:
    """The ROM name of `pong`, `Pong`, `SpaceInvaders`, `ALE/SpaceInvaders-v5`.

    Raises:
        RunError: there is no such game.
    """
    known = roms.get_all_rom_ids()
    plain = re.sub(r"-v\d+$", "", name.split("/")[-1])
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower().replace("-", "_")
    if snake in known:
        return snake
    close = difflib.get_close_matches(snake, known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"it has {', '.join(known)}"
    raise RunError(f"the emulator has no game {name!r}: {hint}")


def environment_settings(environment: str) -> Settings:
    """The settings of a gymnasium id such as `ALE/Pong-v5`, from gymnasium's own registry.

    Raises:
        RunError: there is no such environment, or its frame skip is random.
    """
    gymnasium.register_envs(ale_py)
    try:
        given = gymnasium.spec(environment).kwargs
    except gymnasium.error.Error as error:
        raise RunError(f"there is no environment {environment!r}: try ALE/Pong-v5") from error
    if "game" not in given or not isinstance(given["frameskip"], int):
        raise RunError(
            f"{environment} is no Atari game with a fixed frame skip: use one like ALE/Pong-v5"
        )
    return Settings(
        given["game"],
        given["repeat_action_probability"],
        given["frameskip"],
        given["max_num_frames_per_episode"],
    )


def view_and_actions(
    game: str, shuffle: bool = False, rest: bool = False
) -> tuple[View, np.ndarray]:
    """How a game is seen, and the emulator's action for each of the policy's moves.

    Pong's moves are DOWN (0) and UP (1), the emulator's actions 3 and 2, and with `rest` also its
    action 0 (2); other games' are all actions of their minimal set.

    Args:
        game: ROM name.
        shuffle: show the pixels in another order.
        rest: whether Pong's paddle may be left where it is.
    """
    if game == "pong":
        view, actions = pong_view(), np.array([3, 2, 0] if rest else [3, 2])
    else:
        emulator = ale_py.ALEInterface()
        emulator.loadROM(roms.get_rom_path(game))
        view, actions = any_view(), np.arange(len(emulator.getMinimalActionSet()))
    return shuffled(view) if shuffle else view, actions
