"""`--recipe fast`: the same policy gradient, learned from thirty times fewer games.

While the emulators play a roll-out, the network learns from the one before it.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from applications.kit.errors import RunError
from applications.kit.files import restored
from applications.kit.run import Run
from applications.kit.signals import StopSignals
from applications.pong import weights
from applications.pong.frames import SIGHTS
from applications.pong.games import Settings, make_emulators, view_and_actions
from applications.pong.learner import LIMITS, RANK_SEEDS, Config, Learner, Stage, stages
from applications.pong.pictures import film
from applications.pong.player import Game, Player
from applications.pong.policy import ActorCritic
from applications.pong.progress import Tally
from applications.pong.ranks import CORES, Onlooker, Ranks
from applications.pong.rollout import Collector, Steps, groups
from applications.pong.trust import TrustLearner

__all__ = ["LIMITS", "Config", "train"]

SAVE = 5.0
"""Seconds between checkpoints."""
SHIPPED = "shipped"
"""Names the policy that is shipped where a run folder is asked for."""
FILM_STEPS = 500
"""Of a film during training, at most; half a minute of play."""


class Emulation:
    """Plays roll-outs in a thread of its own, and knows what they cost.

    Args:
        collector: plays.
        model: whose parameters it plays with, copied when a roll-out begins.
    """

    def __init__(self, collector: Collector, model: ActorCritic):
        self.collector, self.model = collector, model
        self.player = deepcopy(model)
        self.pool = ThreadPoolExecutor(1)
        self.began = time.process_time(), time.thread_time()
        self.played, self.playing = 0, 0.0
        """Steps made so far, and the seconds of a core that the policy took to choose."""

    def start(self) -> Future[Steps]:
        """The next roll-out, under the present parameters."""
        self.player.load_state_dict(self.model.state_dict())
        return self.pool.submit(self.play)

    def play(self) -> Steps:
        """In the thread."""
        began = time.thread_time()
        steps = self.collector.collect(self.player)
        self.playing += time.thread_time() - began
        self.played += steps.moves.numel()
        return steps

    def limit(self) -> float:
        """Agent steps per second if all cores did nothing but emulate.

        What the process did neither in the learner's thread nor in the player's was emulation.
        """
        process, thread = self.began
        emulated = time.process_time() - process - (time.thread_time() - thread) - self.playing
        return CORES * self.played / max(emulated, 1e-9)

    def close(self) -> None:
        """Wait for the roll-out in flight."""
        self.pool.shutdown()


class Training:
    """A training, alone or as one rank of several.

    Args:
        config: what to train.
        run: where it is kept.
        ranks: the processes that train together; each plays the config's number of games.
    """

    def __init__(self, config: Config, run: Run | Onlooker, ranks: Ranks):
        self.config, self.run, self.ranks = config, run, ranks
        self.started = time.monotonic()
        self.view, self.actions = view_and_actions(config.game, config.shuffle, config.rest)
        kind = Learner if config.trust == "clip" else TrustLearner
        self.learner = kind(config, len(self.actions), self.view.scale, ranks)
        self.tally, self.stopped, self.latest = Tally(), False, dict[str, Any]()
        self.sticky = 0.0
        """The probability of repeated actions that was learned with last."""
        if run.state is not None:
            self.learner.load_state(run.state)
            self.sticky = run.state["sticky"]
            self.tally = restored(Tally, run.state)
            if ranks.rank:  # the state is the first one's
                torch.manual_seed(config.seed + RANK_SEEDS * ranks.rank + self.tally.update)
        elif config.start:
            self.learner.begin(trained(config, "start"))
        self.before, self.saved = replace(self.tally), time.monotonic()
        self.filmed = self.saved
        self.started -= self.tally.seconds

    def save(self) -> None:
        """Replace the checkpoint."""
        self.run.save({**self.learner.state(), **asdict(self.tally), "sticky": self.sticky})
        self.saved = time.monotonic()

    def over(self, stage: Stage) -> bool:
        """Whether a stage has ended, or all of it has."""
        seconds = float("inf") if self.config.seconds is None else self.config.seconds
        ended = self.tally.agent_steps >= stage.end or self.tally.seconds >= seconds
        return ended or self.stopped

    def emulation(self, stage: Stage) -> Emulation:
        """The games of a stage; a resumed run starts new ones."""
        config = self.config
        settings, threads = Settings(config.game, stage.sticky), self.ranks.cores
        games = groups(
            partial(make_emulators, settings, view=self.view, threads=threads),
            config.environments,
            partial(SIGHTS[config.frames], self.view),
            self.actions,
            seed=int(torch.randint(2**30, ())),
        )
        model = trained(config, "teacher") if stage.imitation else self.learner.model
        return Emulation(
            Collector(games, stage.horizon, self.view.scale), model.to(self.learner.device)
        )

    def go(self, stage: Stage, stop: StopSignals, show: Callable[[], None]) -> None:
        """Go through a stage: learn from each roll-out while the next one is played."""
        with closing(self.emulation(stage)) as emulation:
            if not self.tally.update:
                self.save()
            coming = emulation.start()
            while not self.over(stage):
                steps = coming.result()
                self.film(stage)
                if self.tally.agent_steps + self.ranks.size * steps.moves.numel() < stage.end:
                    coming = emulation.start()
                self.latest = self.learner.learn(steps, stage, stage.left(self.tally.agent_steps))
                self.sticky = stage.sticky
                self.latest |= {"sticky": stage.sticky, "emulator_limit": emulation.limit()}
                self.count(steps, [] if stage.imitation else steps.returns, stop.requested)
                if time.monotonic() - self.saved > SAVE:
                    self.save()
                show()

    def film(self, stage: Stage) -> None:
        """Record the present policy, if it is time to; only while no roll-out is being played.

        A film draws moves as well, and the generator that they come from is set back after it.
        """
        minutes = self.config.film_minutes
        if self.ranks.rank or minutes is None or time.monotonic() - self.filmed < 60 * minutes:
            return
        player = Player(deepcopy(self.learner.model).cpu(), asdict(self.config))
        game = Game(player, Settings(self.config.game, stage.sticky), seed=0)
        path = self.run.folder / f"film-{self.tally.agent_steps}.mp4"
        with torch.random.fork_rng(devices=[]):
            film(game, game.moves(FILM_STEPS), path)
        self.filmed = time.monotonic()

    def count(self, steps: Steps, returns: list[float], stop: bool) -> None:
        """Add up what the ranks did, so that all of them know the same, and log it.

        Args:
            steps: that were learned from.
            returns: of the learner's own episodes that ended, points.
            stop: whether somebody asks to.
        """
        mine = {
            "steps": steps.moves.numel(),
            "seconds": time.monotonic() - self.started,
            "stop": stop,
            "won": (steps.rewards > 0).sum().item(),
            "lost": (steps.rewards < 0).sum().item(),
            "returns": returns,
        }
        told, tally = self.ranks.gather(mine), self.tally
        tally.agent_steps += sum(one["steps"] for one in told)
        tally.seconds = max(one["seconds"] for one in told)
        self.stopped = any(one["stop"] for one in told)
        returns = [points for one in told for points in one["returns"]]
        tally.add(returns)
        self.latest |= {name: sum(one[name] for one in told) for name in ("won", "lost")}
        self.run.log({**tally.metrics(self.before), **self.latest, "returns": returns})


def train(config: Config, run: Run | Onlooker, ranks: Ranks | None = None) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit.

    Args:
        config: what to train.
        run: where the training is kept.
        ranks: the processes that train together; alone if there is none.
    """
    torch.set_num_threads(1)  # the other cores are the emulators'
    ranks = ranks or Ranks()
    training = Training(config, run, ranks)
    with StopSignals() as stop, ranks.display(f"Pong from pixels · {run.folder}") as display:
        now = partial(figures, training)
        for stage in stages(config):
            if not training.over(stage):
                training.go(stage, stop, partial(display.show, now))
        display.show(now, now=True)
    training.save()
    return not training.stopped


