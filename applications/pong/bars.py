"""A study as bars: how soon its variants reached the marks, and where they ended."""

from math import isfinite
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from applications.kit.figures import BLUE, GREY, INK, LIGHT, styled

COLOURS, HEIGHTS = (BLUE, LIGHT), (0.34, 0.7)
"""Of the bars of the first mark, and of the second behind it."""


class Summary(NamedTuple):
    """What a variant came to, as the median of its seeds."""

    steps: dict[str, float]
    """Thousand agent steps by mark; infinite for never."""
    end: float
    """The mean return when it ended."""


def draw(summaries: dict[str, Summary]) -> Figure:
    """A row for each variant; its steps on the left, its end on the right."""
    with styled(10, 1.2 + 0.28 * len(summaries), "Mean return of the last 50 episodes") as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        plot_steps(left, list(summaries.values()))
        plot_ends(right, list(summaries.values()))
        left.set_yticks(range(len(summaries)), list(summaries))
        left.invert_yaxis()
        for axes in (left, right):
            axes.tick_params(axis="y", length=0, labelcolor=INK)
            axes.grid(axis="x")
            axes.set_axisbelow(True)
    return figure


def plot_steps(axes: Axes, summaries: list[Summary]) -> None:
    """Thousand steps to each mark, none where a mark was never reached."""
    marks = list(summaries[0].steps)
    for order, (mark, colour, height) in enumerate(zip(marks, COLOURS, HEIGHTS, strict=False)):
        steps = [summary.steps[mark] for summary in summaries]
        shown = [count if isfinite(count) else 0 for count in steps]
        axes.barh(range(len(steps)), shown, height, color=colour, zorder=3 - order, label=mark)
        if order == 0:
            for row, count in enumerate(steps):
                if not isfinite(count):
                    axes.text(4, row, f"never {mark}", color=GREY, fontsize=8, va="center")
    axes.set_title("thousand agent steps to the mark")
    axes.legend(fontsize=8, loc="lower right")


def plot_ends(axes: Axes, summaries: list[Summary]) -> None:
    """Mean returns at the end, as bars from 0 on."""
    ends = [summary.end for summary in summaries]
    bars = axes.barh(range(len(ends)), ends, HEIGHTS[1], color=BLUE)
    axes.bar_label(bars, [f"{end:+.1f}".replace("-", "−") for end in ends], padding=3, fontsize=8)
    axes.axvline(0, color=GREY, lw=0.8)
    axes.margins(x=0.15)
    axes.set_title("return at the end")
