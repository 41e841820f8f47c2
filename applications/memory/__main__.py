"""Sampled memory: `python -m applications.memory train`, `evaluate`, `plot`, and more."""

import sys

from applications.kit.commands import Asked, Command, Commands
from applications.kit.sources import Export
from applications.memory import compare, evaluate, pictures, study, weights
from applications.memory.config import RUNS, Config
from applications.memory.training import train as train_model


def train(asked: Asked) -> bool:
    """Train into a run folder: whether the run is complete."""
    with asked.open() as run:
        return train_model(asked.config, run)


def commands() -> Commands:
    """The command line."""
    line = Commands("memory", __doc__)
    line.add_train(train, {"memory": Config}, RUNS, Config.name)
    line.add(
        "evaluate",
        evaluate.evaluate,
        evaluate.Options,
        "Measure the share of letters right, by length.",
    )
    line.add(
        "plot", pictures.plot, pictures.Options, "Plot what a program does, and how it learned."
    )
    line.commands["study"] = Command(study.study, "Train several seeds and judge each at its end.")
    line.add(
        "compare", compare.compare, compare.Options, "Compare baselines at equal numbers of runs."
    )
    line.add("export", weights.export, Export, "Write a run's program as a file, with its origin.")
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
