"""Names and actions of the emulator's games."""

import difflib
import re

import ale_py
import numpy as np
from ale_py import roms

from applications.runs import RunError

UP_DOWN = np.array([3, 2])
"""Pong's actions for the moves 0 (DOWN) and 1 (UP)."""


def find_game(name: str) -> str:
    """The ROM name for `pong`, `Pong`, `SpaceInvaders`, `ALE/SpaceInvaders-v5`.

    Raises:
        RunError: there is no such game.
    """
    known = roms.get_all_rom_ids()
    plain = re.sub(r"(NoFrameskip)?-v\d+$", "", name.split("/")[-1])
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower().replace("-", "_")
    if snake in known:
        return snake
    close = difflib.get_close_matches(snake, known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(known)}"
    raise RunError(f"the emulator has no game {name!r}: {hint}")


def minimal_actions(game: str) -> int:
    """How many actions the game answers to."""
    ale = ale_py.ALEInterface()
    ale.loadROM(roms.get_rom_path(game))
    return len(ale.getMinimalActionSet())
