"""What the policy sees: the difference of two 80×80 frames, kept as a short list of pixels.

Between two screens of Pong some thirty of the 6400 pixels change. A `Frames` batch lists only
those, so that the first layer is a few row look-ups, not a product with 6400 columns.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SIDE = 80
"""Height and width of a preprocessed frame, pixels."""
PIXELS = SIDE * SIDE


@dataclass(frozen=True)
class View:
    """How the emulator's grey screen `[H, W]` becomes an 80×80 frame of small integers."""

    height: int
    """Height of the screen that the emulator is asked for, pixels; 210 is its own."""
    width: int
    """Width, pixels; 160 is its own."""
    rows: slice
    """The rows of the screen that are kept."""
    columns: slice
    """The columns that are kept."""
    levels: np.ndarray
    """`[256]` int16: the level of each grey value."""
    scale: float
    """What a level is multiplied by to become the policy's input."""
    maxpool: bool
    """Whether the emulator joins the last two frames of a step, for games whose sprites flicker."""


def pong_view() -> View:
    """The text's rule: crop to the field, every second pixel, background erased, all else 1.

    The text looks at the red channel and erases 144 (the field) and 109 (the field before the first
    step). The emulator's grey screen is a third of the data; there the same two colours are 87
    and 107. A test compares the two rules on real screens.
    """
    levels = np.ones(256, np.int16)
    levels[[0, 87, 107]] = 0
    return View(210, 160, slice(35, 195, 2), slice(0, 160, 2), levels, 1.0, maxpool=False)


def any_view() -> View:
    """For every other game, whose background is not known: the whole screen in grey.

    The emulator averages areas down to 80×80; the difference of two frames lies in [−1, 1].
    """
    whole = slice(0, SIDE)
    return View(SIDE, SIDE, whole, whole, np.arange(256, dtype=np.int16), 1 / 255, maxpool=True)


@dataclass(frozen=True)
class Frames:
    """R difference frames as lists of the pixels that are not zero."""

    pixels: Tensor
    """`[L]` int64: index in [0, 6400) of each listed pixel, frame after frame."""
    values: Tensor
    """`[L]` float: its value in [−1, 1]."""
    starts: Tensor
    """`[R]` int64: where each frame's list starts."""

    @classmethod
    def of(
        cls, pixels: np.ndarray, levels: np.ndarray, counts: np.ndarray, scale: float
    ) -> "Frames":
        """Frames of recorded arrays: `[L]`, `[L]`, and the number of pixels of each frame `[R]`."""
        values = torch.from_numpy(levels).float().mul_(scale)
        starts = torch.from_numpy(counts.cumsum() - counts)
        return cls(torch.from_numpy(pixels).long(), values, starts)

    def dense(self) -> Tensor:
        """`[R, 6400]`: the same frames written out, for pictures and tests."""
        counts = torch.diff(self.starts, append=torch.tensor([len(self.pixels)]))
        rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
        frames = self.values.new_zeros(len(counts), PIXELS)
        frames[rows, self.pixels] = self.values
        return frames


class Differences:
    """Turns the screens of N games into difference frames, remembering the last screens."""

    def __init__(self, view: View, games: int):
        self.view = view
        self.last = np.zeros((games, SIDE, SIDE), np.uint8)

    def __call__(
        self, screens: np.ndarray, first: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pixels that changed level since the last call.

        Args:
            screens: `[N, H, W]` uint8, grey.
            first: `[N]` boolean: the first screen of an episode, whose difference is zero.

        Returns:
            pixels `[L]` int16, change of level `[L]` int16, and how many of them belong to each
            game `[N]` int64, as `Frames.of` takes them.
        """
        view = self.view
        now = np.ascontiguousarray(screens[:, view.rows, view.columns])
        if first.any():
            self.last[first] = now[first]
        at = np.flatnonzero(now != self.last)
        change = view.levels[now.reshape(-1)[at]] - view.levels[self.last.reshape(-1)[at]]
        if not change.all():  # another colour, the same level
            at, change = at[change != 0], change[change != 0]
        self.last = now
        game, pixel = np.divmod(at, PIXELS)
        return pixel.astype(np.int16), change, np.bincount(game, minlength=len(now))
