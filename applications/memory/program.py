"""The program: what it does to one problem, drawn over time."""

from typing import Any

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, HPacker, TextArea
from matplotlib.patches import Circle, Rectangle, Wedge
from torch import Tensor

from applications.kit.figures import BLUE, GREEN, GREY, INK, PALE, PURPLE, RED, RULES
from applications.memory.tasks import BLANK, FIRST, SYMBOLS
from applications.memory.trace import FAINT, NOTHING, Trace, input_cells, memory_cells

SIGNS = ["", "■", "2", "3", *"abcdefghij"]
"""How each symbol is written: an empty cell, the input's end, repeat counts, letters."""
READ, WRITE = GREEN, PURPLE
"""Colours of what is read and written."""
STRIP = 0.6
"""How plain is what the memory holds, where nothing is read or written."""


def tint(trace: Trace) -> Tensor:
    """The colour of each symbol, `[SYMBOLS, 3]`: of letters by where they first are."""
    colours = torch.tensor([to_rgb("white"), to_rgb("#D0D0D0"), *[to_rgb("#E3D8CB")] * 2])
    colours = torch.cat((colours, torch.ones(SYMBOLS - FIRST, 3)))
    letters = list(dict.fromkeys(symbol for symbol in trace.tape.tolist() if symbol >= FIRST))
    for place, letter in enumerate(letters):
        colours[letter] = torch.tensor(ORDER(place / max(len(letters) - 1, 1))[:3])
    return colours


# ---------------------------------------------------------------- the sheet: a unit is a cell

ORDER = LinearSegmentedColormap.from_list(
    "order", ["#FBE29A", "#BFE0A0", "#8FD3C4", "#9FC4EC", "#CDB2E8"]
)
"""From the first letter on the tape to the last."""
PITCH = 0.9
"""Units from lane to lane."""
LEFT, RIGHT, HEAD, FOOT = 1.9, 0.5, 1.1, 0.5
"""Units: beside the first and the last step; above a panel, for its heading; below all."""
DUE, CLOCK, KEY = 0.72, 1.3, 2.3
"""Units below a letter that is output: the right letter, the number of the step, the key."""
UNIT, SMALLEST, WIDE, NARROW = 0.44, 0.3, 8.0, 7.2
"""Inches: the side of a cell, at most and at least; a picture's width, if cells allow it."""
TITLE = 0.42
"""Inches, the height of the title."""


def program_figure(trace: Trace) -> Figure:
    """Time runs to the right; one below the other the input, the memory and the output."""
    steps = len(trace.given)
    unit = min(max(WIDE / (LEFT + steps + RIGHT), SMALLEST), UNIT)
    width = max(LEFT + steps + RIGHT, NARROW / unit)
    inputs, below = lanes(input_cells(trace, steps), HEAD)
    memory, below = lanes(memory_cells(trace, steps), below + HEAD)
    output = below + HEAD
    top, bottom = -TITLE / unit, output + KEY + FOOT
    with mpl.rc_context({**RULES, "font.size": 23 * unit}):
        figure = Figure(figsize=(width * unit, (bottom - top) * unit))
        sheet = figure.add_axes((0, 0, 1, 1), xlim=(-LEFT, width - LEFT), ylim=(bottom, top))
        sheet.axis("off")
        write_title(sheet, trace, top)
        plot_links(sheet, trace, inputs, memory, output)
        plot_input(sheet, trace, inputs)
        plot_memory(sheet, trace, memory)
        plot_output(sheet, trace, output)
        for step in range(steps):
            sheet.text(step + 0.5, output + CLOCK, f"{step + 1}", **SMALL)
        sheet.text(-0.35, output + CLOCK, "step", **{**SMALL, "ha": "right"})
    return figure


SMALL = {"fontsize": "small", "color": GREY, "ha": "center", "va": "center"}
"""What is written beside the cells."""
WHITE = {"fc": "white", "lw": 0}
BOLD = {"weight": "bold", "ha": "center", "va": "center_baseline"}
"""What is written in them."""


def lanes(cells: list[int], top: float) -> tuple[dict[int, float], float]:
    """The middle of each cell's lane, and where the last one ends."""
    return {cell: top + PITCH * (row + 0.5) for row, cell in enumerate(cells)}, (
        top + PITCH * len(cells)
    )


def write_title(sheet: Axes, trace: Trace, top: float) -> None:
    """What is done, and how well."""
    right = f"{int(trace.right.sum())} of {trace.due} letters right"
    text = f"{trace.task} by {trace.mode}: {right} in {len(trace.given)} steps"
    sheet.text(0.3 - LEFT, top * 0.5, text, fontsize=13, weight="bold", va="center")


def write_heading(sheet: Axes, top: float, name: str, *parts: tuple[str, str]) -> None:
    """The name of a panel and what it shows, above it: texts and their colours."""
    heading = TextArea(name, textprops={"color": INK, "weight": "bold"})
    write_line(sheet, top - 0.22, heading, *map(coloured, parts))


def coloured(part: tuple[str, str]) -> TextArea:
    """A text in its colour."""
    text, colour = part
    return TextArea(text, textprops={"color": colour})


def write_line(sheet: Axes, bottom: float, *texts: TextArea) -> None:
    """Texts side by side, from the left edge on."""
    line = HPacker(children=list(texts), pad=0, sep=9, align="baseline")
    at = (0.3 - LEFT, bottom)
    sheet.add_artist(AnnotationBbox(line, at, box_alignment=(0, 0), pad=0.1, bboxprops=WHITE))


