"""Reward functions: what a sample is worth. A reward is to be raised, whatever its unit.

The library minimises costs; the sign is turned once, in `gaussian.ExpectedCost`.
"""

import importlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from applications.kit.errors import RunError

INK = 8
"""Levels by which one colour may differ from itself, by rounding."""
LIMIT = 3.4
"""The plotted square is [−LIMIT, LIMIT]²."""

REGIONS = ((-1.15, -0.8, 1.2, 0.6, -40.0), (0.6, -1.75, 0.45, 0.45, 0.0), (1.8, 1.5, 0.4, 0.4, 0.0))
"""Ellipses worth +1: centre x, y, half axes, degrees from the x axis to the first half axis."""


class Reward:
    """A reward function that checks what it is given back.

    Args:
        function: maps points `[N, 2]`, float64, to rewards `[N]`, a tensor or an array.
        name: for titles and errors.
    """

    def __init__(self, function: Callable[[Tensor], Tensor | np.ndarray], name: str):
        self.function, self.name = function, name

    @cached_property
    def range(self) -> tuple[float, float]:
        """Lowest and highest reward in the plotted square."""
        ticks = torch.linspace(-LIMIT, LIMIT, 401, dtype=torch.float64)
        rewards = self(torch.cartesian_prod(ticks, ticks))
        return rewards.min().item(), rewards.max().item()

    @torch.no_grad()
    def __call__(self, points: Tensor) -> Tensor:
        """Rewards `[N]`, float64.

        Raises:
            RunError: the function fails, or returns another shape, NaN or infinity.
        """
        try:
            rewards = torch.as_tensor(self.function(points)).to(torch.float64)
        except Exception as error:
            raise RunError(
                f"reward function {self.name} failed on a float64 tensor of points "
                f"{list(points.shape)}: {type(error).__name__}: {error}"
            ) from error
        if rewards.shape != points.shape[:1]:
            raise RunError(
                f"reward function {self.name} returned shape {list(rewards.shape)} for points "
                f"{list(points.shape)}: return one reward per point, [{len(points)}]"
            )
        if not rewards.isfinite().all():
            bad = points[~rewards.isfinite()][0].tolist()
            raise RunError(
                f"reward function {self.name} is NaN or infinite at ({bad[0]:.3g}, {bad[1]:.3g}): "
                "return a finite reward everywhere"
            )
        return rewards


def regions(points: Tensor) -> Tensor:
    """−1 everywhere, +1 inside the ellipses of `REGIONS`; differentiable nowhere that matters.

    Args:
        points: `[N, 2]`.

    Returns:
        `[N]`.
    """
    good = torch.zeros(len(points), dtype=torch.bool)
    for x, y, a, b, degrees in REGIONS:
        angle = torch.deg2rad(torch.tensor(degrees, dtype=points.dtype))
        dx, dy = points[:, 0] - x, points[:, 1] - y
        along = dx * angle.cos() + dy * angle.sin()
        across = dy * angle.cos() - dx * angle.sin()
        good |= (along / a) ** 2 + (across / b) ** 2 < 1
    return torch.where(good, 1.0, -1.0)


def from_image(path: Path) -> Reward:
    """Bright is good: grey levels become [−1, 1] over the plotted square, −1 outside of it.

    Transparent parts are black. A drawing in one colour on nothing is as bright as it is opaque.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGBA")
            opaque = Image.alpha_composite(Image.new("RGBA", upright.size, "black"), upright)
            levels = np.asarray(opaque.convert("L"))
            opacity = np.asarray(upright.getchannel("A"))
            seen = np.asarray(upright.convert("L"))[opacity >= opacity.max() / 2]
            if seen.size < opacity.size and np.ptp(seen) <= INK:
                levels = opacity
            grey = torch.tensor(levels, dtype=torch.float64) / 127.5 - 1
    except (OSError, UnidentifiedImageError) as error:
        raise RunError(f"{path} is no image that can be read ({error})") from error
    height, width = grey.shape

    def look_up(points: Tensor) -> Tensor:
        column = ((points[:, 0] + LIMIT) / (2 * LIMIT) * width).floor().long()
        row = ((LIMIT - points[:, 1]) / (2 * LIMIT) * height).floor().long()
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixels = grey[row.clamp(0, height - 1), column.clamp(0, width - 1)]
        return torch.where(inside, pixels, -1.0)

    return Reward(look_up, path.name)


def from_module(spec: str) -> Reward:
    """The function that `module:function` names."""
    module_name, _, name = spec.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except AttributeError as error:
        raise RunError(
            f"module {module_name} has no function {name!r} (--reward {spec})"
        ) from error
    except Exception as error:
        raise RunError(
            f"module {module_name!r} cannot be imported (--reward {spec}): "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(function):
        raise RunError(f"{spec} is a {type(function).__name__}: name a function")
    return Reward(function, spec)


def find_reward(spec: str | None) -> Reward:
    """The reward function that `--reward` asks for, tried out on the plotted square.

    Args:
        spec: `module:function`, the path of an image, or None for `regions`.

    Raises:
        RunError: there is no such thing, it fails, or it gives every point the same reward.
    """
    if spec is None:
        reward = Reward(regions, "regions")
    elif Path(spec).is_file():
        reward = from_image(Path(spec))
    elif ":" in spec:
        reward = from_module(spec)
    else:
        raise RunError(f"--reward {spec}: there is no such image, and it is no module:function")
    low, high = reward.range
    if low == high:
        raise RunError(
            f"reward function {reward.name} is {low:g} all over the plotted square, "
            f"[-{LIMIT}, {LIMIT}]²: there is nothing to raise"
        )
    return reward
