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
    expected_score,
    make_baseline,
    make_objective,
    make_rate,
    update,
)
from applications.gaussian.scores import Score
from applications.runs import Display, Run, StopSignals, sparkline

FRESH = 10_000
"""Samples to measure the expected score with after every update."""


@dataclass(frozen=True)
class Config:
    """What a training was asked for."""

    score: str | None = None
    """`module:function`, an image, or None for the built-in regions."""
    samples: int = 100
    """Draws for one update."""
    learning_rate: float = 0.1
    """Standard deviations per half the range of the score."""
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
    """The Gaussian after `update` updates, and its score over fresh samples."""

    update: int
    gaussian: Gaussian
    expected_score: float
    standard_error: float


def learn(
    gaussian: Gaussian, score: Score, objective: sf.Expectation, rate: float, begin: int = 0
) -> Iterator[Snapshot]:
    """Update for ever: a snapshot of the start, then one after every update.

    Nothing but the form of the step keeps the covariance from collapsing: taken in the Gaussian's
    own units it never loses the positive diagonal, and where all scores agree, nothing pulls.
    """
    while True:
        yield Snapshot(begin, gaussian, *expected_score(gaussian, score, FRESH))
        gaussian = update(gaussian, objective, rate).after
        begin += 1


def course(
    config: Config, score: Score, advance: Callable[[int], None] = lambda _: None
) -> list[Snapshot]:
    """All of a training, kept in memory; `advance` is told how many snapshots were just taken."""
    torch.manual_seed(config.seed)
    objective = make_objective(score, make_baseline(config.baseline, score), config.samples)
    snapshots = []
    rate = make_rate(config.learning_rate, score)
    for now in islice(learn(START, score, objective, rate), config.steps + 1):
        snapshots.append(now)
        advance(1)
    return snapshots


def train(config: Config, score: Score, run: Run) -> bool:
    """Learn into a run folder, shown live.

    Returns:
        Whether it came to its end; False when it was stopped.
    """
    torch.manual_seed(config.seed)
    objective = make_objective(score, make_baseline(config.baseline, score), config.samples)
    gaussian, begin, before = START, 0, 0.0
    if run.state is not None:
        gaussian, begin, before = gaussian_of(run.state), run.state["update"], run.state["seconds"]
        objective.load_state_dict(run.state["objective"])
    rate = make_rate(config.learning_rate, score)
    snapshots = learn(gaussian, score, objective, rate, begin)
    if run.state is not None:
        next(snapshots)  # the folder has this one
        torch.set_rng_state(run.state["random"])
        if begin >= config.steps:
            return True
    started, scores = time.monotonic(), []
    with StopSignals() as stop, Display("A Gaussian learns where the score is high") as display:
        for now in snapshots:
            scores.append(now.expected_score)
            metrics = as_metrics(now, before + time.monotonic() - started)
            run.log(metrics)
            state = {"objective": objective.state_dict(), "random": torch.get_rng_state()}
            run.save(metrics | vars(now.gaussian) | state)
            limit = float("inf") if config.seconds is None else config.seconds
            done = now.update >= config.steps or metrics["seconds"] >= limit
            display.show(
                lambda now=now: {
                    "update": f"{now.update}/{config.steps}",
                    "expected score": f"{now.expected_score:+.3f} ± {now.standard_error:.3f}",
                    "so far": sparkline(scores),
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
        "expected_score": now.expected_score,
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
    scores = metrics["expected_score"], metrics["standard_error"]
    return Snapshot(metrics["update"], gaussian_of(metrics), *scores)
