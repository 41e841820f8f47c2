"""What the pictures share: colours, rules, titles, percentages, files.

Colours are those of Okabe and Ito, which the colour-blind can tell apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from applications.runs import RunError

PICTURES = Path("pictures/glimpse")
"""Where pictures of shipped networks go."""
LONGEST = 1600
"""Long side of a picture, at most, pixels."""
DENSEST = 170
"""Pixels per inch of a picture, at most."""
TICKS = [digit * 10.0**power for power in range(-5, 0) for digit in (1, 2, 5)] + [1.0]

BLUE, GREEN, RED, YELLOW, PURPLE = "#0072B2", "#009E73", "#D55E00", "#F0E442", "#CC79A7"
INK, GREY, LIGHT, PALE = "#222222", "#777777", "#B8B8B8", "#E6E6E6"
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


def counted(glimpses: int) -> str:
    """So many glimpses."""
    return f"{glimpses} glimpse" + "s" * (glimpses != 1)


def colour_of(glimpse: int, glimpses: int) -> tuple[float, ...]:
    """From the first glimpse, 0, to the last, `glimpses - 1`."""
    return ORDER(0.42 + 0.53 * glimpse / max(glimpses - 1, 1))


def title(figure: Figure, text: str) -> None:
    """A bold line over the whole figure."""
    figure.suptitle(text, x=0.012, ha="left", fontsize=13, weight="bold")


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


# ---------------------------------------------------------------- files


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
