"""Pictures: where a network looks, what it sees there, what it believes, and how it learned to.

First what is shown is computed, then it is drawn, then it is written. Images are light on dark, as
they are; around them the colours are those of Okabe and Ito, which the colour-blind can tell apart.
"""

import argparse
import math
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image
from torch import Tensor

from applications.glimpse import data, weights
from applications.glimpse.config import Config
from applications.glimpse.data import Images
from applications.glimpse.evaluate import OTHERS, by_glimpses, companion, test_scenes
from applications.glimpse.model import CLASSES, GlimpseModel
from applications.glimpse.retina import integral
from applications.glimpse.tasks import DIGIT, TASKS, Task
from applications.runs import METRICS, RunError, read_metrics

RUNS = Path("runs/glimpse")
"""Where the newest run is looked for."""
PICTURES = Path("pictures/glimpse")
"""Where pictures of shipped networks go."""
FORMATS = ("png", "svg", "pdf")

SHOWN = 6
"""Images whose path is drawn."""
LOOKED = 2000
"""Test images in the maps of where it looks."""
SEARCHED = 1000
"""Test images among which a wrong answer is looked for."""
MAPPED = 28
"""Fields a side of a map."""
FILMED = 4
"""Images in the film."""
LONGEST = 1600
"""Long side of a picture, at most, pixels."""
DENSEST = 170
"""Pixels per inch of a picture, at most."""

BLUE, GREEN, RED, YELLOW, PURPLE = "#0072B2", "#009E73", "#D55E00", "#F0E442", "#CC79A7"
INK, GREY, LIGHT, PALE = "#222222", "#777777", "#B8B8B8", "#E6E6E6"
LINES = (BLUE, GREEN, RED, PURPLE, INK)
"""Colours of curves, in this order."""
DARK = LinearSegmentedColormap.from_list("dark", ["#15191F", "#FFFFFF"])
HEAT = LinearSegmentedColormap.from_list("heat", ["#FFFFFF", "#9CCBE8", "#0072B2", "#002B45"], N=48)
ORDER = mpl.colormaps["plasma"]
"""From the first glimpse to the last."""
RULES = {
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "svg.hashsalt": "sfgrad",
    "pdf.fonttype": 42,
}


# ---------------------------------------------------------------- the subcommand


def plot(options: argparse.Namespace) -> None:
    """Draw a run, or a shipped network, into a folder; tell each file.

    Args:
        options: `task`, `run_dir`, `folder` of the data, `output`, `seed`, `format`.

    Raises:
        RunError: there is no such network, its file is damaged, or a picture cannot be written.
    """
    run = run_of(options)
    model, config, _ = weights.load(
        run / weights.BEST if run else weights.shipped(options.task or Config.task)
    )
    folder = options.output or run or PICTURES
    if isinstance(model, GlimpseModel):
        images = data.ensure(config.data, options.folder)
        torch.manual_seed(options.seed)
        plot_glimpses(model, config, options.task or config.task, images, folder, options.format)
    if metrics := read_metrics(run / METRICS) if run else []:
        save(draw_learning(metrics, config), folder / f"learning.{options.format}")


def run_of(options: argparse.Namespace) -> Path | None:
    """The run to draw: the one named, or the newest if no task is; None for what is shipped."""
    if options.run_dir or options.task:
        return options.run_dir
    found = RUNS.glob(f"*/{weights.BEST}")
    best = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return best and best.parent


def plot_glimpses(
    model: GlimpseModel, config: Config, task: str, images: Images, folder: Path, ending: str
) -> None:
    """Draw everything there is to see of a network that looks, from its test images."""
    setting = TASKS[task]
    scenes, labels = test_scenes(setting, images, LOOKED)
    looks = look_at(model, scenes)
    chosen = choose(labels[:SEARCHED], looks.answers[:SEARCHED], SHOWN)
    shown = [Example(scenes[row], int(labels[row]), looks.of(row)) for row in chosen]
    save(draw_paths(shown), folder / f"paths.{ending}")
    write_film(shown[-FILMED:], folder / "looking.gif")
    centres = digit_centres(setting, images, len(labels))
    figure = draw_where(looks, centres, images.test_images[: len(labels)], setting.canvas)
    save(figure, folder / f"where.{ending}")
    everything = test_scenes(setting, images)
    found = curves(model, config, task, *everything)
    save(draw_error(found, len(everything[1]), task), folder / f"error.{ending}")


