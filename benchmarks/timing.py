"""Interleaved timing: A B A B …, so that a machine whose speed drifts slows both alike."""

import gc
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def report(name: str, title: str, seconds: dict[str, list[float]], figures: dict[str, float]):
    """Print the median milliseconds of every case and the figures, and keep both."""
    milliseconds = {case: 1e3 * statistics.median(spent) for case, spent in seconds.items()}
    table = Table("", "ms (median)", title=title)
    for case, median in milliseconds.items():
        table.add_row(case, f"{median:.2f}")
    Console().print(table)
    for figure, value in figures.items():
        print(f"{figure}: {value:.3g}")
    keep(name, {**figures, "milliseconds": milliseconds})


def keep(name: str, figures: dict[str, Any]) -> None:
    """Write figures to `benchmarks/results/<name>.json`, with where they come from."""
    head = ["git", "-C", str(RESULTS.parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=False).stdout.strip()
    origin = {
        "commit": commit or "unknown",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
    }
    rounded = json.loads(json.dumps({**origin, **figures}), parse_float=_rounded)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(rounded, indent=2) + "\n")


def _rounded(number: str) -> float:
    """To four decimals, or to four digits below 1."""
    value = float(number)
    return round(value, 4) if abs(value) >= 1 else float(f"{value:.4g}")