def plot_links(
    sheet: Axes, trace: Trace, inputs: dict[int, float], memory: dict[int, float], output: float
) -> None:
    """A line to each letter that is output from where a head read it."""
    for step, letter in enumerate(trace.given):
        if letter == NOTHING:
            continue
        colour = BLUE if trace.right[step] else RED
        seen = (trace.seen[step], inputs[int(trace.input[step])])
        recalled = (trace.recalled[step], memory[most(trace.reading[step], memory)])
        for symbol, y in (seen, recalled):
            if symbol == letter:
                sheet.plot([step + 0.5] * 2, (y, output), color=colour, lw=1.6, zorder=1.5)


def most(weights: Tensor, cells: dict[int, float]) -> int:
    """The cell with the largest weight, of `[N]`."""
    return max(cells, key=lambda cell: weights[cell].item())


def plot_input(sheet: Axes, trace: Trace, inputs: dict[int, float]) -> None:
    """The tape at the left, and where its head is at each step."""
    steps, colours = len(trace.given), tint(trace).tolist()
    write_heading(
        sheet, min(inputs.values()) - 0.5, "Input", ("the tape, and the position of the head", GREY)
    )
    for cell, y in inputs.items():
        symbol = int(trace.tape[cell])
        sheet.add_patch(Rectangle((0, y - 0.42), steps, 0.84, fc=colours[symbol], alpha=0.32))
        plot_cell(sheet, -0.8, y, SIGNS[symbol], colours[symbol])
    path = [inputs[cell] for cell in trace.input[:-1].tolist()]
    sheet.plot([step + 0.5 for step in range(steps)], path, color=INK, lw=1.4, zorder=2)
    for step, (symbol, y) in enumerate(zip(trace.seen.tolist(), path, strict=False)):
        head = Circle((step + 0.5, y), 0.38, fc=colours[symbol], ec=INK, lw=1.3, zorder=3)
        sheet.add_patch(head)
        sheet.text(step + 0.5, y, SIGNS[symbol], zorder=4, **BOLD)


def plot_cell(
    sheet: Axes, x: float, y: float, text: str, colour: Any, ink: str = INK, edge: str = GREY
) -> None:
    """A cell of a tape, in which something is."""
    box = Rectangle((x - 0.42, y - 0.42), 0.84, 0.84, fc=colour, ec=edge, lw=0.8, zorder=3)
    sheet.add_patch(box)
    sheet.text(x, y, text, color=ink, zorder=4, **BOLD)


def plot_memory(sheet: Axes, trace: Trace, memory: dict[int, float]) -> None:
    """What is in each cell over time, and what is read and written at each step.

    A step writes in its middle: what it reads is at its left, what it writes at its right.
    """
    steps, colours = len(trace.given), tint(trace)
    heads = ("◖ read", READ), ("◗ written", WRITE)
    top = min(memory.values()) - 0.5
    write_heading(sheet, top, "Memory", ("the contents of its cells", GREY), *heads)
    for cell, y in memory.items():
        sheet.text(-0.35, y, f"{cell}".replace("-", "−"), **{**SMALL, "ha": "right"})
        sheet.plot((0, steps), (y, y), color=PALE, lw=1, zorder=0.5)
        held = trace.contents[:, cell]
        shown = torch.cat((colours[held.argmax(1)], STRIP * held.amax(1, keepdim=True)), 1)
        shown[held.argmax(1) == BLANK] = 0
        shown = shown[None, 1:].repeat_interleave(2, 1)[:, :-1].numpy()
        extent = (0.5, steps, y + 0.34, y - 0.34)
        sheet.imshow(shown, extent=extent, aspect="auto", interpolation="nearest", zorder=1)
    for step in range(steps):
        for cell, y in memory.items():
            left = int(trace.contents[step, cell].argmax()), trace.reading[step, cell].item()
            right = int(trace.seen[step]), trace.writing[step, cell].item()
            plot_half(sheet, step + 0.5, y, -1, *left, colours)
            plot_half(sheet, step + 0.5, y, 1, *right, colours)


def plot_half(
    sheet: Axes, x: float, y: float, side: int, symbol: int, weight: float, colours: Tensor
) -> None:
    """What is read from a cell (side −1) or written to it (1), as plain as its weight."""
    if weight < FAINT:
        return
    start, edge = (90, READ) if side < 0 else (-90, WRITE)
    shape = {"fc": colours[symbol].tolist(), "ec": edge, "lw": 1.3, "alpha": weight}
    sheet.add_patch(Wedge((x + 0.02 * side, y), 0.42, start, start + 180, zorder=3, **shape))
    sheet.text(x + 0.2 * side, y, SIGNS[symbol], fontsize="small", zorder=4, alpha=weight, **BOLD)


def plot_output(sheet: Axes, trace: Trace, y: float) -> None:
    """The letters that are output; under a wrong one, the right one.

    Lines come from above, so the name stands beside the row and the key below it.
    """
    sheet.text(0.3 - LEFT, y, "Output", weight="bold", va="center_baseline")
    key = [("joined to where each letter was read", GREY), ("right", BLUE)]
    if ((trace.given != NOTHING) & ~trace.right).any():
        key.append(("wrong (below it: the right letter)", RED))
    write_line(sheet, y + KEY, *map(coloured, key))
    sheet.plot((0, len(trace.given)), (y, y), color=PALE, lw=1, zorder=0.5)
    for step, (letter, due) in enumerate(
        zip(trace.given.tolist(), trace.wanted.tolist(), strict=True)
    ):
        if letter == NOTHING:
            continue
        colour = BLUE if letter == due else RED
        plot_cell(sheet, step + 0.5, y, SIGNS[letter], colour, "white", colour)
        if letter != due:
            sheet.text(step + 0.5, y + DUE, SIGNS[due], **{**SMALL, "color": RED})