# ---------------------------------------------------------------- what is shown


class Looks(NamedTuple):
    """What a network did with N images, or with one and no first axis, in up to T glimpses."""

    locations: Tensor
    """`[N, T, 2]`, (x, y), −1 to 1 within the image."""
    seen: Tensor
    """`[N, T, K, P, P]`, 0 to 1, from the finest scale to the coarsest."""
    beliefs: Tensor
    """`[N, T, 10]`, probabilities of the classes."""
    made: Tensor
    """int64 `[N]`, glimpses made before it stopped."""

    @property
    def answers(self) -> Tensor:
        """int64 `[N]`, the most probable class after the last glimpse made."""
        rows = torch.arange(len(self.made))
        return self.beliefs[rows, self.made - 1].argmax(1)

    def until(self, made: int) -> "Looks":
        """The first glimpses of one image, at most so many."""
        locations, seen, beliefs, all_made = self
        return Looks(locations[:made], seen[:made], beliefs[:made], all_made.clamp(max=made))

    def of(self, row: int) -> "Looks":
        """One image's, without the glimpses that were not made."""
        one = Looks(*(part[row] for part in self))
        return one.until(int(one.made))


@torch.no_grad()
def look_at(model: GlimpseModel, scenes: Tensor) -> Looks:
    """Look at all scenes, uint8 `[N, S, S]`, along one drawn path each."""
    price = model.stop_price
    prices = None if price is None else torch.full((len(scenes),), price)
    glimpses = list(model.look(integral(scenes), price=prices))
    seen = torch.stack([glimpse.seen for glimpse in glimpses], 1)
    return Looks(
        locations=torch.stack([glimpse.location for glimpse in glimpses], 1),
        seen=seen.unflatten(2, (model.retina.scales, model.retina.patch, model.retina.patch)),
        beliefs=torch.stack([glimpse.logits.softmax(1) for glimpse in glimpses], 1),
        made=sum(glimpse.looking.long() for glimpse in glimpses),
    )


class Example(NamedTuple):
    """An image, and how it was looked at."""

    scene: Tensor
    """uint8 `[S, S]`."""
    label: int
    looks: Looks
    """Of this image alone."""

    @property
    def answer(self) -> int:
        """The network's."""
        return int(self.looks.beliefs[-1].argmax())

    @property
    def centres(self) -> Tensor:
        """`[T, 2]`, where the retina was, pixels."""
        return to_pixels(self.looks.locations, len(self.scene))


def choose(labels: Tensor, answers: Tensor, count: int) -> list[int]:
    """Rows to show: the first of each class as they come, and a wrong answer if there is one.

    Where the first ones are all right, the first wrong answer takes the place of the last.

    Args:
        labels: int64 `[N]`, the true classes.
        answers: int64 `[N]`, the network's.
        count: how many, one of each class at most.
    """
    firsts = sorted(labels.tolist().index(label) for label in labels.unique().tolist())[:count]
    wrong = (labels != answers).nonzero()[:, 0].tolist()
    if wrong and not set(firsts) & set(wrong):
        firsts = [*firsts[: count - 1], wrong[0]]
    return firsts


def to_pixels(locations: Tensor, canvas: int) -> Tensor:
    """Pixels from the left and upper border, `[…, 2]`, of the whole pixel that the retina is on.

    Args:
        locations: `[…, 2]`, (x, y); −1 is the left or upper border, 1 the right or lower one.
        canvas: side of the image, pixels.
    """
    return ((locations + 1) / 2 * canvas).round()


def sharpness(looks: Looks, canvas: int) -> Tensor:
    """The finest scale at which each pixel has been seen, int64 `[S, S]`; K where it has not.

    Args:
        looks: of one image.
        canvas: side of the image, pixels.
    """
    _, scales, patch, _ = looks.seen.shape
    found = torch.full((canvas, canvas), scales)
    for scale in reversed(range(scales)):
        side = patch * 2**scale
        for x, y in to_pixels(looks.locations, canvas).long().tolist():
            (rows, _), (columns, _) = window(y, side, canvas), window(x, side, canvas)
            found[rows, columns] = scale
    return found


