"""Pong from pixels: the command line, `python -m applications.pong`."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import ale_py

from applications.kit.commands import (
    Commands,
    add_run_options,
    number,
    option,
    prepare,
    seed,
    seeds,
    tell_end,
)
from applications.kit.errors import RunError
from applications.kit.run import Run, latest_folder, read_config
from applications.pong import blog, cross_entropy, curves, evaluate, fast, pictures, study, weights
from applications.pong.frames import SIGHTS
from applications.pong.games import find_game
from applications.pong.learner import TRUST
from applications.pong.policy import NETWORKS
from applications.pong.ranks import join
from applications.pong.weights import RUNS

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
            raise RunError(f"{option(name)} is no option of the recipe {recipe.Config.recipe}")
    options.game = options.game and find_game(options.game)
    config, folder = prepare(recipe.Config, options, RUNS, recipe.Config.recipe)
    for what, given, other in NEEDED:
        title, *names = what.split()
        for name in names:
            if title == config.recipe and getattr(options, name) is not None and not given(config):
                raise RunError(f"{option(name)} does nothing without {other}")
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


SWITCH = argparse.BooleanOptionalAction
OPTIONS: dict[str, dict[str, Any]] = {
    "environments": {"type": number(int, 1), "help": "games in flight, of each process"},
    "sticky": {"type": number(float, 0, 1), "help": "probability of a repeated action"},
    "hidden": {"type": number(int, 1), "help": "hidden units"},
    "discount": {"type": number(float, 0, 1), "help": "γ, per step"},
    "learning_rate": {"type": number(float, 0), "help": "step size; fast: 3e-4 after imitation"},
    "steps": {"type": number(int, 0), "help": "of the agent without sticky actions"},
    "sticky_steps": {"type": number(int, 0), "help": "with them, after that"},
    "horizon": {"type": number(int, 2), "help": "steps of a game in a roll-out"},
    "frames": {"choices": SIGHTS, "help": "what the policy sees"},
    "shuffle": {"action": SWITCH, "help": "the pixels' order"},
    "rest": {"action": SWITCH, "help": "a third move in Pong: none"},
    "network": {"choices": NETWORKS, "help": "what sees it; apart, unless --trust is clip"},
    "trace": {"type": number(float, 0, 1), "help": "λ of the advantages"},
    "cut": {"action": SWITCH, "help": "credit ends with a point; not so in other games than Pong"},
    "baseline": {"action": SWITCH, "help": "subtract what is expected"},
    "standardize": {"action": SWITCH, "help": "the advantages of a roll-out"},
    "trust": {"choices": TRUST, "help": "what a roll-out's change is bounded by"},
    "clip": {"type": number(float, 1e-3), "help": "of the ratio of probabilities"},
    "bound": {"type": number(float, 1e-9), "help": "of the divergence, nats"},
    "epochs": {"type": number(int, 1), "help": "a step is learned from so often"},
    "minibatch": {"type": number(int, 2), "help": "steps per update of the weights"},
    "entropy": {"type": number(float, 0), "help": "reward of entropy, per nat"},
    "value": {"type": number(float, 0), "help": "weight of the expected return's error"},
    "patience": {
        "type": number(int, 1),
        "help": "the second stage's roll-outs and minibatches are so many times longer",
    },
    "caution": {"type": number(float, 0), "help": "its step size is so many times as large"},
    "l2": {"type": number(float, 0), "help": "decay of the weights"},
    "start": {"help": "a run folder whose policy to begin with, or 'shipped'"},
    "imitation_steps": {"type": number(int, 0), "help": "in which a teacher is imitated first"},
    "imitation_rate": {"type": number(float, 0), "help": "step size of that"},
    "teacher": {"help": "its run folder, if not the policy that is shipped"},
    "film_minutes": {"type": number(float, 0), "help": "film the policy every so often"},
    "credit": {"choices": blog.CREDITS, "help": "what a move is credited with"},
    "decay": {"type": number(float, 0, 1), "help": "RMSProp's, per update"},
    "episodes": {"type": number(int, 1), "help": "stop after so many in all"},
    "batch_episodes": {"type": number(int, 1), "help": "episodes per update"},
    "generations": {"type": number(int, 1), "help": "stop after so many in all"},
    "population": {"type": number(int, 2), "help": "policies of a generation"},
    "elite": {"type": number(int, 2), "help": "how many of them are kept"},
    "spread": {"type": number(float, 0), "help": "deviation at first"},
    "noise": {"type": number(float, 0), "help": "variance added at first"},
    "fade": {"type": number(int, 1), "help": "generations until none is"},
    "block_height": {"type": number(int, 1, 80), "help": "of its pixels"},
    "block_width": {"type": number(int, 1, 80), "help": "of its pixels"},
}
"""Of training; which of them a recipe has and what they are by default, its config says."""
NEEDED: list[tuple[str, Callable[[Any], bool], str]] = [
    ("fast sticky patience caution", lambda config: config.sticky_steps > 0, "--sticky-steps"),
    ("fast imitation_rate teacher", lambda config: config.imitation_steps > 0, "--imitation-steps"),
    ("fast clip value", lambda config: config.trust == "clip", "--trust clip"),
    ("fast bound", lambda config: config.trust != "clip", "--trust line or natural"),
    ("fast rest", lambda config: config.game == "pong", "--game pong"),
    ("cross-entropy rest", lambda config: config.game == "pong", "--game pong"),
    ("blog discount", lambda config: config.credit == "discounted", "--credit discounted"),
]
"""A recipe and options of it that do nothing unless something is so, and what makes it so."""
GREEDY = "the likeliest move, not a draw: without sticky actions all games are the same then"


def commands() -> Commands:
    """The command line."""
    line = Commands("pong", __doc__)

    one = line.add(
        "train",
        train,
        "Train from pixels; Ctrl-C stops at a checkpoint. Games in flight start anew on --resume.",
    )
    one.add_argument("--recipe", choices=RECIPES, help="what to train (fast)")
    one.add_argument("--game", help="any game of the emulator (pong)")
    for name, settings in OPTIONS.items():
        text = f"{settings['help']} {defaults(name)}".replace("%", "%%")
        one.add_argument(option(name), **{**settings, "help": text})
    add_run_options(one, ("seconds", "episodes", "generations", "film_minutes"))

    one = line.add("evaluate", evaluate.evaluate, "Play, and print the mean return.")
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

    one = line.add("watch", pictures.watch, "Record a game as MP4 or GIF, or show it live.")
    add_recipe(one)
    one.add_argument("--live", action="store_true", help="show it in a window, write no film")
    one.add_argument("--output", type=Path, help=f"({pictures.FILM})")
    one.add_argument("--seed", type=seed, default=0, help="(%(default)s)")
    one.add_argument("--greedy", action="store_true", help=GREEDY)
    one.add_argument("--steps", type=number(int, 1), help="at most so many agent steps (one game)")

    one = line.add("plot", pictures.plot, "Draw the learning curve and the weights W1.")
    add_recipe(one)
    one.add_argument("--output", type=Path, help="folder (the run folder, or pictures)")
    one.add_argument("--format", choices=("png", "svg", "pdf"), default="png", help="(%(default)s)")

    text = "Draw the learning curves of several runs, with bands."
    one = line.add("curves", curves.plot, text, folder=None)
    one.add_argument("runs", nargs="+", type=Path, help="run folders")
    one.add_argument("--output", type=Path, default=Path("curves.png"), help="(%(default)s)")

    text = "Compare trainings that differ in one option; again, it goes on where it stopped."
    where = "where its runs and curves.png are (runs/pong/study-NAME)"
    one = line.add("study", study.study, text, folder=where)
    one.add_argument("name", choices=study.STUDIES, help="which")
    one.add_argument("--seeds", type=seeds, default=seeds("0"), help="FIRST-LAST (0)")
    one.add_argument("--variants", nargs="+", metavar="VARIANT", help="only these of it (all)")

    one = line.add("export", weights.export, "Write a run's weights, small, with their provenance.")
    one.add_argument("--output", type=Path, help="a file (where the shipped ones are)")
    return line


def defaults(name: str) -> str:
    """What an option is by default, of each recipe that has it: `(.25; cross-entropy 0)`."""
    told: dict[str, list[str]] = {}
    for title, recipe in RECIPES.items():
        usual = recipe.Config()
        if hasattr(usual, name):
            told.setdefault(shown(getattr(usual, name)), []).append(title)
    everywhere = len(told) == 1 and "fast" in next(iter(told.values()))
    parts = told if everywhere else [f"{', '.join(who)} {what}" for what, who in told.items()]
    return f"({'; '.join(parts)})"


def shown(value: Any) -> str:
    """A default as `--help` tells it."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return value if isinstance(value, str) else f"{value:,}"


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
