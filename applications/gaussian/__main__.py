"""A Gaussian that learns where a reward is high: `python -m applications.gaussian`."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from applications.gaussian import plot as pictures
from applications.gaussian.comparison import print_table
from applications.gaussian.config import Baseline, Config
from applications.gaussian.gaussian import START, make_baseline, make_objective
from applications.gaussian.rewards import find_reward
from applications.gaussian.training import Snapshot, gaussian_of, snapshot_of, train
from applications.kit.commands import Asked, Commands
from applications.kit.errors import OptionError, RunError
from applications.kit.files import load_state
from applications.kit.options import Amount, Count, Options, Seed, Several, Steps
from applications.kit.records import CHECKPOINT, METRICS, column, read_config, read_metrics
from applications.kit.sources import Source, run_of

RUNS = Path("runs/gaussian")
PANELS = {"samples": 80, "baseline": "none", "learning_rate": 3.0, "seed": 0}
"""The defaults of the three panels; those of learning are in `Config`."""
COMPARED = {"samples": 16, "replications": 2000, "seed": 0}
"""The defaults of the comparison of baselines."""
FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True, kw_only=True)
class Common(Source):
    """What `evaluate` and `plot` are asked; the help names what None stands for."""

    run_dir: Path | None = None
    """Run folder to use (default: no run; everything begins at the start)."""
    latest: bool = False
    """Use the run that was written to last."""
    seed: Seed | None = None
    """Seed of all draws (default: 0, or that of the run)."""
    reward: str | None = None
    """The reward: `module:function` or an image (default: the built-in regions)."""
    samples: Count | None = None
    """Draws per gradient (default: 16 in the comparison, 80 in the panels, 100 in learning)."""
    replications: Several | None = None
    """Estimates of the gradient for each baseline (default: 2000)."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(Common):
    """What `evaluate` is asked."""

    json: bool = False
    """Print one JSON object and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Plot(Common):
    """What `plot` is asked."""

    RENAMED = Config.RENAMED

    learning_rate: Amount | None = None
    """Standard deviations per half the range of the reward (default: 3.0 in the panels, 0.1 in
    learning)."""
    baseline: Baseline | None = None
    """What rewards are compared with (default: none in the panels, leave-one-out in learning)."""
    updates: Steps | None = None
    """Updates to learn for (default: 120)."""
    frames: Count = 60
    """Frames of the animation."""
    covariance: bool = False
    """Update the covariance in the panels too."""
    output: Path = Path("pictures/gaussian")
    """Folder of the pictures."""
    format: str = ",".join(FORMATS)
    """Formats of the pictures, separated by commas."""


def asked(options: Options, defaults: dict[str, Any]) -> dict[str, Any]:
    """What was given on the command line, else the default."""
    given = {name: getattr(options, name, None) for name in defaults}
    return {name: defaults[name] if value is None else value for name, value in given.items()}


def config_of(folder: Path) -> Config:
    """The config of a run."""
    return Config.from_saved(read_config(folder), f"the run in {folder}", whole=True)


def history_of(path: Path) -> list[Snapshot]:
    """What a metrics file recorded.

    Raises:
        RunError: a line is no Gaussian.
    """
    lines = read_metrics(path)
    for name in ("update", "expected_reward", "standard_error"):
        column(lines, name)
    history = []
    for line in lines:
        try:
            snapshot = snapshot_of(line)
            shapes = snapshot.gaussian.mean.shape, snapshot.gaussian.factor.shape
            if shapes != ((2,), (2, 2)):
                raise ValueError(f"mean and factor have the shapes {shapes}")
        except (TypeError, ValueError) as error:
            raise RunError(
                f"{line.where} has no mean of 2 numbers and factor of 2 × 2 ({error}): no training "
                "wrote that; put a copy of the file back, or name another run"
            ) from error
        history.append(snapshot)
    return history


def run_train(asked: Asked) -> bool:
    """Learn into a run folder: whether the run is complete."""
    config = asked.config
    reward = find_reward(config.reward)
    baseline = make_baseline(config.baseline, reward)
    make_objective(
        reward, baseline, config.samples
    )  # refuses too few samples before there is a folder
    with asked.open() as run:
        return train(config, reward, run)


def run_evaluate(options: Evaluate) -> None:
    """Compare the baselines, where everything begins or where a run arrived."""
    gaussian, reward, run = START, options.reward, run_of(options, RUNS)
    if run:
        gaussian = gaussian_of(load_state(run / CHECKPOINT))
        reward = reward or config_of(run).reward
    numbers, *_ = pictures.comparison(gaussian, find_reward(reward), **asked(options, COMPARED))
    if options.json:
        print(json.dumps(numbers))
    else:
        print_table(numbers)


def run_plot(options: Plot) -> None:
    """Make all pictures."""
    run, folder, kinds = run_of(options, RUNS), options.output, formats(options.format)
    usual, history = Config(), []
    if run:
        usual, history = config_of(run), history_of(run / METRICS)
    config = Config(**asked(options, vars(usual)))
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
    step = pictures.estimator(folder, kinds, reward, **panels)
    pictures.playground(folder, reward, step, **panels)
    numbers = pictures.baselines(folder, kinds, reward, **compared)
    history = pictures.learning(folder, reward, config, history, options.frames)
    print_table(numbers)
    first, last = history[0].expected_reward, history[-1].expected_reward
    print(f"learning: expected reward {first:+.3f} → {last:+.3f} in {history[-1].update} updates")
    print(f"pictures: {folder}; playground: {folder / 'index.html'}")


def formats(text: str) -> list[str]:
    """Some of png, svg and pdf, with commas.

    Raises:
        OptionError: there is another among them.
    """
    if unknown := set(text.split(",")) - set(FORMATS):
        raise OptionError(
            f"--format: there is no {', '.join(unknown)}: choose among {', '.join(FORMATS)}"
        )
    return text.split(",")


def commands() -> Commands:
    """The command line."""
    line = Commands("gaussian", __doc__)
    line.add_train(run_train, {"gaussian": Config}, RUNS, lambda _: "learning")
    line.add("evaluate", run_evaluate, Evaluate, "Compare the baselines with the exact gradient.")
    line.add("plot", run_plot, Plot, "Make the pictures and the playground.")
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