def trained(config: Config, role: str) -> ActorCritic:
    """The policy that a config names.

    Args:
        config: what is to be trained.
        role: the field that names a run folder or, by default, the policy that is `shipped`.

    Raises:
        RunError: there is none, or it does not see or do what the config's policy does.
    """
    name = getattr(config, role) or SHIPPED
    model, had = weights.load(None if name == SHIPPED else Path(name), "fast", config.game)
    for field in ("recipe", "game", "frames", "shuffle", "rest"):
        if had.get(field) != getattr(config, field):
            raise RunError(
                f"the {role} was trained with {field} {had.get(field)}, and this policy has "
                f"{getattr(config, field)}: name another by --{role}"
            )
    return model


def figures(training: Training) -> dict[str, str]:
    """What the display shows."""
    tally, before, latest = training.tally, training.before, training.latest
    steps = stages(training.config)[-1].end
    limits = [
        (before.agent_steps, tally.agent_steps, steps),
        (before.seconds, tally.seconds, training.config.seconds),
    ]
    shown = {"episodes": f"{tally.episodes:,}", **tally.figures(before, limits)}
    if latest:
        share = tally.speed(before) / latest["emulator_limit"]
        shown["of the emulator's speed"] = f"{share:.0%}"
        shown["sticky actions"] = f"{latest['sticky']:g}"
        shown["entropy"] = f"{latest['entropy']:.2f} nats"
        shown["divergence"] = f"{latest['kl']:.3f} nats"
        shown["baseline fit"] = f"{latest['baseline_fit']:.2f}"
        if latest.get("halvings") is not None:
            shown["halvings"] = f"{latest['halvings']}"
        if latest["gradient_snr"] is not None:
            shown["gradient snr"] = f"{latest['gradient_snr']:.2f}"
    return shown
