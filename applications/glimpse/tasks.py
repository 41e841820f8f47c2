"""The tasks: a digit, centred or somewhere on a larger canvas, alone or among pieces of others.

Scenes are made on the fly, a batch at a time, and the generator's seed fixes them all.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

DIGIT = 28
"""Side of a digit, pixels."""
PIECE = 8
"""Side of a piece of clutter, pixels."""
KNOTS = 6
"""Points a side at which a digit is bent."""
BETWEEN = F.interpolate(torch.eye(KNOTS)[None, None], (DIGIT, KNOTS), mode="bicubic")[0, 0]
"""From the knots to the pixels of a row, `[DIGIT, KNOTS]`."""


@dataclass(frozen=True)
class Task:
    """A canvas and what is on it, and the retina that the paper looks at it with.

    Source: Mnih et al. (2014), Recurrent Models of Visual Attention, section 4.1.
    """

    canvas: int
    """Side of the image, pixels; the digit's place on it is uniform."""
    pieces: int
    """Pieces of 8×8 pixels, cut out of other digits and added anywhere."""
    patch: int
    """What the retina sees at each scale has so many samples a side."""
    scales: int
    """Scales of the retina, each twice as wide as the one before."""
    glimpses: int
    """Glimpses per image."""
    rate: float
    """The locator's share of the learning rate: high where the digit has to be found, low where
    that would lead away from a good plan."""
    noise: float
    """Standard deviation of a location at first: wide where the digit has to be found. The image is
    2 wide."""


TASKS = {
    "mnist28": Task(28, pieces=0, patch=8, scales=1, glimpses=6, rate=0.1, noise=0.1),
    "translated60": Task(60, pieces=0, patch=12, scales=3, glimpses=8, rate=0.5, noise=0.25),
    "cluttered60": Task(60, pieces=4, patch=12, scales=3, glimpses=8, rate=0.5, noise=0.25),
    "cluttered100": Task(100, pieces=8, patch=12, scales=4, glimpses=8, rate=0.5, noise=0.25),
}


def make_scenes(task: Task, digits: Tensor, others: Tensor, generator: Generator) -> Tensor:
    """Put each digit on a canvas of its own, and pieces of other digits over and around it.

    Args:
        task: canvas and clutter.
        digits: uint8 `[B, 28, 28]`.
        others: uint8 `[N, 28, 28]`, what the pieces are cut out of.
        generator: draws the places.

    Returns:
        uint8 `[B, canvas, canvas]`; where things overlap they add up, to 255 at most.
    """
    rows, canvas = len(digits), task.canvas

    def places(side: int, room: int, count: int) -> Tensor:
        """Flat indices `[B, count · side²]` of `count` squares anywhere in `room` × `room`."""
        top, left = torch.randint(room - side + 1, (2, rows, count, 1, 1), generator=generator)
        steps = torch.arange(side)
        return ((top + steps[:, None]) * room + left + steps).view(rows, -1)

    scenes = torch.zeros(rows, canvas * canvas, dtype=torch.int16)
    scenes.scatter_(1, places(DIGIT, canvas, 1), digits.flatten(1).short())
    if task.pieces:
        chosen = torch.randint(len(others), (rows, task.pieces, 1), generator=generator)
        cut = places(PIECE, DIGIT, task.pieces).view(rows, task.pieces, -1)
        pieces = others.flatten(1)[chosen, cut].flatten(1)
        scenes.scatter_add_(1, places(PIECE, canvas, task.pieces), pieces.short())
    return scenes.clamp_(max=255).to(torch.uint8).view(rows, canvas, canvas)


def warp(digits: Tensor, strength: float, generator: Generator) -> Tensor:
    """Turn, stretch, slant, shift and bend every digit a little: more digits to train on.

    At strength 1: turns of 10°, 10 % in size and slant, one pixel of shift, each a standard
    deviation of a normal law cut off at two; and half a pixel of a smooth field of shifts, normal
    at `KNOTS` × `KNOTS` points and bicubic between them.

    Args:
        digits: uint8 `[B, 28, 28]`.
        strength: 0 for none.
        generator: draws the distortions.

    Returns:
        uint8 `[B, 28, 28]`.

    Source: Simard et al. (2003), Best Practices for Convolutional Neural Networks Applied to
    Visual Document Analysis, section 2, for the bending.
    """
    if not strength:
        return digits
    turn, wide, high, slant, x, y = (
        torch.randn(6, len(digits), generator=generator).clamp_(-2, 2) * strength
    )
    turn, wide, high, slant = 0.17 * turn, 1 + 0.1 * wide, 1 + 0.1 * high, 0.1 * slant
    cos, sin = turn.cos(), turn.sin()
    rows = (
        wide * cos,
        high * (slant * cos - sin),
        x / 14,
        wide * sin,
        high * (slant * sin + cos),
        y / 14,
    )
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), [len(digits), 1, DIGIT, DIGIT], False)
    bend = torch.randn(len(digits), 2, KNOTS, KNOTS, generator=generator)
    grid = grid + (BETWEEN @ bend @ BETWEEN.T).permute(0, 2, 3, 1) * (0.5 * strength / 14)
    seen = F.grid_sample(digits[:, None].float(), grid, align_corners=False)
    return seen[:, 0].round_().to(torch.uint8)
