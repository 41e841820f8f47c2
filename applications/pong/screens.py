"""Whether a screen is what a policy was trained to see: its type, its shape, and its background."""

import numpy as np

from applications.pong.frames import PIXELS, View

SCREEN = (210, 160, 3)
"""The shape of a coloured screen of gymnasium's."""


def check_coloured(screen: np.ndarray) -> None:
    """Whether it is one coloured screen of gymnasium's, `[210, 160, 3]` uint8.

    Raises:
        ValueError: it has another type or shape, or is a batch or a stack of screens.
    """
    shape = list(screen.shape)
    if screen.ndim > 3:
        raise ValueError(
            f"the screen has shape {shape}, which is a batch or a stack of them: load one policy a "
            f"game, and give it the game's last screen, {list(SCREEN)}"
        )
    if screen.shape != SCREEN:
        raise ValueError(f"the screen has shape {shape}: give gymnasium's, {list(SCREEN)}")
    check_type(screen)


def check_type(screens: np.ndarray) -> None:
    """Whether the levels are the emulator's own bytes.

    Raises:
        ValueError: they have another type, whatever their values.
    """
    if screens.dtype != np.uint8:
        raise ValueError(
            f"the screen has type {screens.dtype}: give the emulator's own levels, uint8 from 0 to "
            "255, neither scaled nor normalised"
        )


def check_screens(screens: np.ndarray, view: View) -> None:
    """Whether a policy that sees the game by this view can play these screens.

    Args:
        screens: `[N, 1, H, W]` one channel of the screens of N games.
        view: of the policy.

    Raises:
        ValueError: they have another type or shape, levels of a scaled screen, or more pixels off
            the background than the game ever has.
    """
    check_type(screens)
    shape = list(screens.shape)
    if screens.ndim != 4 or shape[1:] != [1, view.height, view.width]:
        raise ValueError(
            f"the screens have shape {shape}: give the emulator's, "
            f"[games, 1, {view.height}, {view.width}]"
        )
    if view.limit is None:
        if screens.max(initial=0) == 1:
            raise ValueError(
                "the screens have no level above 1: give the emulator's own levels, from 0 to 255, "
                "not those of a screen scaled to [0, 1]"
            )
        return

    # what is wrong in all of the screen is told from what moves on it by the number of its pixels
    pixels = int(view.foreground(screens[:, 0]).sum((1, 2)).max(initial=0))
    if pixels > view.limit:
        raise ValueError(
            f"{pixels:,} of the {PIXELS:,} pixels that the policy looks at are off Pong's "
            f"background, and in a game only a few dozen are: give gymnasium's screen as it is, "
            "in RGB, not in BGR, not grey in three channels, and of no other game"
        )
