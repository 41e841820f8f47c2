"""Pong from pixels: the command line, `python -m applications.pong`."""

import argparse
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import ale_py

from applications.commands import Commands, add_run_options, number, prepare, seed, seeds, tell_end
from applications.pong import blog, cross_entropy, curves, evaluate, fast, pictures, study, weights
from applications.pong.frames import SIGHTS
from applications.pong.games import find_game
from applications.pong.learner import TRUST
from applications.pong.policy import NETWORKS
from applications.pong.ranks import join
from applications.pong.weights import RUNS
from applications.runs import Run, RunError, latest_folder, read_config

RECIPES = {"fast": fast, "blog": blog, "cross-entropy": cross_entropy}


def train(options: argparse.Namespace) -> None:
    """Train, live, into a run folder."""
    if options.resume and options.run_dir is None:
        had = {"recipe": options.recipe} if options.recipe else {}
        options.run_dir = latest_folder(RUNS, **had)
    if options.resume and options.recipe is None:
        options.recipe = read_config(options.run_dir).get("recipe")
    recipe = RECIPES[options.recipe or "fast"]
    known = {field.name for field in fields(recipe.Config)}
    for name in OPTIONS:
        if name not in known and getattr(options, name) is not None:
            option = "--" + name.replace("_", "-")
            raise RunError(f"{option} is no option of the recipe {recipe.Config.recipe}")
    options.game = options.game and find_game(options.game)
    config, folder = prepare(recipe.Config, options, RUNS, recipe.Config.recipe)
    with join() as ranks:
        if ranks.size > 1 and recipe is not fast:
            name = recipe.Config.recipe
            raise RunError(f"the recipe {name} trains in one process: start it without torchrun")
        opening = partial(Run, folder, config, options.resume, recipe.LIMITS)
        with ranks.open(opening, folder, options.resume) as run:
            more = (ranks,) if recipe is fast else ()
            complete = recipe.train(config, run, *more)
        if ranks.rank:
            return
    tell_end("pong", folder, complete)


