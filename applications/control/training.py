"""Train by any of the methods: the loop, the metrics, the display."""

import math
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

import torch

from applications.control.config import Config
from applications.control.cross_entropy import CrossEntropy
from applications.control.deterministic import Deterministic
from applications.control.environments import Played
from applications.control.policies import Policy
from applications.control.score_function import ScoreFunction
from applications.control.trust_region import TrustRegionStep
from applications.kit.display import Display, duration, sparkline
from applications.kit.files import restored
from applications.kit.run import Run
from applications.kit.signals import StopSignals


class Learner(Protocol):
    """What a method is to the loop. Every update begins with new episodes."""

    policy: Policy
    """What it has learned."""

    def update(self) -> Played:
        """Play and learn."""
        ...

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, but torch's generator; its policy as `policy`."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        ...


LEARNERS = {
    "cross-entropy": CrossEntropy,
    "trust-region": TrustRegionStep,
    "score-function": ScoreFunction,
    "deterministic": Deterministic,
}


@dataclass
class Tally:
    """What a run has done so far."""

    update: int = 0
    """Updates made."""
    agent_steps: int = 0
    """Steps taken in all environments together."""
    episodes: int = 0
    """Episodes that ended."""
    seconds: float = 0.0
    """Time spent training."""
    cpu_seconds: float = 0.0
    """What of it a processor worked, which other programs on the machine change less."""


class Trainer:
    """A method at work on a task.

    Args:
        config: which, and how.
    """

    def __init__(self, config: Config):
        torch.manual_seed(config.seed)
        self.config, self.tally = config, Tally()
        self.learner: Learner = LEARNERS[config.method](config)

    def step(self) -> Played:
        """One update."""
        played, tally = self.learner.update(), self.tally
        tally.update += 1
        tally.agent_steps += played.steps
        tally.episodes += len(played.returns)
        return played

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, bit for bit."""
        learner, rng = self.learner.state(), torch.get_rng_state()
        return {"learner": learner, "rng": rng, **asdict(self.tally)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.learner.load_state(state["learner"])
        torch.set_rng_state(state["rng"])
        self.tally = restored(Tally, state)


def train(config: Config, run: Run) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # the tensors are small: a second thread only waits
    trainer = Trainer(config)
    if run.state is None:
        run.save(trainer.state())
    else:
        trainer.load_state(run.state)
    tally, course = trainer.tally, []
    started = time.monotonic() - tally.seconds, time.process_time() - tally.cpu_seconds
    limit = math.inf if config.seconds is None else config.seconds

    def complete() -> bool:
        return tally.agent_steps >= config.most or tally.seconds >= limit

    title = f"{config.environment} by {config.method} · {run.folder}"
    with StopSignals() as stop, Display(title) as display:
        while not complete() and not stop.requested:
            played = trainer.step()
            tally.seconds = round(time.monotonic() - started[0], 3)
            tally.cpu_seconds = round(time.process_time() - started[1], 3)
            line = {**asdict(tally), "mean_return": played.returns.mean().item(), **played.figures}
            course.append(line["mean_return"])
            run.log(line)
            run.save(trainer.state())
            display.show(partial(figures, trainer, course), now=complete() or stop.requested)
    return complete()


def figures(trainer: Trainer, course: list[float]) -> dict[str, str]:
    """What the display shows."""
    tally, steps = trainer.tally, trainer.config.most
    return {
        "update": f"{tally.update}",
        "agent steps": f"{tally.agent_steps:,} of {steps:,}",
        "speed": f"{tally.agent_steps / max(tally.seconds, 1e-9):,.0f} steps/s",
        "episodes": f"{tally.episodes:,}",
        "time": duration(tally.seconds),
        "mean return": f"{course[-1]:.0f}",
        "course": sparkline(course),
    }
