"""How often a trained network errs on the test images, and what knowing where to look is worth."""

import json
from dataclasses import dataclass

import torch
from rich import box
from rich.console import Console
from rich.table import Column, Table
from torch import nn

from applications.glimpse import data, weights
from applications.glimpse.config import RUNS, Config, TaskName
from applications.glimpse.model import CLASSES, ConvNet, GlimpseModel
from applications.glimpse.outcomes import Outcome, by_price, errors, held_out_scenes, lead
from applications.glimpse.style import counted
from applications.glimpse.tasks import TASKS
from applications.kit.display import plural
from applications.kit.errors import RunError
from applications.kit.options import Count
from applications.kit.sources import Measurement, run_of

CLEAR_LEAD = 3.0
"""Standard errors by which a network must beat random glimpses to have learned where to look."""
OTHERS = {
    "random": "trained on random glimpses",
    "centre": "trained on the centre alone",
    "conv": "convolutional, of equal size",
}
"""Policies whose shipped networks are compared with, and what the table calls them."""


# ---------------------------------------------------------------- the subcommand


@dataclass(frozen=True, kw_only=True)
class Options(Measurement, data.Stored):
    """Options of `evaluate`."""

    task: TaskName | None = None
    """Task to measure on (default: the one that the network was trained on)."""
    glimpses: Count | None = None
    """Glimpses per image (default: as in training)."""
    paths: Count = 1
    """Paths drawn per image."""
    images: Count | None = None
    """Number of test images, from the first on (default: all)."""


def evaluate(options: Options) -> None:
    """Measure a network and its controls on the test scenes.

    Raises:
        RunError: there is no such network, a file is damaged, or the network cannot do what is
            asked of it.
    """
    model, config, task = choose(options)
    others = {policy: companion(task, policy, model, config) for policy in OTHERS}
    images = data.ensure(config.data, options.folder)
    scenes, labels = held_out_scenes(TASKS[task], images, options.images)

    def measure(network: nn.Module, **how) -> Outcome:
        torch.manual_seed(options.seed)
        return errors(network, scenes, labels, **how)

    drawn, mean = measure(model, paths=options.paths), measure(model, mean=True)
    compared = {
        policy: None if other is None else measure(other, paths=options.paths)
        for policy, other in others.items()
    }
    if options.json:
        print(json.dumps(summary(task, drawn, mean, compared)))
        return
    rows = [("this one, drawn locations", model, drawn), ("this one, mean location", model, mean)]
    rows += [(name, others[policy], compared[policy]) for policy, name in OTHERS.items()]
    console, price = Console(), getattr(model, "stop_price", None)
    console.print(heading(task, drawn, price), error_table(rows), sep="\n")
    if compared["random"] is not None and (ahead := lead(drawn, compared["random"])) < CLEAR_LEAD:
        console.print(
            "This model has learned nothing about where to look: its error is not clearly below "
            f"that of random glimpses ({ahead:.1f} standard errors; {CLEAR_LEAD:g} would be)."
        )
    console.print(glimpse_table(drawn), confusion_table(drawn), sep="\n")
    if price is not None:
        torch.manual_seed(options.seed)
        console.print(price_table(by_price(model, scenes, labels)))


def choose(options: Options) -> tuple[nn.Module, Config, str]:
    """The network to evaluate, its config, and the name of the task to evaluate it on.

    Raises:
        RunError: there is no such network, its file is damaged, or it cannot do what is asked.
    """
    run = run_of(options, RUNS)
    trained = weights.choose(run, options.task)
    model, config = trained.model, trained.config
    task = options.task or config.task
    if isinstance(model, ConvNet):
        if TASKS[task].canvas != TASKS[config.task].canvas:
            raise RunError(f"a convolutional network for {config.task} cannot see {task}")
        if options.glimpses is not None:
            raise RunError("a convolutional network takes no glimpses: leave out --glimpses")
    elif options.glimpses is not None:
        if options.glimpses > 1 and model.policy == "learned" and not hasattr(model, "locate"):
            raise RunError(
                f"{trained.path} was trained for one glimpse: it does not know where to look"
            )
        model.glimpses = options.glimpses
    return model, config, task


