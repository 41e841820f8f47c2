"""What the policy sees: two 80×80 frames or their difference, kept as a short list of pixels.

Between two screens of Pong some thirty of the 6400 pixels change, and some sixty of a pair's 12,800
are not background. A `Frames` batch lists only those, so that the first layer is a few row look-ups
and not a product with all columns.
"""

from dataclasses import dataclass, replace

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
    background: tuple[int | np.ndarray, ...]
    """What is not seen: grey values of no meaning, or `[80, 80]` uint8, each pixel's own."""
    levels: np.ndarray
    """`[256]` int16: the level of each grey value."""
    scale: float
    """What a level is multiplied by to become the policy's input."""
    maxpool: bool
    """Whether the emulator joins the last two frames of a step, for games whose sprites flicker."""
    order: np.ndarray | None = None
    """`[6400]`: where each pixel is shown instead of at its own place."""
    limit: int | None = None
    """At most so many pixels can be off the background; None where any number can."""

    def foreground(self, screens: np.ndarray) -> np.ndarray:
        """`[N, 80, 80]` boolean: the pixels of screens `[N, H, W]` that are not background."""
        now = np.ascontiguousarray(screens[:, self.rows, self.columns])
        seen = np.ones(now.shape, bool)
        for value in self.background:
            seen &= now != value
        return seen

    def places(self, pixels: np.ndarray) -> np.ndarray:
        """`[L]` int16: where pixels of one or more frames are shown."""
        if self.order is not None:
            frame, pixel = np.divmod(pixels, PIXELS)
            pixels = frame * PIXELS + self.order[pixel]
        return pixels.astype(np.int16)


def pong_view() -> View:
    """The rule of Karpathy's post: the field, every second pixel, background erased, all else 1.

    The post looks at the red channel and erases 144 (the field) and 109 (the field before the first
    step). The emulator's grey screen is a third of the data; there the same two colours are 87
    and 107. A test compares the two rules on real screens.
    """
    background, levels = (0, 87, 107), np.ones(256, np.int16)
    levels[list(background)] = 0
    rows, columns = slice(35, 195, 2), slice(0, 160, 2)
    return View(
        210, 160, rows, columns, background, levels, 1.0, maxpool=False, limit=MAX_LIT_PIXELS
    )


MAX_LIT_PIXELS = 1000
"""More pixels than this off the background are no game of Pong.

Paddles and ball are at most 34, in 21,600 screens of all modes and difficulties, with the paddle
moved by the policy, at random and not at all; of screens in BGR or in grey all 6,400 are off."""


def coloured(view: View) -> View:
    """Pong's view for the red channel of a coloured screen: the post's own rule."""
    background, levels = (0, 144, 109), np.ones(256, np.int16)
    levels[list(background)] = 0
    return replace(view, background=background, levels=levels)


def shuffled(view: View) -> View:
    """The same with its pixels in an order drawn once and for all, always the same."""
    return replace(view, order=np.random.default_rng(0).permutation(PIXELS))


def any_view(background: int | np.ndarray = 0) -> View:
    """For every other game: the whole screen in grey.

    The emulator averages areas down to 80×80; the difference of two frames lies in [−1, 1].

    Args:
        background: what is not seen, as a `View` has it.
    """
    whole = slice(0, SIDE)
    levels = np.arange(256, dtype=np.int16)
    return View(SIDE, SIDE, whole, whole, (background,), levels, 1 / 255, maxpool=True)


@dataclass(frozen=True)
class Frames:
    """R frames, pairs of frames, or differences, as lists of the pixels that are not zero."""

    pixels: Tensor
    """`[L]` int64: index of each listed pixel, in [0, 6400), a pair's in [0, 12800); frame after
    frame."""
    values: Tensor | None
    """`[L]` float: its value in [−1, 1]; None where all are 1."""
    starts: Tensor
    """`[R]` int64: where each frame's list starts."""

    @classmethod
    def of(
        cls, pixels: np.ndarray, levels: np.ndarray | None, counts: np.ndarray, scale: float
    ) -> "Frames":
        """Frames of recorded arrays: `[L]`, `[L]`, and the number of pixels of each frame `[R]`."""
        values = None if levels is None else torch.from_numpy(levels).float().mul_(scale)
        starts = torch.from_numpy(counts.cumsum() - counts)
        return cls(torch.from_numpy(pixels).long(), values, starts)

    def rows(self) -> Tensor:
        """`[L]` int64: the frame that each listed pixel belongs to."""
        counts = torch.diff(self.starts, append=self.starts.new_tensor([len(self.pixels)]))
        return torch.repeat_interleave(counts)

    def dense(self, size: int = PIXELS) -> Tensor:
        """`[R, size]`: the same frames written out."""
        frames = torch.zeros(len(self.starts), size, device=self.pixels.device)
        frames[self.rows(), self.pixels] = 1.0 if self.values is None else self.values
        return frames

    def to(self, device: torch.device) -> "Frames":
        """The same frames on a device."""
        values = None if self.values is None else self.values.to(device)
        return Frames(self.pixels.to(device), values, self.starts.to(device))


Changes = tuple[np.ndarray, np.ndarray | None, np.ndarray]
"""What `Frames.of` takes: pixels `[L]` int16, levels `[L]` int16 or None, counts `[R]` int64."""


def chosen(changes: Changes, rows: np.ndarray) -> Changes:
    """Some of the frames, in the order of `rows` int64."""
    pixels, levels, counts = changes
    ends, kept = counts.cumsum(), counts[rows]
    first = np.repeat(ends[rows] - kept.cumsum(), kept)  # less what is listed before, itself too
    at = first + np.arange(len(first))
    return pixels[at], None if levels is None else levels[at], kept


class Differences:
    """Turns the screens of N games into difference frames, remembering the last screens."""

    size = PIXELS
    """Pixels that may be listed."""

    def __init__(self, view: View, games: int):
        self.view = view
        self.last = np.zeros((games, SIDE, SIDE), np.uint8)

    def __call__(self, screens: np.ndarray, first: np.ndarray) -> Changes:
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
        return view.places(pixel), change, np.bincount(game, minlength=len(now))


class Pairs:
    """Turns the screens of N games into pairs of frames: what is not background, now and before.

    The present frame's pixels are listed by their index in [0, 6400), the last one's by that plus
    6400; both are the same in an episode's first pair.
    """

    size = 2 * PIXELS
    """Pixels that may be listed."""

    def __init__(self, view: View, games: int):
        self.view = view
        self.both = np.zeros((games, 2, SIDE, SIDE), bool)

    def __call__(self, screens: np.ndarray, first: np.ndarray) -> Changes:
        """As `Differences`; every listed pixel counts 1."""
        view, both = self.view, self.both
        both[:, 1] = both[:, 0]
        both[:, 0] = view.foreground(screens)
        if first.any():
            both[first, 1] = both[first, 0]
        game, pixel = np.divmod(np.flatnonzero(both), self.size)
        return view.places(pixel), None, np.bincount(game, minlength=len(both))


SIGHTS = {"pair": Pairs, "difference": Differences}
"""What a policy may be shown."""
