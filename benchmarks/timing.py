"""Interleaved timing: A B A B …, so that a machine whose speed drifts slows both alike."""

import gc
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def interleave(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every case in every round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    gc.collect()
    gc.disable()
    try:
        for count in range(rounds + 1):
            for name, case in cases.items():
                started = time.perf_counter()
                case()
                spent = time.perf_counter() - started
                if count:
                    seconds[name].append(spent)
    finally:
        gc.enable()
    return seconds


def ratio(seconds: dict[str, list[float]], case: str, over: str) -> float:
    """Median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(seconds[case], seconds[over], strict=True))


def report(name: str, title: str, columns: list[str], rows: list[list[str]], **figures: float):
    """Print a table and keep the figures in `benchmarks/results/<name>.json`."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    for figure, value in figures.items():
        print(f"{figure}: {value:.3g}")
    RESULTS.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    content = {"machine": machine, **{k: round(v, 4) for k, v in figures.items()}}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
