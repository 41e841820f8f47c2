"""`--recipe cross-entropy`: guess policies, keep the best, guess around those.

The text has it that this should always be tried first. Nothing is differentiated. A generation is a
population of policies, which play side by side; what counts is a policy's points in so many steps.
Their games go on from one generation to the next. If they began anew, all of them would begin
alike, and the search would find what goes well in just these first steps.

Where it stops: the points say how good a policy was as a whole, not which of its numbers made it
so, and chance has a part in them. So the numbers must be few: 41, of one linear layer on coarse
pixels, where `fast` learns 1.6 million. And the spread must be kept up by noise: left alone it
shrinks on lucky draws, and the search ends where it began. Even then it learns to lose slowly, by
long rallies, which is what few points in so many steps ask for (docs/pong-studies.md).
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

import sfgrad as sf
from applications.kit.display import Display
from applications.kit.errors import RunError
from applications.kit.files import restored
from applications.kit.run import Run
from applications.kit.signals import StopSignals
from applications.pong.frames import SIGHTS, Frames
from applications.pong.games import Settings, make_emulators, view_and_actions
from applications.pong.policy import Blocks
from applications.pong.progress import Tally
from applications.pong.rollout import Games
from sfgrad.optim import CrossEntropyMethod

TRIALS = 8
"""Games that the mean of the search plays meanwhile: the returns that are told."""


@dataclass(frozen=True)
class Config:
    """What is searched for, and how."""

    recipe: str = "cross-entropy"
    """The recipe that this configures."""
    game: str = "pong"
    """ROM name of an ALE game."""
    sticky: float = 0.0
    """Probability per frame that the emulator repeats the last action instead of the one sent."""
    frames: str = "pair"
    """What the policy sees: a `pair` of frames or their `difference`."""
    rest: bool = False
    """Whether Pong's paddle may also be left where it is."""
    block_height: int = 16
    """Height of a block, of which the policy sees how many pixels are lit; pixels."""
    block_width: int = 20
    """Width of a block, pixels."""
    population: int = 64
    """Policies of a generation."""
    elite: int = 16
    """How many of them are kept."""
    horizon: int = 400
    """Agent steps by whose points a policy is judged."""
    spread: float = 0.25
    """Standard deviation of the weights at first, logits per pixel."""
    noise: float = 0.00625
    """Variance added to that of the elite at first, in the unit of the weights squared."""
    fade: int = 100
    """Generations until none is."""
    seed: int = 0
    """Fixes the guesses, the moves and the emulators."""
    generations: int = 100
    """Stop after so many, in all."""
    seconds: float | None = None
    """Stop after so many seconds of training, in all; None: never."""

    def __post_init__(self) -> None:
        """Refuse an elite that nothing selects."""
        if self.elite > self.population:
            raise RunError(
                f"the elite of {self.elite} is no part of a population of {self.population}: keep "
                "fewer, or draw more"
            )


LIMITS = ("generations", "seconds")
"""The fields in which a resumed run may differ."""


class Search:
    """The search, and the games by which it judges.

    Args:
        config: what is searched for.
        state: to go on from, with new games; None at the beginning.
    """

    def __init__(self, config: Config, state: dict[str, Any] | None = None):
        torch.manual_seed(config.seed)
        self.config = config
        view, actions = view_and_actions(config.game, rest=config.rest)
        sight, self.scale = SIGHTS[config.frames], view.scale
        self.policy = Blocks(len(actions), config.block_height, config.block_width, sight.size)
        self.method = CrossEntropyMethod(
            self.policy.weight.detach().flatten(),
            config.spread,
            config.population,
            config.elite,
            config.noise,
            config.fade,
        )
        if state is not None:
            self.load_state(state)
        count = config.population + TRIALS
        emulators = make_emulators(Settings(config.game, config.sticky), count, view)
        seed = int(torch.randint(2**30, ()))
        self.games = Games(emulators, sight(view, count), actions, seed)
        self.scores = np.zeros(TRIALS, np.float32)
        """Points of the trials in flight."""

    @torch.no_grad()
    def generation(self, tick: Callable[[], None]) -> dict[str, Any]:
        """Guess, judge, and guess better from now on: what the metrics tell of it.

        Args:
            tick: called after every step.
        """
        guesses = self.method.ask().unflatten(1, self.policy.weight.shape)
        own = torch.cat([guesses, self.policy.weight.expand(TRIALS, -1, -1)])
        points, returns = torch.zeros(len(own)), []
        for _ in range(self.config.horizon):
            frames = Frames.of(*self.games.see().changes, self.scale)
            self.games.act(sf.sample(self.policy(frames, own)))  # outside a graph: it just draws
            seen = self.games.see()
            points += torch.from_numpy(seen.rewards)
            self.scores += seen.rewards[-TRIALS:]
            over = seen.first[-TRIALS:]
            returns += self.scores[over].tolist()
            self.scores[over] = 0
            tick()
        points = points[:-TRIALS]
        self.method.tell(points)
        self.policy.weight.copy_(self.method.mean.view_as(self.policy.weight))
        return {
            "points": points.mean().item(),
            "points_elite": points.topk(self.config.elite).values.mean().item(),
            "spread": self.method.std.mean().item(),
            "returns": returns,
        }

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            "policy": self.policy.state_dict(),
            "search": self.method.state_dict(),
            "rng": torch.get_rng_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.policy.load_state_dict(state["policy"])
        self.method.load_state_dict(state["search"])
        torch.set_rng_state(state["rng"])


def train(config: Config, run: Run) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # the emulators bring threads of their own
    search, tally, latest = Search(config, run.state), Tally(), dict[str, Any]()

    def save() -> None:
        run.save({**search.state(), **asdict(tally)})

    if run.state is None:
        save()
    else:
        tally = restored(Tally, run.state)
    before = replace(tally)
    started = time.monotonic() - before.seconds
    limit = float("inf") if config.seconds is None else config.seconds
    with StopSignals() as stop, Display(f"Pong from pixels · {run.folder}") as display:
        now = partial(figures, tally, before, latest, config)

        def step() -> None:
            """Count a step of every game."""
            tally.agent_steps += config.population + TRIALS
            tally.seconds = time.monotonic() - started
            display.show(now)

        while tally.update < config.generations and tally.seconds < limit and not stop.requested:
            latest.update(search.generation(step))
            tally.add(latest["returns"])
            run.log({**tally.metrics(before), **latest})
            save()
        display.show(now, now=True)
    return not stop.requested


def figures(tally: Tally, before: Tally, latest: dict[str, Any], config: Config) -> dict[str, str]:
    """What the display shows."""
    limits = [
        (before.update, tally.update, config.generations),
        (before.seconds, tally.seconds, config.seconds),
    ]
    shown = {"trials": f"{tally.episodes:,}", **tally.figures(before, limits)}
    if latest:
        shown[f"points in {config.horizon} steps"] = f"{latest['points']:+.1f}"
        shown["of the elite"] = f"{latest['points_elite']:+.1f}"
        shown["spread"] = f"{latest['spread']:.3f}"
    return shown
