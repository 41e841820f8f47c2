"""Several seeds of a training, each judged at its end."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Generator

from applications.kit.commands import prepare
from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, Run, read_config
from applications.memory import weights
from applications.memory.config import LIMITS, RUNS, Config
from applications.memory.evaluate import solve
from applications.memory.training import train

FAR = (20, 100)
"""Lengths beyond those of training."""
SOLVED = 0.99
"""A seed is one that learned the task if so much is right at every length of training."""


class Result(NamedTuple):
    """What a seed came to."""

    seed: int
    near: float
    """Share of letters right at the worst length of training."""
    far: list[float]
    """At each length in `FAR`."""
    seconds: float
    """Of training."""


def judge(config: Config, folder: Path) -> Result:
    """Train, or go on with, one seed; then measure."""
    begun = (folder / CHECKPOINT).exists()
    with Run(folder, config, begun, LIMITS) as run:
        if not train(config, run):
            raise RunError(f"stopped; the same command goes on from {folder}")
    state = load_state(folder / CHECKPOINT)
    model = weights.build(read_config(folder), state["model"], folder / CHECKPOINT)

    def right(length: int) -> float:
        return solve(model, length, Generator().manual_seed(0))[0]

    far = [] if config.mode == "absolute" else [right(length) for length in FAR]
    near = min(right(length) for length in range(1, config.last + 1))
    return Result(config.seed, near, far, state["seconds"])


def study(options: argparse.Namespace) -> None:
    """Train each seed in a folder of its own and print what it came to."""
    options.seed, options.seconds, options.resume = None, None, False
    task, mode = options.task or Config.task, options.mode or Config.mode
    name = f"study-{task}-{mode}"
    options.run_dir = options.run_dir or RUNS / name  # the same again: it goes on
    config, parent = prepare(Config, options, RUNS, name)
    found = [judge(replace(config, seed=seed), parent / str(seed)) for seed in options.seeds]
    beyond = "".join(f"{f'{length} letters':>13}" for length in FAR)
    print(f"{task} by {mode}\n{'seed':>5} {f'1–{config.last} letters':>14}{beyond} {'seconds':>8}")
    for seed, near, far, seconds in found:
        beyond = "".join(f"{share:>13.2%}" for share in far)
        print(f"{seed:>5} {near:>14.2%}{beyond} {seconds:>8.0f}")
    solved = sum(result.near >= SOLVED for result in found)
    print(f"{solved} of {len(found)} seeds are right in {SOLVED:.0%} of letters at every length")
