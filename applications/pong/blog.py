"""`--recipe blog`: the experiment of Karpathy's post, with its settings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import RMSprop

import sfgrad as sf
from applications.kit import loop
from applications.kit import trainer as kit
from applications.kit.options import Amount, Count, Limit, Needs, Share
from applications.kit.run import Run
from applications.pong import progress
from applications.pong.config import GameTraining
from applications.pong.frames import View
from applications.pong.games import Settings, make_emulators, view_and_actions
from applications.pong.policy import Policy
from applications.pong.rollout import Episode, Rollout

CHUNK_STEPS = 2048
"""Agent steps scored at once: few enough for the processor's cache, many enough to be efficient."""
DISCOUNTED = Needs(lambda config: config.credit == "discounted", "--credit discounted")


@dataclass(frozen=True)
class Config(GameTraining):
    """The settings of Karpathy's post, and what it left open."""

    RESUMABLE: ClassVar = (*GameTraining.RESUMABLE, "episodes")

    recipe: Literal["blog"] = "blog"
    """The recipe that this configures."""
    sticky: Share = 0.25
    """Probability per frame that the emulator repeats the last action, as in Pong-v0."""
    environments: Count = 16
    """Games that are played at the same time."""
    batch_episodes: Count = 10
    """Episodes per update."""
    credit: Literal["discounted", "game", "episode"] = "discounted"
    """What a move is credited with: `discounted` later points; ±1 for the `game`, which as in
    Karpathy's post ends at the next point; or ±1 for the `episode`."""
    discount: Annotated[Share, DISCOUNTED] = 0.99
    """Discount γ per agent step."""
    learning_rate: Amount = 1e-4
    """RMSProp's step size."""
    decay: Share = 0.99
    """RMSProp's decay of squared gradients, per update."""
    hidden: Count = 200
    """Number of hidden units."""
    episodes: Count = 8000
    """Stop after this many episodes in total."""

    def limits(self) -> list[Limit]:
        """The episodes, and the time."""
        return [
            Limit("episodes", lambda state: state["episodes"], self.episodes),
            *super().limits(),
        ]


def advantages(episode: Episode, config: Config) -> Tensor:
    """What each move is credited with, `[T]`.

    Discounted returns, standardised; in Pong the sum restarts after each point. Or, as Karpathy's
    post first explains it, 1 for every move of a game that was won and −1 for every move of one
    that was lost: the post's games end at the next point, some dozens of them to an episode. A
    whole episode is credited likewise on request, and where a game has no such points.
    """
    rewards = torch.from_numpy(episode.rewards)
    point = rewards != 0 if config.game == "pong" else None
    if config.credit == "episode" or (config.credit == "game" and point is None):
        return rewards.sum().sign().expand(len(rewards))
    if config.credit == "game":
        return sf.discounted_return(rewards, 1.0, done=point)
    returns = sf.discounted_return(rewards, config.discount, done=point)
    return sf.standardize(returns) if len(returns) > 1 else torch.zeros_like(returns)


def add_gradient(policy: Policy, episode: Episode, view: View, config: Config) -> float:
    """Add the episode's gradient, *summed* over its agent steps as in the post, to the parameters'.

    The moves are replayed: scored under the present parameters instead of drawn.

    Returns:
        The policy's entropy, summed over the decisions, nats.
    """
    moves, advantage = torch.from_numpy(episode.moves), advantages(episode, config)
    entropy = 0.0
    for start in range(0, len(moves), CHUNK_STEPS):
        rows = slice(start, min(start + CHUNK_STEPS, len(moves)))
        with sf.StochasticGraph(draws={"move": moves[rows]}) as graph:
            dist = policy(episode.frames(view, rows.start, rows.stop))
            sf.sample(dist, name="move")
            sf.add_cost(-advantage[rows])
        (graph.loss() * len(moves[rows])).backward()
        entropy += dist.entropy().sum().item()
    return entropy


class Trainer(progress.Trainer):
    """Games in flight, of which each batch of episodes is learned from once.

    Args:
        config: what to train.
    """

    def __init__(self, config: Config):
        super().__init__(config)
        torch.manual_seed(config.seed)
        self.view, self.actions = view_and_actions(config.game)
        self.policy = Policy(len(self.actions), config.hidden)
        self.optimizer = RMSprop(
            self.policy.parameters(), config.learning_rate, alpha=config.decay, eps=1e-5
        )
        self.parts = {"policy": self.policy, "optimizer": self.optimizer}
        self.waiting: list[Episode] = []
        """Episodes that ended and were not learned from yet."""

    def __iter__(self) -> Iterator[kit.Line | None]:
        """A step of all games, and a line when a batch of episodes is complete."""
        settings, config = Settings(self.config.game, self.config.sticky), self.config
        rollout = Rollout(
            lambda games: make_emulators(settings, games, self.view),
            config.environments,
            self.view,
            self.actions,
            seed=int(torch.randint(2**30, ())),  # a resumed run starts new games
        )
        before = self.tally.agent_steps
        while True:
            self.waiting += rollout.step(self.policy)
            self.tally.agent_steps = before + rollout.agent_steps
            if len(self.waiting) < config.batch_episodes:
                yield None
                continue
            batch = self.waiting[: config.batch_episodes]
            self.waiting = self.waiting[config.batch_episodes :]
            yield self.learn(batch)

    def learn(self, batch: list[Episode]) -> kit.Line:
        """Learn from a batch of episodes: the update's line of metrics."""
        self.optimizer.zero_grad()
        entropy = sum(
            add_gradient(self.policy, episode, self.view, self.config) for episode in batch
        )
        self.optimizer.step()
        self.tick()
        returns = [float(episode.rewards.sum()) for episode in batch]
        self.tally.add(returns)
        decisions = sum(len(episode.moves) for episode in batch)
        figures = {"entropy": entropy / decisions, "episode_length": decisions / len(batch)}
        return self.line(returns, figures)

    def columns(self) -> dict[str, str]:
        """What the display shows."""
        return {"episodes of the next update": f"{len(self.waiting)}", **super().columns()}


def train(config: Config, run: Run) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # the emulators bring threads of their own
    return loop.train(Trainer(config), run)
