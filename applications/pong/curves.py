"""Learning curves of several runs: what differs between their configs names them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.figure import Figure

from applications.kit import options as kit
from applications.kit.errors import RunError
from applications.kit.figures import save, styled
from applications.kit.records import METRICS, column, read_config, read_metrics

POINTS = 200
"""Of a curve."""
FEW = 6
"""Curves whose legend has room among them."""
ALIKE = ("seed", "origin", "seconds", "film_minutes", "episodes", "generations")
"""In what runs of one curve may differ."""


@dataclass(frozen=True, kw_only=True)
class Options(kit.Options):
    """What `curves` is asked."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders."""
    output: Path = Path("curves.png")
    """File of the picture."""


def plot(options: Options) -> None:
    """Draw the mean return of the last 50 episodes of runs, against agent steps and minutes.

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
    groups: dict[str, list[list[dict[str, Any]]]] = {}
    for name, lines in zip(names(configs), metrics, strict=True):
        groups.setdefault(name, []).append(lines)
    save(draw(groups), options.output)


def names(configs: list[dict[str, Any]]) -> list[str]:
    """What tells each config from the others, its seed apart."""
    keys = [key for key in {key: 0 for config in configs for key in config} if key not in ALIKE]
    differing = [key for key in keys if len({str(config.get(key)) for config in configs}) > 1]
    return [
        ", ".join(f"{key} {config[key]}" for key in differing if key in config) or config["recipe"]
        for config in configs
    ]


def draw(groups: dict[str, list[list[dict[str, Any]]]]) -> Figure:
    """A line with a band for each group of runs."""
    many = len(groups) > FEW
    panels = {"agent_steps": (1e6, "million agent steps"), "seconds": (60, "minutes")}
    with styled(12 if many else 10, 4, "Mean return of the last 50 episodes") as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, (key, (unit, label)) in zip((left, right), panels.items(), strict=True):
            for index, (name, runs) in enumerate(groups.items()):
                x, curves = together(runs, key)
                # matplotlib's own ten colours: there may be more curves than the kit has for
                look = {"color": f"C{index % 10}", "ls": "-" if index < 10 else "--"}
                axes.plot(x / unit, np.median(curves, 0), label=name, **look)
                low, high = curves.min(0), curves.max(0)
                axes.fill_between(x / unit, low, high, color=look["color"], alpha=0.2)
            axes.set_xlabel(label)
            axes.grid(axis="y")
        left.set_ylabel("points")
        if many:
            figure.legend(*left.get_legend_handles_labels(), fontsize=8, loc="outside center right")
        else:
            left.legend(fontsize=8)
    return figure


def together(runs: list[list[dict[str, Any]]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """The runs' mean returns at the same places, `[POINTS]` and `[runs, POINTS]`."""
    known = [[line for line in lines if line["mean_return"] is not None] for lines in runs]
    end = min(lines[-1][key] for lines in known)
    x = np.linspace(max(lines[0][key] for lines in known), end, POINTS)
    curves = [
        np.interp(x, [line[key] for line in lines], [line["mean_return"] for line in lines])
        for lines in known
    ]
    return x, np.stack(curves)
