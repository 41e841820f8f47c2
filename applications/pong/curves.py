"""Learning curves of several runs: what differs between their configs names them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from applications.kit import options as kit
from applications.kit.errors import RunError
from applications.kit.figures import BLUE, GREY, LIGHT, save, styled
from applications.kit.records import METRICS, column, read_config, read_metrics

Runs = list[list[dict[str, Any]]]
"""The metrics of several runs."""
POINTS = 200
"""Points of a curve."""
MAX_CURVES = 6
"""Curves that can be told apart in one panel; more get one each."""
COLUMNS = 4
"""Panels in a row."""
TITLE = "Mean return of the last 50 episodes"
IGNORED_OPTIONS = ("seed", "origin", "seconds", "film_minutes", "episodes", "generations")
"""Options in which the runs of one curve may differ."""


@dataclass(frozen=True, kw_only=True)
class Options(kit.Options):
    """Options of `curves`."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders to compare."""
    output: Path = Path("curves.png")
    """File of the picture."""


def plot(options: Options) -> None:
    """Plot the mean return of the last 50 episodes of runs, against agent steps and minutes.

    Runs that differ in their seed alone are one curve: their median, and a band from the lowest to
    the highest.

    Raises:
        RunError: a folder holds no run, or one without a finished update.
    """
    configs = [read_config(folder) for folder in options.runs]
    metrics = [read_metrics(folder / METRICS) for folder in options.runs]
    for folder, lines in zip(options.runs, metrics, strict=True):
        for name in ("agent_steps", "seconds"):
            column(lines, name)
        if set(column(lines, "mean_return", null=True)) <= {None}:
            raise RunError(f"the run in {folder} has not finished an episode yet")
    groups: dict[str, Runs] = {}
    for name, lines in zip(names(configs), metrics, strict=True):
        groups.setdefault(name, []).append(lines)
    save(draw(groups), options.output)


def names(configs: list[dict[str, Any]]) -> list[str]:
    """What tells each config from the others, its seed apart."""
    keys = [
        key
        for key in {key: 0 for config in configs for key in config}
        if key not in IGNORED_OPTIONS
    ]
    differing = [key for key in keys if len({str(config.get(key)) for config in configs}) > 1]
    return [
        ", ".join(f"{key} {config[key]}" for key in differing if key in config) or config["recipe"]
        for config in configs
    ]


def draw(groups: dict[str, Runs]) -> Figure:
    """A line with a band for each group of runs: in one panel, or in one each if they are many."""
    return plot_many(groups) if len(groups) > MAX_CURVES else plot_few(groups)


def plot_few(groups: dict[str, Runs]) -> Figure:
    """All groups in one panel, against agent steps and against minutes."""
    panels = {"agent_steps": (1e6, "million agent steps"), "seconds": (60, "minutes")}
    with styled(10, 4, TITLE) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, (key, (unit, label)) in zip((left, right), panels.items(), strict=True):
            for index, (name, runs) in enumerate(groups.items()):
                plot_band(axes, runs, key, unit, f"C{index}", name)
            if begun := sticky_from(groups, key):
                axes.axvline(begun / unit, color=GREY, ls=":", lw=1.2)
                at = {"xy": (begun / unit, 0.02), "xycoords": axes.get_xaxis_transform()}
                shift = {"xytext": (4, 0), "textcoords": "offset points"}
                axes.annotate("sticky actions →", **at, **shift, color=GREY, fontsize=8)
            axes.set_xlabel(label)
            axes.grid(axis="y")
        left.set_ylabel("return")
        left.legend(fontsize=8)
    return figure


def plot_many(groups: dict[str, Runs]) -> Figure:
    """A panel for each group, against agent steps, with the first one's curve behind it."""
    rows = -(-len(groups) // COLUMNS)
    first, *_ = groups
    with styled(11, 0.6 + 1.75 * rows, f"{TITLE} (grey: {first})") as figure:
        grid = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes, (name, runs) in zip(grid.flat, groups.items(), strict=False):
            x, curves = together(groups[first], "agent_steps")
            axes.plot(x / 1e6, np.median(curves, 0), color=LIGHT, lw=2.5)
            plot_band(axes, runs, "agent_steps", 1e6, BLUE, name)
            axes.set_title(name)
            axes.grid(axis="y")
        for axes in list(grid.flat)[len(groups) :]:
            axes.axis("off")
        figure.supxlabel("million agent steps", fontsize=10)
        figure.supylabel("return", fontsize=10)
    return figure


def plot_band(axes: Axes, runs: Runs, key: str, unit: float, colour: str, name: str) -> None:
    """The median of runs, and a band from the lowest to the highest."""
    x, curves = together(runs, key)
    axes.plot(x / unit, np.median(curves, 0), color=colour, label=name)
    axes.fill_between(x / unit, curves.min(0), curves.max(0), color=colour, alpha=0.2)


def sticky_from(groups: dict[str, Runs], key: str) -> float | None:
    """Where the runs, as a median, begin to repeat actions; None unless all of them change."""
    starts = []
    for lines in (lines for runs in groups.values() for lines in runs):
        quiet = [line[key] for line in lines if not line.get("sticky")]
        if not quiet or len(quiet) == len(lines):
            return None
        starts.append(max(quiet))
    return float(np.median(starts))


def together(runs: Runs, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The runs' mean returns at the same places, `[POINTS]` and `[runs, POINTS]`."""
    known = [[line for line in lines if line["mean_return"] is not None] for lines in runs]
    end = min(lines[-1][key] for lines in known)
    x = np.linspace(max(lines[0][key] for lines in known), end, POINTS)
    curves = [
        np.interp(x, [line[key] for line in lines], [line["mean_return"] for line in lines])
        for lines in known
    ]
    return x, np.stack(curves)
