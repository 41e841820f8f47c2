"""Whether Pong's emulation and learning really go on at the same time, in the fast recipe.

In turns of some seconds, in one process: training as `train --recipe fast` does it; the emulators
alone with random moves, in as many threads as there are cores; the emulators alone in one thread;
learning alone, in one thread, from a recorded roll-out. Two figures, medians over the turns:

- throughput: agent steps per second of training over those of the emulators alone
- overlap: seconds per step of training over the larger of emulating and learning, one core each

    python -m benchmarks.pong_overlap

With two cores and nothing lost, a step takes half of emulation, choice and learning together; an
overlap of 1 is what one core for each would reach.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import ale_py
import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv
from rich.console import Console
from rich.table import Table

from applications.pong import fast
from applications.pong.config import Config, stages
from applications.pong.frames import SIGHTS
from applications.pong.games import Settings, make_emulators, view_and_actions
from applications.pong.learner import Learner
from applications.pong.ranks import CORES
from applications.pong.rollout import Collector, groups
from benchmarks.timing import keep


class Jobs:
    """The four jobs; each goes on for some seconds and says how many steps it made."""

    def __init__(self, config: Config):
        torch.set_num_threads(1)
        self.view, self.actions = view_and_actions(config.game, rest=config.rest)
        self.settings, self.stage = Settings(config.game, 0.0), stages(config)[1]
        self.learner = Learner(config, len(self.actions), self.view.scale)
        games = groups(
            partial(self.make, threads=None),
            config.environments,
            partial(SIGHTS[config.frames], self.view),
            self.actions,
            seed=0,
        )
        collector = Collector(games, config.horizon, self.view.scale)
        self.emulation = fast.Emulation(collector, self.learner.model)
        self.random = np.random.default_rng(0)
        self.all = self.make(config.environments, None)
        self.one = self.make(config.environments, 1)
        for emulators in (self.all, self.one):
            emulators.reset(seed=0)
        self.recorded = self.emulation.start().result()

    def make(self, games: int, threads: int | None) -> AtariVectorEnv:
        return make_emulators(self.settings, games, self.view, threads=threads)

    def train(self, seconds: float) -> int:
        coming, made = self.emulation.start(), 0
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            steps = coming.result()
            coming = self.emulation.start()
            self.learner.learn(steps, self.stage, 1.0)
            made += steps.moves.numel()
        coming.result()
        return made

    def emulate(self, emulators: AtariVectorEnv, seconds: float) -> int:
        made, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            moves = self.random.integers(len(self.actions), size=emulators.num_envs)
            emulators.step(self.actions[moves])
            made += emulators.num_envs
        return made

    def learn(self, seconds: float) -> int:
        made, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            self.learner.learn(self.recorded, self.stage, 0.0)  # at a step size of 0
            made += self.recorded.moves.numel()
        return made


def speed(job: Callable[[float], int], seconds: float) -> float:
    """Steps per second."""
    started = time.perf_counter()
    return job(seconds) / (time.perf_counter() - started)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn (%(default)s)")
    options = parser.parse_args(arguments)
    jobs = Jobs(Config())
    named = {
        "training": jobs.train,
        "emulators alone, all cores": partial(jobs.emulate, jobs.all),
        "emulators alone, one core": partial(jobs.emulate, jobs.one),
        "learning alone, one core": jobs.learn,
    }
    turns = [
        {name: speed(job, options.seconds) for name, job in named.items()}
        for _ in range(options.rounds)
    ]
    train, alone, emulate, learn = (np.array([turn[name] for turn in turns]) for name in named)
    throughput = statistics.median(train / alone)
    overlap = statistics.median(np.minimum(emulate, learn) / train)
    table = Table("job", "agent steps per second", "µs per step", title="medians")
    for name in named:
        median = statistics.median(turn[name] for turn in turns)
        table.add_row(name, f"{median:,.0f}", f"{1e6 / median:,.0f}")
    Console().print(table)
    print(f"throughput {throughput:.2f}, overlap {overlap:.2f}, {CORES} cores")
    keep("pong_overlap", {"throughput": throughput, "overlap": overlap, "turns": turns})


if __name__ == "__main__":
    main()
