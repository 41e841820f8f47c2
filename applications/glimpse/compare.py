"""How estimators of the locator's gradient compare when each makes as many evaluations.

An evaluation is one path of glimpses over one image. A gradient is made of B images with K paths
each, and B · K is the same for all: a path more for one image is an image less. So two variances
are told: that of a gradient over fresh batches, which a training suffers, and the part of it that
the draws of locations make, which would be left if the images were always the same.

`pathwise` is the contrast. It differentiates the smooth retina, which sees between pixels, and is
unbiased for that; what the retina of whole pixels sees, by which all others train, does not move
with a location that moves a little. The two see slightly different things, so the objectives
differ slightly as well.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from rich.console import Console
from rich.table import Table

from applications.glimpse import data, weights
from applications.glimpse.config import Config, TaskName
from applications.glimpse.data import Images
from applications.glimpse.gradients import Tell, measure, spread
from applications.glimpse.model import GlimpseModel
from applications.glimpse.style import PICTURES
from applications.glimpse.training import Trainer, choose_precision
from applications.kit import figures as style
from applications.kit.display import Display, duration, plain_table
from applications.kit.errors import RunError
from applications.kit.options import Range, Seed

CASES: dict[str, dict[str, Any]] = {
    "none": {"baseline": "none"},
    "average": {"baseline": "average"},
    "learned": {"baseline": "learned"},
    "leave-one-out 2": {"baseline": "leave-one-out", "samples": 2},
    "leave-one-out 4": {"baseline": "leave-one-out", "samples": 4},
    "leave-one-out 8": {"baseline": "leave-one-out", "samples": 8},
    "both 4": {"baseline": "both", "samples": 4},
    "antithetic 4": {"estimator": "antithetic", "samples": 4},
    "pathwise": {"estimator": "pathwise"},
}
"""What is compared, and in what it differs from one path per image without a baseline."""
MAX_PATHS = 8
"""Largest number of paths per image; it divides the number of evaluations."""
ABOUT_GRADIENTS = (
    "Variance of the locator's gradient, summed over its parameters; draws: the part that is "
    "left when the images stay the same. Pathwise is unbiased for the smooth retina, not for that "
    "of whole pixels, by which the others train."
)
ABOUT_ERRORS = (
    "B images, K paths each; ± is that of the images measured on; other seeds reach other errors"
)


# ---------------------------------------------------------------- the subcommand


@dataclass(frozen=True, kw_only=True)
class Options(data.Stored):
    """Options of `compare`."""

    task: TaskName | None = None
    """Task to compare on."""
    run_dir: Path | None = None
    """Run at whose weights gradients are measured (default: one that is trained first)."""
    seconds: Annotated[float, Range(1)] = 60.0
    """Seconds of training with each estimator."""
    batches: Annotated[int, Range(3)] = 64
    """Batches from which the variance is measured."""
    seed: Seed = 0
    """Seed of the whole comparison."""
    output: Path | None = None
    """Folder of the picture (default: the run's, or one below `pictures`)."""


def compare(options: Options) -> None:
    """Train with every estimator, measure its gradients at one snapshot; tell and draw both.

    Raises:
        RunError: the run named is damaged or has no locator to compare by, or a file cannot be
            written.
    """
    snapshot, config = choose(options)
    images = data.ensure(config.data, options.folder)
    trained, gradients = {}, {}
    with Display(f"Estimators of the locator's gradient · {config.task}") as display:

        def teller(name: str) -> Tell:
            return lambda doing: display.show(lambda: {"estimator": name, "now": doing})

        for name in CASES:
            trained[name] = train_for(case(config, name), images, options.seconds, teller(name))
        snapshot = snapshot or trained["learned"].averaged.module
        for name in CASES:
            gradients[name] = measure(
                case(config, name), snapshot, images, options.batches, teller(name)
            )
    results = {
        name: outcome(trained[name]) | spread(gradients[name], gradients["none"]) for name in CASES
    }
    asked = {"task": config.task, "seed": config.seed, "evaluations": config.batch}
    asked |= {"seconds": options.seconds, "batches": options.batches}
    Console().print(gradient_table(asked, results), training_table(asked, results), sep="\n")
    folder = options.output or options.run_dir or PICTURES
    path = folder / "compare.json"
    with style.writing(path):
        path.write_text(json.dumps(asked | {"estimators": results}, indent=2) + "\n")
    style.save(draw(asked, results), folder / "compare.png")


def choose(options: Options) -> tuple[GlimpseModel | None, Config]:
    """The snapshot to measure at, if a run is named, and what all cases have in common.

    Raises:
        RunError: the run is of another task, may stop, or has no locator.
    """
    if options.run_dir is None:
        return None, choose_precision(Config(task=options.task or Config.task, seed=options.seed))
    model, config, _ = weights.load(options.run_dir / weights.BEST)
    if options.task not in (None, config.task):
        raise RunError(f"the run in {options.run_dir} is of {config.task}, not of {options.task}")
    if not hasattr(model, "locate") or config.stop_price is not None:
        raise RunError(
            f"the run in {options.run_dir} has {config.policy} locations and stop price "
            f"{config.stop_price}: compare needs learned ones, and a model that never stops"
        )
    evaluations = max(config.batch * config.samples // MAX_PATHS * MAX_PATHS, MAX_PATHS)
    return model, replace(config, seed=options.seed, start=None, batch=evaluations)


def case(config: Config, name: str) -> Config:
    """The settings of a case, which makes `config.batch` evaluations for a gradient."""
    differs = {"estimator": "score-function", "samples": 1} | CASES[name]
    return replace(config, **differs, batch=config.batch // differs["samples"])


# ---------------------------------------------------------------- the measurements


def train_for(config: Config, images: Images, seconds: float, tell: Tell) -> Trainer:
    """Train for so long; the schedules of learning rate and noise end with the time."""
    trainer, started = Trainer(config, images), time.monotonic()
    while (spent := time.monotonic() - started) < seconds:
        if trainer.tally.update:
            trainer.updates = trainer.tally.update * seconds / spent
        trainer.step()
        tell(f"training, {duration(seconds - spent)} left")
    return trainer


def outcome(trainer: Trainer) -> dict[str, float]:
    """What a training came to."""
    error, count = trainer.validate()["error"], len(trainer.validation[1])
    return {
        "images": trainer.config.batch,
        "samples": trainer.config.samples,
        "updates": trainer.tally.update,
        "validation_error": error,
        "validation_error_standard_error": (error * (1 - error) / count) ** 0.5,
    }


# ---------------------------------------------------------------- what is shown


def told(result: dict[str, float], key: str, form: str) -> str:
    """A figure and its standard error."""
    return f"{result[key]:{form}} ± {result[key + '_standard_error']:{form}}"


def gradient_table(asked: dict[str, Any], results: dict[str, dict[str, float]]) -> Table:
    """How good each estimator's gradient is."""
    shown = plain_table(
        "estimator",
        "‖mean‖²",
        "variance",
        "÷ none",
        "draws",
        "signal ÷ noise",
        title=f"{asked['task']}: gradients of {asked['evaluations']} evaluations",
        caption=ABOUT_GRADIENTS,
    )
    for name, result in results.items():
        shown.add_row(
            name,
            f"{result['signal']:.2g}",
            f"{result['variance']:.2g}",
            told(result, "variance_ratio", ".2g"),
            f"{result['draw_variance']:.2g}",
            told(result, "signal_to_noise", ".2g"),
        )
    return shown


def training_table(asked: dict[str, Any], results: dict[str, dict[str, float]]) -> Table:
    """What each estimator comes to in the same time."""
    shown = plain_table(
        "estimator",
        "B × K",
        "updates",
        "validation error",
        title=f"{asked['task']}: {duration(asked['seconds'])} of training each",
        caption=ABOUT_ERRORS,
    )
    for name, result in results.items():
        sizes = f"{result['images']} × {result['samples']}"
        error = told(result, "validation_error", ".2%")
        shown.add_row(name, sizes, f"{result['updates']:,}", error)
    return shown


def draw(asked: dict[str, Any], results: dict[str, dict[str, float]]) -> Figure:
    """Left the variance, of fresh batches and of the draws alone; right the error."""
    places = np.arange(len(results))
    fields = {key: [result[key] for result in results.values()] for key in results["none"]}
    heading = f"{asked['task']}: estimators of the locator's gradient"
    with style.styled(9.4, 4.2, heading) as figure:
        left, right = figure.subplots(1, 2, sharey=True)

        def dots(axes: Axes, key: str, shift: float = 0.0, **look: Any) -> None:
            errors = fields[f"{key}_standard_error"]
            axes.errorbar(fields[key], places + shift, xerr=errors, capsize=2, **look)

        fresh, same = {"fmt": "o", "color": style.BLUE}, {"fmt": "D", "color": style.RED}
        dots(left, "variance_ratio", -0.12, label="of fresh batches", **fresh)
        dots(left, "draw_variance_ratio", 0.12, label="of the draws alone", **same)
        left.set(xscale="log", yticks=places, yticklabels=list(results))
        left.set(xlabel="variance ÷ that without a baseline")
        left.set_title(f"gradients of {asked['evaluations']} evaluations")
        left.legend()
        left.invert_yaxis()
        dots(right, "validation_error", **fresh)
        right.xaxis.set_major_locator(MaxNLocator(5))
        right.xaxis.set_major_formatter(PercentFormatter(1))
        right.set(xlabel="validation error", title=f"{duration(asked['seconds'])} of training each")
        for axes in (left, right):
            axes.grid(axis="x")
    return figure
