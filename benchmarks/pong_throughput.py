"""How much of the emulator's speed is left when it is learned from.

Agent steps per second of `train --recipe blog` (moves, frames, gradients, updates, metrics, display
and a checkpoint per update included) over those of the emulator alone with random actions: the same
number of games and as many threads as there are cores, in one process, in turns of some seconds.
The figure is the median of the turns' ratios.

    python -m benchmarks.pong_throughput

Where the time goes, processor microseconds per agent step on two cores (the second table): the
emulator 270 to 300 for its four frames; the difference frames 7, nearly all of it gathering every
second pixel; forward and draw 6 (groups of 16 games) to 10 (groups of 8), mostly the calls
themselves, since a frame lists thirty pixels; replay and backward 5 to 6; RMSProp and the
checkpoint of 10 MB, once in ten thousand steps, 1 to 2. That leaves .92 at best.

With dense frames the forward product alone costs 66 µs (8 rows at a time), replay and backward 58
(2048 rows at a time): eight times as much as with the lists.
"""

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import ale_py
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import sfgrad as sf
from applications.kit import loop
from applications.kit.display import Display
from applications.kit.files import save_state
from applications.kit.run import Run
from applications.pong import blog
from applications.pong.blog import Config, add_gradient
from applications.pong.frames import Differences, Frames
from applications.pong.games import Settings, make_emulators, view_and_actions
from applications.pong.policy import Policy
from applications.pong.progress import Tally
from applications.pong.rollout import Rollout
from benchmarks.timing import keep

STICKY = 0.25


class Turns(Display):
    """Takes the display's place and gives every second turn to the emulator alone."""

    environments, length = Config.environments, 5.0

    def __enter__(self) -> "Turns":
        self.random = np.random.default_rng(0)
        view, self.actions = view_and_actions("pong")
        self.emulators = make_emulators(Settings("pong", STICKY), self.environments, view)
        self.emulators.reset(seed=0)
        self.trained: list[float] = []  # agent steps per second, a turn each
        self.alone: list[float] = []
        Turns.last = self
        self.since, self.steps = time.perf_counter(), 0
        return super().__enter__()

    def show(self, figures: partial, now: bool = False) -> None:
        """Called after every step of the training."""
        super().show(figures, now)
        tally: Tally = figures.args[0].tally
        spent = time.perf_counter() - self.since
        if spent < self.length or now:
            return
        self.trained.append((tally.agent_steps - self.steps) / spent)
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < self.length:
            self.emulators.step(self.actions[self.random.integers(2, size=self.environments)])
            steps += self.environments
        self.alone.append(steps / (time.perf_counter() - started))
        self.since, self.steps = time.perf_counter(), tally.agent_steps


def take_turns(environments: int, rounds: int, seconds: float) -> Turns:
    """So many turns each of training and of the emulator alone."""
    loop.Display, Turns.environments, Turns.length = Turns, environments, seconds
    config = Config(environments=environments, seconds=2 * seconds * (rounds + 0.5))
    with (
        tempfile.TemporaryDirectory() as parent,
        Run(Path(parent, "run"), config, resume=False) as run,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        blog.train(config, run)
    return Turns.last


def parts(environments: int) -> dict[str, float]:
    """Processor time of each part of training, microseconds per agent step."""
    torch.set_num_threads(1)
    view, actions = view_and_actions("pong")
    policy, config, settings = Policy(), Config(), Settings("pong", STICKY)
    group = max(environments // 2, 1)
    emulators = make_emulators(settings, group, view)
    screens = [emulators.reset(seed=0)[0]]
    random = np.random.default_rng(0)
    for _ in range(200):
        screens.append(emulators.step(actions[random.integers(2, size=group)])[0])
    rollout = Rollout(
        lambda games: make_emulators(settings, games, view), environments, view, actions, 0
    )
    episodes = []
    while len(episodes) < config.batch_episodes:
        episodes += rollout.step(policy)
    del rollout
    differences, first = Differences(view, group), np.zeros(group, bool)
    changes = [differences(screen[:, 0], first) for screen in screens]
    optimizer = torch.optim.RMSprop(policy.parameters())

    def choose() -> None:
        with torch.no_grad():
            for change in changes:
                sf.sample(policy(Frames.of(*change, view.scale)))

    def learn() -> None:
        for episode in episodes:
            add_gradient(policy, episode, view, config)

    def step_and_save() -> None:
        optimizer.step()
        with tempfile.TemporaryDirectory() as parent:
            state = {"policy": policy.state_dict(), "optimizer": optimizer.state_dict()}
            save_state(Path(parent, "checkpoint.safetensors"), state)

    played, batch = group * len(screens), sum(len(episode.moves) for episode in episodes)
    jobs = {
        "the emulator": (
            lambda: [emulators.step(actions[np.zeros(group, int)]) for _ in screens],
            played,
        ),
        "difference frames": (
            lambda: [differences(screen[:, 0], first) for screen in screens],
            played,
        ),
        "forward and draw": (choose, played),
        "replay and backward": (learn, batch),
        "RMSProp and checkpoint": (step_and_save, batch),
    }
    spent = {}
    for name, (job, steps) in jobs.items():
        times = []
        for _ in range(5):
            before = time.process_time()
            job()
            times.append((time.process_time() - before) / steps * 1e6)
        spent[name] = statistics.median(times)
    return spent


def main(arguments: list[str] | None = None) -> float:
    """Print the table; the median ratio."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn (%(default)s)")
    parser.add_argument("--environments", type=int, default=Config.environments)
    options = parser.parse_args(arguments)
    turns = take_turns(options.environments, options.rounds, options.seconds)
    table = Table("turn", "emulator alone", "training", "ratio", title="agent steps per second")
    ratios = []
    for alone, trained in zip(turns.alone, turns.trained, strict=True):
        ratios.append(trained / alone)
        table.add_row(f"{len(ratios)}", f"{alone:,.0f}", f"{trained:,.0f}", f"{ratios[-1]:.2f}")
    console = Console()
    console.print(table)
    spent = Table("part", "µs per agent step", title="processor time")
    microseconds_of = parts(options.environments)
    for name, microseconds in microseconds_of.items():
        spent.add_row(name, f"{microseconds:.1f}")
    console.print(spent)
    ratio = statistics.median(ratios)
    print(f"{options.environments} games, {os.cpu_count()} cores: median ratio {ratio:.2f}")
    keep(
        "pong_throughput",
        {
            "training_over_emulator_alone": ratio,
            "turns": ratios,
            "training_steps_per_second": statistics.median(turns.trained),
            "emulator_steps_per_second": statistics.median(turns.alone),
            "microseconds_per_step": microseconds_of,
        },
    )
    return ratio


if __name__ == "__main__":
    main()
