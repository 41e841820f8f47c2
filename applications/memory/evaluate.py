"""How much of the answers is right, by length, also far beyond the lengths of training."""

import json
from dataclasses import dataclass

import torch
from torch import Generator

from applications.kit.errors import OptionError, RunError
from applications.kit.options import Count
from applications.kit.sources import Measurement, run_of
from applications.memory import weights
from applications.memory.config import RUNS, Mode, Task
from applications.memory.model import MemoryModel
from applications.memory.tasks import make_problems

PATIENCE, SPARE = 2, 10
"""A run may take so many times the steps it needs, and so many more."""
PROBLEMS = 200
"""Problems per length."""
LENGTHS = (1, 3, 10, 20, 100)
"""Letters that are asked for unless told, as far as there is memory for them."""


@torch.no_grad()
def solve(
    model: MemoryModel, length: int, generator: Generator, problems: int = PROBLEMS
) -> tuple[float, float]:
    """Do the likeliest: the share of letters right, and of problems all right.

    A letter is right if the one that is likeliest at its place is; one never given out is wrong.

    Args:
        model: a program.
        length: letters per problem.
        generator: draws the problems.
        problems: how many.
    """
    lengths = torch.full((problems,), length)
    made = make_problems(model.config.task, lengths, generator)
    right = torch.zeros(problems)
    for step in model.run(model.machine(made), PATIENCE * model.enough(made) + SPARE, True):
        right += step.right
    return (right / made.due).mean().item(), (right == made.due).float().mean().item()


def lengths(text: str) -> list[int]:
    """`10,100` as numbers.

    Raises:
        OptionError: it is none.
    """
    parts = text.split(",")
    if not all(part.isdigit() and int(part) for part in parts):
        raise OptionError(f"{text!r} is not a list of lengths, e.g. 10,100")
    return [int(part) for part in parts]


@dataclass(frozen=True, kw_only=True)
class Options(Measurement):
    """Options of `evaluate`."""

    task: Task | None = None
    """Task of the shipped program (with a run: the run's)."""
    mode: Mode | None = None
    """Mode of the shipped program (with a run: the run's)."""
    lengths: str | None = None
    """Letters of the problems, such as 10,100 (default: several, as far as memory allows)."""
    problems: Count = PROBLEMS
    """Problems of each length."""


def evaluate(options: Options) -> None:
    """Print the share of letters right at each length."""
    model, provenance = weights.choose(run_of(options, RUNS), options.task, options.mode)
    config = model.config
    most = config.cells if config.mode == "absolute" else max(LENGTHS)
    asked = (
        lengths(options.lengths)
        if options.lengths
        else [length for length in LENGTHS if length <= most]
    )
    if config.mode == "absolute" and max(asked) > most:
        raise RunError(
            f"this program addresses {config.cells} cells by number: ask for --lengths up to that"
        )
    found = {
        str(length): solve(model, length, Generator().manual_seed(options.seed), options.problems)
        for length in asked
    }
    if options.json:
        print(json.dumps({"accuracy": {length: right for length, (right, _) in found.items()}}))
        return
    print(f"{config.task} by {config.mode}, {config.controller} controller, {provenance}")
    print(f"{options.problems} problems a length; trained on up to {config.last} letters")
    print(f"{'letters':>8} {'right':>9} {'all right':>10}")
    for length, (right, perfect) in found.items():
        print(f"{length:>8} {right:>9.2%} {perfect:>10.1%}")
