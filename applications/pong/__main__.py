"""Pong from pixels: `python -m applications.pong train | evaluate | export | watch | plot`."""

import argparse
import sys
from pathlib import Path

import ale_py

from applications.commands import Commands, add_run_options, number, prepare
from applications.pong import blog, evaluate, pictures, weights
from applications.pong.games import find_game
from applications.runs import Run

RECIPES = {"blog": blog}
RUNS = Path("runs/pong")


def train(options: argparse.Namespace) -> None:
    """Train, live, into a run folder."""
    recipe = RECIPES[options.recipe]
    options.game = options.game and find_game(options.game)
    config, folder = prepare(recipe.Config, options, RUNS, options.recipe, recipe.LIMITS)
    with Run(folder, config, options.resume, recipe.LIMITS) as run:
        complete = recipe.train(config, run)
    go_on = f"go on with: python -m applications.pong train --resume --run-dir {folder}"
    print(f"the run is in {folder}" if complete else f"stopped at a checkpoint; {go_on}")


def commands() -> Commands:
    """The command line."""
    all = Commands("pong", __doc__)

    one = all.add(
        "train",
        train,
        "Train from pixels; Ctrl-C stops at a checkpoint. Games in flight start anew on --resume.",
    )
    one.add_argument(
        "--recipe", choices=RECIPES, default="blog", help="what to train (%(default)s)"
    )
    one.add_argument("--game", help="any game of the emulator (pong)")
    one.add_argument("--episodes", type=number(int, 1), help="stop after so many in all (8000)")
    one.add_argument("--environments", type=number(int, 1), help="games in flight (16)")
    one.add_argument("--batch-episodes", type=number(int, 1), help="episodes per update (10)")
    one.add_argument(
        "--sticky", type=number(float, 0, 1), help="probability of a repeated action (0.25)"
    )
    one.add_argument("--learning-rate", type=number(float, 0), help="of RMSProp (1e-4)")
    add_run_options(one, blog.LIMITS)

    one = all.add("evaluate", evaluate.evaluate, "Play, and print the mean return.")
    one.add_argument(
        "--environment",
        help="'training' for the settings trained with, or an id such as ALE/Pong-v5 (both)",
    )
    one.add_argument("--episodes", type=number(int, 1), default=100, help="(%(default)s)")
    one.add_argument("--seed", type=number(int, 0), default=0, help="(%(default)s)")
    one.add_argument("--greedy", action="store_true", help="the likeliest move, not a draw")
    one.add_argument("--json", action="store_true", help="one JSON object, nothing else")

    one = all.add("watch", pictures.watch, "Record a game as MP4 or GIF.")
    one.add_argument("--output", type=Path, default=Path("pong.mp4"), help="(%(default)s)")
    one.add_argument("--seed", type=number(int, 0), default=0, help="(%(default)s)")
    one.add_argument("--greedy", action="store_true", help="the likeliest move, not a draw")
    one.add_argument("--steps", type=number(int, 1), help="at most so many agent steps (one game)")

    one = all.add("plot", pictures.plot, "Draw the learning curve and the weights W1.")
    one.add_argument("--output", type=Path, help="folder for the pictures (the run folder)")
    one.add_argument("--format", choices=("png", "svg", "pdf"), default="png", help="(%(default)s)")

    one = all.add("export", weights.export, "Write a run's weights, small, with their provenance.")
    one.add_argument("--output", type=Path, default=weights.SHIPPED, help="(%(default)s)")
    return all


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
