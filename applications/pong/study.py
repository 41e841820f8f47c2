"""Studies: trainings that differ in one option, each from several seeds, as a table and curves."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from applications.kit import options as kit
from applications.kit.errors import RunError
from applications.kit.figures import save
from applications.kit.run import CHECKPOINT, METRICS, is_complete, read_config, read_metrics
from applications.kit.signals import StopSignals
from applications.pong import bars, curves
from applications.pong.recipes import KINDS
from applications.pong.weights import RUNS

Lines = list[dict[str, Any]]
MARKS = {"> 0": lambda mean: mean > 0, "≥ +18": lambda mean: mean >= 18}
"""Marks that the mean return of 50 episodes may reach."""
JUDGE_EPISODES = 30
"""Episodes by which a policy is judged."""
UNKNOWN = "–"


@dataclass(frozen=True)
class Study:
    """Trainings to compare."""

    common: str
    """Options of all of them."""
    variants: dict[str, str]
    """Options of each, by its name."""
    judged: bool = False
    """Whether the policies play some games afterwards."""


WIDE = "--environments 32 --horizon 64"
"""The roll-outs of the recipe when the studies of the documentation were measured."""
GAMES = ("breakout", "freeway", "space_invaders", "montezuma_revenge", "frostbite")
STUDIES = {
    "ingredients": Study(
        "--steps 700000 --sticky-steps 0",
        {
            "all": WIDE,
            "no trust region": f"{WIDE} --clip-range 1000",
            "one epoch": f"{WIDE} --epochs 1",
            "no baseline": f"{WIDE} --no-baseline",
            "λ = 1": f"{WIDE} --gae-lambda 1",
            "not cut at points": f"{WIDE} --no-cut",
            "not standardised": f"{WIDE} --no-standardize",
            "no entropy bonus": f"{WIDE} --entropy-coefficient 0",
            "8 games": "--environments 8 --horizon 256",
            "±1 for a point won or lost": "--environments 8 --horizon 256 --discount 1 "
            "--gae-lambda 1 --no-baseline --no-standardize",
            "minibatches of 2,048": f"{WIDE} --minibatch 2048",
            "UP and DOWN only": f"{WIDE} --no-rest",
            "difference of frames": f"{WIDE} --frames difference",
            "separate critic": f"{WIDE} --network apart",
            "line search": f"{WIDE} --trust line",
            "natural gradient": f"{WIDE} --trust natural",
        },
    ),
    "pixels": Study(
        f"{WIDE} --steps 300000 --sticky-steps 0",
        {
            "dense": "",
            "dense, shuffled": "--shuffle",
            "convolutions": "--network conv",
            "convolutions, shuffled": "--network conv --shuffle",
        },
    ),
    "weights": Study(
        f"{WIDE} --steps 300000 --sticky-steps 0",
        {"L2 0": "--weight-decay 0", "L2 0.01": "", "L2 0.3": "--weight-decay 0.3"},
    ),
    "credit": Study(
        "--recipe blog",
        {
            "discounted, standardised": "",
            "games won or lost": "--credit game",
            "episodes won or lost": "--credit episode",
        },
    ),
    "imitation": Study(
        f"{WIDE} --sticky-steps 0",
        {
            "from scratch": "--steps 700000",
            "imitation first": "--imitation-steps 120000 --steps 200000",
        },
    ),
    "games": Study(
        f"{WIDE} --steps 0",
        {game: f"--game {game} --sticky-steps 300000" for game in GAMES}
        | {f"{game}, untrained": f"--game {game} --sticky-steps 0" for game in GAMES},
        judged=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Options(kit.Options):
    """Options of `study`."""

    name: tyro.conf.Positional[Literal[tuple(STUDIES)]]
    """The study."""
    seeds: range = range(1)
    """Seeds of every variant."""
    variants: tuple[str, ...] = ()
    """Variants to train (default: all)."""
    run_dir: Path | None = None
    """Folder of its runs and pictures (default: in runs/pong)."""


def study(options: Options) -> None:
    """Train what is missing of a study; print its table and plot it.

    Run again, it continues where it stopped.

    Raises:
        RunError: a variant is not of the study, or a training did not end.
    """
    asked = STUDIES[options.name]
    parent = options.run_dir or RUNS / f"study-{options.name}"
    for name in options.variants:
        if name not in asked.variants:
            known = ", ".join(asked.variants)
            raise RunError(f"the study {options.name} has no variant {name!r}: it has {known}")
    marks = {} if asked.judged else MARKS
    names = [f"{unit} to {mark}" for mark in marks for unit in ("k steps", "seconds")]
    table = Table("variant", *names, "return at the end")
    if asked.judged:
        table.add_column(f"{JUDGE_EPISODES} episodes")
    groups = {}
    try:
        for name in options.variants or asked.variants:
            folders = [parent / f"{slug(name)}-{seed}" for seed in options.seeds]
            told = f"{asked.common} {asked.variants[name]}".split()
            for folder, seed in zip(folders, options.seeds, strict=True):
                complete(folder, [*told, f"--seed={seed}"])
            runs = [read_metrics(folder / METRICS) for folder in folders]
            cells = [cell for passed in marks.values() for cell in time_to(passed, runs)]
            played = [judge(folders)] if asked.judged else []
            table.add_row(name, *cells, end(runs), *played)
            groups[name] = runs
    finally:  # what one failure leaves is told too
        if groups:
            Console().print(table)
    known = {name: runs for name, runs in groups.items() if end(runs) != UNKNOWN}
    if known:
        save(curves.draw(known), parent / "curves.png")
    if known and marks:
        figures = {name: summary(runs) for name, runs in known.items()}
        save(bars.draw(figures), parent / "bars.png")


def slug(name: str) -> str:
    """A variant's name as part of a folder's."""
    return "-".join(re.findall(r"\w+", name))


def complete(folder: Path, options: list[str]) -> None:
    """Train, or go on, unless there is nothing left to train.

    Raises:
        RunError: it failed, or was stopped.
    """
    going_on = ["--resume"] if (folder / CHECKPOINT).exists() else []
    if going_on:
        saved = read_config(folder)
        config = KINDS[saved["recipe"]].from_saved(saved, folder)
        if is_complete(folder, config):
            return
    with StopSignals() as stop:  # the training hears Ctrl-C too, and saves what it has
        call("train", folder, *options, *going_on)  # another run than asked for is refused
    if stop.requested:
        raise RunError(f"stopped in {folder}: the same command continues from there")


def call(command: str, folder: Path, *options: str, output: int | None = None) -> str:
    """A command on a run, in a process of its own, so that its times are those of a user.

    Args:
        command: which.
        folder: of the run.
        options: of the command.
        output: where it prints to, as `subprocess.run` takes it.

    Returns:
        What it printed to a pipe.

    Raises:
        RunError: it failed.
    """
    arguments = ["-m", "applications.pong", command, "--run-dir", str(folder), *options]
    print("python", *arguments, flush=True)
    done = subprocess.run([sys.executable, *arguments], stdout=output, text=True, check=False)
    if done.returncode:
        raise RunError(f"{command} of {folder} failed: see above")
    return done.stdout


def judge(folders: list[Path]) -> str:
    """Mean returns of the runs' policies."""
    options = ("--json", f"--episodes={JUDGE_EPISODES}")  # of ALE/<Game>-v5, all of them
    pipe = subprocess.PIPE
    results = [json.loads(call("evaluate", folder, *options, output=pipe)) for folder in folders]
    return spread([result["mean_return"] for result in results], ",.1f")


