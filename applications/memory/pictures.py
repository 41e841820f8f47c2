"""Pictures: what a program does, how far it goes beyond what it was trained on, how it learned."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter
from torch import Generator

from applications.kit.errors import RunError
from applications.kit.figures import BLUE, GREY, INK, LIGHT, save, styled
from applications.kit.options import Range, Seed
from applications.kit.records import CONFIG, METRICS, column, read_config, read_metrics
from applications.kit.sources import Picture, run_of
from applications.memory import weights
from applications.memory.config import PICTURES, RUNS, Config, Mode, Task
from applications.memory.evaluate import solve
from applications.memory.film import write_film
from applications.memory.model import MemoryModel
from applications.memory.program import program_figure
from applications.memory.trace import record

LENGTHS = (1, 2, 3, 4, 5, 7, 10, 14, 20, 30, 50, 70, 100)
"""Lengths at which a program is measured, in letters."""
PROBLEMS = 50
"""Problems per length."""
RATIOS = (-10, -1, -0.5, 0, 0.5, 1, 10, 100, 1000, 10_000)
"""Ticks of the signal-to-noise ratio."""
Course = list[dict[str, Any]]
"""The metrics of a run."""


# ---------------------------------------------------------------- the subcommand


@dataclass(frozen=True, kw_only=True)
class Options(Picture):
    """Options of `plot`."""

    task: Task | None = None
    """Task of the shipped program (with a run: the run's)."""
    mode: Mode | None = None
    """Mode of the shipped program (with a run: the run's)."""
    length: Annotated[int, Range(1, 20)] = 6
    """Letters of the problem that is shown."""
    seed: Seed = 0
    """Seed of the problem."""


def plot(options: Options) -> None:
    """Plot a program, and how it learned, into a folder; print each file's name.

    The folder of a study has only learning to show.

    Raises:
        RunError: there is no such program, no metrics, or a picture cannot be written.
    """
    run, ending = run_of(options, RUNS), options.format
    if run is None or not seeds_of(run):
        model, whose = weights.choose(run, options.task, options.mode)
        folder = options.output or run or PICTURES / model.config.name()
        plot_program(model, options.length, options.seed, folder, ending, whose)
    if run is not None:
        folder = options.output or run
        save(plot_learning(*courses_of(run)), folder / f"learning.{ending}", f"{run}")


def plot_program(
    model: MemoryModel, length: int, seed: int, folder: Path, ending: str, whose: str
) -> None:
    """Draw what it does to a problem of so many letters, and how far it goes."""
    trace = record(model, length, Generator().manual_seed(seed))
    save(program_figure(trace), folder / f"program.{ending}", whose)
    write_film(trace, folder / "program.gif")
    save(plot_length(measure(model), model.config), folder / f"length.{ending}", whose)


# ---------------------------------------------------------------- how far it goes


def measure(model: MemoryModel) -> dict[int, float]:
    """The share of letters right at each length that there is memory for."""
    config = model.config
    most = config.cells if config.mode == "absolute" else max(LENGTHS)
    asked = [length for length in LENGTHS if length <= most]
    return {n: solve(model, n, Generator().manual_seed(0), PROBLEMS)[0] for n in asked}


def plot_length(shares: dict[int, float], config: Config) -> Figure:
    """The share of letters right against the length of the problem."""
    with styled(7.2, 3.4, f"{config.task} by {config.mode}: accuracy against length") as figure:
        axes = figure.subplots()
        axes.axvspan(0.9, config.last, color=BLUE, alpha=0.1, lw=0)
        middle, at = (0.9 * config.last) ** 0.5, axes.get_xaxis_transform()
        axes.text(middle, 0.05, "training lengths", color=BLUE, ha="center", transform=at)
        axes.plot(list(shares), list(shares.values()), color=INK, marker="o", ms=4)
        axes.set(xscale="log", xlabel="letters of the problem", ylabel="letters right")
        axes.set(xlim=(0.9, max(*shares, config.last) * 1.1), ylim=(0, 1.04))
        ticks = [n for n in (1, 2, 3, 5, 10, 20, 30, 50, 100) if n <= max(shares)]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="y")
        about = f"{PROBLEMS} problems per length, with the likeliest action at each step"
        axes.set_title(about, color=GREY)
    return figure


# ---------------------------------------------------------------- how it learned


def seeds_of(folder: Path) -> list[Path]:
    """The runs in a study's folder; none if it is a run itself."""
    if (folder / CONFIG).exists():
        return []
    found = [path.parent for path in folder.glob(f"*/{CONFIG}") if path.parent.name.isdecimal()]
    return sorted(found, key=lambda run: int(run.name))


def courses_of(folder: Path) -> tuple[list[Course], dict[str, Any]]:
    """The metrics of a run, or of each in a study's folder, and the config of the first.

    Raises:
        RunError: a run has none.
    """
    runs = seeds_of(folder) or [folder]
    courses = [read_metrics(run / METRICS) for run in runs]
    for run, course in zip(runs, courses, strict=True):
        if not course:
            raise RunError(f"{run / METRICS} has no lines: train longer before drawing the course")
    return courses, read_config(runs[0])


def plot_learning(courses: list[Course], config: dict[str, Any]) -> Figure:
    """The course of a run; or of several, thin, with their median."""
    panels = {
        "level": "level reached, letters",
        "error": f"letters wrong, of {config['last']}-letter problems",
        "entropy": "entropy of the choices, nats per run",
        "gradient_snr": "signal-to-noise ratio of the gradient",
    }
    minutes = median(column(course, "seconds")[-1] for course in courses) / 60
    whose = f"seed {config['seed']}, {minutes:.1f} minutes"
    if len(courses) > 1:
        whose = f"{len(courses)} seeds, median bold, {minutes:.1f} minutes each"
    with styled(8.4, 5.2, f"{config['task']} by {config['mode']}: {whose}") as figure:
        for (name, meaning), axes in zip(panels.items(), figure.subplots(2, 2).flat, strict=True):
            plot_courses(axes, courses, name)
            axes.set(xlabel="updates", title=meaning)
            axes.grid(axis="y")
            if name == "error":
                axes.set_ylim(-0.03, 1.03)
                axes.yaxis.set_major_formatter(PercentFormatter(1))
            if name == "gradient_snr":
                axes.set_yscale("symlog", linthresh=1)
                axes.yaxis.set_major_locator(FixedLocator(RATIOS))
                axes.yaxis.set_major_formatter("{x:g}")
            if name == "level":
                axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_courses(axes: Axes, courses: list[Course], name: str) -> None:
    """A figure against updates: thin lines, and their median as far as all have come."""
    lines = [
        dict(zip(column(course, "update"), column(course, name), strict=True)) for course in courses
    ]
    if len(lines) > 1:
        for line in lines:
            axes.plot(list(line), list(line.values()), color=LIGHT, lw=0.9)
    common = sorted(set.intersection(*map(set, lines)))
    middle = [median(line[update] for line in lines) for update in common]
    axes.plot(common, middle, color=BLUE, lw=2.2)
