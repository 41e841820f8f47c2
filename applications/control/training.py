"""Train by any of the methods: the updates, the metrics, what is shown."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from applications.control.config import Config
from applications.control.cross_entropy import CrossEntropy
from applications.control.deterministic import Deterministic
from applications.control.environments import Played
from applications.control.policies import Policy
from applications.control.score_function import ScoreFunction
from applications.control.trust_region import TrustRegionStep
from applications.kit import loop
from applications.kit import trainer as kit
from applications.kit.display import sparkline
from applications.kit.run import Run


class Learner(Protocol):
    """What a method is to the loop. Every update begins with new episodes."""

    policy: Policy
    """What it has learned."""

    def update(self) -> Played:
        """Play and learn."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on, but torch's generator; its policy as `policy`."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        ...


LEARNERS = {
    "cross-entropy": CrossEntropy,
    "trust-region": TrustRegionStep,
    "score-function": ScoreFunction,
    "deterministic": Deterministic,
}


@dataclass
class Tally(kit.Tally):
    """What a run has done so far."""

    agent_steps: int = 0
    """Steps taken in all environments together."""
    episodes: int = 0
    """Episodes that ended."""
    cpu_seconds: float = 0.0
    """What of the time a processor worked, which other programs on the machine change less."""


class Trainer(kit.Trainer):
    """A method at work on a task.

    Args:
        config: which, and how.
    """

    work, work_name = "agent_steps", "steps"

    def __init__(self, config: Config):
        super().__init__(config, Tally(), f"{config.environment} by {config.method}")
        torch.manual_seed(config.seed)
        self.learner: Learner = LEARNERS[config.method](config)
        self.parts = {"learner": self.learner}
        self.course: list[float] = []

    def __iter__(self) -> Iterator[kit.Line | None]:
        """An update a line."""
        while True:
            played = self.step()
            self.tick()
            self.course.append(played.returns.mean().item())
            yield {**asdict(self.tally), "mean_return": self.course[-1], **played.figures}

    def start(self, folder: Path | None) -> None:
        """Let both clocks run."""
        super().start(folder)
        self.cpu_started = time.process_time() - self.tally.cpu_seconds

    def tick(self) -> None:
        """Count both times."""
        super().tick()
        self.tally.cpu_seconds = time.process_time() - self.cpu_started

    def step(self) -> Played:
        """One update."""
        played, tally = self.learner.update(), self.tally
        tally.update += 1
        tally.agent_steps += played.steps
        tally.episodes += len(played.returns)
        return played

    def columns(self) -> dict[str, str]:
        """What the display shows."""
        shown = {"episodes": f"{self.tally.episodes:,}"}
        if self.course:
            shown["mean return"] = f"{self.course[-1]:.0f}"
            shown["mean return so far"] = sparkline(self.course)
        return shown


def train(config: Config, run: Run) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # the tensors are small: a second thread only waits
    return loop.train(Trainer(config), run)