def recalled(looks: Looks, canvas: int) -> Tensor:
    """The image as far as it was seen, `[S, S]`, 0 to 1: each pixel as sharp as it was seen best.

    Args:
        looks: of one image.
        canvas: side of the image, pixels.
    """
    _, scales, patch, _ = looks.seen.shape
    picture = torch.zeros(canvas, canvas)
    places = to_pixels(looks.locations, canvas).long().tolist()
    for scale in reversed(range(scales)):
        side = patch * 2**scale
        for (x, y), seen in zip(places, looks.seen[:, scale], strict=True):
            (rows, within), (columns, across) = window(y, side, canvas), window(x, side, canvas)
            large = seen.repeat_interleave(2**scale, 0).repeat_interleave(2**scale, 1)
            picture[rows, columns] = large[within, across]
    return picture


def window(centre: int, side: int, canvas: int) -> tuple[slice, slice]:
    """Where `side` pixels around `centre` lie on the canvas, and which of them do."""
    first = centre - side // 2
    start, stop = max(first, 0), max(min(first + side, canvas), 0)
    return slice(start, stop), slice(start - first, stop - first)


def digit_centres(task: Task, images: Images, count: int) -> Tensor:
    """Where the digits of `test_scenes(task, images, count)` are, `[N, 2]`, (x, y), pixels.

    The same scenes are made of digits that are squares: the one full square is where the digit is.
    """
    squares = replace(images, test_images=torch.ones_like(images.test_images))
    table = integral(test_scenes(task, squares, count)[0].clamp(max=1))
    far, near = slice(DIGIT, None), slice(None, -DIGIT)
    area = table[:, far, far] - table[:, far, near] - table[:, near, far] + table[:, near, near]
    row, column = np.divmod(area.flatten(1).argmax(1).numpy(), area.shape[2])
    return torch.from_numpy(np.stack([column, row], 1)) + DIGIT / 2


def density(points: Tensor, low: float, high: float, bins: int) -> Tensor:
    """How often points `[N, 2]`, (x, y), fall where: `[bins, bins]`, rows along y, 1 at most.

    Smoothed over the neighbouring bins; points beyond the range count as on its border.
    """
    steps = ((points - low) / (high - low) * bins).long().clamp(0, bins - 1)
    counts = (steps[:, 1] * bins + steps[:, 0]).bincount(minlength=bins**2).float()
    kernel = torch.tensor([1.0, 2.0, 1.0])
    smooth = F.conv2d(counts.view(1, 1, bins, bins), kernel.outer(kernel)[None, None], padding=1)
    return smooth[0, 0] / smooth.max().clamp_min(1)


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


# ---------------------------------------------------------------- how it is drawn


def counted(glimpses: int) -> str:
    """So many glimpses."""
    return f"{glimpses} glimpse" + "s" * (glimpses != 1)


def colour_of(glimpse: int, glimpses: int) -> tuple[float, ...]:
    """From the first glimpse, 0, to the last, `glimpses - 1`."""
    return ORDER(0.42 + 0.53 * glimpse / max(glimpses - 1, 1))


# ---------------- paths: a sheet in inches, y downwards

MARGIN, GAP = 0.15, 0.05
VERDICT = 0.7
"""Width of the column with the true class."""
FINE = 0.95
"""Side of what a glimpse sees at its finest scale."""
BELIEF = 0.36
"""Height of what is under that: the class believed in."""
LINE = 0.19
"""Height of a line of the text above."""


