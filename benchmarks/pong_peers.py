"""How soon Pong is learned: the fast recipe beside other trainings, mean return against seconds.

- ours: `python -m applications.pong train --sticky-steps 0`, which ends with its first stage
- ppo, a2c: Stable-Baselines3 with the settings that RL Zoo tuned for Atari (`peers/pong_sb3.py`);
  their games step in turn or in processes of their own, whichever a short trial finds faster
- text: the algorithm of "Pong from Pixels" with numpy, a game at a time (`peers/pong_text.py`)

No emulator repeats actions by chance, and all skip four frames. What each sees of the screen and
may do there is its own: ours moves UP, DOWN or not, the text's UP or DOWN, PPO and A2C choose among
six actions.
They run one after the other, each with the whole machine, for the same time from the command's
start, so that imports count. A return is that of a finished game of the training, as the game
counts it; a mean that of the last 50, or of all while there are fewer. A mean passes a threshold
only once 50 games are finished: a lucky first game is no progress. One seed each, so differences of
a point or two mean nothing.

    python -m benchmarks.pong_peers --folder runs/pong-peers

It takes 45 minutes, and the machine should be idle; `make bench` leaves it out. The peers get an
environment of their own (1.2 GB), made with pip. What the folder holds is not made again, so an
interrupted benchmark goes on with what is missing; without a folder nothing is left.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from applications.kit import figures as style
from applications.kit.run import METRICS, read_metrics
from benchmarks.timing import keep

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/pictures/pong-peers.png"
LOOKS = {
    "ours": ("ours, recipe fast", style.BLUE),
    "ppo": ("Stable-Baselines3 PPO", style.RED),
    "a2c": ("Stable-Baselines3 A2C", style.GREEN),
    "text": ("the text's, a game at a time", style.PURPLE),
}
"""What is compared: its name in full and its colour."""
PACKAGES = [
    "stable-baselines3==2.9.2",
    "opencv-python-headless==5.0.0.93",
    "ale-py",
    "gymnasium",
    "torch",
]
"""Of the peers; those without a version have ours."""
VECTORS = ("dummy", "subproc")
"""How Stable-Baselines3 steps its games: in turn, or in processes of their own."""
TRIAL = 40.0
"""Seconds that each of them is tried for."""
TIMES = (30, 60, 120, 180, 300, 600)
"""Columns of the table, seconds."""
THRESHOLDS = (-19, 0)
"""Mean returns that are waited for: something is learned; as good as the built-in player."""
ENOUGH = 50
"""Finished games before a mean can pass a threshold."""
Course = list[dict[str, Any]]
"""Lines of metrics with `seconds` from the command's start."""


# ---------------------------------------------------------------- the runs


