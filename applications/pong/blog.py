"""`--recipe blog`: the text's experiment, number for number."""

import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim import RMSprop

import sfgrad as sf
from applications.pong.frames import Frames, View, any_view, pong_view
from applications.pong.games import UP_DOWN, minimal_actions
from applications.pong.policy import Policy
from applications.pong.rollout import Episode, Rollout, make_emulators
from applications.runs import Display, Run, StopSignals, duration, sparkline

CHUNK = 2048
"""Decisions scored at once: what they touch stays in the processor's cache."""


@dataclass(frozen=True)
class Config:
    """The text's numbers, and what it left open."""

    recipe: str = "blog"
    """Which recipe this is the configuration of."""
    game: str = "pong"
    """ROM name of an ALE game."""
    sticky: float = 0.25
    """Probability that the emulator repeats the last action instead of the one sent (Pong-v0's)."""
    environments: int = 16
    """Games in flight."""
    batch_episodes: int = 10
    """Episodes per update."""
    discount: float = 0.99
    """γ, per agent step."""
    learning_rate: float = 1e-4
    """Step size of RMSProp."""
    decay: float = 0.99
    """RMSProp's memory of squared gradients."""
    hidden: int = 200
    """Hidden units."""
    seed: int = 0
    """Seeds the weights, the moves and the emulators."""
    episodes: int = 8000
    """Stop after so many, counted over resumes."""
    seconds: float | None = None
    """Stop after so many seconds of training, counted over resumes; none: never."""


FREE = ("episodes", "seconds")
"""What a resumed run may change."""


def game_view(game: str) -> tuple[View, np.ndarray]:
    """How the policy sees a game, and the emulator's action for each of its moves."""
    if game == "pong":
        return pong_view(), UP_DOWN
    return any_view(), np.arange(minimal_actions(game))


def advantages(episode: Episode, config: Config) -> Tensor:
    """Standardised discounted returns, `[T]`: in Pong the sum starts anew after each point."""
    rewards = torch.from_numpy(episode.rewards)
    point = rewards != 0 if config.game == "pong" else None
    return sf.standardize(sf.discounted_return(rewards, config.discount, done=point))


def accumulate_gradient(policy: Policy, batch: list[Episode], view: View, config: Config) -> float:
    """Add the batch's gradient, the *sum* over its decisions, to the parameters'.

    The decisions are replayed: scored under the present parameters, whichever they were made under.

    Returns:
        The policy's mean entropy at these decisions, nats.
    """
    entropy, decisions = 0.0, 0
    for episode in batch:
        advantage = advantages(episode, config)
        moves = torch.from_numpy(episode.moves)
        ends = np.concatenate([[0], episode.counts.cumsum()])
        for start in range(0, len(moves), CHUNK):
            rows = slice(start, start + CHUNK)
            listed = slice(ends[start], ends[min(start + CHUNK, len(moves))])
            frames = Frames.of(
                episode.pixels[listed], episode.levels[listed], episode.counts[rows], view.scale
            )
            dist = policy(frames)
            with sf.StochasticGraph(draws={"move": moves[rows]}) as graph:
                sf.sample(dist, name="move")
                sf.add_cost(-advantage[rows])
            (graph.loss() * len(moves[rows])).backward()
            entropy += dist.entropy().sum().item()
            decisions += len(moves[rows])
    return entropy / decisions


def train(config: Config, run: Run) -> bool:
    """Train until the config's end or a signal: whether it was the end."""
    torch.set_num_threads(1)  # the emulators have threads of their own
    torch.manual_seed(config.seed)
    view, actions = game_view(config.game)
    policy = Policy(len(actions), config.hidden)
    optimizer = RMSprop(policy.parameters(), config.learning_rate, alpha=config.decay, eps=1e-5)
    update, episodes, agent_steps, seconds = 0, 0, 0, 0.0
    recent: deque[float] = deque(maxlen=100)
    course: list[float] = []
    if run.state is not None:
        policy.load_state_dict(run.state["policy"])
        optimizer.load_state_dict(run.state["optimizer"])
        torch.set_rng_state(run.state["rng"])
        update, episodes = run.state["update"], run.state["episodes"]
        agent_steps, seconds = run.state["agent_steps"], run.state["seconds"]
        recent.extend(run.state["recent"])
        course = run.state["course"]

    def save() -> None:
        run.save(
            {
                "policy": policy.state_dict(),
                "optimizer": optimizer.state_dict(),
                "rng": torch.get_rng_state(),
                "update": update,
                "episodes": episodes,
                "agent_steps": agent_steps,
                "seconds": seconds,
                "recent": list(recent),
                "course": course,
            }
        )

    def mean(returns: list[float]) -> float:
        return sum(returns) / max(1, len(returns))

    def figures() -> dict[str, str]:
        played = agent_steps + rollout.agent_steps - steps_before
        spent = time.monotonic() - began
        speed = rollout.agent_steps / max(spent, 1e-9)
        fraction = max(
            (episodes + len(finished)) / config.episodes,
            (seconds_before + spent) / config.seconds if config.seconds else 0.0,
        )
        left = (seconds_before + spent) * (1 - fraction) / max(fraction, 1e-9)
        last50 = list(recent)[-50:]
        return {
            "episodes": f"{episodes + len(finished)}/{config.episodes}",
            "updates": f"{update}",
            "agent steps": f"{played:,} ({speed:,.0f}/s)",
            f"mean return of the last {len(last50)}": (
                f"{mean(last50):+.2f}  {sparkline(course)}" if last50 else "–"
            ),
            "left": duration(left) if fraction else "–",
        }

    if update == 0:
        save()
    emulator_seed = int(torch.randint(2**30, ()))
    rollout = Rollout(
        lambda games: make_emulators(config.game, games, view, config.sticky),
        config.environments,
        view,
        actions,
        emulator_seed,
    )
    finished: list[Episode] = []
    began, seconds_before, steps_before = time.monotonic(), seconds, 0
    title = f"sfgrad · {config.game} · blog recipe · sticky {config.sticky} · {run.folder}"
    with StopSignals() as stop, Display(title) as display:
        while episodes < config.episodes:
            finished += rollout.step(policy)
            now = seconds_before + time.monotonic() - began
            if stop.requested or (config.seconds is not None and now >= config.seconds):
                break
            display.show(figures)
            if len(finished) < config.batch_episodes:
                continue
            batch, finished = (
                finished[: config.batch_episodes],
                finished[config.batch_episodes :],
            )
            optimizer.zero_grad()
            entropy = accumulate_gradient(policy, batch, view, config)
            optimizer.step()
            returns = [float(episode.rewards.sum()) for episode in batch]
            recent.extend(returns)
            update += 1
            episodes += len(batch)
            agent_steps += rollout.agent_steps - steps_before
            steps_before = rollout.agent_steps
            course.append(mean(list(recent)[-50:]))
            before, seconds = seconds, seconds_before + time.monotonic() - began
            run.log(
                {
                    "update": update,
                    "seconds": round(seconds, 3),
                    "agent_steps": agent_steps,
                    "episodes": episodes,
                    "mean_return": course[-1],
                    "mean_return_100": mean(list(recent)),
                    "steps_per_second": round(rollout.agent_steps / (seconds - seconds_before), 1),
                    "update_seconds": round(seconds - before, 3),
                    "entropy": entropy,
                    "mean_length": mean([len(episode.moves) for episode in batch]),
                    "returns": returns,
                }
            )
            save()
        else:
            display.show(figures, now=True)
            return True
        display.show(figures, now=True)
    seconds = seconds_before + time.monotonic() - began
    save()
    return not stop.requested
