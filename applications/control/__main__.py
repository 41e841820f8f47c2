"""Classic control: `python -m applications.control train`, `evaluate`, `plot`."""

import sys

from applications.control import evaluate, pictures
from applications.control.config import RUNS, Config
from applications.control.training import train as train_policy
from applications.kit.commands import Asked, Commands


def train(asked: Asked) -> bool:
    """Train into a run folder: whether the run is complete."""
    with asked.open() as run:
        return train_policy(asked.config, run)


def commands() -> Commands:
    """The command line."""
    line = Commands("control", __doc__)
    line.add_train(train, {"control": Config}, RUNS, Config.name)
    line.add(
        "evaluate",
        evaluate.evaluate,
        evaluate.Options,
        "Play the likeliest actions, and print the mean return.",
    )
    line.add(
        "plot",
        pictures.plot,
        pictures.Options,
        "Plot return against steps and time, several runs in one picture.",
    )
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
