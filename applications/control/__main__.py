"""Classic control: `python -m applications.control train`, `evaluate`, `plot`."""

import sys

from applications.control import evaluate, pictures
from applications.control.config import RUNS, Config
from applications.control.training import train as train_policy
from applications.kit.commands import Command, Commands, prepare, tell_end
from applications.kit.run import Run


def train(arguments: list[str], program: str) -> None:
    """Train, live, into a run folder."""
    config, folder, start = prepare({"control": Config}, arguments, program, RUNS, Config.name)
    with Run(folder, config, start.resume) as run:
        complete = train_policy(config, run)
    tell_end(program, folder, complete)


def commands() -> Commands:
    """The command line."""
    line = Commands("control", __doc__)
    line.commands["train"] = Command(train, "Train a policy; Ctrl-C stops at a checkpoint.")
    line.add("evaluate", evaluate.evaluate, evaluate.Options, "Play without exploring.")
    line.add("plot", pictures.plot, pictures.Options, "Draw return against steps, runs together.")
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
