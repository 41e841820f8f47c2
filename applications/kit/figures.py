"""What pictures of every application share: colours, rules, titles, files.

Colours are those of Okabe and Ito, which the colour-blind can tell apart.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from applications.kit.errors import RunError

LONGEST = 1600
"""Long side of a picture, at most, pixels."""
DENSEST = 170
"""Pixels per inch of a picture, at most."""

BLUE, GREEN, RED, YELLOW, PURPLE = "#0072B2", "#009E73", "#D55E00", "#F0E442", "#A8407F"
INK, GREY, LIGHT, PALE = "#222222", "#777777", "#B8B8B8", "#E9E9E9"
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
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "svg.hashsalt": "sfgrad",
    "pdf.fonttype": 42,
}


@contextmanager
def styled(width: float, height: float, title: str) -> Iterator[Figure]:
    """Within the block a figure is drawn that looks like all others.

    Args:
        width: inches.
        height: inches.
        title: a bold line over the whole figure.
    """
    with mpl.rc_context(RULES):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, weight="bold")
        yield figure


def save(figure: Figure, path: Path, whose: str = "") -> None:
    """Write the figure, undated, so that equal figures make equal files.

    Args:
        figure: the picture.
        path: its file.
        whose: what was trained that it shows; a caption.
    """
    if whose:
        figure.supxlabel(whose, x=0.99, ha="right", fontsize=8, color=GREY)
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    dpi = min(DENSEST, LONGEST / max(figure.get_size_inches()))
    with writing(path), mpl.rc_context(RULES):
        figure.savefig(path, dpi=dpi, metadata=undated.get(path.suffix))


def save_film(figures: Iterable[Figure], times: list[int], path: Path, colours: int) -> None:
    """Write an animation, for ever.

    Args:
        figures: all of one size.
        times: how long each is shown, milliseconds.
        path: of the GIF.
        colours: of its palette, one for all figures: with one each, colours would flicker.
    """
    pictures = []
    for figure in figures:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[..., :3])
    height, width, _ = pictures[0].shape
    film = Image.fromarray(np.concatenate(pictures)).quantize(
        colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    images = [film.crop((0, k * height, width, (k + 1) * height)) for k in range(len(pictures))]
    with writing(path):
        images[0].save(path, save_all=True, append_images=images[1:], duration=times, loop=0)


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
