"""`--recipe blog`: the text's experiment, number for number."""

import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.optim import RMSprop

import sfgrad as sf
from applications.pong.frames import View
from applications.pong.games import Settings, view_and_actions
from applications.pong.policy import Policy
from applications.pong.rollout import Episode, Rollout, make_emulators
from applications.runs import Display, Run, StopSignals, duration, sparkline

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


LIMITS = ("episodes", "seconds")
"""The fields in which a resumed run may differ."""


@dataclass
class Tally:
    """What a run has done so far."""

    update: int = 0
    """Updates made."""
    episodes: int = 0
    """Episodes learned from."""
    agent_steps: int = 0
    """Moves made, over all games."""
    seconds: float = 0.0
    """Time spent training."""
    recent: list[float] = field(default_factory=list)
    """Returns of the last 100 episodes."""
    course: list[float] = field(default_factory=list)
    """Mean return of the then last 50 episodes after each update."""


def advantages(episode: Episode, config: Config) -> Tensor:
    """Standardised discounted returns, `[T]`; in Pong the sum starts anew after each point."""
    rewards = torch.from_numpy(episode.rewards)
    point = rewards != 0 if config.game == "pong" else None
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
        tally = Tally(**{name: run.state[name] for name in asdict(tally)})
        torch.set_rng_state(run.state["rng"])

    def save() -> None:
        states = {"policy": policy.state_dict(), "optimizer": optimizer.state_dict()}
        run.save({**states, "rng": torch.get_rng_state(), **asdict(tally)})

    if run.state is None:
        save()
    settings = Settings(config.game, config.sticky)
    rollout = Rollout(
        lambda games: make_emulators(settings, games, view),
        config.environments,
        view,
        actions,
        seed=int(torch.randint(2**30, ())),  # a resumed run starts new games
    )
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
    tally.update += 1
    tally.episodes += len(batch)
    tally.recent = (tally.recent + returns)[-100:]
    tally.course = [*tally.course, fmean(tally.recent[-50:])]
    decisions = sum(len(episode.moves) for episode in batch)
    return {
        "update": tally.update,
        "seconds": round(tally.seconds, 3),
        "agent_steps": tally.agent_steps,
        "episodes": tally.episodes,
        "mean_return": tally.course[-1],
        "mean_return_100": fmean(tally.recent),
        "steps_per_second": round(speed(tally, before), 1),
        "entropy": entropy / decisions,
        "episode_length": decisions / len(batch),
        "returns": returns,
    }


def figures(tally: Tally, before: Tally, waiting: int, config: Config) -> dict[str, str]:
    """What the display shows."""
    spent, part = tally.seconds - before.seconds, 0.0
    limits = [(before.episodes, tally.episodes + waiting, config.episodes)]
    if config.seconds is not None:
        limits.append((before.seconds, tally.seconds, config.seconds))
    for start, now, end in limits:
        part = max(part, (now - start) / (end - start) if end > start else 1.0)
    left = duration(max(spent / part - spent, 0.0)) if part else "?"
    shown = {
        "episodes": f"{tally.episodes + waiting:,} of {config.episodes:,}",
        "updates": f"{tally.update:,}",
        "agent steps": f"{tally.agent_steps:,} ({speed(tally, before):,.0f}/s)",
        "time": f"{duration(tally.seconds)}, {left} left",
    }
    for last in (50, 100):
        returns = tally.recent[-last:]
        if len(returns) > last - 50:
            shown[f"mean return of {len(returns)}"] = f"{fmean(returns):+.2f}"
    return {**shown, "course": sparkline(tally.course)} if tally.course else shown


def speed(tally: Tally, before: Tally) -> float:
    """Agent steps per second since this call of `train` began."""
    return (tally.agent_steps - before.agent_steps) / max(tally.seconds - before.seconds, 1e-9)
