"""The emulator's games: their names, settings and actions, and many of one at once."""

import difflib
import os
import re
from dataclasses import dataclass
from functools import cache

import ale_py
import gymnasium
import numpy as np
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv

from applications.kit.errors import RunError
from applications.pong.frames import View, any_view, pong_view, shuffled


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
    known = {rom.replace("_", ""): rom for rom in roms.get_all_rom_ids()}
    plain = re.sub(r"-v\d+$", "", name.split("/")[-1]).lower()
    letters = re.sub(r"[^a-z0-9]", "", plain)
    if letters in known:
        return known[letters]
    close = [known[match] for match in difflib.get_close_matches(letters, known, n=3, cutoff=0.5)]
    hint = f"did you mean {', '.join(close)}?" if close else f"it has {', '.join(known.values())}"
    raise RunError(f"the emulator has no game {name!r}: {hint}")


def environment_of(game: str) -> str:
    """The gymnasium id of a game, such as `ALE/SpaceInvaders-v5`."""
    return f"ALE/{game.title().replace('_', '')}-v5"


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


EMULATOR_BYTES = 2_000_000
"""Memory of a game, in bytes."""


def check_memory(games: int) -> None:
    """Whether so many games fit into this machine, where the system tells its memory.

    Raises:
        RunError: they do not.
    """
    if not hasattr(os, "sysconf"):  # on Windows
        return
    needs, has = games * EMULATOR_BYTES, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needs > has:
        raise RunError(
            f"{games:,} games need {needs / 1e9:,.1f} GB of memory, and this machine has "
            f"{has / 1e9:,.1f}: ask for fewer (--environments; cross-entropy: --population)"
        )


def make_emulators(
    settings: Settings, games: int, view: View, grey: bool = True, threads: int | None = None
) -> AtariVectorEnv:
    """So many games of the emulator, with the screens that `view` asks for.

    They run in as many threads as there are cores, unless told otherwise. No move is made but the
    policy's: no no-op start, no FIRE on reset. Rewards are the emulator's own.

    Raises:
        RunError: so many do not fit into this machine's memory.
    """
    check_memory(games)
    return AtariVectorEnv(
        settings.game,
        games,
        num_threads=min(threads or os.cpu_count() or 1, games),
        repeat_action_probability=settings.sticky,
        max_num_frames_per_episode=settings.max_frames,
        frameskip=settings.frame_skip,
        img_height=view.height,
        img_width=view.width,
        grayscale=grey,
        maxpool=view.maxpool,
        stack_num=1,
        noop_max=0,
        use_fire_reset=False,
        reward_clipping=False,
        autoreset_mode="SameStep",
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
        screen, moves = usual_screen(game)
        view, actions = any_view(screen), np.arange(moves)
    return shuffled(view) if shuffle else view, actions


@cache
def usual_screen(game: str) -> tuple[np.ndarray, int]:
    """What a pixel mostly shows: medians over the beginnings of games played at random.

    Args:
        game: ROM name.

    Returns:
        `[80, 80]` uint8, grey, and the number of the game's actions.
    """
    games, steps, random = 8, 100, np.random.default_rng(0)
    emulators = make_emulators(Settings(game, sticky=0.25), games, any_view())
    moves = int(emulators.single_action_space.n)
    screens = [emulators.reset(seed=0)[0]]
    screens += [emulators.step(random.integers(moves, size=games))[0] for _ in range(steps)]
    return np.median(np.concatenate(screens)[:, 0], axis=0).astype(np.uint8), moves
