"""`--recipe cross-entropy`: guess policies, keep the best, guess around those.

Karpathy's post says that this should always be tried first. Nothing is differentiated. A generation
is a population of policies, which play side by side; what counts is the points that a policy makes
in a fixed number of agent steps. Their games continue from one generation to the next. If they
began anew, all of them would begin alike, and the search would find what goes well in just these
first steps.

Where it stops: the points say how good a policy was as a whole, not which of its numbers made it
so, and chance has a part in them. So the numbers must be few: 41, of one linear layer on coarse
pixels, where `fast` learns 1.6 million. And the spread must be kept up by noise: left alone it
shrinks on lucky draws, and the search ends where it began. Even then it learns to lose slowly, by
long rallies, which is what points in so few steps ask for (docs/pong-studies.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch

import sfgrad as sf
from applications.kit import loop
from applications.kit import trainer as kit
from applications.kit.errors import OptionError
from applications.kit.options import Amount, Count, Limit, Range, Several, Share
from applications.kit.run import Run
from applications.pong import progress
from applications.pong.config import GameTraining, Rest, Sight
from applications.pong.frames import SIGHTS, Frames
from applications.pong.games import Settings, make_emulators, view_and_actions
from applications.pong.policy import Blocks
from applications.pong.rollout import Games, Seen
from sfgrad.optim import CrossEntropyMethod

TRIAL_GAMES = 8
"""Games that the mean of the search plays meanwhile, for the returns in the metrics."""
Side = Annotated[int, Range(1, 80)]


@dataclass(frozen=True)
class Config(GameTraining):
    """Options of the search."""

    RESUMABLE: ClassVar = (*GameTraining.RESUMABLE, "generations")

    recipe: Literal["cross-entropy"] = "cross-entropy"
    """The recipe that this configures."""
    sticky: Share = 0.0
    """Probability per frame that the emulator repeats the last action."""
    frames: Sight = "pair"
    """Input of the policy: a `pair` of frames or their `difference`."""
    rest: Rest = False
    """Allow a third move in Pong, which leaves the paddle where it is."""
    block_height: Side = 16
    """Height in pixels of a block, of which the policy sees how many pixels are lit."""
    block_width: Side = 20
    """Width of a block in pixels."""
    population: Several = 64
    """Policies in a generation."""
    elite: Several = 16
    """Policies of a generation that are kept."""
    horizon: Count = 400
    """Agent steps that a policy plays to be judged."""
    spread: Amount = 0.25
    """Initial standard deviation of the weights, in logits per pixel."""
    noise: Amount = 0.00625
    """Variance initially added to that of the elite, in the squared unit of the weights."""
    fade: Count = 100
    """Generations until no variance is added."""
    generations: Count = 100
    """Stop after this many generations in total."""

    def __post_init__(self) -> None:
        """Refuse an elite that nothing selects."""
        super().__post_init__()
        if self.elite > self.population:
            raise OptionError(
                f"the elite of {self.elite} is no part of a population of {self.population}: keep "
                "fewer, or draw more"
            )

    def limits(self) -> list[Limit]:
        """The generations, and the time."""
        limit = Limit("generations", lambda state: state["update"], self.generations)
        return [limit, *super().limits()]


class Trainer(progress.Trainer):
    """The search, and the games by which it judges.

    Args:
        config: what is searched for.
    """

    def __init__(self, config: Config):
        super().__init__(config)
        torch.manual_seed(config.seed)
        self.view, self.actions = view_and_actions(config.game, rest=config.rest)
        self.sight = SIGHTS[config.frames]
        self.policy = Blocks(
            len(self.actions), config.block_height, config.block_width, self.sight.size
        )
        self.method = CrossEntropyMethod(
            self.policy.weight.detach().flatten(),
            config.spread,
            config.population,
            config.elite,
            config.noise,
            config.fade,
        )
        self.parts = {"policy": self.policy, "search": self.method}

    def __iter__(self) -> Iterator[kit.Line | None]:
        """A step of all games, and a line at the end of each generation."""
        count = self.config.population + TRIAL_GAMES
        settings = Settings(self.config.game, self.config.sticky)
        emulators = make_emulators(settings, count, self.view)
        seed = int(torch.randint(2**30, ()))  # a resumed run starts new games
        self.games = Games(emulators, self.sight(self.view, count), self.actions, seed)
        self.scores = np.zeros(TRIAL_GAMES, np.float32)
        """Points of the trials in flight."""
        while True:
            yield from self.generation()

    @torch.no_grad()
    def generation(self) -> Iterator[kit.Line | None]:
        """Guess, judge, and guess better from now on."""
        guesses = self.method.ask().unflatten(1, self.policy.weight.shape)
        own = torch.cat([guesses, self.policy.weight.expand(TRIAL_GAMES, -1, -1)])
        points, returns = torch.zeros(len(own)), []
        for _ in range(self.config.horizon):
            seen = self.play(own)
            points += torch.from_numpy(seen.rewards)
            self.scores += seen.rewards[-TRIAL_GAMES:]
            over = seen.first[-TRIAL_GAMES:]
            returns += self.scores[over].tolist()
            self.scores[over] = 0
            yield None
        points = points[:-TRIAL_GAMES]
        self.method.tell(points)
        self.policy.weight.copy_(self.method.mean.view_as(self.policy.weight))
        self.tick()
        self.tally.add(returns)
        figures = {
            "points": points.mean().item(),
            "points_elite": points.topk(self.config.elite).values.mean().item(),
            "spread": self.method.std.mean().item(),
        }
        yield self.line(returns, figures)

    def play(self, own: torch.Tensor) -> Seen:
        """A step of every game, with weights of its own, `[N, ...]`: what came of it."""
        frames = Frames.of(*self.games.see().changes, self.view.scale)
        self.games.act(sf.sample(self.policy(frames, own)))  # outside a graph: it just draws
        self.tally.agent_steps += len(own)
        return self.games.see()

    def columns(self) -> dict[str, str]:
        """What the display shows."""
        shown, latest = super().columns(), self.latest
        if latest:
            shown[f"points in {self.config.horizon} steps"] = f"{latest['points']:+.1f}"
            shown["points of the elite"] = f"{latest['points_elite']:+.1f}"
            shown["spread of the weights"] = f"{latest['spread']:.3f}"
        return shown


def train(config: Config, run: Run) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # the emulators bring threads of their own
    return loop.train(Trainer(config), run)
