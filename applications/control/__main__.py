"""Classic control: `python -m applications.control train`, `evaluate`, `plot`."""

import argparse
import sys
from pathlib import Path

from applications.control import evaluate, pictures
from applications.control.config import LIMITS, METHODS, RUNS, Config
from applications.control.environments import TASKS
from applications.control.training import train as train_policy
from applications.kit.commands import Commands, add_run_options, number, prepare, seed, tell_end
from applications.kit.run import Run


def train(options: argparse.Namespace) -> None:
    """Train, live, into a run folder."""
    method, environment = options.method or Config.method, options.environment or Config.environment
    config, folder = prepare(Config, options, RUNS, f"{environment}-{method}")
    with Run(folder, config, options.resume, LIMITS) as run:
        complete = train_policy(config, run)
    tell_end("control", folder, complete)


def commands() -> Commands:
    """The command line."""
    all = Commands("control", __doc__)

    one = all.add("train", train, "Train a policy; Ctrl-C stops at a checkpoint.")
    one.add_argument("--method", choices=METHODS, help="(cross-entropy)")
    one.add_argument("--environment", choices=TASKS, help="(CartPole-v1)")
    one.add_argument("--units", type=number(int, 0), help="hidden (64; cross-entropy: 0, linear)")
    one.add_argument("--population", type=number(int, 2), help="of cross-entropy (50)")
    one.add_argument("--bound", type=number(float, 1e-9), help="of the trust region, nats (0.02)")
    one.add_argument(
        "--natural",
        action=argparse.BooleanOptionalAction,
        help="whether the trust region follows the natural gradient (so)",
    )
    one.add_argument(
        "--learning-rate", type=number(float, 0), help="of the score function's policy (1e-2)"
    )
    one.add_argument("--steps", type=number(int, 1), help="agent steps to take (20,000 to 300,000)")
    add_run_options(one, LIMITS)

    one = all.add("evaluate", evaluate.evaluate, "Play without exploring; tell the mean return.")
    one.add_argument(
        "--episodes", type=number(int, 2), default=evaluate.EPISODES, help="(%(default)s)"
    )
    one.add_argument("--seed", type=seed, default=0, help="of episodes (%(default)s)")
    one.add_argument("--json", action="store_true", help="one JSON object, nothing else")

    one = all.add("plot", pictures.plot, "Draw return against agent steps, several runs in one.")
    one.add_argument("runs", nargs="*", type=Path, help="run folders (all in runs/control)")
    one.add_argument("--output", type=Path, help="folder (pictures/control)")
    one.add_argument("--format", choices=pictures.FORMATS, default="png", help="(%(default)s)")
    return all


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
