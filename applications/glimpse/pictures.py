"""Pictures: where a network looks, what it sees there, what it believes, and how it learned to.

First what is shown is computed (`looks`), then it is drawn (`paths`, and here), then it is written
(`style`). Images are light on dark, as they are.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from applications.glimpse import data, weights
from applications.glimpse.config import RUNS, Config, TaskName
from applications.glimpse.data import Images
from applications.glimpse.evaluate import OTHERS, companion
from applications.glimpse.looks import Example, Looks, choose, density, digit_centres, look_at
from applications.glimpse.model import GlimpseModel
from applications.glimpse.outcomes import by_glimpses, held_out_scenes
from applications.glimpse.paths import plot_paths, write_film
from applications.glimpse.style import PICTURES, percentages
from applications.glimpse.tasks import DIGIT, TASKS
from applications.glimpse.weights import Trained
from applications.kit.figures import BLUE, GREEN, GREY, INK, PURPLE, RED, save, styled
from applications.kit.options import Seed
from applications.kit.records import METRICS, column, read_metrics
from applications.kit.sources import Picture, run_of

PATH_IMAGES = 6
"""Images whose path is shown."""
MAP_IMAGES = 2000
"""Test images in the maps of locations."""
ERROR_IMAGES = 1000
"""Test images that are searched for a wrong answer."""
MAP_FIELDS = 28
"""Side of a map, in fields."""
FILM_IMAGES = 4
"""Images in the film."""
LINES = (BLUE, GREEN, RED, PURPLE, INK)
"""Colours of curves, in this order."""
HEAT = LinearSegmentedColormap.from_list("heat", ["#FFFFFF", "#9CCBE8", "#0072B2", "#002B45"], N=48)


# ---------------------------------------------------------------- the subcommand


@dataclass(frozen=True, kw_only=True)
class Options(Picture, data.Stored):
    """Options of `plot`."""

    task: TaskName | None = None
    """Task to show (default: the one that the network was trained on)."""
    seed: Seed = 0
    """Seed of the paths."""


def plot(options: Options) -> None:
    """Plot a run, or a shipped network, into a folder; print each file's name.

    Raises:
        RunError: there is no such network, its file is damaged, or a picture cannot be written.
    """
    run = run_of(options, RUNS)
    trained = weights.choose(run, options.task)
    folder, config = options.output or run or PICTURES, trained.config
    if isinstance(trained.model, GlimpseModel):
        images = data.ensure(config.data, options.folder)
        torch.manual_seed(options.seed)
        plot_glimpses(trained, options.task or config.task, images, folder, options.format)
    if metrics := read_metrics(run / METRICS) if run else []:
        save(plot_learning(metrics, config), folder / f"learning.{options.format}", trained.whose)


def plot_glimpses(trained: Trained, task: str, images: Images, folder: Path, ending: str) -> None:
    """Draw everything there is to see of a network that looks, from its test images."""
    model, whose = trained.model, trained.whose
    setting = TASKS[task]
    scenes, labels = held_out_scenes(setting, images, MAP_IMAGES)
    looks = look_at(model, scenes)
    chosen = choose(labels[:ERROR_IMAGES], looks.answers[:ERROR_IMAGES], PATH_IMAGES)
    shown = [Example(scenes[row], int(labels[row]), looks.of(row)) for row in chosen]
    save(plot_paths(shown), folder / f"paths.{ending}", whose)
    write_film(shown[-FILM_IMAGES:], folder / "looking.gif")
    centres = digit_centres(setting, images, len(labels))
    figure = plot_where(looks, centres, images.test_images[: len(labels)], setting.canvas)
    save(figure, folder / f"where.{ending}", whose)
    everything = held_out_scenes(setting, images)
    found = curves(model, trained.config, task, *everything)
    save(plot_error(found, len(everything[1]), task), folder / f"error.{ending}", whose)


# ---------------------------------------------------------------- maps and curves


def plot_where(looks: Looks, centres: Tensor, digits: Tensor, canvas: int) -> Figure:
    """Maps of where each glimpse goes: on the canvas and, where that differs, around the digit.

    Args:
        looks: of N images.
        centres: `[N, 2]`, where their digits are, (x, y), pixels.
        digits: uint8 `[N, 28, 28]`.
        canvas: side of the images, pixels.
    """
    at, glimpses = (looks.locations + 1) / 2 * canvas, looks.locations.shape[1]
    moves = canvas > DIGIT
    width, height = max(1.6 * glimpses, 4.8) + 0.3, 2.25 + 1.75 * moves
    heading = f"Where it looks: {len(at):,} test images; the outline is the mean digit"
    with styled(width, height, heading) as figure:
        grid = figure.subplots(1 + moves, glimpses, squeeze=False)
        for number in range(glimpses):
            made = looks.made > number
            grid[0, number].set_title(f"glimpse {number + 1}")
            plot_map(grid[0, number], at[made, number], 0, canvas)
            if moves:
                plot_map(grid[1, number], at[made, number] - centres[made], -canvas / 2, canvas / 2)
        grid[0, 0].set_ylabel("on the image")
        if moves:
            grid[1, 0].set_ylabel("around the digit")
        mean = digits.float().mean(0)
        for axes in grid[-1]:
            plot_digit(axes, mean, 0 if moves else canvas / 2)
    return figure


def plot_map(axes: Axes, points: Tensor, low: float, high: float) -> None:
    """How often points `[N, 2]`, pixels, fall where in a square."""
    shown = density(points, low, high, MAP_FIELDS).numpy()
    axes.imshow(shown, cmap=HEAT, extent=(low, high, high, low), interpolation="bilinear")
    axes.set(xlim=(low, high), ylim=(high, low), xticks=[], yticks=[])
    axes.spines[:].set_visible(True)


def plot_digit(axes: Axes, mean: Tensor, centre: float) -> None:
    """The mean digit `[28, 28]`, in outlines at a third and two thirds of its brightness."""
    steps = np.arange(DIGIT) + 0.5 - DIGIT / 2 + centre
    levels = [mean.max().item() * third / 3 for third in (1, 2)]
    axes.contour(steps, steps, mean.numpy(), levels=levels, colors=RED, linewidths=0.8)


def curves(
    model: GlimpseModel, config: Config, task: str, scenes: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Name → error after each glimpse `[T]`, of the network and of those it is compared with.

    A network that sees all at once has one error, `[1]`.
    """
    if config.policy != "learned":
        return {f"{config.policy} locations": by_glimpses(model, scenes, labels)}
    found = {
        "learned locations, drawn": by_glimpses(model, scenes, labels),
        "learned locations, their mean": by_glimpses(model, scenes, labels, mean=True),
    }
    for policy, name in OTHERS.items():
        if (other := companion(task, policy, model, config)) is not None:
            found[name] = by_glimpses(other, scenes, labels)
    return found


