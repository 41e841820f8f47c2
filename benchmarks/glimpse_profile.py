"""How much of training a glimpse model goes into matrix products, which do the learning.

Real updates at the default settings, all that `train` does between two validations: scenes are
made, looked at, learned from, weights stepped and averaged. The share is the profiler's own time of
the network's matrix products over the wall time of the same updates, which recording slows a
little. One thread: what others did at the same time would not show in the wall time.

    python -m benchmarks.glimpse_profile
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # before torch, or the profiler tells its steps

import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile, record_function

from applications.glimpse import training
from applications.glimpse.config import Config
from applications.glimpse.data import Images
from applications.glimpse.precision import PRECISIONS
from applications.glimpse.training import Trainer
from benchmarks.timing import keep

TASKS = ("mnist28", "cluttered60")
PRODUCTS = ("aten::mm", "aten::addmm", "aten::mkldnn_linear", "aten::_addmm_activation")
"""Of the network, forward and backward; `aten::bmm` is left out, as it distorts digits."""
LISTED = 8
"""Operations told besides."""
WARM_UP_UPDATES = 10
"""Updates that do not count."""


def noise(count: int = 12_000) -> Images:
    """Digits of noise: how long an update takes does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (count,), generator=generator)
    return Images("noise", pixels, labels, pixels[:10], labels[:10])


def labelled(name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn`, whose calls have a name of their own in the profile."""

    def call(*args: Any) -> Any:
        with record_function(name):
            return fn(*args)

    return call


def seconds_of(trainer: Trainer, updates: int) -> float:
    """Wall time of so many updates."""
    started = time.perf_counter()
    for _ in range(updates):
        trainer.step()
    return time.perf_counter() - started


def measure(task: str, precision: str, updates: int) -> dict[str, Any]:
    """Shares of the profiled updates' wall time, and the speed without a profiler."""
    trainer = Trainer(Config(task=task, precision=precision), noise())
    seconds_of(trainer, WARM_UP_UPDATES)
    plain = seconds_of(trainer, updates)
    trainer.scenes.batch = labelled("making scenes", trainer.scenes.batch)
    trainer.model.retina = labelled("retina", trainer.model.retina)
    summed = labelled("integral images", training.integral)
    with patch.object(training, "integral", summed):
        seconds_of(trainer, WARM_UP_UPDATES)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            wall = seconds_of(trainer, updates)
    events = {event.key: event for event in profiler.key_averages()}
    own = {name: event.self_cpu_time_total / 1e6 / wall for name, event in events.items()}
    parts = ("making scenes", "integral images", "retina")
    others = sorted(set(own) - {*PRODUCTS, *parts}, key=own.get, reverse=True)
    return {
        "matrix_products_over_training": sum(own.get(name, 0.0) for name in PRODUCTS),
        "images_per_second": updates * trainer.config.batch / plain,
        "profiled_images_per_second": updates * trainer.config.batch / wall,
        "parts": {name: events[name].cpu_time_total / 1e6 / wall for name in parts},
        "other_operations": {name: own[name] for name in others[:LISTED]},
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print the table of a task and a precision."""
    table = Table("", "share of wall time", title=f"{name}: profiled updates")
    table.add_row("matrix products", f"[bold]{found['matrix_products_over_training']:.3f}[/bold]")
    for kind in ("parts", "other_operations"):
        table.add_section()
        for what, share in found[kind].items():
            table.add_row(what, f"{share:.3f}")
    Console().print(table)
    plain, profiled = found["images_per_second"], found["profiled_images_per_second"]
    print(f"{plain:,.0f} images/s, {profiled:,.0f} while profiled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=100)
    updates = parser.parse_args().updates
    torch.set_num_threads(1)
    found = {}
    for task in TASKS:
        for precision in PRECISIONS:
            name = f"{task}, {precision}"
            found[name] = measure(task, precision, updates)
            show(name, found[name])
    keep("glimpse_profile", found)


if __name__ == "__main__":
    main()
