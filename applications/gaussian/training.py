"""Repeated updates: learning the mean and the whole covariance."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch

from applications.gaussian.config import Config
from applications.gaussian.gaussian import (
    START,
    Gaussian,
    expected_reward,
    make_baseline,
    make_objective,
    make_rate,
    update,
)
from applications.gaussian.rewards import Reward
from applications.kit import loop
from applications.kit import trainer as kit
from applications.kit.display import sparkline
from applications.kit.run import Run

FRESH = 10_000
"""Samples to measure the expected reward with after every update."""


class Snapshot(NamedTuple):
    """The Gaussian after `update` updates, and its expected reward, measured on fresh samples."""

    update: int
    gaussian: Gaussian
    expected_reward: float
    standard_error: float


class Trainer(kit.Trainer):
    """A Gaussian that learns, measured at the start and after every update.

    Nothing but the form of the step keeps the covariance from collapsing: taken in the Gaussian's
    own units it never loses the positive diagonal, and where all rewards agree, nothing pulls.

    Args:
        config: how.
        reward: what is to be raised.
    """

    def __init__(self, config: Config, reward: Reward):
        super().__init__(config, kit.Tally(), "A Gaussian learns where the reward is high")
        torch.manual_seed(config.seed)
        baseline = make_baseline(config.baseline, reward)
        self.reward, self.rate = reward, make_rate(config.learning_rate, reward)
        self.objective = make_objective(reward, baseline, config.samples)
        self.parts = {"objective": self.objective}
        self.gaussian, self.rewards = START, list[float]()
        self.now: Snapshot | None = None
        """What was measured last; None before the first time."""

    def __iter__(self) -> Iterator[kit.Line | None]:
        """The start, then an update a line."""
        if self.now is None:
            yield self.measure()
        while True:
            self.gaussian = update(self.gaussian, self.objective, self.rate).after
            self.tally.update += 1
            yield self.measure()

    def measure(self) -> kit.Line:
        """The expected reward on fresh samples: a line of metrics."""
        found = expected_reward(self.gaussian, self.reward, FRESH)
        self.now = Snapshot(self.tally.update, self.gaussian, *found)
        self.rewards.append(self.now.expected_reward)
        self.tick()
        return as_metrics(self.now, self.tally.seconds)

    def reached(self) -> bool:
        """Whether a limit was; the start is measured in any case."""
        return self.now is not None and super().reached()

    def columns(self) -> dict[str, str]:
        """What the display shows."""
        if self.now is None:
            return {}
        error = self.now.standard_error
        return {
            "expected reward": f"{self.now.expected_reward:+.3f} ± {error:.3f}",
            "expected reward so far": sparkline(self.rewards),
        }

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on, bit for bit."""
        measured = {} if self.now is None else as_metrics(self.now, self.tally.seconds)
        return {**super().state_dict(), **measured, **vars(self.gaussian)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        super().load_state_dict({"rng": state.get("random"), **state})  # as it was once called
        self.gaussian = gaussian_of(state)
        self.now = snapshot_of(state) if "expected_reward" in state else None


def course(
    config: Config, reward: Reward, advance: Callable[[int], None] = lambda _: None
) -> list[Snapshot]:
    """All of a training, kept in memory; `advance` is told how many snapshots were just taken."""
    trainer, snapshots = Trainer(config, reward), []
    for _ in islice(trainer, config.updates + 1):
        snapshots.append(trainer.now)
        advance(1)
    return snapshots


def train(config: Config, reward: Reward, run: Run) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    return loop.train(Trainer(config, reward), run)


def as_metrics(now: Snapshot, seconds: float) -> dict[str, Any]:
    """A line of `metrics.jsonl`."""
    return {
        "seconds": seconds,
        "update": now.update,
        "expected_reward": now.expected_reward,
        "standard_error": now.standard_error,
        "mean": now.gaussian.mean.tolist(),
        "factor": now.gaussian.factor.tolist(),
    }


def gaussian_of(record: dict[str, Any]) -> Gaussian:
    """The Gaussian in a checkpoint or in a line of metrics."""
    mean, factor = (torch.as_tensor(record[key], dtype=torch.float64) for key in ("mean", "factor"))
    return Gaussian(mean, factor)


def snapshot_of(metrics: dict[str, Any]) -> Snapshot:
    """What a line of metrics recorded."""
    reward, error = metrics["expected_reward"], metrics["standard_error"]
    return Snapshot(metrics["update"], gaussian_of(metrics), reward, error)
