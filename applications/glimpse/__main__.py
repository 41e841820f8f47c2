"""Hard attention: `python -m applications.glimpse train`, `data`, `evaluate`, `plot`, and more."""

import sys
from dataclasses import dataclass

from applications.glimpse import compare, data, evaluate, pictures, weights
from applications.glimpse.config import RUNS, Config
from applications.glimpse.training import choose_precision
from applications.glimpse.training import train as train_model
from applications.kit.commands import Command, Commands, Start, prepare, tell_end
from applications.kit.run import Run
from applications.kit.sources import Export


@dataclass(frozen=True, kw_only=True)
class TrainStart(Start, data.Stored):
    """What `train` is asked beside its config."""


def train(arguments: list[str], program: str) -> None:
    """Train, live, into a run folder."""
    config, folder, start = prepare(
        {"glimpse": Config}, arguments, program, RUNS, lambda config: config.task, TrainStart
    )
    config = choose_precision(config)
    images = data.ensure(config.data, start.folder)
    with Run(folder, config, start.resume) as run:
        complete = train_model(config, run, images)
    tell_end(program, folder, complete)


def commands() -> Commands:
    """The command line."""
    line = Commands("glimpse", __doc__)
    line.commands["train"] = Command(train, "Train a glimpse model; Ctrl-C stops at a checkpoint.")
    line.add("data", data.data, data.Options, "Get the images once, and check them.")
    line.add("evaluate", evaluate.evaluate, evaluate.Options, "Measure the error on test images.")
    line.add("plot", pictures.plot, pictures.Options, "Draw where a network looks, sees and errs.")
    line.add("compare", compare.compare, compare.Options, "Compare estimators of the gradient.")
    line.add("export", weights.export, Export, "Write a run's weights, small, with their origin.")
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
