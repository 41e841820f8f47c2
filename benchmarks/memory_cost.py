"""What a step costs at test time as memory grows: a hard memory beside a soft one.

One row, one thread, no gradients: all that a program does at a step, from what its heads see to
where they are next, with a memory of N = 10² … 10⁶ cells. Only sizes matter for the cost, so the
programs are as initialized, and their tape is so long that none is done before the clock stops.

Bytes are those that the operations of `Machine.step` read and write, of cells, attention, heads
and tapes alike: every tensor that goes into an operation or comes out of it, where one is indexed
only what is picked. Views cost nothing. Of the soft memory that is mainly N · 14 symbols · 4 bytes
for every time the cells are read or written, and N · 4 for every time that attention is.

    python -m benchmarks.memory_cost
"""

import argparse
import statistics
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from applications.kit import figures as style
from applications.memory.config import Config
from applications.memory.machine import Machine
from applications.memory.model import MemoryModel
from applications.memory.tasks import make_problems
from benchmarks.timing import interleave, keep, ratio

SIZES = [10**power for power in range(2, 7)]
"""Cells of the memory."""
LOOKS = {"moves": (style.BLUE, "o"), "address": (style.GREEN, "s"), "soft": (style.RED, "D")}
"""Modes that are compared, and the colour and mark of each."""
STEPS = 10
"""Between two looks at the clock."""
FEWER = 20
"""Soft memories are timed in so many times fewer rounds."""
PICTURE = Path(__file__).parents[1] / "docs/pictures/memory-cost.png"


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write."""

    bytes = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = op(*args, **kwargs or {})
        touched = tree_leaves((args, kwargs, found))
        if op.is_view:
            touched = []
        elif op._schema.name in ("aten::index", "aten::index_put_"):
            picked = found if op._schema.name == "aten::index" else args[2]
            touched = [*args[1], picked, picked]  # read here, written there
        self.bytes += sum(size(value) for value in touched if isinstance(value, Tensor))
        return found


def size(tensor: Tensor) -> int:
    """Bytes that there are of it, each once, however often it is expanded."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())


def machine_of(mode: str, cells: int, letters: int = 10) -> tuple[MemoryModel, Machine]:
    """A program and its machine, with one problem of so many letters and a memory of that size."""
    torch.manual_seed(0)
    model = MemoryModel(Config(mode=mode)).eval()
    problem = make_problems("copy", torch.tensor([letters]), torch.Generator().manual_seed(0))
    return model, Machine(problem, mode, model.table, cells)


def bytes_of(mode: str, cells: int) -> int:
    """What a step of the machine reads and writes."""
    model, machine = machine_of(mode, cells)
    traffic, step = Traffic(), machine.step

    def counted(*choice: Any) -> Tensor:
        with traffic:
            return step(*choice)

    machine.step = counted
    next(model.run(machine, torch.tensor([1]), greedy=True))
    return traffic.bytes


def turns(mode: str, cells: int, rounds: int) -> Callable[[], object]:
    """Works through the next `STEPS` steps whenever it is called."""
    steps = STEPS * (rounds + 1)
    model, machine = machine_of(mode, cells, steps)
    run = model.run(machine, torch.tensor([steps]), greedy=True)
    return lambda: deque(islice(run, STEPS), maxlen=0)


def measure(mode: str, rounds: int) -> dict[str, Any]:
    """Microseconds and bytes of a step for every size, and the ratio of the ends.

    The sizes take turns, one mode at a time: a soft memory would clear the caches for a hard one.
    """
    seconds = interleave({str(cells): turns(mode, cells, rounds) for cells in SIZES}, rounds)
    return {
        "microseconds": [1e6 * statistics.median(spent) / STEPS for spent in seconds.values()],
        "bytes": [bytes_of(mode, cells) for cells in SIZES],
        "time_at_most_over_least_cells": ratio(seconds, str(SIZES[-1]), str(SIZES[0])),
    }


def show(found: dict[str, dict[str, Any]]) -> None:
    """Print the tables."""
    for key in ("microseconds", "bytes"):
        table = Table("cells", *found, title=f"{key} of a step at test time")
        for row, cells in enumerate(SIZES):
            table.add_row(f"{cells:,}", *(f"{found[mode][key][row]:,.0f}" for mode in found))
        Console().print(table)
    for mode, figures in found.items():
        times = figures["time_at_most_over_least_cells"]
        print(f"{mode}: {SIZES[-1]:,} cells take {times:.3g} times as long as {SIZES[0]:,}")


def draw(found: dict[str, dict[str, Any]]) -> Figure:
    """Seconds and bytes against the number of cells."""
    with mpl.rc_context(style.RULES):
        figure = Figure(figsize=(8.6, 3.6), layout="constrained")
        style.title(figure, "What a step costs at test time")
        for axes, key in zip(figure.subplots(1, 2), ("microseconds", "bytes"), strict=True):
            for mode, (colour, mark) in LOOKS.items():
                look = {"color": colour, "marker": mark, "ms": 5, "label": mode}
                axes.loglog(SIZES, found[mode][key], **look)
            axes.set(xlabel="cells", title=f"{key} a step")
            axes.set_ylim(bottom=min(found["moves"][key]) / 3)
            axes.grid(color=style.GREY, alpha=0.25, lw=0.6)
        axes.legend()
    return figure


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300, help="(%(default)s)")
    parser.add_argument("--output", type=Path, default=PICTURE, help="the picture (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for mode in LOOKS:
        rounds = max(options.rounds // FEWER, 3) if mode == "soft" else options.rounds
        found[mode] = measure(mode, rounds)
    show(found)
    keep("memory_cost", {"cells": SIZES, **found})
    style.save(draw(found), options.output)


if __name__ == "__main__":
    main()
