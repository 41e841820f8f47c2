"""A Gaussian that learns where a reward is high: `python -m applications.gaussian`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from applications.gaussian import plot as pictures
from applications.gaussian.comparison import print_table
from applications.gaussian.gaussian import BASELINES, START, make_baseline, make_objective
from applications.gaussian.rewards import find_reward
from applications.gaussian.training import LIMITS, Config, gaussian_of, snapshot_of, train
from applications.kit.commands import Commands, number, prepare, seed
from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, METRICS, Run, read_config, read_metrics

RUNS = Path("runs/gaussian")
PANELS = {"samples": 80, "baseline": "none", "learning_rate": 3.0, "seed": 0}
"""The defaults of the three panels; those of learning are in `Config`."""
COMPARED = {"samples": 16, "replications": 2000, "seed": 0}
"""The defaults of the comparison of baselines."""
FORMATS = ("png", "svg", "pdf")


def asked(options: argparse.Namespace, defaults: dict[str, Any]) -> dict[str, Any]:
    """What was given on the command line, else the default."""
    given = {name: getattr(options, name, None) for name in defaults}
    return {name: defaults[name] if value is None else value for name, value in given.items()}


def config_of(folder: Path) -> dict[str, Any]:
    """The fields of `Config` in a run's folder.

    Raises:
        RunError: a field is missing, as in the run of another version or application.
    """
    stored, names = read_config(folder), list(vars(Config()))
    if missing := [name for name in names if name not in stored]:
        raise RunError(
            f"{folder} holds a run of another version or application: its config has no "
            f"{', '.join(missing)}; train again"
        )
    return {name: stored[name] for name in names}


def run_train(options: argparse.Namespace) -> None:
    """Learn into a run folder."""
    config, folder = prepare(Config, options, RUNS, "learning")
    reward = find_reward(config.reward)
    baseline = make_baseline(config.baseline, reward)
    make_objective(
        reward, baseline, config.samples
    )  # refuses too few samples before there is a folder
    with Run(folder, config, options.resume, LIMITS) as run:
        complete = train(config, reward, run)
    print(f"the run is in {folder}" if complete else f"stopped; go on: --resume --run-dir {folder}")


def run_evaluate(options: argparse.Namespace) -> None:
    """Compare the baselines, where everything begins or where a run arrived."""
    gaussian, reward = START, options.reward
    if options.run_dir:
        gaussian = gaussian_of(load_state(options.run_dir / CHECKPOINT))
        reward = reward or config_of(options.run_dir)["reward"]
    numbers, *_ = pictures.comparison(gaussian, find_reward(reward), **asked(options, COMPARED))
    if options.json:
        print(json.dumps(numbers))
    else:
        print_table(numbers)


def run_plot(options: argparse.Namespace) -> None:
    """Make all pictures."""
    defaults, metrics, folder = vars(Config()), [], options.output
    if options.run_dir:
        defaults, metrics = config_of(options.run_dir), read_metrics(options.run_dir / METRICS)
    config = Config(**asked(options, defaults))
    reward = find_reward(config.reward)
    # Too few samples for a baseline are refused before there is a folder.
    make_objective(reward, make_baseline(config.baseline, reward), config.samples)
    compared = asked(options, COMPARED)
    make_objective(reward, make_baseline("leave-one-out", reward), compared["samples"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made ({error.strerror})") from error
    panels = asked(options, PANELS)
    panels["covariance"] = options.covariance
    step = pictures.estimator(folder, options.format, reward, **panels)
    pictures.playground(folder, reward, step, **panels)
    numbers = pictures.baselines(folder, options.format, reward, **compared)
    history = [snapshot_of(line) for line in metrics]
    history = pictures.learning(folder, reward, config, history, options.frames)
    print_table(numbers)
    first, last = history[0].expected_reward, history[-1].expected_reward
    print(f"learning: expected reward {first:+.3f} → {last:+.3f} in {history[-1].update} updates")
    print(f"pictures: {folder}; playground: {folder / 'index.html'}")


def formats(text: str) -> list[str]:
    """A `type=` for argparse: some of png, svg and pdf, with commas."""
    if unknown := set(text.split(",")) - set(FORMATS):
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}: choose among {list(FORMATS)}")
    return text.split(",")


def commands() -> Commands:
    """The command line."""
    all = Commands("gaussian", __doc__)

    def command(name: str, run, help: str) -> argparse.ArgumentParser:
        one = all.add(name, run, help)
        one.add_argument("--seed", type=seed, help="fixes every draw (0)")
        one.add_argument("--reward", help="module:function or an image file: what is to be raised")
        samples = "draws per gradient (panels 80, learning 100, comparison 16)"
        one.add_argument("--samples", type=number(int, 1), help=samples)
        return one

    def learner(one: argparse.ArgumentParser, rates: str) -> None:
        rate = f"standard deviations per half the range of the reward ({rates})"
        one.add_argument("--learning-rate", type=number(float, 0), help=rate)
        one.add_argument("--baseline", choices=BASELINES, help="what rewards are compared with")
        one.add_argument("--steps", type=number(int, 0), help="updates to learn for (120)")

    one = command("train", run_train, "Learn mean and covariance; Ctrl-C stops at a checkpoint.")
    learner(one, "0.1")
    one.add_argument("--seconds", type=number(float, 0), help="stop after so many in all (never)")
    one.add_argument("--resume", action="store_true", help="go on with the run folder")

    one = command("evaluate", run_evaluate, "Compare the baselines with the exact gradient.")
    one.add_argument("--replications", type=number(int, 2), help="estimates per baseline (2000)")
    one.add_argument("--json", action="store_true", help="one JSON object, nothing else")

    one = command("plot", run_plot, "Make the pictures and the playground.")
    learner(one, "panels 3, learning 0.1")
    one.add_argument("--replications", type=number(int, 2), help="dots per baseline (2000)")
    one.add_argument("--frames", type=number(int, 1), default=60, help="of the animation (60)")
    one.add_argument("--covariance", action="store_true", help="update it in the panels too")
    output = Path("pictures/gaussian")
    one.add_argument("--output", type=Path, default=output, help="folder (%(default)s)")
    one.add_argument("--format", type=formats, default=FORMATS, help="some of png,svg,pdf (all)")
    return all


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; returns the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
