"""Repeated updates: learning the mean and the whole covariance."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import torch

import sfgrad as sf
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
from applications.kit.display import Display, sparkline
from applications.kit.run import Run
from applications.kit.signals import StopSignals

FRESH = 10_000
"""Samples to measure the expected reward with after every update."""


@dataclass(frozen=True)
class Config:
    """What a training was asked for."""

    reward: str | None = None
    """`module:function`, an image, or None for the built-in regions."""
    samples: int = 100
    """Draws for one update."""
    learning_rate: float = 0.1
    """Standard deviations per half the range of the reward."""
    baseline: str = "leave-one-out"
    """One of `BASELINES`."""
    seed: int = 0
    """Fixes every draw."""
    steps: int = 120
    """Updates to make, in all."""
    seconds: float | None = None
    """Stop after so many seconds, in all; None: never."""


LIMITS = ("steps", "seconds")
"""The fields in which a resumed run may differ."""


class Snapshot(NamedTuple):
    """The Gaussian after `update` updates, and its expected reward, measured on fresh samples."""

    update: int
    gaussian: Gaussian
    expected_reward: float
    standard_error: float


def learn(
    gaussian: Gaussian, reward: Reward, objective: sf.Expectation, rate: float, begin: int = 0
) -> Iterator[Snapshot]:
    """Update for ever: a snapshot of the start, then one after every update.

    Nothing but the form of the step keeps the covariance from collapsing: taken in the Gaussian's
    own units it never loses the positive diagonal, and where all rewards agree, nothing pulls.
    """
    while True:
        yield Snapshot(begin, gaussian, *expected_reward(gaussian, reward, FRESH))
        gaussian = update(gaussian, objective, rate).after
        begin += 1


def course(
    config: Config, reward: Reward, advance: Callable[[int], None] = lambda _: None
) -> list[Snapshot]:
    """All of a training, kept in memory; `advance` is told how many snapshots were just taken."""
    torch.manual_seed(config.seed)
    objective = make_objective(reward, make_baseline(config.baseline, reward), config.samples)
    snapshots = []
    rate = make_rate(config.learning_rate, reward)
    for now in islice(learn(START, reward, objective, rate), config.steps + 1):
        snapshots.append(now)
        advance(1)
    return snapshots


def train(config: Config, reward: Reward, run: Run) -> bool:
    """Learn into a run folder, shown live.

    Returns:
        Whether it came to its end; False when it was stopped.
    """
    torch.manual_seed(config.seed)
    objective = make_objective(reward, make_baseline(config.baseline, reward), config.samples)
    gaussian, begin, before = START, 0, 0.0
    if run.state is not None:
        gaussian, begin, before = gaussian_of(run.state), run.state["update"], run.state["seconds"]
        objective.load_state_dict(run.state["objective"])
    rate = make_rate(config.learning_rate, reward)
    snapshots = learn(gaussian, reward, objective, rate, begin)
    if run.state is not None:
        next(snapshots)  # the folder has this one
        torch.set_rng_state(run.state["random"])
        if begin >= config.steps:
            return True
    started, rewards = time.monotonic(), []
    with StopSignals() as stop, Display("A Gaussian learns where the reward is high") as display:
        for now in snapshots:
            rewards.append(now.expected_reward)
            metrics = as_metrics(now, before + time.monotonic() - started)
            run.log(metrics)
            state = {"objective": objective.state_dict(), "random": torch.get_rng_state()}
            run.save(metrics | vars(now.gaussian) | state)
            limit = float("inf") if config.seconds is None else config.seconds
            done = now.update >= config.steps or metrics["seconds"] >= limit
            display.show(
                lambda now=now: {
                    "update": f"{now.update}/{config.steps}",
                    "expected reward": f"{now.expected_reward:+.3f} ± {now.standard_error:.3f}",
                    "so far": sparkline(rewards),
                },
                now=done or stop.requested,
            )
            if done or stop.requested:
                return done
    raise AssertionError("learning never ends by itself")


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
