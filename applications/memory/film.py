"""The film: the same problem on the tapes themselves, a picture for each state."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from applications.kit.figures import BLUE, GREY, INK, RED, RULES, save_film
from applications.memory.program import READ, SIGNS, WRITE, plot_cell, tint
from applications.memory.trace import FAINT, NOTHING, Trace, input_cells, memory_cells

SIDE, DENSITY = 0.44, 100
"""Of a cell, inches; pixels per inch."""
LEFT, TOP, ROW, LEAST = 2.6, 1.1, 1.95, 12
"""Units, each a cell: before the tapes, above them, from one to the next; cells there is room for
at least."""
STEP, LAST = 330, 2500
"""How long a picture is shown, and the last one: milliseconds."""
COLOURS = 128
"""Of the film."""


def plot_state(trace: Trace, made: int) -> Figure:
    """The tapes after so many steps, and what the last of these did."""
    states = len(trace.input)
    places, cells = input_cells(trace, states), memory_cells(trace, states)
    width = LEFT + max(len(places), len(cells), int((trace.given != NOTHING).sum()), LEAST) + 0.3
    height, colours = TOP + 3 * ROW, tint(trace).tolist()
    inputs, memory, output = (TOP + ROW * row + 0.75 for row in range(3))
    with mpl.rc_context({**RULES, "font.size": 11}):
        figure = Figure(figsize=(width * SIDE, height * SIDE), dpi=DENSITY)
        sheet = figure.add_axes((0, 0, 1, 1), xlim=(-LEFT, width - LEFT), ylim=(height, 0))
        sheet.axis("off")
        line = {"y": 0.6, "va": "center"}
        sheet.text(0.3 - LEFT, s=f"{trace.task} by {trace.mode}", weight="bold", **line)
        clock = f"step {made} of {len(trace.given)}"
        sheet.text(width - LEFT - 0.3, s=clock, ha="right", color=GREY, **line)

        write_name(sheet, inputs, "Input", ("▴ head", INK))
        for x, cell in enumerate(places):
            symbol = int(trace.tape[cell])
            plot_cell(sheet, x + 0.5, inputs, SIGNS[symbol], colours[symbol])
            plot_pointer(sheet, x, inputs, 1, INK, float(trace.input[made] == cell))

        write_name(sheet, memory, "Memory", ("▾ written", WRITE), ("▴ to be read", READ))
        for x, cell in enumerate(cells):
            share, symbol = trace.contents[made, cell].max(0)
            plot_cell(sheet, x + 0.5, memory, SIGNS[symbol], (*colours[symbol], share.item()))
            plot_pointer(sheet, x, memory, 1, READ, trace.reading[made, cell].item())
            if made:
                plot_pointer(sheet, x, memory, -1, WRITE, trace.writing[made - 1, cell].item())

        write_name(sheet, output, "Output")
        steps = [step for step in range(made) if trace.given[step] != NOTHING]
        for x, step in enumerate(steps):
            colour = BLUE if trace.right[step] else RED
            plot_cell(sheet, x + 0.5, output, SIGNS[trace.given[step]], colour, "white", colour)
    return figure


def write_name(sheet: Axes, y: float, name: str, *heads: tuple[str, str]) -> None:
    """What a tape is called, and the signs of its heads: texts and colours."""
    sheet.text(0.3 - LEFT, y, name, weight="bold", va="center_baseline")
    for line, (text, colour) in enumerate(heads):
        place = {"x": 0.3 - LEFT, "y": y + 0.48 + 0.4 * line}
        sheet.text(s=text, fontsize="x-small", color=colour, va="center", **place)


def plot_pointer(sheet: Axes, x: int, y: float, side: int, colour: str, weight: float) -> None:
    """A head above (side −1) or below (1) a cell, as plain as its weight."""
    if weight > FAINT:
        mark = {"marker": "^" if side > 0 else "v", "ms": 7, "color": colour, "alpha": weight}
        sheet.plot(x + 0.5, y + 0.68 * side, **mark)


def write_film(trace: Trace, path: Path) -> None:
    """Write the animation, for ever."""
    figures = (plot_state(trace, made) for made in range(len(trace.input)))
    times = [STEP] * (len(trace.input) - 1) + [LAST]
    save_film(figures, times, path, COLOURS)