OPTIONS: dict[str, dict[str, Any]] = {
    "environments": {
        "type": number(int, 1),
        "help": "games in flight, of each process (32; blog 16)",
    },
    "sticky": {
        "type": number(float, 0, 1),
        "help": "probability of a repeated action (.25; cross-entropy 0)",
    },
    "hidden": {"type": number(int, 1), "help": "units (128; blog 200)"},
    "discount": {"type": number(float, 0, 1), "help": "per step (.99)"},
    "learning_rate": {
        "type": number(float, 0),
        "help": "(2.5e-3, after imitation 3e-4; blog 1e-4)",
    },
    "steps": {"type": number(int, 0), "help": "of the agent without sticky actions (700,000)"},
    "sticky_steps": {"type": number(int, 0), "help": "with them, after that (3,000,000)"},
    "horizon": {
        "type": number(int, 2),
        "help": "steps of a game in a roll-out (64; cross-entropy 400)",
    },
    "frames": {"choices": SIGHTS, "help": "what the policy sees (pair)"},
    "shuffle": {"action": argparse.BooleanOptionalAction, "help": "the pixels' order (not so)"},
    "rest": {
        "action": argparse.BooleanOptionalAction,
        "help": "a third move in Pong: none (so; cross-entropy: not so)",
    },
    "network": {"choices": NETWORKS, "help": "(dense)"},
    "trace": {"type": number(float, 0, 1), "help": "of the advantages (.95)"},
    "cut": {"action": argparse.BooleanOptionalAction, "help": "credit at each point (in Pong)"},
    "baseline": {
        "action": argparse.BooleanOptionalAction,
        "help": "subtract what is expected (so)",
    },
    "standardize": {"action": argparse.BooleanOptionalAction, "help": "advantages (so)"},
    "trust": {"choices": TRUST, "help": "what a roll-out's change is bounded by (clip)"},
    "clip": {"type": number(float, 1e-3), "help": "of the ratio of probabilities (.2)"},
    "bound": {"type": number(float, 1e-9), "help": "line, natural: of the divergence, nats (.01)"},
    "epochs": {"type": number(int, 1), "help": "a step is learned from so often (10)"},
    "minibatch": {"type": number(int, 2), "help": "steps per update of the weights (512)"},
    "entropy": {"type": number(float, 0), "help": "reward of entropy, per nat (.01)"},
    "value": {"type": number(float, 0), "help": "weight of the expected return's error (.5)"},
    "patience": {
        "type": number(int, 1),
        "help": "the second stage's roll-outs and minibatches are so many times longer (4)",
    },
    "caution": {"type": number(float, 0), "help": "its step size is so many times as large (.6)"},
    "l2": {"type": number(float, 0), "help": "decay of the weights (.01)"},
    "start": {"help": "a run folder whose policy to begin with, or 'shipped'"},
    "imitation_steps": {"type": number(int, 0), "help": "in which a teacher is imitated first (0)"},
    "imitation_rate": {"type": number(float, 0), "help": "learning rate of that (2.5e-3)"},
    "teacher": {"help": "its run folder (the policy that is shipped)"},
    "film_minutes": {"type": number(float, 0), "help": "film the policy every so often (never)"},
    "credit": {"choices": blog.CREDITS, "help": "blog: what a move is credited with (discounted)"},
    "decay": {"type": number(float, 0, 1), "help": "blog: RMSProp's, per update (.99)"},
    "episodes": {"type": number(int, 1), "help": "blog: stop after so many in all (8000)"},
    "batch_episodes": {"type": number(int, 1), "help": "blog: episodes per update (10)"},
    "generations": {"type": number(int, 1), "help": "cross-entropy: stop after so many (100)"},
    "population": {"type": number(int, 2), "help": "cross-entropy: policies of one (64)"},
    "elite": {"type": number(int, 2), "help": "cross-entropy: how many are kept (16)"},
    "spread": {"type": number(float, 0), "help": "cross-entropy: deviation at first (.25)"},
    "noise": {"type": number(float, 0), "help": "cross-entropy: variance added at first (.00625)"},
    "fade": {"type": number(int, 1), "help": "cross-entropy: generations until none is (100)"},
    "block_height": {"type": number(int, 1, 80), "help": "cross-entropy: of its pixels (16)"},
    "block_width": {"type": number(int, 1, 80), "help": "cross-entropy: of its pixels (20)"},
}
"""Of training; which of them a recipe has, its config says."""
GREEDY = "the likeliest move, not a draw: without sticky actions all games are the same then"


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
    add_run_options(one, ("seconds", "episodes", "generations", "film_minutes"))

    one = all.add("evaluate", evaluate.evaluate, "Play, and print the mean return.")
    add_recipe(one)
    one.add_argument(
        "--environment",
        help="'training' for the settings trained with, or an id such as ALE/Pong-v5 (both; with "
        "--json the game's own id)",
    )
    one.add_argument("--episodes", type=number(int, 1), default=100, help="(%(default)s)")
    one.add_argument("--seed", type=seed, default=0, help="(%(default)s)")
    one.add_argument("--greedy", action="store_true", help=GREEDY)
    one.add_argument("--json", action="store_true", help="one JSON object, nothing else")

    one = all.add("watch", pictures.watch, "Record a game as MP4 or GIF, or show it live.")
    add_recipe(one)
    one.add_argument("--live", action="store_true", help="show it in a window, write no film")
    one.add_argument("--output", type=Path, help=f"({pictures.FILM})")
    one.add_argument("--seed", type=seed, default=0, help="(%(default)s)")
    one.add_argument("--greedy", action="store_true", help=GREEDY)
    one.add_argument("--steps", type=number(int, 1), help="at most so many agent steps (one game)")

    one = all.add("plot", pictures.plot, "Draw the learning curve and the weights W1.")
    add_recipe(one)
    one.add_argument("--output", type=Path, help="folder (the run folder, or pictures)")
    one.add_argument("--format", choices=("png", "svg", "pdf"), default="png", help="(%(default)s)")

    one = all.add("curves", curves.plot, "Draw the learning curves of several runs, with bands.")
    one.add_argument("runs", nargs="+", type=Path, help="run folders")
    one.add_argument("--output", type=Path, default=Path("curves.png"), help="(%(default)s)")

    one = all.add("study", study.study, "Compare trainings that differ in one option.")
    one.add_argument("name", choices=study.STUDIES, help="which")
    one.add_argument("--seeds", type=seeds, default=seeds("0"), help="FIRST-LAST (0)")
    one.add_argument("--variants", nargs="+", metavar="VARIANT", help="only these of it (all)")

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
