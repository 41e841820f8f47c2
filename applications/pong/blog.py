"""`--recipe blog`: the text's experiment, number for number."""

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import RMSprop

import sfgrad as sf
from applications.kit.display import Display
from applications.kit.files import restored
from applications.kit.run import Run
from applications.kit.signals import StopSignals
from applications.pong.frames import View
from applications.pong.games import Settings, make_emulators, view_and_actions
from applications.pong.policy import Policy
from applications.pong.progress import Tally
from applications.pong.rollout import Episode, Rollout

CHUNK = 2048
"""Decisions scored at once: few enough for the processor's cache, many enough to be efficient."""


@dataclass(frozen=True)
class Config:
    """The text's numbers, and what it left open."""

    recipe: str = "blog"
    """The recipe that this configures."""
    game: str = "pong"
    """ROM name of an ALE game."""
    sticky: float = 0.25
    """Probability that the emulator repeats the last action instead of the one sent: Pong-v0's."""
    environments: int = 16
    """Games in flight."""
    batch_episodes: int = 10
    """Episodes per update."""
    credit: str = "discounted"
    """What a move is credited with: `discounted` later points, whether the `game` that it was made
    in was won, as the text counts games, up to the next point, or whether the `episode` was."""
    discount: float = 0.99
    """γ, per agent step."""
    learning_rate: float = 1e-4
    """RMSProp's step size."""
    decay: float = 0.99
    """RMSProp's memory of squared gradients, per update."""
    hidden: int = 200
    """Hidden units."""
    seed: int = 0
    """Fixes the weights, the moves and the emulators."""
    episodes: int = 8000
    """Stop after so many, in all."""
    seconds: float | None = None
    """Stop after so many seconds of training, in all; None: never."""


CREDITS = ("discounted", "game", "episode")
LIMITS = ("episodes", "seconds")
"""The fields in which a resumed run may differ."""


def advantages(episode: Episode, config: Config) -> Tensor:
    """What each move is credited with, `[T]`.

    Discounted returns, in Pong summed anew after each point, and standardised. Or, as the text
    first explains it, 1 for every move of a game that was won and −1 for every move of one that was
    lost: the text's games end at the next point, some dozens of them to an episode. A whole episode
    is credited likewise where it is asked for, and where a game has no such points.
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
    """Add the episode's gradient, *summed* over its decisions as in the text, to the parameters'.

    The moves are replayed: scored under the present parameters instead of drawn.

    Returns:
        The policy's entropy, summed over the decisions, nats.
    """
    moves, advantage = torch.from_numpy(episode.moves), advantages(episode, config)
    entropy = 0.0
    for start in range(0, len(moves), CHUNK):
        rows = slice(start, min(start + CHUNK, len(moves)))
        with sf.StochasticGraph(draws={"move": moves[rows]}) as graph:
            dist = policy(episode.frames(view, rows.start, rows.stop))
            sf.sample(dist, name="move")
            sf.add_cost(-advantage[rows])
        (graph.loss() * len(moves[rows])).backward()
        entropy += dist.entropy().sum().item()
    return entropy


def train(config: Config, run: Run) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # the emulators bring threads of their own
    torch.manual_seed(config.seed)
    view, actions = view_and_actions(config.game)
    policy = Policy(len(actions), config.hidden)
    optimizer = RMSprop(policy.parameters(), config.learning_rate, alpha=config.decay, eps=1e-5)
    tally = Tally()
    if run.state is not None:
        policy.load_state_dict(run.state["policy"])
        optimizer.load_state_dict(run.state["optimizer"])
        tally = restored(Tally, run.state)
        torch.set_rng_state(run.state["rng"])

    def save() -> None:
        states = {"policy": policy.state_dict(), "optimizer": optimizer.state_dict()}
        run.save({**states, "rng": torch.get_rng_state(), **asdict(tally)})

    settings = Settings(config.game, config.sticky)
    rollout = Rollout(
        lambda games: make_emulators(settings, games, view),
        config.environments,
        view,
        actions,
        seed=int(torch.randint(2**30, ())),  # a resumed run starts new games
    )
    if run.state is None:
        save()
    before = replace(tally)
    started = time.monotonic() - before.seconds
    limit = float("inf") if config.seconds is None else config.seconds
    waiting: list[Episode] = []
    with StopSignals() as stop, Display(f"Pong from pixels · {run.folder}") as display:
        while tally.episodes < config.episodes and tally.seconds < limit and not stop.requested:
            waiting += rollout.step(policy)
            tally.agent_steps = before.agent_steps + rollout.agent_steps
            if len(waiting) >= config.batch_episodes:
                batch, waiting = waiting[: config.batch_episodes], waiting[config.batch_episodes :]
                optimizer.zero_grad()
                entropy = sum(add_gradient(policy, episode, view, config) for episode in batch)
                optimizer.step()
                tally.seconds = time.monotonic() - started
                run.log(learned(batch, tally, before, entropy))
                save()
            tally.seconds = time.monotonic() - started
            display.show(partial(figures, tally, before, len(waiting), config))
        display.show(partial(figures, tally, before, len(waiting), config), now=True)
    save()
    return not stop.requested


def learned(batch: list[Episode], tally: Tally, before: Tally, entropy: float) -> dict[str, Any]:
    """Count a batch that was learned from: the update's line of metrics."""
    returns = [float(episode.rewards.sum()) for episode in batch]
    tally.add(returns)
    decisions = sum(len(episode.moves) for episode in batch)
    return {
        **tally.metrics(before),
        "entropy": entropy / decisions,
        "episode_length": decisions / len(batch),
        "returns": returns,
    }


def figures(tally: Tally, before: Tally, waiting: int, config: Config) -> dict[str, str]:
    """What the display shows."""
    episodes = tally.episodes + waiting
    limits = [
        (before.episodes, episodes, config.episodes),
        (before.seconds, tally.seconds, config.seconds),
    ]
    return {"episodes": f"{episodes:,} of {config.episodes:,}", **tally.figures(before, limits)}
