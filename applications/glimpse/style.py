"""What the pictures share beyond `applications.kit.figures`: order of glimpses, percentages."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from applications.kit.display import plural

PICTURES = Path("pictures/glimpse")
"""Folder of the pictures of shipped networks."""
TICKS = [digit * 10.0**power for power in range(-5, 0) for digit in (1, 2, 5)] + [1.0]

ORDER = mpl.colormaps["plasma"]
"""From the first glimpse to the last."""


def counted(glimpses: int) -> str:
    """So many glimpses."""
    return plural(glimpses, "glimpse")


def colour_of(glimpse: int, glimpses: int) -> tuple[float, ...]:
    """From the first glimpse, 0, to the last, `glimpses - 1`."""
    return ORDER(0.42 + 0.53 * glimpse / max(glimpses - 1, 1))


def percentages(axes: Axes) -> None:
    """A logarithmic axis of shares, in percent, that begins and ends at a tick."""
    low, high = axes.dataLim.intervaly
    bottom = max((tick for tick in TICKS if tick < low), default=TICKS[0])
    top = min((tick for tick in TICKS[1:] if tick > high), default=TICKS[-1])
    axes.set_ylim(bottom, top)  # first: a logarithmic axis cannot find limits of its own for 0
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g} %"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