def companion(task: str, policy: str, model: nn.Module, config: Config) -> nn.Module | None:
    """The shipped network that differs from `model` in its policy alone; None if there is none.

    Raises:
        RunError: its file is damaged.
    """
    path = weights.shipped(task, policy)
    if not path.exists():
        return None
    other, its, _ = weights.load(path)
    if its.data != config.data:
        return None
    if isinstance(other, ConvNet) or isinstance(model, ConvNet):
        return other
    if _size(other) != _size(model):
        return None
    if other.glimpses > 1:
        other.glimpses = model.glimpses
    return other


def _size(model: GlimpseModel) -> tuple[int, int, int]:
    return model.classify.in_features, model.retina.patch, model.retina.scales


def summary(
    task: str, drawn: Outcome, mean: Outcome, compared: dict[str, Outcome | None]
) -> dict[str, object]:
    """The JSON object."""
    error = {policy: other and other.error for policy, other in compared.items()}
    return {
        "error": drawn.error,
        "standard_error": drawn.standard_error,
        "random_glimpses_error": error["random"],
        "images": len(drawn.labels),
        "mean_location_error": mean.error,
        "centre_error": error["centre"],
        "conv_error": error["conv"],
        "task": task,
        "glimpses": drawn.answers.shape[1],
        "errors_by_glimpses": drawn.by_glimpses.tolist(),
    }


# ---------------------------------------------------------------- what is printed


def heading(task: str, drawn: Outcome, price: float | None) -> str:
    """What was measured."""
    paths, most, images = drawn.answers.shape
    glimpses = counted(most)
    if price is not None:
        glimpses = f"{drawn.mean_glimpses:.2f} of {glimpses} at a price of {price:g} nats"
    return f"{task}: {images:,} test images, {glimpses}, {plural(paths, 'path')} per image"


def error_table(rows: list[tuple[str, nn.Module | None, Outcome | None]]) -> Table:
    """A row for each network: name, size, error and its standard error."""
    table = Table("network", Column("weights", justify="right"), "error")
    for name, network, outcome in rows:
        size = "" if network is None else f"{count_weights(network):,}"
        table.add_row(name, size, "not shipped" if outcome is None else percent(outcome))
    return table


def glimpse_table(drawn: Outcome) -> Table:
    """The error after each number of glimpses."""
    table = Table("glimpses", "error")
    for count, error in enumerate(drawn.by_glimpses.tolist(), 1):
        table.add_row(f"{count}", f"{error:.2%}")
    return table


def confusion_table(drawn: Outcome) -> Table:
    """How often each true class (row) got each answer (column)."""
    columns = [Column(f"{answer}", justify="right") for answer in range(CLASSES)]
    table = Table("true", *columns, box=box.SIMPLE, title="answers, row by true class")
    for true, counts in enumerate(drawn.confusion.tolist()):
        cells = [f"{count:,}" if count else "·" for count in counts]
        cells[true] = f"[bold]{cells[true]}[/bold]"
        table.add_row(f"{true}", *cells)
    return table


def price_table(curve: list[tuple[float, Outcome]]) -> Table:
    """What a dearer glimpse costs in errors."""
    table = Table("price of a glimpse, nats", "glimpses", "error")
    for price, outcome in curve:
        table.add_row(f"{price:.2g}", f"{outcome.mean_glimpses:.2f}", percent(outcome))
    return table


def percent(outcome: Outcome) -> str:
    """The error ± its standard error."""
    return f"{outcome.error:.2%} ± {outcome.standard_error:.2%}"


def count_weights(model: nn.Module) -> int:
    """Weights that an answer depends on: all but the baselines'."""
    return sum(
        weight.numel()
        for name, weight in model.named_parameters()
        if not name.startswith(("place.", "stop."))
    )
