"""The emulator's own window: a game as it is played, in colour, without sound.

The emulator ends its process when the window is closed, so it has one of its own.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection

import ale_py
from ale_py import roms

from applications.kit.errors import RunError
from applications.pong.games import Settings

FRAMES_PER_SECOND = 60
"""Of the emulator."""


class Window:
    """Shows a game at the emulator's speed; a context manager that closes the window.

    Args:
        settings: of the game.
        seed: of the game.

    Raises:
        RunError: there is no display.
    """

    def __init__(self, settings: Settings, seed: int):
        spawn = get_context("spawn")
        self.pipe, end = spawn.Pipe()
        self.process = spawn.Process(target=play, args=(end, settings, seed), daemon=True)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for this process alone
        self.process.start()
        signal.signal(signal.SIGINT, before)
        end.close()
        trouble = self.answer()
        if trouble != "":
            self.close()
            raise RunError(
                f"no window can be opened here ({trouble or 'its process ended at once'}): leave "
                "out --live to record a film"
            )

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self.pipe.close()
        self.process.join()

    def show(self, action: int) -> bool:
        """Make a move and show what comes of it: whether the window is still open."""
        with suppress(OSError):
            self.pipe.send(action)
        return self.answer() is not None

    def answer(self) -> str | None:
        """What is wrong, once it is known: an empty string if nothing is; None if it is closed."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            return None


def play(pipe: Connection, settings: Settings, seed: int) -> None:
    """In the window's process: make the moves that come through the pipe, and answer each."""
    if sys.platform == "linux" and not os.environ.get("SDL_VIDEODRIVER"):
        os.environ["SDL_VIDEODRIVER"] = "x11,wayland"  # not one that shows nothing
    try:
        emulator = visible_emulator(settings, seed)
    except RuntimeError as error:
        pipe.send(str(error))
        return
    pipe.send("")
    actions, due = emulator.getMinimalActionSet(), time.monotonic()
    with suppress(EOFError, OSError):  # the game is over
        while True:
            action = actions[pipe.recv()]
            for _ in range(settings.frame_skip):
                due = max(due + 1 / FRAMES_PER_SECOND, time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))
                emulator.act(action)
            pipe.send("")


def visible_emulator(settings: Settings, seed: int) -> ale_py.ALEInterface:
    """An emulator with a window, at the beginning of the game of a seed."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    emulator = ale_py.ALEInterface()
    emulator.setFloat("repeat_action_probability", settings.sticky)
    emulator.setInt("max_num_frames_per_episode", settings.max_frames)
    emulator.setInt("random_seed", seed)
    emulator.setBool("display_screen", True)
    emulator.loadROM(roms.get_rom_path(settings.game))
    emulator.reset_game()
    return emulator
