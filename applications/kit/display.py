"""Figures of a training, live."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from applications.kit.output import Screen


class Display:
    """Figures on a terminal, four times a second; elsewhere a plain line every ten seconds."""

    def __init__(self, title: str):
        self.title, self.started, self.next = title, time.monotonic(), 0.0
        self.output = Screen()
        console = Console(file=self.output)
        self.live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self.every = 0.25 if self.live else 10.0

    def __enter__(self) -> "Display":
        if self.live:
            self.live.__enter__()
        else:
            print(self.title, file=self.output, flush=True)
        return self

    def __exit__(self, *error: Any) -> None:
        if self.live:
            self.live.__exit__(*error)

    def show(self, figures: Callable[[], dict[str, str]], now: bool = False) -> None:
        """Show `figures()`, name → text, if it is time to, or `now`."""
        clock = time.monotonic()
        if clock < self.next and not now:
            return
        self.next = clock + self.every
        if self.live is None:
            line = " · ".join(f"{name} {text}" for name, text in figures().items())
            print(f"[{clock - self.started:5.0f} s] {line}", file=self.output, flush=True)
            return
        # as `Text`, for in a string square brackets are markup
        table = Table(box=None, show_header=False)
        for name, text in figures().items():
            table.add_row(Text(name, style="dim"), Text(text))
        title = Text(self.title, style="table.title")
        self.live.update(Group(title, table), refresh=True)


def plain_table(*columns: str, title: str, caption: str) -> Table:
    """A table without a frame."""
    return Table(*columns, title=title, caption=caption, box=None, padding=(0, 2, 0, 0))


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """The course of `values` in one line of at most `width` blocks."""
    columns = min(width, len(values))
    edges = [index * len(values) // columns for index in range(columns + 1)] if columns else []
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, span = min(means, default=0), max(means, default=0) - min(means, default=0)
    return "".join("▁▂▃▄▅▆▇█"[int((mean - low) / (span or 1) * 7.99)] for mean in means)


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 path`, `2 paths`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `1 h 05 min`, `3 min 20 s`, `7 s`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
