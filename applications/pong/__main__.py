"""`python -m applications.pong`: train, evaluate, watch, plot."""

import argparse
import sys
from pathlib import Path

import ale_py

from applications.pong import blog
from applications.pong.games import find_game
from applications.runs import Run, run_command

RECIPES = {"blog": blog}


def train(options: argparse.Namespace) -> int:
    recipe = RECIPES[options.recipe]
    asked = {
        name: getattr(options, name)
        for name in recipe.Config.__dataclass_fields__
        if getattr(options, name, None) is not None
    }
    asked["game"] = find_game(options.game)
    config = recipe.Config(**asked)
    folder = options.run_dir or Path("runs", "pong", f"{config.recipe}-{config.game}-{config.seed}")
    run = Run(folder, config, options.resume, recipe.FREE)
    try:
        complete = recipe.train(config, run)
    finally:
        run.close()
    print(f"{'done' if complete else 'stopped'}: {folder}")
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m applications.pong", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="command")
    one = commands.add_parser("train", help="train a policy from pixels")
    one.set_defaults(command=train)
    one.add_argument("--recipe", choices=RECIPES, default="blog")
    one.add_argument("--game", default="pong")
    one.add_argument("--episodes", type=int)
    one.add_argument("--seconds", type=float)
    one.add_argument("--seed", type=int)
    one.add_argument("--environments", type=int)
    one.add_argument("--batch-episodes", type=int)
    one.add_argument("--sticky", type=float)
    one.add_argument("--learning-rate", type=float)
    one.add_argument("--run-dir", type=Path)
    one.add_argument("--resume", action="store_true")
    return top


def main(arguments: list[str] | None = None) -> int:
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    options = parser().parse_args(arguments)
    return run_command(lambda: options.command(options))


if __name__ == "__main__":
    sys.exit(main())
