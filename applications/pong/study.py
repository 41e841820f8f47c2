"""Studies: trainings that differ in one option, each from several seeds, as a table and curves."""

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from applications.pong import curves
from applications.pong.weights import RUNS
from applications.runs import CHECKPOINT, METRICS, RunError, read_metrics

Lines = list[dict[str, Any]]
MARKS = (0, 18)
"""Mean returns of 50 episodes that a run may pass."""
JUDGED = 30
"""Episodes that a policy is judged by, where it is."""
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


GAMES = ("breakout", "freeway", "space_invaders", "montezuma_revenge", "frostbite")
STUDIES = {
    "ingredients": Study(
        "--steps 700000 --sticky-steps 0",
        {
            "all": "",
            "no trust region": "--clip 1000",
            "one epoch": "--epochs 1",
            "no baseline": "--no-baseline",
            "λ = 1": "--trace 1",
            "not cut at points": "--no-cut",
            "not standardised": "--no-standardize",
            "no entropy": "--entropy 0",
            "8 games": "--environments 8 --horizon 256",
            "minibatches of 2,048": "--minibatch 2048",
            "UP and DOWN alone": "--no-rest",
            "difference of frames": "--frames difference",
            "judging apart": "--network apart",
            "line search": "--trust line",
            "natural gradient": "--trust natural",
        },
    ),
    "pixels": Study(
        "--steps 300000 --sticky-steps 0",
        {
            "dense": "",
            "dense, shuffled": "--shuffle",
            "convolutions": "--network conv",
            "convolutions, shuffled": "--network conv --shuffle",
        },
    ),
    "weights": Study(
        "--steps 500000 --sticky-steps 0", {"L2 0": "--l2 0", "L2 0.01": "", "L2 0.3": "--l2 0.3"}
    ),
    "imitation": Study(
        "--sticky-steps 0",
        {
            "from nothing": "--steps 700000",
            "imitation first": "--imitation-steps 120000 --steps 200000",
        },
    ),
    "games": Study(
        "--steps 0",
        {game: f"--game {game} --sticky-steps 1000000" for game in GAMES}
        | {f"{game}, untrained": f"--game {game} --sticky-steps 0" for game in GAMES},
        judged=True,
    ),
}


def study(options: argparse.Namespace) -> None:
    """Train what is missing of a study, tell what all of it came to, and draw it.

    The same again goes on where it stopped.

    Raises:
        RunError: a variant is not of the study, or a training did not end.
    """
    asked = STUDIES[options.name]
    parent = options.run_dir or RUNS / f"study-{options.name}"
    for name in options.variants or ():
        if name not in asked.variants:
            known = ", ".join(asked.variants)
            raise RunError(f"the study {options.name} has no variant {name!r}: it has {known}")
    marks = [f"{unit} to {mark:+}" for mark in MARKS for unit in ("k steps", "seconds")]
    table = Table("variant", *marks, "return at the end")
    if asked.judged:
        table.add_column(f"{JUDGED} episodes")
    groups = {}
    for name in options.variants or asked.variants:
        folders = [parent / f"{slug(name)}-{seed}" for seed in options.seeds]
        for folder, seed in zip(folders, options.seeds, strict=True):
            complete(folder, [*f"{asked.common} {asked.variants[name]}".split(), f"--seed={seed}"])
        groups[name] = runs = [read_metrics(folder / METRICS) for folder in folders]
        cells = [cell for mark in MARKS for cell in time_to(mark, runs)]
        played = [judge(folders)] if asked.judged else []
        table.add_row(name, *cells, end(runs), *played)
    Console().print(table)
    known = {name: runs for name, runs in groups.items() if end(runs) != UNKNOWN}
    if known:
        curves.draw(known).savefig(parent / "curves.png", dpi=150)
        print(parent / "curves.png")


def slug(name: str) -> str:
    """A variant's name as part of a folder's."""
    return "-".join(re.findall(r"\w+", name))


def complete(folder: Path, options: list[str]) -> None:
    """Train, or go on.

    Raises:
        RunError: it failed, or was stopped.
    """
    told = call("train", folder, *(["--resume"] if (folder / CHECKPOINT).exists() else options))
    if "stopped at" in told:
        raise RunError(f"stopped in {folder}: the same command goes on from there")


def call(command: str, folder: Path, *options: str) -> str:
    """A command on a run, in a process of its own, so that its times are those of a user.

    Returns:
        What it printed.

    Raises:
        RunError: it failed.
    """
    arguments = ["-m", "applications.pong", command, "--run-dir", str(folder), *options]
    print("python", *arguments, flush=True)
    done = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise RunError(f"{command} of {folder} failed: see above")
    return done.stdout


def judge(folders: list[Path]) -> str:
    """Mean returns of the runs' policies."""
    options = ("--json", f"--episodes={JUDGED}", "--environment=training")
    told = [json.loads(call("evaluate", folder, *options)) for folder in folders]
    return spread([score["mean_return"] for score in told], ",.1f")


def time_to(mark: float, runs: list[Lines]) -> tuple[str, str]:
    """Until the mean of 50 episodes was above a mark: thousands of agent steps, and seconds.

    A run that never was counts as infinitely long.
    """
    never = {"agent_steps": float("inf"), "seconds": float("inf")}
    reached = [next((line for line in run if passed(line, mark)), never) for run in runs]
    if all(line is never for line in reached):
        return UNKNOWN, UNKNOWN
    steps, seconds = ([line[name] for line in reached] for name in never)
    return spread([count / 1000 for count in steps], ",.0f"), spread(seconds, ",.0f")


def passed(line: dict[str, Any], mark: float) -> bool:
    """Whether the mean of 50 episodes was above a mark, after an update."""
    return line["episodes"] >= 50 and line["mean_return"] > mark


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