def time_to(passed: Callable[[float], bool], runs: list[Lines]) -> tuple[str, str]:
    """Until the mean of 50 episodes passed a mark: thousands of agent steps, and seconds."""
    steps, seconds = reached(passed, runs)
    if min(steps) == float("inf"):
        return UNKNOWN, UNKNOWN
    return spread(steps, ",.0f"), spread(seconds, ",.0f")


def reached(passed: Callable[[float], bool], runs: list[Lines]) -> tuple[list[float], list[float]]:
    """Thousands of agent steps, and seconds, until each run passed a mark; infinite for never."""
    never = {"agent_steps": float("inf"), "seconds": float("inf")}
    counted = [[line for line in run if line["episodes"] >= 50] for run in runs]
    lines = [next((line for line in run if passed(line["mean_return"])), never) for run in counted]
    return [line["agent_steps"] / 1000 for line in lines], [line["seconds"] for line in lines]


def summary(runs: list[Lines]) -> bars.Summary:
    """What a variant came to, as medians."""
    steps = {mark: median(reached(passed, runs)[0]) for mark, passed in MARKS.items()}
    return bars.Summary(steps, median(run[-1]["mean_return"] for run in runs))


def end(runs: list[Lines]) -> str:
    """The mean return after the last update."""
    ends = [run[-1]["mean_return"] for run in runs if run]
    return UNKNOWN if None in ends or not ends else spread(ends, "+.1f")


def spread(values: list[float], form: str) -> str:
    """The median, and the range of several."""
    middle = f"{median(values):{form}}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):{form}} to {max(values):{form}})"