def draw_paths(examples: list[Example]) -> Figure:
    """A row for each image: the path over it, and what each glimpse saw and led to believe."""
    _, scales, patch, _ = examples[0].looks.seen.shape
    glimpses = max(len(example.centres) for example in examples)
    coarse = side_of_coarse(scales) + GAP if scales > 1 else 0
    pitch = FINE + coarse + BELIEF
    image, left = pitch - 0.14, MARGIN + VERDICT
    film = left + image + 4 * GAP
    width = film + glimpses * (FINE + 3 * GAP)
    caption = caption_of(patch, scales, width)
    header = 0.65 + LINE * len(caption)
    height = header + len(examples) * pitch
    with mpl.rc_context(RULES):
        figure = Figure(figsize=(width, height))
        sheet = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        sheet.axis("off")
        some_stop = any(len(example.centres) < glimpses for example in examples)
        head = "Up to " * some_stop + f"{counted(glimpses)}, then an answer"
        sheet.text(MARGIN, 0.13, head, fontsize=15, weight="bold", va="top")
        for number, line in enumerate(caption):
            sheet.text(MARGIN, 0.5 + LINE * number, line, va="top")
        for row, example in enumerate(examples):
            top = header + row * pitch
            write_verdict(sheet, example, MARGIN, top)
            place = left / width, 1 - (top + image) / height, image / width, image / height
            draw_path(figure.add_axes(place), example, patch, glimpses)
            for number in range(len(example.centres)):
                at = film + number * (FINE + 3 * GAP)
                draw_seen(sheet, example.looks.seen[number], at, top, colour_of(number, glimpses))
                belief = example.looks.beliefs[number]
                draw_belief(sheet, belief, example.label, at, top + FINE + coarse + GAP)
    return figure


def side_of_coarse(scales: int) -> float:
    """Side of what a glimpse sees at each scale but the finest, inches: all fit in a row."""
    count = max(scales - 1, 2)
    return (FINE - (count - 1) * GAP) / count


def caption_of(patch: int, scales: int, width: float) -> list[str]:
    """What there is to see, in lines for a width in inches."""
    widths = [f"{2**scale}" for scale in range(1, scales)]
    around = (
        f" and, small, as many of squares {' and '.join(widths)} times as wide" if widths else ""
    )
    text = (
        "The network never gets the image, only small squares of it, one after the other, and "
        "chooses by itself where to look next. Left: the image with the path from the first "
        f"glimpse, 1, to the last. Right: all that it saw at each glimpse, {patch}\xa0×\xa0{patch} "
        f"samples of the outlined square{around}; below, the class it then believed in, and how "
        "firmly."
    )
    return textwrap.wrap(text, int(13.8 * (width - 2 * MARGIN)))


def write_verdict(sheet: Axes, example: Example, left: float, top: float) -> None:
    """The true class, and whether the network found it."""
    middle, at = left + VERDICT / 2 - GAP, {"va": "top", "ha": "center", "weight": "bold"}
    sheet.text(middle, top, f"{example.label}", fontsize=26, **at)
    text, colour = ("✓ right", BLUE) if example.answer == example.label else ("✗ wrong", RED)
    sheet.text(middle, top + 0.5, text, color=colour, **at)


def draw_path(axes: Axes, example: Example, patch: int, glimpses: int) -> None:
    """The image, the finest square of each glimpse, and the path with its numbers.

    A point beyond the border is drawn on it.
    """
    canvas, centres = len(example.scene), example.centres
    draw_image(axes, DARK(example.scene.numpy()))
    colours = [colour_of(number, glimpses) for number in range(len(centres))]
    for centre, colour in zip(centres, colours, strict=True):
        axes.add_patch(square(centre, patch, ec=colour, lw=1.4))
    points = centres.clamp(0, canvas)
    axes.plot(*points.T.numpy(), color="white", lw=1.3, zorder=3)
    for number, ((x, y), colour) in enumerate(zip(points.tolist(), colours, strict=True), 1):
        over = {"zorder": 3 + number}
        axes.plot(x, y, "o", ms=9, mfc=INK, mec=colour, mew=1.4, clip_on=False, **over)
        name = {"fontsize": 7, "weight": "bold", "color": "white"}
        axes.text(x, y, f"{number}", ha="center", va="center_baseline", **name, **over)


def draw_image(axes: Axes, colours: np.ndarray) -> None:
    """An image `[S, S, 3 or 4]` that fills the axes, whose unit is the pixel."""
    canvas = len(colours)
    axes.imshow(colours, extent=(0, canvas, canvas, 0), interpolation="nearest")
    axes.set(xlim=(0, canvas), ylim=(canvas, 0))
    axes.axis("off")


def square(centre: Tensor, side: float, **line: Any) -> Rectangle:
    """The outline of a square around a centre, (x, y)."""
    x, y = centre.tolist()
    return Rectangle((x - side / 2, y - side / 2), side, side, fill=False, **line)


