"""What a training is to the loop that all of them share."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from applications.kit.files import restored
from applications.kit.options import Limit, Options

Line = dict[str, Any]
"""A line of metrics, with `update` and `seconds`."""


@dataclass
class Tally:
    """What a run has done so far."""

    update: int = 0
    """Updates made."""
    seconds: float = 0.0
    """Time spent training."""


class Stateful:
    """Something whose state is that of its parts."""

    parts: dict[str, Any]
    """By name, what a checkpoint keeps: modules, optimizers, generators."""

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            name: part.get_state() if isinstance(part, Generator) else part.state_dict()
            for name, part in self.parts.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name, part in self.parts.items():
            if isinstance(part, Generator):
                part.set_state(state[name])
            else:
                part.load_state_dict(state[name])


class Trainer(Stateful, ABC):
    """An iterator of updates.

    Each item is a line of metrics, or None between two of them; after each the training may be
    stopped, saved and shown. A subclass calls `tick` before it makes a line.

    Args:
        config: what to train.
        tally: what was done so far: nothing.
        title: what the display is called, but for the folder.
    """

    save_seconds = 0.0
    """Between checkpoints; with 0 every line of metrics has one."""
    work, work_name = "update", "updates"
    """What of the tally the speed is told of, and in which words."""
    folder: Path | None = None
    """Where the run is kept; None until the loop begins."""

    def __init__(self, config: Options, tally: Tally, title: str):
        self.config, self.tally, self.title = config, tally, title
        self.parts = {}
        self.start(None)

    # ------------------------------------------------------------ to be told by each training

    @abstractmethod
    def __iter__(self) -> Iterator[Line | None]:
        """Make updates, without end or until the work is done."""

    @abstractmethod
    def columns(self) -> dict[str, str]:
        """What the display shows beside progress: name → text."""

    def warning(self) -> str | None:
        """What the user should know of how it goes."""
        return None

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from a checkpoint's state; None for a new run."""
        if state is not None:
            self.load_state_dict(state)

    # ------------------------------------------------------------ time and limits

    def start(self, folder: Path | None) -> None:
        """Let the time run, on top of what the tally has."""
        self.folder, self.started = folder, time.monotonic() - self.tally.seconds
        self.mark()

    def mark(self) -> None:
        """Measure the speed from here on."""
        self.marked = replace(self.tally)

    def tick(self) -> None:
        """Count the time."""
        self.tally.seconds = time.monotonic() - self.started

    def speed(self) -> float:
        """Work per second."""
        work = getattr(self.tally, self.work) - getattr(self.marked, self.work)
        return work / max(self.tally.seconds - self.marked.seconds, 1e-9)

    def limits(self) -> list[Limit]:
        """What ends it."""
        return self.config.limits()

    def reached(self) -> bool:
        """Whether a limit was."""
        return any(limit.done(vars(self.tally)) >= limit.target for limit in self.limits())

    def stops(self, requested: bool) -> bool:
        """Whether to stop now, given whether somebody asks to."""
        return requested

    # ------------------------------------------------------------ the checkpoint

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on, bit for bit."""
        return {**super().state_dict(), "rng": torch.get_rng_state(), **asdict(self.tally)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        torch.set_rng_state(state["rng"])
        self.tally = restored(type(self.tally), state)
