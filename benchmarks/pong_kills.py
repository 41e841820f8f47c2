"""Nothing is lost: a training of Pong killed twenty times at random, beside one left alone.

Each process is killed with SIGKILL after a random time and then resumed. At the end both trainings
must have made the same updates, each once; what they return differs by chance, since a resumed
run starts new games, and so does the order of two threads.

    python -m benchmarks.pong_kills --folder runs/pong-kills

It takes 15 minutes. What the folder holds is not made again.
"""

import argparse
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from applications.kit.commands import number
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, METRICS, read_metrics
from benchmarks.timing import keep

TRAINING = ("--steps", "500000", "--sticky-steps", "0", "--seed", "4")
LIVES = 2.0, 24.0
"""Shortest and longest life of a process, seconds."""
LAST = 400
"""Points that the share of points won is of."""


def start(folder: Path) -> subprocess.Popen:
    """The training in a folder, begun or resumed."""
    begun = (folder / CHECKPOINT).exists()
    command = [sys.executable, "-m", "applications.pong", "train", "--run-dir", str(folder)]
    return subprocess.Popen([*command, *(["--resume"] if begun else TRAINING)])


def train(folder: Path, kills: int, random: random.Random) -> int:
    """Train to the end: how many processes were killed on the way; their checkpoints are read.

    Raises:
        RunError: a checkpoint cannot be read.
        SystemExit: a process failed by itself.
    """
    made = 0
    while True:
        process = start(folder)
        try:
            status = process.wait(random.uniform(*LIVES) if made < kills else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            made += 1
            if (folder / CHECKPOINT).exists():
                load_state(folder / CHECKPOINT)
            continue
        if status:
            raise SystemExit(f"the training in {folder} failed with status {status}")
        return made


def figures(folder: Path, kills: int) -> dict[str, Any]:
    """What came of a training."""
    lines = read_metrics(folder / METRICS)
    won, points = 0, 0
    for line in reversed(lines):
        if points < LAST:
            won, points = won + line["won"], points + line["won"] + line["lost"]
    return {
        "kills": kills,
        "updates": lines[-1]["update"],
        "each_once": [line["update"] for line in lines] == list(range(1, len(lines) + 1)),
        "agent_steps": lines[-1]["agent_steps"],
        "mean_return": lines[-1]["mean_return"],
        "points_won": won / points,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="keeps the runs")
    parser.add_argument("--kills", type=number(int, 1), default=20, help="(%(default)s)")
    parser.add_argument("--seed", type=number(int, 0), default=0, help="of the lives (%(default)s)")
    options = parser.parse_args()
    found = {}
    for name, kills in (("killed", options.kills), ("left alone", 0)):
        folder = options.folder / name.replace(" ", "-")
        made = train(folder, kills, random.Random(options.seed))
        found[name] = figures(folder, made)
    table = Table("", *found["killed"])
    for name, row in found.items():
        table.add_row(
            name,
            *(f"{value:.3g}" if isinstance(value, float) else f"{value}" for value in row.values()),
        )
    Console().print(table)
    keep("pong_kills", {"training": " ".join(TRAINING), "lives": LIVES, **found})


if __name__ == "__main__":
    main()
