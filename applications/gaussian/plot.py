"""From settings to files: computes what each picture shows, draws it and saves it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from applications.gaussian.animation import write_gif
from applications.gaussian.clouds import plot_baselines
from applications.gaussian.comparison import Estimates, Exact, as_json, compare, exact
from applications.gaussian.config import Config
from applications.gaussian.gaussian import (
    BASELINES,
    START,
    Gaussian,
    Step,
    make_baseline,
    make_couplings,
    make_objective,
    make_rate,
    update,
)
from applications.gaussian.panels import plot_estimator
from applications.gaussian.playground import CELLS, build, picture_text, state_text
from applications.gaussian.rewards import LIMIT, Reward, regions
from applications.gaussian.training import Snapshot, course
from applications.kit.figures import save

FRESH = 200_000
"""Samples to measure the expected rewards of the three panels with."""
MOST_DRAWS = 500
"""The playground draws at most so many samples; `LARGEST_SAMPLE` of `web/state.js`."""


@contextmanager
def progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; yields what advances it."""
    with Progress(console=Console(stderr=True)) as bars:
        task = bars.add_task(f"{name:12}", total=total)
        yield lambda count: bars.advance(task, count)


def estimator(
    folder: Path,
    formats: list[str],
    reward: Reward,
    *,
    samples: int,
    baseline: str,
    learning_rate: float,
    seed: int,
    covariance: bool,
) -> Step:
    """`estimator.*`: one update in three panels; returns the update."""
    torch.manual_seed(seed)
    with progress("three panels", 1) as advance:
        objective = make_objective(reward, make_baseline(baseline, reward), samples)
        rate = make_rate(learning_rate, reward)
        step = update(START, objective, rate, covariance)
        figure = plot_estimator(step, reward, baseline, rate, FRESH)
        advance(1)
    for ending in formats:
        save(figure, folder / f"estimator.{ending}")
    return step


def playground(
    folder: Path,
    reward: Reward,
    step: Step,
    *,
    samples: int,
    baseline: str,
    learning_rate: float,
    seed: int,
    covariance: bool,
) -> None:
    """`index.html`: a playground that starts from the same update.

    It has the update's own draws, unless they are more than `MOST_DRAWS`.
    """
    low, high = reward.range
    fields = {
        "samples": min(samples, MOST_DRAWS),
        "seed": seed,
        "baseline": baseline,
        "rate": make_rate(learning_rate, reward),
        "covariance": int(covariance),
        "reward": playground_reward(reward),
        "shift": (high + low) / 2,
        "scale": (high - low) / 2,
        "constant": low,
    }
    if samples <= MOST_DRAWS:
        fields["draws"] = step.points.flatten().tolist()
    (folder / "index.html").write_text(build(state_text(**fields)), encoding="utf-8")


def playground_reward(reward: Reward) -> str:
    """A reward as the playground has it: 256 grey levels from its lowest value to its highest.

    Outside the plotted square the playground rewards with the lowest value.
    """
    if reward.function is regions:
        return "regions"
    low, high = reward.range
    side = 2 * LIMIT / CELLS
    across = (torch.arange(CELLS, dtype=torch.float64) + 0.5) * side - LIMIT
    points = torch.cartesian_prod(-across, across).flip(1)  # rows from the top
    levels = (255 * (reward(points) - low) / (high - low)).round().clamp(0, 255)
    return f"picture:{picture_text(levels.int().tolist())}"


def baselines(folder: Path, formats: list[str], reward: Reward, **settings: Any) -> dict[str, Any]:
    """`baselines.*`: clouds of estimates, and `baselines.json`; returns what that holds."""
    numbers, found, truth = comparison(START, reward, **settings)
    shown = {name: found[name] for name in BASELINES}
    figure = plot_baselines(shown, truth, reward, settings["samples"])
    for ending in formats:
        save(figure, folder / f"baselines.{ending}")
    (folder / "baselines.json").write_text(json.dumps(numbers, indent=2) + "\n")
    return numbers


def comparison(
    gaussian: Gaussian, reward: Reward, *, samples: int, replications: int, seed: int
) -> tuple[dict[str, Any], dict[str, Estimates], Exact]:
    """All baselines and couplings side by side: the numbers, the estimates, the truth."""
    torch.manual_seed(seed)
    choices = len(BASELINES) + len(make_couplings(samples))
    with progress("baselines", choices * replications) as advance:
        found = compare(gaussian, reward, samples, replications, advance)
        truth = exact(gaussian, reward)
    settings = {"samples": samples, "replications": replications, "seed": seed}
    return {"reward": reward.name, **settings, **as_json(found, truth)}, found, truth


def learning(
    folder: Path, reward: Reward, config: Config, history: list[Snapshot], frames: int
) -> list[Snapshot]:
    """`learning.gif`: the course of a training, which is made here if there is none."""
    if not history:
        with progress("learning", config.updates + 1) as advance:
            history = course(config, reward, advance)
    torch.manual_seed(config.seed)
    frames = min(frames, len(history))
    with progress("animation", frames) as advance:
        write_gif(history, reward, folder / "learning.gif", frames, config.samples, advance)
    return history