def python_of_peers(folder: Path) -> Path:
    """The interpreter of the peers' environment, which is made the first time."""
    environment = folder / "environment"
    python, ready = environment / "bin/python", environment / ".ready"
    if not ready.exists():
        print(f"── the peers' environment: {', '.join(PACKAGES)}", flush=True)
        venv.create(environment, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", *PACKAGES], check=True)
        ready.touch()
    return python


def command_of(name: str, run: Path, seconds: float) -> list[str | Path]:
    """The command that trains `ours`, `text`, `ppo-dummy` … into the folder `run`."""
    if name == "ours":
        train = [sys.executable, "-m", "applications.pong", "train", "--sticky-steps", "0"]
        return [*train, "--seconds", f"{seconds}", "--run-dir", run]
    program = ["pong_text"]
    if name != "text":
        algorithm, vector = name.split("-")
        program = ["pong_sb3", "--algorithm", algorithm, "--vector", vector]
    module, *options = program
    python = python_of_peers(run.parent)
    common = ["--output", run / METRICS, "--seconds", f"{seconds}", "--started", f"{time.time()}"]
    return [python, "-m", f"benchmarks.peers.{module}", *options, *common]


def course_of(name: str, seconds: float, folder: Path) -> Course:
    """The metrics of a run of so many seconds, made unless the folder holds it whole."""
    run = folder / f"{name}-{seconds:g}"
    whole = run / "course.jsonl"
    if not whole.exists():
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        command = command_of(name, run, seconds)
        print(f"── {name}", flush=True)
        free = {key: text for key, text in os.environ.items() if key != "OMP_NUM_THREADS"}
        started = time.time()
        subprocess.run(command, cwd=ROOT, env=free, check=True)
        lines = read_metrics(run / METRICS)
        if name == "ours":  # counts from its first roll-out; its last line was written just then
            late = (run / METRICS).stat().st_mtime - started - lines[-1]["seconds"]
            lines = [{**line, "seconds": line["seconds"] + late} for line in lines]
        text = "".join(json.dumps(line) + "\n" for line in lines if line["seconds"] <= seconds)
        part = whole.with_suffix(".part")
        part.write_text(text)
        part.replace(whole)
    return read_metrics(whole)


def faster_of(name: str, seconds: float, folder: Path) -> str:
    """`ppo` to `ppo-dummy` or `ppo-subproc`: the one that made more steps in a trial."""
    trials = {f"{name}-{vector}": min(TRIAL, seconds) for vector in VECTORS}
    steps = {trial: course_of(trial, spent, folder) for trial, spent in trials.items()}
    return max(steps, key=lambda trial: steps_per_second(steps[trial]))


# ---------------------------------------------------------------- figures


def steps_per_second(course: Course) -> float:
    """Moves over all games, from the first line to the last."""
    if len(course) < 2:
        return 0.0
    first, last = course[0], course[-1]
    return (last["agent_steps"] - first["agent_steps"]) / (last["seconds"] - first["seconds"])


def mean_at(course: Course, seconds: float) -> float | None:
    """The mean return then; a run that had ended by then keeps its last."""
    means = [line["mean_return"] for line in course if line["seconds"] <= seconds]
    return means[-1] if means else None


def time_to_pass(course: Course, threshold: float) -> float | None:
    """Seconds until the mean return of the last 50 games is above it; None: never."""
    for line in course:
        if line["episodes"] >= ENOUGH and line["mean_return"] > threshold:
            return line["seconds"]
    return None


def measure(course: Course, times: list[float]) -> dict[str, Any]:
    """What the table shows of a run."""
    return {
        "mean_return_at_seconds": {f"{at:g}": mean_at(course, at) for at in times},
        "steps_per_second": steps_per_second(course),
        "seconds_to_pass": {f"{at}": time_to_pass(course, at) for at in THRESHOLDS},
    }


def show(found: dict[str, dict[str, Any]], seconds: float) -> None:
    """Print the table."""
    any_run = next(iter(found.values()))
    columns = [f"{at} s" for at in any_run["mean_return_at_seconds"]]
    passing = [f"> {at}" for at in any_run["seconds_to_pass"]]
    title = f"mean return of the last 50 games; seconds until it is above; {seconds:g} s each"
    table = Table("", *columns, "steps/s", *passing, title=title)
    for name, figures in found.items():
        means = [told(mean, "+.1f") for mean in figures["mean_return_at_seconds"].values()]
        passed = [told(spent, ".0f") for spent in figures["seconds_to_pass"].values()]
        table.add_row(name, *means, f"{figures['steps_per_second']:,.0f}", *passed)
    Console().print(table)


def told(value: float | None, form: str) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else format(value, form)


def draw(courses: dict[str, Course], seconds: float) -> Figure:
    """Mean return against seconds."""
    with mpl.rc_context(style.RULES):
        figure = Figure(figsize=(8.6, 4.2), layout="constrained")
        style.title(figure, "How soon Pong is learned")
        axes = figure.subplots()
        for name, course in courses.items():
            label, colour = LOOKS[name]
            known = [line for line in course if line["mean_return"] is not None]
            x, y = ([line[key] for line in known] for key in ("seconds", "mean_return"))
            axes.plot(x, y, color=colour, lw=1.8, label=label)
            axes.plot(x[-1:], y[-1:], color=colour, marker="o", ms=4)
        axes.axhline(0, color=style.GREY, lw=0.8, ls=(0, (4, 3)))
        axes.text(seconds, 0.4, "as good as the built-in player", color=style.GREY, ha="right")
        axes.set(xlabel="seconds from the command's start", xlim=(0, seconds * 1.01))
        axes.set(ylabel="points a game", ylim=(-21.6, 21.6), yticks=range(-21, 22, 7))
        cores = f"{os.cpu_count()} cores, no sticky actions, frame skip 4, one seed"
        axes.set_title(f"mean of the last 50 games · {cores}", color=style.GREY)
        axes.grid(axis="y", color=style.GREY, alpha=0.25, lw=0.6)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def names(text: str) -> list[str]:
    """`ours,ppo` as a list."""
    asked = text.split(",")
    if unknown := [name for name in asked if name not in LOOKS]:
        raise argparse.ArgumentTypeError(f"there is no {unknown[0]}: choose from {','.join(LOOKS)}")
    return asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="of each run (%(default)s)")
    parser.add_argument("--only", type=names, default=list(LOOKS), help=",".join(LOOKS) + " (all)")
    parser.add_argument("--folder", type=Path, help="keeps the runs and the peers' environment")
    parser.add_argument("--output", type=Path, default=PICTURE, help="the picture (%(default)s)")
    options = parser.parse_args()
    seconds, courses, vectors = options.seconds, {}, {}
    with nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory() as place:
        folder = Path(place).absolute()
        for name in options.only:
            run = name
            if name in ("ppo", "a2c"):
                run = faster_of(name, seconds, folder)
                vectors[name] = run.split("-")[1]
            courses[name] = course_of(run, seconds, folder)
    times = sorted({at for at in TIMES if at < seconds} | {seconds})
    found = {name: measure(course, times) for name, course in courses.items()}
    show(found, seconds)
    style.save(draw(courses, seconds), options.output)
    packages = {"packages": PACKAGES[:2], "vectors": vectors}
    keep("pong_peers", {"seconds": seconds, **packages, "runs": found})


if __name__ == "__main__":
    main()
