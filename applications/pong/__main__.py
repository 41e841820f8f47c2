"""Pong from pixels: `python -m applications.pong train | evaluate | export | watch | plot`."""

import argparse
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import ale_py

from applications.commands import Commands, add_run_options, number, prepare, tell_end
from applications.pong import blog, curves, evaluate, fast, pictures, weights
from applications.pong.frames import SIGHTS
from applications.pong.games import find_game
from applications.pong.policy import NETWORKS
from applications.pong.ranks import join
from applications.runs import Run, RunError, latest_folder, read_config

RECIPES = {"fast": fast, "blog": blog}
RUNS = Path("runs/pong")


def train(options: argparse.Namespace) -> None:
    """Train, live, into a run folder."""
    if options.resume and options.run_dir is None:
        options.run_dir = latest_folder(RUNS)
    if options.resume and options.recipe is None:
        options.recipe = read_config(options.run_dir)["recipe"]
    recipe = RECIPES[options.recipe or "fast"]
    known = {field.name for field in fields(recipe.Config)}
    for name in OPTIONS:
        if name not in known and getattr(options, name) is not None:
            option = "--" + name.replace("_", "-")
            raise RunError(f"{option} is no option of the recipe {recipe.Config.recipe}")
    options.game = options.game and find_game(options.game)
    config, folder = prepare(recipe.Config, options, RUNS, recipe.Config.recipe, recipe.LIMITS)
    with join() as ranks:
        if ranks.size > 1 and recipe is blog:
            raise RunError("the recipe blog trains in one process: start it without torchrun")
        opening = partial(Run, folder, config, options.resume, recipe.LIMITS)
        with ranks.open(opening, folder, options.resume) as run:
            complete = fast.train(config, run, ranks) if recipe is fast else blog.train(config, run)
        if ranks.rank:
            return
    tell_end("pong", folder, complete)


OPTIONS: dict[str, dict[str, Any]] = {
    "environments": {"type": number(int, 1), "help": "games in flight (32; blog 16)"},
    "sticky": {"type": number(float, 0, 1), "help": "probability of a repeated action (.25)"},
    "hidden": {"type": number(int, 1), "help": "units (128; blog 200)"},
    "discount": {"type": number(float, 0, 1), "help": "per step (.99)"},
    "learning_rate": {"type": number(float, 0), "help": "(2.5e-3; blog 1e-4)"},
    "steps": {"type": number(int, 0), "help": "of the agent without sticky actions (1,400,000)"},
    "sticky_steps": {"type": number(int, 0), "help": "with them, after that (2,400,000)"},
    "horizon": {"type": number(int, 2), "help": "steps of a game in a roll-out (64)"},
    "frames": {"choices": SIGHTS, "help": "what the policy sees (pair)"},
    "shuffle": {"action": argparse.BooleanOptionalAction, "help": "the pixels' order (not so)"},
    "rest": {"action": argparse.BooleanOptionalAction, "help": "a third move in Pong: none (so)"},
    "network": {"choices": NETWORKS, "help": "(dense)"},
    "trace": {"type": number(float, 0, 1), "help": "of the advantages (.95)"},
    "cut": {"action": argparse.BooleanOptionalAction, "help": "credit at each point (so)"},
    "standardize": {"action": argparse.BooleanOptionalAction, "help": "advantages (so)"},
    "clip": {"type": number(float, 1e-3), "help": "of the ratio of probabilities (.2)"},
    "epochs": {"type": number(int, 1), "help": "a step is learned from so often (10)"},
    "minibatch": {"type": number(int, 2), "help": "steps per update of the weights (512)"},
    "entropy": {"type": number(float, 0), "help": "reward of entropy, points per nat (.01)"},
    "l2": {"type": number(float, 0), "help": "decay of the weights (.01)"},
    "start": {"help": "a run folder whose policy to begin with"},
    "credit": {"choices": blog.CREDITS, "help": "blog: what a move is credited with (discounted)"},
    "episodes": {"type": number(int, 1), "help": "blog: stop after so many in all (8000)"},
    "batch_episodes": {"type": number(int, 1), "help": "blog: episodes per update (10)"},
}
"""Of training; which of them a recipe has, its config says."""


def commands() -> Commands:
    """The command line."""
    all = Commands("pong", __doc__)

    one = all.add(
        "train",
        train,
        "Train from pixels; Ctrl-C stops at a checkpoint. Games in flight start anew on --resume.",
    )
    one.add_argument("--recipe", choices=RECIPES, help="what to train (fast)")
    one.add_argument("--game", help="any game of the emulator (pong)")
    for name, settings in OPTIONS.items():
        one.add_argument("--" + name.replace("_", "-"), **settings)
    add_run_options(one, ("seconds", "episodes"))

    one = all.add("evaluate", evaluate.evaluate, "Play, and print the mean return.")
    add_recipe(one)
    one.add_argument(
        "--environment",
        help="'training' for the settings trained with, or an id such as ALE/Pong-v5 (both)",
    )
    one.add_argument("--episodes", type=number(int, 1), default=100, help="(%(default)s)")
    one.add_argument("--seed", type=number(int, 0), default=0, help="(%(default)s)")
    one.add_argument("--greedy", action="store_true", help="the likeliest move, not a draw")
    one.add_argument("--json", action="store_true", help="one JSON object, nothing else")

    one = all.add("watch", pictures.watch, "Record a game as MP4 or GIF.")
    add_recipe(one)
    one.add_argument("--output", type=Path, default=Path("pong.mp4"), help="(%(default)s)")
    one.add_argument("--seed", type=number(int, 0), default=0, help="(%(default)s)")
    one.add_argument("--greedy", action="store_true", help="the likeliest move, not a draw")
    one.add_argument("--steps", type=number(int, 1), help="at most so many agent steps (one game)")

    one = all.add("plot", pictures.plot, "Draw the learning curve and the weights W1.")
    add_recipe(one)
    one.add_argument("--output", type=Path, help="folder for the pictures (the run folder)")
    one.add_argument("--format", choices=("png", "svg", "pdf"), default="png", help="(%(default)s)")

    one = all.add("curves", curves.plot, "Draw the learning curves of several runs, with bands.")
    one.add_argument("runs", nargs="+", type=Path, help="run folders")
    one.add_argument("--output", type=Path, default=Path("curves.png"), help="(%(default)s)")

    one = all.add("export", weights.export, "Write a run's weights, small, with their provenance.")
    one.add_argument("--output", type=Path, help="a file (where the shipped ones are)")
    return all


def add_recipe(one: argparse.ArgumentParser) -> None:
    """Which shipped policy a command takes."""
    one.add_argument(
        "--recipe", choices=RECIPES, default="fast", help="of the shipped policy (%(default)s)"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
