"""Pong from pixels: the command line, `python -m applications.pong`."""

import sys
from dataclasses import dataclass

import ale_py

from applications.kit.commands import Asked, Commands, Start
from applications.kit.errors import RunError
from applications.kit.sources import Export
from applications.pong import curves, evaluate, fast, pictures, study, weights
from applications.pong.config import RecipeName
from applications.pong.ranks import join
from applications.pong.recipes import KINDS, RECIPES
from applications.pong.weights import RUNS


@dataclass(frozen=True, kw_only=True)
class PongStart(Start):
    """Options of `train` beside its config."""

    recipe: RecipeName | None = None
    """Recipe to train (default: `fast`; with --resume, that of the run)."""


def train(asked: Asked) -> bool | None:
    """Train into a run folder: whether the run is complete; None but in the first rank."""
    config, folder, start = asked
    recipe = RECIPES[config.recipe]
    with join() as ranks:
        if ranks.size > 1 and recipe is not fast:
            raise RunError(
                f"the recipe {config.recipe} trains in one process: start it without torchrun"
            )
        with ranks.open(asked.open, folder, start.resume) as run:
            more = (ranks,) if recipe is fast else ()
            complete = recipe.train(config, run, *more)
        return None if ranks.rank else complete


def commands() -> Commands:
    """The command line."""
    line = Commands("pong", __doc__)
    line.add_train(train, KINDS, RUNS, lambda config: config.recipe, PongStart)
    line.add("evaluate", evaluate.evaluate, evaluate.Options, "Play, and print the mean return.")
    line.add("watch", pictures.watch, pictures.Watch, "Record a game, or show it live.")
    line.add("plot", pictures.plot, pictures.Plot, "Plot the learning curve and the weights W1.")
    line.add("curves", curves.plot, curves.Options, "Plot the learning curves of several runs.")
    line.add("study", study.study, study.Options, "Compare trainings that differ in one option.")
    line.add(
        "export",
        weights.export,
        Export,
        "Write a run's weights as a small file, with their origin.",
    )
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
