"""Sampled memory: `python -m applications.memory train`, `evaluate`, `plot`, and more."""

import argparse
import sys
from pathlib import Path

from applications.kit.commands import (
    Commands,
    add_run_options,
    number,
    prepare,
    seed,
    seeds,
    tell_end,
)
from applications.kit.run import Run
from applications.memory import compare, evaluate, pictures, study, weights
from applications.memory.config import BASELINES, LIMITS, RUNS, Config
from applications.memory.controllers import CONTROLLERS
from applications.memory.machine import MODES
from applications.memory.tasks import TASKS
from applications.memory.training import train as train_model


def train(options: argparse.Namespace) -> None:
    """Train, live, into a run folder."""
    task, mode = options.task or Config.task, options.mode or Config.mode
    config, folder = prepare(Config, options, RUNS, f"{task}-{mode}")
    with Run(folder, config, options.resume, LIMITS) as run:
        complete = train_model(config, run)
    tell_end("memory", folder, complete)


def add_training(one: argparse.ArgumentParser) -> None:
    """The options of a training, all but its task, seed and time."""
    one.add_argument("--mode", choices=MODES, help="how memory is addressed (moves)")
    one.add_argument("--controller", choices=CONTROLLERS, help="(direct)")
    one.add_argument("--units", type=number(int, 1), help="of the controller's state (32)")
    one.add_argument("--cells", type=number(int, 2), help="of the memory by `absolute` (16)")
    one.add_argument("--baseline", choices=BASELINES, help="(leave-one-out)")
    one.add_argument("--samples", type=number(int, 1), help="runs per problem (8)")
    one.add_argument("--batch", type=number(int, 1), help="runs per update (256)")
    one.add_argument(
        "--strict",
        action=argparse.BooleanOptionalAction,
        help="a letter counts only as far as all before it were right (so)",
    )
    one.add_argument("--entropy", type=number(float, 0), help="its reward at first (0.15)")
    one.add_argument("--first", type=number(int, 1), help="letters at the first level (3)")
    one.add_argument("--last", type=number(int, 1), help="letters at the last level (10)")
    one.add_argument("--slack", type=number(float, 0), help="more steps than needed (1)")
    one.add_argument("--updates", type=number(int, 1), help="to make (600)")
    one.add_argument("--learning-rate", type=number(float, 0), help="of Adam (3e-3)")


def commands() -> Commands:
    """The command line."""
    all = Commands("memory", __doc__)

    one = all.add("train", train, "Train a program; Ctrl-C stops at a checkpoint.")
    one.add_argument("--task", choices=TASKS, help="(copy)")
    add_training(one)
    add_run_options(one, LIMITS)

    one = all.add("evaluate", evaluate.evaluate, "Measure how much is right, by length.")
    one.add_argument("--task", choices=TASKS, help="a shipped program (copy)")
    one.add_argument("--mode", choices=MODES, help="a shipped program (moves)")
    one.add_argument(
        "--lengths", type=evaluate.lengths, help="e.g. 10,100 (1,3,10,20,100 where there is memory)"
    )
    one.add_argument(
        "--problems", type=number(int, 1), default=evaluate.PROBLEMS, help="(%(default)s)"
    )
    one.add_argument("--seed", type=seed, default=0, help="of the problems (%(default)s)")
    one.add_argument("--json", action="store_true", help="one JSON object, nothing else")

    one = all.add("plot", pictures.plot, "Draw what a program does, and how it learned.")
    one.add_argument("--task", choices=TASKS, help="a shipped program (newest run, else copy)")
    one.add_argument("--mode", choices=MODES, help="a shipped program (moves)")
    one.add_argument("--length", type=number(int, 1, 20), default=6, help="letters (%(default)s)")
    one.add_argument("--seed", type=seed, default=0, help="of the problem (%(default)s)")
    one.add_argument("--output", type=Path, help="folder (the run's, else pictures/memory)")
    one.add_argument("--format", choices=pictures.FORMATS, default="png", help="(%(default)s)")

    one = all.add("study", study.study, "Train several seeds and judge each at its end.")
    one.add_argument("--task", choices=TASKS, help="(copy)")
    add_training(one)
    one.add_argument("--seeds", type=seeds, default=range(10), help="FIRST-LAST (0-9)")

    one = all.add("compare", compare.compare, "Compare baselines at equal evaluations.")
    one.add_argument("--task", choices=TASKS, help="(reverse)")
    one.add_argument("--seeds", type=seeds, default=range(3), help="FIRST-LAST (0-2)")
    one.add_argument("--batches", type=number(int, 3), default=64, help="for the variance (64)")
    one.add_argument("--output", type=Path, help="folder (pictures/memory)")

    one = all.add("export", weights.export, "Write a run's program with its provenance.")
    one.add_argument("--output", type=Path, help="the file (the shipped one of task and mode)")
    return all


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