def draw_seen(
    sheet: Axes, seen: Tensor, left: float, top: float, colour: tuple[float, ...]
) -> None:
    """What a glimpse saw, `[K, P, P]`: the finest scale large, the coarser ones under it."""
    small = side_of_coarse(len(seen))
    for scale, picture in enumerate(seen):
        side = small if scale else FINE
        x = left + max(scale - 1, 0) * (small + GAP)
        y = top + (FINE + GAP if scale else 0)
        shown = {"cmap": DARK, "vmin": 0, "vmax": 1, "interpolation": "nearest"}
        sheet.imshow(picture.numpy(), extent=(x, x + side, y + side, y), aspect="auto", **shown)
        middle = torch.tensor([x + side / 2, y + side / 2])
        sheet.add_patch(square(middle, side, ec=colour, lw=1 if scale else 2.2))
        if scale:  # what the next finer scale covers
            sheet.add_patch(square(middle, side / 2, ec=colour, lw=0.7))


def draw_belief(sheet: Axes, belief: Tensor, label: int, left: float, top: float) -> None:
    """The most probable class and its probability, as a bar and in words."""
    probability, answer = belief.max().item(), int(belief.argmax())
    colour = BLUE if answer == label else RED
    for width, shade in ((FINE, PALE), (FINE * probability, colour)):
        sheet.add_patch(Rectangle((left, top), width, 0.045, color=shade, lw=0))
    below = {"va": "top", "color": colour}
    sheet.text(left, top + 0.065, f"{answer}", weight="bold", **below)
    sheet.text(left + FINE, top + 0.065, f"{100 * probability:.0f} %", ha="right", **below)


# ---------------- the film

UNSEEN, SEEN = (("#0B0D10", "#41464D"), ("#3B4A5C", "#FFFFFF"))
"""Ground and ink of what was never seen, and of what was at the finest scale."""
LESS = 0.6
"""How bright each scale is, compared with the next finer one."""
WIDE, BLANK, HEAD, BARS = 200, 16, 34, 56
"""About the side of an image; between images; heights of the head line and of the bars: pixels."""
STEPS = 4
"""Frames from one place to the next."""
COLOURS = 256
"""Of the film."""
MOVING, STILL, END = 80, 700, 2500
"""How long a frame is shown: on the way, at a place, at the end; milliseconds."""


def spotlight(scene: Tensor, looks: Looks) -> np.ndarray:
    """What was seen bright, as sharp as it was seen, over the image, dim; `[S, S, 3]`, 0 to 1.

    Args:
        scene: uint8 `[S, S]`.
        looks: the glimpses so far, of this image.
    """
    canvas, scales = len(scene), looks.seen.shape[1]
    unseen, seen = (torch.tensor([to_rgb(tone) for tone in pair]) for pair in (UNSEEN, SEEN))
    dim = torch.lerp(*unseen, (scene / 255)[..., None])
    light = torch.cat((LESS ** torch.arange(scales), torch.zeros(1)))  # by scale; none if not seen
    ground, ink = torch.lerp(unseen, seen, light[:, None, None])[sharpness(looks, canvas)].unbind(2)
    bright = torch.lerp(ground, ink, recalled(looks, canvas)[..., None])
    return torch.maximum(dim, bright).numpy()


def moments(glimpses: int) -> list[tuple[int, float, int]]:
    """The frames of the film: glimpses made, share of the way to the next, milliseconds."""
    ways = [(1 - math.cos(math.pi * step / STEPS)) / 2 for step in range(1, STEPS)]
    frames = [(0, 0.0, STILL)]
    for made in range(1, glimpses):
        frames += [(made, 0.0, STILL), *((made, way, MOVING) for way in ways)]
    return [*frames, (glimpses, 0.0, END)]


