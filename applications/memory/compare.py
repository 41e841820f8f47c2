"""How estimators of the gradient compare when each makes as many evaluations.

An evaluation is one run through one problem. A gradient is made of B problems with K runs each, and
B · K is the same for all: a run more of one problem is a problem less. So the variance is that of
a gradient over fresh problems, which a training suffers. It is measured at the weights of one
half-trained program, and of the expected cost alone: what entropy earns is left out.
"""

import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

from applications.kit import figures as style
from applications.kit import options as kit
from applications.kit.display import Display, plain_table
from applications.kit.gradients import fit_baseline, gradients_of
from applications.kit.options import Range
from applications.kit.run import METRICS, read_metrics
from applications.memory.config import PICTURES, RUNS, Config, Task
from applications.memory.study import SOLVED, Result, judge
from applications.memory.training import METRICS_INTERVAL, Trainer

Course = list[dict[str, Any]]
"""Lines of metrics."""
CASES: dict[str, dict[str, Any]] = {
    "none": {"baseline": "none", "samples": 1},
    "average": {"baseline": "average", "samples": 1},
    "learned": {"baseline": "learned", "samples": 1},
    "leave-one-out 2": {"baseline": "leave-one-out", "samples": 2},
    "leave-one-out 4": {"baseline": "leave-one-out", "samples": 4},
    "leave-one-out 8": {"baseline": "leave-one-out", "samples": 8},
    "leave-one-out 16": {"baseline": "leave-one-out", "samples": 16},
    "self-critical": {"baseline": "self-critical", "samples": 1, "batch": Config.batch // 2},
}
"""What is compared, and in what it differs; the greedy run of self-critical is a run too."""
TRAINED, HALF = "leave-one-out 8", 0.5
"""Gradients are measured at a program that this case trained until that share was right."""
FITTED = ("average", "learned")
"""Baselines that are fitted to those weights before gradients are measured."""
FITTING = 100
"""Batches that they are fitted to."""


class Spread(NamedTuple):
    """`tr Var g` of a gradient g, and the standard error of that."""

    variance: float
    error: float


class Outcome(NamedTuple):
    """What an estimator came to."""

    spread: Spread
    results: list[Result]
    """Of each seed."""
    courses: list[Course]
    """Of each seed."""


@dataclass(frozen=True, kw_only=True)
class Options(kit.Options):
    """Options of `compare`."""

    task: Task = "reverse"
    """Task to learn."""
    seeds: range = range(3)
    """Seeds of the trainings with each estimator."""
    batches: Annotated[int, Range(3)] = 64
    """Batches from which the variance is measured."""
    run_dir: Path | None = None
    """Folder of its runs (default: in runs/memory)."""
    output: Path | None = None
    """Folder of the picture; by default one below `pictures`."""


def compare(options: Options) -> None:
    """Train seeds with every estimator and measure its gradients; print and plot both.

    Raises:
        RunError: a run was stopped, is damaged, or a file cannot be written.
    """
    config = Config(task=options.task)
    parent = options.run_dir or RUNS / f"compare-{config.task}"
    results, courses = {}, {}
    for name in CASES:
        folders = {seed: parent / name.replace(" ", "-") / str(seed) for seed in options.seeds}
        results[name] = [judge(case(config, name, s), folder) for s, folder in folders.items()]
        courses[name] = [read_metrics(folder / METRICS) for folder in folders.values()]
    spreads = measure(config, options.batches)
    found = {name: Outcome(spreads[name], results[name], courses[name]) for name in CASES}
    Console().print(table(config, found))
    style.save(draw(config, found), (options.output or PICTURES) / "baselines.png")


def case(config: Config, name: str, seed: int) -> Config:
    """The settings of a case."""
    return replace(config, **CASES[name], seed=seed)


# ---------------------------------------------------------------- the gradients


def measure(config: Config, batches: int) -> dict[str, Spread]:
    """The variance of every case's gradients at the same half-trained program."""
    with Display(f"Estimators of the gradient · {config.task}") as display:
        display.show(lambda: {"now": "half-training a program"})
        program = half_train(config)
        spreads = {}
        for name in CASES:
            display.show(lambda name=name: {"now": f"gradients, {name}"}, now=True)
            spreads[name] = spread(gradients(case(config, name, seed=1), program, batches))
    return spreads


def half_train(config: Config) -> Trainer:
    """A program that has learned its first level by half, or has made all its updates."""
    trainer = Trainer(case(config, TRAINED, seed=0))
    while trainer.tally.average < HALF and trainer.tally.update < config.updates:
        trainer.step()
    return trainer


def gradients(config: Config, program: Trainer, batches: int) -> Tensor:
    """Gradients of the controller at the program's weights and level, `[N, P]`.

    Args:
        config: the case; its baseline is fitted first.
        program: whose weights stay as they are.
        batches: N.
    """
    trainer = Trainer(config)
    trainer.tally.level = program.tally.level
    controller = trainer.model.controller
    controller.load_state_dict(program.model.controller.state_dict())
    if config.baseline in FITTED:
        fit(trainer)
    trainer.model.eval()  # the baseline stays as it is
    return gradients_of((cost(trainer) for _ in range(batches)), controller)


def fit(trainer: Trainer) -> None:
    """Let the baseline learn, and nothing else."""
    losses = (cost(trainer) for _ in range(FITTING))
    fit_baseline(trainer.model.act, losses, Config.learning_rate)


def cost(trainer: Trainer) -> Tensor:
    """The expected cost of fresh problems, `[]`."""
    problems, limit = trainer.draw_problems()
    return trainer.objective(*problems, limit)[0]


def spread(gradients: Tensor) -> Spread:
    """Of gradients `[N, P]`, without bias."""
    batches = len(gradients)
    squares = (gradients - gradients.mean(0)).double().square().sum(1) * batches / (batches - 1)
    return Spread(squares.mean().item(), squares.std().item() / math.sqrt(batches))


# ---------------------------------------------------------------- what is shown


def reached(course: Course, level: int) -> float:
    """Updates to a level, to within `METRICS_INTERVAL`; infinite if it was never reached."""
    return next((line["update"] for line in course if line["level"] >= level), math.inf)


def table(config: Config, found: dict[str, Outcome]) -> Table:
    """Every estimator: how good its gradient is, and what its seeds came to."""
    shown = plain_table(
        "estimator",
        "B × K",
        "variance",
        "÷ none",
        "solved",
        "minutes",
        f"to {config.last} letters",
        title=f"{config.task} by {config.mode}: {config.batch} runs per update",
        caption=f"B problems, K runs each, +1 greedy; solved: {SOLVED:.0%} of letters right "
        f"at every length; minutes and updates to {config.last} letters (within "
        f"{METRICS_INTERVAL}): medians",
    )
    for name, ((variance, error), results, courses) in found.items():
        samples = CASES[name]["samples"]
        is_greedy = name == "self-critical"
        updates = statistics.median(reached(course, config.last) for course in courses)
        shown.add_row(
            name,
            f"{case(config, name, 0).batch // samples} × {samples}{'+1' * is_greedy}",
            f"{variance:.2g} ± {error:.1g}",
            f"{variance / found['none'].spread.variance:.2g}",
            f"{sum(result.near >= SOLVED for result in results)} of {len(results)}",
            f"{statistics.median(result.seconds for result in results) / 60:.1f}",
            f"{updates:.0f}" if math.isfinite(updates) else "never",
        )
    return shown


def draw(config: Config, found: dict[str, Outcome]) -> Figure:
    """Level and error against updates, a column of panels for each estimator.

    A thin line is a seed, the thick one their median; those of the others are grey behind it.
    """
    panels = {"level": "letters of the level", "error": f"error at {config.last} letters"}
    heading = f"{config.task} by {config.mode}: estimators of the gradient"
    with style.styled(12, 4.4, heading) as figure:
        grid = figure.subplots(2, len(found), sharex=True, sharey="row", squeeze=False)
        for row, (key, meaning) in zip(grid, panels.items(), strict=True):
            courses = {name: by_update(outcome, key) for name, outcome in found.items()}
            row[0].set_ylabel(meaning)
            for axes, name in zip(row, found, strict=True):
                for other in found:
                    axes.plot(*middle(courses[other]), color=style.LIGHT, lw=1)
                for course in courses[name]:
                    axes.plot(list(course), list(course.values()), color=style.BLUE, lw=0.7)
                axes.plot(*middle(courses[name]), color=style.BLUE, lw=2.2)
                axes.grid(axis="y")
        for axes, name in zip(grid[0], found, strict=True):
            axes.set_title(name, fontsize=9.5)
        for axes in grid[1]:
            axes.set_xlabel("updates")
    return figure


def by_update(outcome: Outcome, key: str) -> list[dict[int, float]]:
    """A figure of each seed, by the update at which it was measured."""
    return [{line["update"]: line[key] for line in course} for course in outcome.courses]


def middle(courses: list[dict[int, float]]) -> tuple[list[int], list[float]]:
    """The median of courses at the updates that all of them have."""
    updates = sorted(set.intersection(*map(set, courses)))
    return updates, [statistics.median(course[at] for course in courses) for at in updates]
