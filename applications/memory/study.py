"""Several seeds of a training, each judged at its end."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from torch import Generator

from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.options import Options, refuse_idle
from applications.kit.parsing import known, parse
from applications.kit.run import CHECKPOINT, Run, is_complete, read_config
from applications.memory import weights
from applications.memory.config import RUNS, Config
from applications.memory.evaluate import solve
from applications.memory.training import train

FAR = (20, 100)
"""Lengths beyond those of training."""
SOLVED = 0.99
"""A seed has learned the task if this share is right at every training length."""


class Result(NamedTuple):
    """What a seed came to."""

    seed: int
    near: float
    """Share of letters right at the worst length of training."""
    far: list[float]
    """At each length in `FAR`."""
    seconds: float
    """Of training."""


@dataclass(frozen=True, kw_only=True)
class Seeds(Options):
    """Options of `study` beside a config."""

    seeds: range = range(10)
    """Seeds to train; each is judged at its end."""
    run_dir: Path | None = None
    """Folder of its runs (default: in runs/memory)."""


def judge(config: Config, folder: Path) -> Result:
    """Train, or go on with, one seed unless it is complete; then measure."""
    begun = (folder / CHECKPOINT).exists()
    if not begun or not is_complete(folder, config):
        with Run(folder, config, begun) as run:
            if not train(config, run):
                raise RunError(f"stopped; the same command continues from {folder}")
    state = load_state(folder / CHECKPOINT)
    model = weights.build(read_config(folder), state["model"], folder / CHECKPOINT)

    def right(length: int) -> float:
        return solve(model, length, Generator().manual_seed(0))[0]

    far = [] if config.mode == "absolute" else [right(length) for length in FAR]
    near = min(right(length) for length in range(1, config.last + 1))
    return Result(config.seed, near, far, state["seconds"])


def study(arguments: list[str], program: str) -> None:
    """Train each seed in a folder of its own and print its result."""
    asked, _ = known(Seeds, arguments)
    config = parse(
        Config, arguments, program, "Train several seeds and judge each at its end.", Seeds
    )
    refuse_idle(config)
    if config.seed:
        raise RunError("--seed does nothing in a study: name its seeds by --seeds")
    parent = asked.run_dir or RUNS / f"study-{config.name()}"  # the same again: it goes on
    found = [judge(replace(config, seed=seed), parent / str(seed)) for seed in asked.seeds]
    task, mode = config.task, config.mode
    beyond = "".join(f"{f'{length} letters':>13}" for length in FAR)
    print(f"{task} by {mode}\n{'seed':>5} {f'1–{config.last} letters':>14}{beyond} {'seconds':>8}")
    for seed, near, far, seconds in found:
        beyond = "".join(f"{share:>13.2%}" for share in far)
        print(f"{seed:>5} {near:>14.2%}{beyond} {seconds:>8.0f}")
    solved = sum(result.near >= SOLVED for result in found)
    print(f"{solved} of {len(found)} seeds have {SOLVED:.0%} of letters right at every length")