def draw_moment(examples: list[Example], made: int, way: float) -> Figure:
    """A frame of the film: the images with what has been seen so far, and the beliefs.

    Args:
        examples: side by side.
        made: glimpses made by now.
        way: how much of the way to the next place is behind, 0 to 1.
    """
    canvas = len(examples[0].scene)
    side = canvas * round(WIDE / canvas)  # whole screen pixels per pixel
    width, height = BLANK + len(examples) * (side + BLANK), HEAD + side + BARS + 2 * BLANK
    with mpl.rc_context(RULES):
        figure = Figure(figsize=(width / 100, height / 100), dpi=100)
        line = {"y": 1 - HEAD / 2 / height, "va": "center"}
        figure.text(BLANK / width, s=counted(made), fontsize=12, weight="bold", **line)
        legend = "bright: what it has seen · bars: what it believes · bold: the true class"
        figure.text(1 - BLANK / width, s=legend, color=GREY, ha="right", **line)
        for number, example in enumerate(examples):
            so_far, left = example.looks.until(made), BLANK + number * (side + BLANK)
            bottom, below = 1 - (HEAD + side) / height, 1.3 * BLANK / height
            above = figure.add_axes((left / width, bottom, side / width, side / height))
            draw_image(above, spotlight(example.scene, so_far))
            if made:
                draw_retina(above, between(example.centres, made, way), so_far.seen.shape[1:3])
            bars = figure.add_axes((left / width, below, side / width, BARS / height))
            draw_bars(bars, so_far.beliefs, example.label)
    return figure


def between(centres: Tensor, made: int, way: float) -> Tensor:
    """Where the retina is, (x, y): at the glimpse number `made`, and on its way to the next.

    Args:
        centres: `[T, 2]`, where it goes; it stays at the last.
        made: from 1.
        way: how much of the way is behind, 0 to 1.
    """
    here, there = (centres[min(number, len(centres)) - 1] for number in (made, made + 1))
    return torch.lerp(here, there, way)


def draw_retina(axes: Axes, centre: Tensor, scales_and_patch: torch.Size) -> None:
    """The squares that a glimpse sees from there."""
    scales, patch = scales_and_patch
    for scale in range(scales):
        axes.add_patch(square(centre, patch * 2**scale, ec=YELLOW, lw=1.8 / (1 + scale)))


def draw_bars(axes: Axes, beliefs: Tensor, label: int) -> None:
    """The probabilities of the classes after the last of some glimpses `[T, 10]`.

    The true class is in bold; before the first glimpse none is likelier than another.
    """
    belief = beliefs[-1] if len(beliefs) else torch.full((CLASSES,), 1 / CLASSES)
    colours = [LIGHT] * CLASSES
    if len(beliefs):
        answer = int(belief.argmax())
        colours[answer] = BLUE if answer == label else RED
    axes.bar(range(CLASSES), belief.numpy(), color=colours, width=0.8)
    axes.set(xlim=(-0.6, CLASSES - 0.4), ylim=(0, 1), yticks=[], xticks=range(CLASSES))
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0, pad=2, labelsize=8.5)
    axes.get_xticklabels()[label].set(weight="bold", color=INK, size=10)


