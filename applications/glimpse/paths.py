"""Paths: a sheet with a row for each image, and the same images as a film."""

import math
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from applications.glimpse.looks import Example, Looks, recalled, sharpness
from applications.glimpse.model import CLASSES
from applications.glimpse.style import colour_of, counted
from applications.kit.figures import BLUE, GREY, INK, LIGHT, PALE, RED, RULES, YELLOW, save_film

DARK = LinearSegmentedColormap.from_list("dark", ["#15191F", "#FFFFFF"])

# ---------------------------------------------------------------- the sheet, in inches, y downwards

MARGIN, GAP = 0.15, 0.05
VERDICT = 0.7
"""Width of the column with the true class."""
FINE = 0.95
"""Side of what a glimpse sees at its finest scale."""
BELIEF = 0.36
"""Height of what is under that: the class believed in."""
LINE = 0.19
"""Height of a line of the text above."""
FOOTER = 0.22
"""Height of the line below, which says whose paths these are."""


def plot_paths(examples: list[Example]) -> Figure:
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
    height = header + len(examples) * pitch + FOOTER
    with mpl.rc_context(RULES):
        figure = Figure(figsize=(width, height))
        sheet = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        sheet.axis("off")
        some_stop = any(len(example.centres) < glimpses for example in examples)
        limit = "Up to " if some_stop else ""
        head = f"{limit}{counted(glimpses)}, then an answer"
        sheet.text(MARGIN, 0.13, head, fontsize=15, weight="bold", va="top")
        for number, line in enumerate(caption):
            sheet.text(MARGIN, 0.5 + LINE * number, line, va="top")
        for row, example in enumerate(examples):
            top = header + row * pitch
            write_verdict(sheet, example, MARGIN, top)
            place = left / width, 1 - (top + image) / height, image / width, image / height
            plot_path(figure.add_axes(place), example, patch, glimpses)
            for number in range(len(example.centres)):
                at = film + number * (FINE + 3 * GAP)
                plot_seen(sheet, example.looks.seen[number], at, top, colour_of(number, glimpses))
                belief = example.looks.beliefs[number]
                plot_belief(sheet, belief, example.label, at, top + FINE + coarse + GAP)
    return figure


def side_of_coarse(scales: int) -> float:
    """Side of what a glimpse sees at each scale but the finest, inches: all fit in a row."""
    count = max(scales - 1, 2)
    return (FINE - (count - 1) * GAP) / count


def caption_of(patch: int, scales: int, width: float) -> list[str]:
    """What there is to see, in lines for a width in inches."""
    widths = [f"{2**scale}" for scale in range(1, scales)]
    several = " and ".join(filter(None, [", ".join(widths[:-1]), *widths[-1:]]))
    around = f" and, smaller, of squares {several} times as wide" if widths else ""
    text = (
        "The network never sees the whole image, only small squares of it, one after another, and "
        "chooses where to look next. Left: the image, and the path from the first glimpse (1) to "
        f"the last. Right: what it saw at each glimpse, {patch}\xa0×\xa0{patch} samples of the "
        f"outlined square{around}; below them, the class that it then thought likeliest, and its "
        "probability."
    )
    return textwrap.wrap(text, int(13.8 * (width - 2 * MARGIN)))


def write_verdict(sheet: Axes, example: Example, left: float, top: float) -> None:
    """The true class, and whether the network found it."""
    middle, at = left + VERDICT / 2 - GAP, {"va": "top", "ha": "center", "weight": "bold"}
    sheet.text(middle, top, f"{example.label}", fontsize=26, **at)
    text, colour = ("✓ right", BLUE) if example.answer == example.label else ("✗ wrong", RED)
    sheet.text(middle, top + 0.5, text, color=colour, **at)


def plot_path(axes: Axes, example: Example, patch: int, glimpses: int) -> None:
    """The image, the finest square of each glimpse, and the path with its numbers.

    A point beyond the border is drawn on it.
    """
    canvas, centres = len(example.scene), example.centres
    plot_image(axes, DARK(example.scene.numpy()))
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


def plot_image(axes: Axes, colours: np.ndarray) -> None:
    """An image `[S, S, 3 or 4]` that fills the axes, whose unit is the pixel."""
    canvas = len(colours)
    axes.imshow(colours, extent=(0, canvas, canvas, 0), interpolation="nearest")
    axes.set(xlim=(0, canvas), ylim=(canvas, 0))
    axes.axis("off")


def square(centre: Tensor, side: float, **line: Any) -> Rectangle:
    """The outline of a square around a centre, (x, y)."""
    x, y = centre.tolist()
    return Rectangle((x - side / 2, y - side / 2), side, side, fill=False, **line)


def plot_seen(
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


def plot_belief(sheet: Axes, belief: Tensor, label: int, left: float, top: float) -> None:
    """The most probable class and its probability, as a bar and in words."""
    probability, answer = belief.max().item(), int(belief.argmax())
    colour = BLUE if answer == label else RED
    for width, shade in ((FINE, PALE), (FINE * probability, colour)):
        sheet.add_patch(Rectangle((left, top), width, 0.045, color=shade, lw=0))
    below = {"va": "top", "color": colour}
    sheet.text(left, top + 0.065, f"{answer}", weight="bold", **below)
    sheet.text(left + FINE, top + 0.065, f"{100 * probability:.0f} %", ha="right", **below)


# ---------------------------------------------------------------- the film

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


def plot_moment(examples: list[Example], made: int, way: float) -> Figure:
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
            plot_image(above, spotlight(example.scene, so_far))
            if made:
                plot_retina(above, between(example.centres, made, way), so_far.seen.shape[1:3])
            bars = figure.add_axes((left / width, below, side / width, BARS / height))
            plot_bars(bars, so_far.beliefs, example.label)
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


def plot_retina(axes: Axes, centre: Tensor, scales_and_patch: torch.Size) -> None:
    """The squares that a glimpse sees from there."""
    scales, patch = scales_and_patch
    for scale in range(scales):
        axes.add_patch(square(centre, patch * 2**scale, ec=YELLOW, lw=1.8 / (1 + scale)))


def plot_bars(axes: Axes, beliefs: Tensor, label: int) -> None:
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
    figures = (plot_moment(examples, made, way) for made, way, _ in frames)
    save_film(figures, [time for *_, time in frames], path, COLOURS)
