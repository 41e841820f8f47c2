"""The one loop of every training."""

import math
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any, Protocol

import torch

from applications.kit.display import Display
from applications.kit.errors import RunError
from applications.kit.progress import figures
from applications.kit.records import CHECKPOINT, misfit
from applications.kit.signals import StopSignals
from applications.kit.trainer import Line, Trainer


class Keeper(Protocol):
    """Where a training is kept: a `Run`."""

    folder: Any
    state: Any

    def log(self, metrics: Line) -> None:
        """Append a line of metrics."""

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""


def train(trainer: Trainer, run: Keeper, display: Any = None) -> bool:
    """Train until a limit or a signal to stop.

    Args:
        trainer: makes the updates.
        run: keeps them; a resumed one knows the state to go on from.
        display: shows them; by default a `Display`.

    Returns:
        Whether a limit was reached.

    Raises:
        RunError: the training diverged, or the run cannot be written.
    """
    restore(trainer, run)
    if run.state is None:
        save(trainer, run)
    trainer.start(run.folder)
    title, first, stopped = f"{trainer.title} · {run.folder}", True, False
    saved, now = time.monotonic(), partial(figures, trainer)
    with (
        StopSignals() as stop,
        display or Display(title) as shown,
        closing(iter(trainer)) as updates,
    ):
        shown.show(now, now=True)
        while not stopped and not trainer.reached():
            line = advance(trainer, updates)
            trainer.tick()
            if line is not None:
                run.log(line)
                if time.monotonic() - saved >= trainer.save_seconds:
                    save(trainer, run)
                    saved = time.monotonic()
            if first:  # what it took to begin says nothing of the speed
                trainer.mark()
                first = False
            shown.show(now)
            stopped = trainer.stops(stop.requested)
        shown.show(now, now=True)
    save(trainer, run)
    return trainer.reached()


def restore(trainer: Trainer, run: Keeper) -> None:
    """Go on from a run's checkpoint, if it has one.

    Raises:
        RunError: the checkpoint does not fit the config.
    """
    try:
        trainer.restore(run.state)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        if run.state is None:
            raise
        raise misfit(run.folder / CHECKPOINT, error) from error


def save(trainer: Trainer, run: Keeper) -> None:
    """Replace the checkpoint, unless the training has diverged.

    Raises:
        RunError: it has.
    """
    state = trainer.state_dict()
    if not is_finite(state):
        raise diverged(trainer, "what it learned is no longer a number")
    run.save(state)


def advance(trainer: Trainer, updates: Iterator[Line | None]) -> Line | None:
    """The next item of a training.

    Raises:
        RunError: it has diverged.
    """
    try:
        line = next(updates)
    except RunError:
        raise
    except (RuntimeError, ValueError) as error:  # drawing from NaN fails in many ways
        if is_finite(trainer.state_dict()):
            raise
        raise diverged(trainer, "what it learned is no longer a number") from error
    for name, value in (line or {}).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise diverged(trainer, f"{name} is {value}")
    return line


def diverged(trainer: Trainer, what: str) -> RunError:
    """The error of a training that went wrong."""
    return RunError(
        f"the training diverged in update {trainer.tally.update} ({what}): lower --learning-rate "
        "and start another folder; the checkpoint is the last good one"
    )


def is_finite(state: Any) -> bool:
    """Whether all numbers in the tensors of a state are finite."""
    if isinstance(state, torch.Tensor):
        return not state.is_floating_point() or bool(state.isfinite().all())
    if isinstance(state, dict):
        return all(map(is_finite, state.values()))
    if isinstance(state, list | tuple):
        return all(map(is_finite, state))
    return True