def write_film(examples: list[Example], path: Path) -> None:
    """Write the animation: all images side by side, glimpse by glimpse, for ever."""
    frames = moments(max(len(example.centres) for example in examples))
    pictures = []
    for made, way, _ in frames:
        canvas = FigureCanvasAgg(draw_moment(examples, made, way))
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[..., :3])
    height, width, _ = pictures[0].shape  # one palette for all, or colours would flicker
    film = Image.fromarray(np.concatenate(pictures)).quantize(
        COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    images = [film.crop((0, k * height, width, (k + 1) * height)) for k in range(len(pictures))]
    times = [time for *_, time in frames]
    with writing(path):
        images[0].save(path, save_all=True, append_images=images[1:], duration=times, loop=0)


# ---------------- maps and curves


def draw_where(looks: Looks, centres: Tensor, digits: Tensor, canvas: int) -> Figure:
    """Maps of where each glimpse goes: on the canvas and, where that differs, around the digit.

    Args:
        looks: of N images.
        centres: `[N, 2]`, where their digits are, (x, y), pixels.
        digits: uint8 `[N, 28, 28]`.
        canvas: side of the images, pixels.
    """
    at, glimpses = (looks.locations + 1) / 2 * canvas, looks.locations.shape[1]
    moves = canvas > DIGIT
    with mpl.rc_context(RULES):
        size = max(1.6 * glimpses, 4.8) + 0.3, 2.25 + 1.75 * moves
        figure = Figure(figsize=size, layout="constrained")
        title(figure, f"Where it looks: {len(at):,} test images; in outline the mean digit")
        grid = figure.subplots(1 + moves, glimpses, squeeze=False)
        for number in range(glimpses):
            made = looks.made > number
            grid[0, number].set_title(f"glimpse {number + 1}")
            draw_map(grid[0, number], at[made, number], 0, canvas)
            if moves:
                draw_map(grid[1, number], at[made, number] - centres[made], -canvas / 2, canvas / 2)
        grid[0, 0].set_ylabel("on the image")
        if moves:
            grid[1, 0].set_ylabel("around the digit")
        mean = digits.float().mean(0)
        for axes in grid[-1]:
            draw_digit(axes, mean, 0 if moves else canvas / 2)
    return figure


def draw_map(axes: Axes, points: Tensor, low: float, high: float) -> None:
    """How often points `[N, 2]`, pixels, fall where in a square."""
    shown = density(points, low, high, MAPPED).numpy()
    axes.imshow(shown, cmap=HEAT, extent=(low, high, high, low), interpolation="bilinear")
    axes.set(xlim=(low, high), ylim=(high, low), xticks=[], yticks=[])
    axes.spines[:].set_visible(True)


def draw_digit(axes: Axes, mean: Tensor, centre: float) -> None:
    """The mean digit `[28, 28]`, in outlines at a third and two thirds of its brightness."""
    steps = np.arange(DIGIT) + 0.5 - DIGIT / 2 + centre
    levels = [mean.max().item() * third / 3 for third in (1, 2)]
    axes.contour(steps, steps, mean.numpy(), levels=levels, colors=RED, linewidths=0.8)


def draw_error(curves: dict[str, Tensor], images: int, task: str) -> Figure:
    """Error against the number of glimpses, with a band of ± one standard error.

    Args:
        curves: name → error after each glimpse `[T]`; `[1]` where all is seen at once.
        images: how many they were measured on.
        task: its name.
    """
    glimpses = max(map(len, curves.values()))
    with mpl.rc_context(RULES):
        figure = Figure(figsize=(8.6, 4), layout="constrained")
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
        title(figure, f"{task}: error after each glimpse")
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


TICKS = [digit * 10.0**power for power in range(-5, 0) for digit in (1, 2, 5)] + [1.0]


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
    axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)


def draw_learning(metrics: list[dict[str, Any]], config: Config) -> Figure:
    """The course of a run: validation error, and how good the locator's gradient was."""
    course = {name: [line[name] for line in metrics] for name in metrics[0]}
    thousands = [images / 1000 for images in course["images"]]
    minutes = [seconds / 60 for seconds in course["seconds"]]
    panels = [
        ("error", "validation error", minutes, "minutes"),
        ("error", "validation error", thousands, "thousand images"),
        ("baseline_fit", "baseline: share of variance explained", thousands, "thousand images"),
        ("locator_snr", "locator's gradient: signal to noise", thousands, "thousand images"),
    ]
    panels = [panel for panel in panels if panel[0] in course]
    rows = math.ceil(len(panels) / 2)
    with mpl.rc_context(RULES):
        figure = Figure(figsize=(8.4, 2.6 * rows + 0.5), layout="constrained")
        title(figure, f"How it learned: {config.task}, {config.policy} locations")
        grid = figure.subplots(rows, 2, squeeze=False).flat
        for (name, meaning, x, unit), axes in zip(panels, grid, strict=False):
            axes.plot(x, course[name], color=BLUE, marker="o", ms=3)
            axes.set(xlabel=unit, title=meaning)
            axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)
            if name == "error":
                percentages(axes)
        for axes in grid:  # left over
            axes.axis("off")
    return figure


def title(figure: Figure, text: str) -> None:
    """A bold line over the whole figure."""
    figure.suptitle(text, x=0.012, ha="left", fontsize=13, weight="bold")


# ---------------- files


def save(figure: Figure, path: Path) -> None:
    """Write the figure, undated, so that equal figures make equal files."""
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    dpi = min(DENSEST, LONGEST / max(figure.get_size_inches()))
    with writing(path), mpl.rc_context(RULES):
        figure.savefig(path, dpi=dpi, metadata=undated.get(path.suffix))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within the block `path` is written; then it is told.

    Raises:
        RunError: it cannot be.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror or error}): name another folder by --output"
        ) from error
    print(path, flush=True)
