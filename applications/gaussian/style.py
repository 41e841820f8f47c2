"""What the pictures share: palette, reward in the background, contours.

Good and bad differ in shape as well as in colour, for a grey print.
"""

from contextlib import AbstractContextManager
from functools import lru_cache

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from applications.gaussian.gaussian import Gaussian
from applications.gaussian.rewards import LIMIT, Reward
from applications.kit.figures import GREEN, GREY, RED, RULES

GROUND = LinearSegmentedColormap.from_list("reward", ["#FBF4EE", "#B4DFD1"])
PIXELS = 600
"""Resolution of the reward in the background."""
OWN = {
    **RULES,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": True,
    "axes.spines.right": True,
}
"""The plane has a frame, and its words are larger."""


def styled() -> AbstractContextManager[None]:
    """A context in which figures look alike."""
    return mpl.rc_context(OWN)


def plane(axes: Axes) -> None:
    """The plotted square."""
    axes.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal")
    axes.set(xticks=range(-3, 4), yticks=range(-3, 4))
    axes.tick_params(labelsize=8, length=2.5)


@lru_cache(maxsize=1)
def _lattice(reward: Reward, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Ticks `[P]` at the middle of the pixels, and rewards `[P, P]`, rows from low to high x₂."""
    half = LIMIT / pixels
    ticks = torch.linspace(-LIMIT + half, LIMIT - half, pixels, dtype=torch.float64)
    values = reward(torch.cartesian_prod(ticks, ticks)).view(pixels, pixels).T
    return ticks.numpy(), values.numpy()


def ground(axes: Axes, reward: Reward) -> list[Patch]:
    """The reward in the background; returns legend entries for its lowest and highest value."""
    ticks, values = _lattice(reward, PIXELS)
    low, high = reward.range
    extent = (-LIMIT, LIMIT, -LIMIT, LIMIT)
    shown = {"cmap": GROUND, "vmin": low, "vmax": high, "interpolation": "nearest"}
    axes.imshow(values, origin="lower", extent=extent, zorder=0, **shown)
    if len(np.unique(values)) == 2:
        level = (low + high) / 2
        axes.contour(ticks, ticks, values, [level], colors=GREEN, linewidths=0.9, zorder=1)
    low, high = (round(value / (high - low), 4) * (high - low) for value in (low, high))
    return [
        Patch(fc=GROUND(1.0), ec=GREEN, lw=0.8, label=f"reward {signed(high)}"),
        Patch(fc=GROUND(0.0), ec=GREY, lw=0.4, label=f"reward {signed(low)}"),
    ]


def contours(axes: Axes, gaussian: Gaussian, **line: object) -> None:
    """Where the density is that of 1 and of 2 standard deviations."""
    angle = torch.linspace(0, 2 * torch.pi, 200, dtype=torch.float64)
    circle = gaussian.factor @ torch.stack([angle.cos(), angle.sin()])
    for radius in (1, 2):
        line_of = (gaussian.mean.unsqueeze(1) + radius * circle).numpy()
        axes.plot(*line_of, **{"zorder": 2, **line})


def dots(axes: Axes, points: Tensor, good: Tensor, size: float = 18) -> None:
    """Points, a filled circle where good and a cross where bad."""
    axes.scatter(*points[~good].T.numpy(), s=0.8 * size, c=RED, marker="x", lw=1, zorder=4)
    axes.scatter(*points[good].T.numpy(), s=size, c=GREEN, ec="white", lw=0.5, zorder=5)


def title(figure: Figure, text: str, x: float) -> None:
    """A bold line over the whole figure, from `x` on."""
    figure.suptitle(text, x=x, y=0.975, ha="left", fontsize=15, weight="bold")


def heading(axes: Axes, bold: str, plain: str) -> None:
    """A bold line above the axes, and three plain ones under it."""
    axes.text(0, 1.22, bold, transform=axes.transAxes, fontsize=12.5, weight="bold")
    axes.text(0, 1.195, plain, transform=axes.transAxes, va="top", linespacing=1.3)


def legend(axes: Axes, *entries: Artist) -> None:
    """A legend under the axes, in two columns."""
    axes.legend(
        handles=entries,
        loc="upper left",
        bbox_to_anchor=(-0.03, -0.05),
        ncols=2,
        frameon=False,
        fontsize=10.5,
        handlelength=1.8,
        columnspacing=1.2,
        labelspacing=0.35,
    )


def name_of(baseline: str, reward: Reward) -> str:
    """A baseline as a reader likes it."""
    value = f" {reward.range[0]:.3g}".replace("-", "−") if baseline == "constant" else ""
    return {"none": "no baseline"}.get(baseline, baseline.replace("moving-", "moving ")) + value


def signed(value: float, form: str = "+.3g") -> str:
    """A number with its sign and a true minus; zero has none."""
    return format(value, form).replace("-", "−") if value else "0"
