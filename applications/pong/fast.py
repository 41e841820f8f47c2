"""`--recipe fast`: the same policy gradient, learned from thirty times fewer games.

While the emulators play a roll-out, the network learns from the one before it.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from applications.kit import loop
from applications.kit import trainer as kit
from applications.kit.errors import RunError
from applications.kit.run import Run
from applications.pong import progress, weights
from applications.pong.config import Config, Stage, stages
from applications.pong.frames import SIGHTS
from applications.pong.games import Settings, make_emulators, view_and_actions
from applications.pong.learner import RANK_SEED_OFFSET, Learner
from applications.pong.pictures import film
from applications.pong.player import Game, Player
from applications.pong.policy import ActorCritic
from applications.pong.ranks import CORES, Onlooker, Ranks
from applications.pong.rollout import Collector, Steps, groups
from applications.pong.trust import TrustLearner

__all__ = ["Config", "train"]

SAVE_SECONDS = 5.0
"""Seconds between checkpoints."""
SHIPPED = "shipped"
"""Stands for the shipped policy where a run folder is expected."""
FILM_STEPS = 500
"""Largest number of agent steps in a film during training: half a minute of play."""


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


class Trainer(progress.Trainer):
    """A training, alone or as one rank of several.

    Args:
        config: what to train.
        ranks: the processes that train together; each plays the config's number of games.
    """

    def __init__(self, config: Config, ranks: Ranks):
        super().__init__(config)
        self.ranks, self.save_seconds = ranks, SAVE_SECONDS
        self.view, self.actions = view_and_actions(config.game, config.shuffle, config.rest)
        kind = Learner if config.trust == "clip" else TrustLearner
        self.learner = kind(config, len(self.actions), self.view.scale, ranks)
        self.parts = self.learner.parts
        self.teacher = trained(config, "teacher") if config.imitation_steps else None
        self.sticky = 0.0
        """The probability of repeated actions that was learned with last."""
        self.requested, self.stopped = False, False
        """Whether somebody asked this rank to stop, and whether one asked any of them."""
        self.filmed = time.monotonic()

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from there; a new run may start from another policy."""
        super().restore(state)
        if state is None and self.config.start:
            self.learner.begin(trained(self.config, "start"))

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on, but the games in flight."""
        return {**super().state_dict(), "sticky": self.sticky}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, each rank with chance of its own."""
        super().load_state_dict(state)
        self.sticky = state["sticky"]
        if self.ranks.rank:  # the state is the first one's
            torch.manual_seed(
                self.config.seed + RANK_SEED_OFFSET * self.ranks.rank + self.tally.update
            )

    def tick(self) -> None:
        """Nothing: ranks agree on the time when they `count`."""

    def stops(self, requested: bool) -> bool:
        """Whether a rank was asked to; all of them stop after the same update."""
        self.requested = requested
        return self.stopped

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
        model = self.teacher if stage.imitation else self.learner.model
        return Emulation(
            Collector(games, stage.horizon, self.view.scale), model.to(self.learner.device)
        )

    def __iter__(self) -> Iterator[kit.Line | None]:
        """Learn from each roll-out while the next one is played, stage by stage."""
        for stage in stages(self.config):
            if self.tally.agent_steps < stage.end:
                with closing(self.emulation(stage)) as emulation:
                    yield from self.learn(stage, emulation)

    def learn(self, stage: Stage, emulation: Emulation) -> Iterator[kit.Line]:
        """Go through a stage."""
        tally, coming = self.tally, emulation.start()
        while tally.agent_steps < stage.end:
            steps = coming.result()
            self.film(stage)
            if tally.agent_steps + self.ranks.size * steps.moves.numel() < stage.end:
                coming = emulation.start()
            figures = self.learner.learn(steps, stage, stage.left(tally.agent_steps))
            self.sticky = stage.sticky
            figures |= {"sticky": stage.sticky, "emulator_limit": emulation.limit()}
            yield self.count(steps, [] if stage.imitation else steps.returns, figures)

    def film(self, stage: Stage) -> None:
        """Record the present policy, if it is time to; only while no roll-out is being played.

        A film draws moves as well, and the generator that they come from is set back after it.
        """
        minutes = self.config.film_minutes
        if self.ranks.rank or minutes is None or time.monotonic() - self.filmed < 60 * minutes:
            return
        player = Player(deepcopy(self.learner.model).cpu(), asdict(self.config))
        game = Game(player, Settings(self.config.game, stage.sticky), seed=0)
        path = self.folder / f"film-{self.tally.agent_steps}.mp4"
        with torch.random.fork_rng(devices=[]):
            film(game, game.moves(FILM_STEPS), path)
        self.filmed = time.monotonic()

    def count(self, steps: Steps, returns: list[float], figures: dict[str, Any]) -> kit.Line:
        """Add up what the ranks did, so that all of them know the same.

        Args:
            steps: that were learned from.
            returns: of the learner's own episodes that ended, points.
            figures: of the update.

        Returns:
            The update's metrics.
        """
        mine = {
            "steps": steps.moves.numel(),
            "seconds": time.monotonic() - self.started,
            "stop": self.requested,
            "won": (steps.rewards > 0).sum().item(),
            "lost": (steps.rewards < 0).sum().item(),
            "returns": returns,
        }
        tally = self.tally
        parts = self.ranks.gather(mine)  # one of each rank
        tally.agent_steps += sum(part["steps"] for part in parts)
        tally.seconds = max(part["seconds"] for part in parts)
        self.stopped = any(part["stop"] for part in parts)
        returns = [points for part in parts for points in part["returns"]]
        tally.add(returns)
        points = {name: sum(part[name] for part in parts) for name in ("won", "lost")}
        return self.line(returns, {**figures, **points})

    def columns(self) -> dict[str, str]:
        """What the display shows."""
        shown, latest = super().columns(), self.latest
        if not latest:
            return shown
        if speed := self.speed():
            shown["speed relative to the emulators alone"] = (
                f"{speed / latest['emulator_limit']:.0%}"
            )
        shown["sticky actions"] = f"{latest['sticky']:g}"
        shown["entropy"] = f"{latest['entropy']:.2f} nats"
        shown["change of the policy"] = f"{latest['kl']:.3f} nats"
        shown["variance that the baseline explains"] = f"{latest['baseline_fit']:.0%}"
        if latest.get("halvings") is not None:
            shown["steps halved"] = f"{latest['halvings']} times"
        if latest["gradient_snr"] is not None:
            shown["signal-to-noise ratio of the gradient"] = f"{latest['gradient_snr']:.2f}"
        return shown


def train(config: Config, run: Run | Onlooker, ranks: Ranks | None = None) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit.

    Args:
        config: what to train.
        run: where the training is kept.
        ranks: the processes that train together; alone if there is none.
    """
    torch.set_num_threads(1)  # the other cores are the emulators'
    ranks = ranks or Ranks()
    return loop.train(Trainer(config, ranks), run, run if ranks.rank else None)


def trained(config: Config, role: str) -> ActorCritic:
    """The policy that a config names.

    Args:
        config: what is to be trained.
        role: the field that names a run folder or, by default, the policy that is `shipped`.

    Raises:
        RunError: there is none, or it does not see or do what the config's policy does.
    """
    name = getattr(config, role) or SHIPPED
    model, trained = weights.load(None if name == SHIPPED else Path(name), "fast", config.game)
    for field in ("recipe", "game", "frames", "shuffle", "rest"):
        if trained.get(field) != getattr(config, field):
            raise RunError(
                f"the {role} was trained with {field} {trained.get(field)}, and this policy has "
                f"{getattr(config, field)}: name another by --{role}"
            )
    return model