def plot_error(curves: dict[str, Tensor], images: int, task: str) -> Figure:
    """Error against the number of glimpses, with a band of ± one standard error.

    Args:
        curves: name → error after each glimpse `[T]`; `[1]` where all is seen at once.
        images: how many they were measured on.
        task: its name.
    """
    glimpses = max(map(len, curves.values()))
    with styled(8.6, 4, f"{task}: error after each glimpse") as figure:
        axes = figure.subplots()
        for (name, error), colour in zip(curves.items(), LINES, strict=False):
            low, error, high = standard_errors(error, images)
            steps, line = range(1, len(error) + 1), {"marker": "o", "ms": 4}
            if len(error) < glimpses:
                steps, line = (1, glimpses), {"ls": "--"}
                low, error, high = (bound.expand(2) for bound in (low, error, high))
            axes.fill_between(steps, low.numpy(), high.numpy(), color=colour, alpha=0.2, lw=0)
            axes.plot(steps, error.numpy(), color=colour, label=name, **line)
        axes.set(xlabel="glimpses", ylabel="test error", xticks=range(1, glimpses + 1))
        percentages(axes)
        axes.set_title(f"{images:,} test images, ± one standard error", color=GREY)
        figure.legend(loc="outside right center")
    return figure


def standard_errors(error: Tensor, images: int) -> tuple[Tensor, Tensor, Tensor]:
    """The error less, and plus, its standard error, for a logarithmic axis.

    None is below half an image, which stands for 0.
    """
    spread = (error * (1 - error) / images).sqrt()
    low, middle, high = (
        bound.clamp_min(0.5 / images) for bound in (error - spread, error, error + spread)
    )
    return low, middle, high


def plot_learning(metrics: list[dict[str, Any]], config: Config) -> Figure:
    """The course of a run: validation error, and how good the locator's gradient was."""
    thousands = [images / 1000 for images in column(metrics, "images")]
    minutes = [seconds / 60 for seconds in column(metrics, "seconds")]
    panels = [
        ("error", "validation error", minutes, "minutes"),
        ("error", "validation error", thousands, "thousand images"),
        ("baseline_fit", "baseline: share of variance explained", thousands, "thousand images"),
        (
            "locator_snr",
            "signal-to-noise ratio of the locator's gradient",
            thousands,
            "thousand images",
        ),
    ]
    panels = [panel for panel in panels if panel[0] in {"error", *metrics[0]}]
    rows = math.ceil(len(panels) / 2)
    heading = f"Training on {config.task}, {config.policy} locations"
    with styled(8.4, 2.6 * rows + 0.5, heading) as figure:
        grid = figure.subplots(rows, 2, squeeze=False).flat
        for (name, meaning, x, unit), axes in zip(panels, grid, strict=False):
            axes.plot(x, column(metrics, name, null=name != "error"), color=BLUE, marker="o", ms=3)
            axes.set(xlabel=unit, title=meaning)
            axes.grid(axis="y")
            if name == "error":
                percentages(axes)
        for axes in grid:  # left over
            axes.axis("off")
    return figure
