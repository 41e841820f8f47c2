"""The picture: return against agent steps and against time, several runs in one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from applications.control.config import METHODS, PICTURES, RUNS, Config
from applications.kit.errors import RunError
from applications.kit.figures import BLUE, GREEN, PURPLE, RED, save, styled
from applications.kit.records import METRICS, column, read_config, read_metrics
from applications.kit.sources import Picture, run_of

COLOURS = dict(zip(METHODS, (GREEN, BLUE, RED, PURPLE), strict=True))
MIN_EPISODES = 10
"""Smallest number of episodes that a point of a curve averages."""
PANELS = {"agent_steps": "agent steps", "cpu_seconds": "processor seconds"}
NARROW, WIDE = 6, 100
"""End of an axis over its beginning: below the first, numbers are evenly spaced; from the second
on, they are powers of ten."""


@dataclass(frozen=True)
class Course:
    """The course of a run."""

    method: str
    environment: str
    points: dict[str, np.ndarray]
    """By name of `PANELS` and `mean_return`, `[P]` each."""


@dataclass(frozen=True, kw_only=True)
class Options(Picture):
    """Options of `plot`."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Run folders to plot (default: all in runs/control)."""


def plot(options: Options) -> None:
    """Plot the runs named, or all in `runs/control`: a picture for each environment.

    Raises:
        RunError: there are none, one has no metrics, or a picture cannot be written.
    """
    run = run_of(options, RUNS)
    told = [*options.runs, *([run] if run else [])]
    folders = told or sorted(path.parent for path in RUNS.glob(f"*/{METRICS}"))
    if not folders:
        raise RunError(f"there is no run in {RUNS} to draw: train one, or name folders")
    courses = [read_course(folder) for folder in folders]
    for environment in sorted({course.environment for course in courses}):
        own = [course for course in courses if course.environment == environment]
        path = (options.output or PICTURES) / f"{environment}.{options.format}"
        save(draw(own, environment), path)


def read_course(folder: Path) -> Course:
    """The course of a run, averaged over at least `MIN_EPISODES` episodes a point."""
    config = Config.from_saved(read_config(folder), f"the run in {folder}")
    lines = read_metrics(folder / METRICS)
    if not lines:
        raise RunError(f"{folder / METRICS} has no lines: train longer before drawing the course")
    for name in (*PANELS, "episodes", "mean_return"):
        column(lines, name)
    groups, begun = [[]], 0
    for line in lines:
        groups[-1].append(line)
        if line["episodes"] - begun >= MIN_EPISODES and line is not lines[-1]:
            begun = line["episodes"]
            groups.append([])
    points = {name: np.array([group[-1][name] for group in groups]) for name in PANELS}
    points["mean_return"] = np.array([mean_return(group) for group in groups])
    return Course(config.method, config.environment, points)


def mean_return(lines: list[dict]) -> float:
    """The mean over these lines."""
    return float(np.mean([line["mean_return"] for line in lines]))


def draw(courses: list[Course], environment: str) -> Figure:
    """Mean return of the episodes trained on, against agent steps and against time."""
    with styled(9, 3.8, f"{environment}: return during training") as figure:
        grid = figure.subplots(1, 2, sharey=True)
        for (name, meaning), axes in zip(PANELS.items(), grid, strict=True):
            for course in courses:
                colour, points = COLOURS[course.method], course.points
                axes.plot(points[name], points["mean_return"], color=colour, lw=1.4)
            axes.set(xscale="log", xlabel=meaning)
            write_ticks(axes.xaxis)
            axes.grid(axis="y")
        grid[0].set_ylabel("mean return of an episode")
        methods = [method for method in METHODS if any(c.method == method for c in courses)]
        for method in methods:
            axes.plot([], [], color=COLOURS[method], label=method)
        figure.legend(loc="outside lower center", ncols=len(methods))
    return figure


def write_ticks(axis: Axis) -> None:
    """Numbers on a logarithmic axis, so few that they do not touch."""
    low, high = axis.get_view_interval()
    if high < NARROW * low:
        axis.set_major_locator(MaxNLocator(4))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < WIDE * low else (1,)))
    axis.set_major_formatter("{x:,g}")
    axis.set_minor_formatter(NullFormatter())
