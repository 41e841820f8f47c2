"""Many games at once: the emulators, the moves, and the record of each finished episode."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv
from torch import Tensor

import sfgrad as sf
from applications.pong.frames import Changes, Differences, Frames, Pairs, View
from applications.pong.games import check_memory
from applications.pong.policy import ActorCritic, Policy


@dataclass(frozen=True)
class Episode:
    """One episode of T decisions: what was seen, done and got."""

    pixels: np.ndarray
    """`[L]` int16: the listed pixels of all T difference frames, frame after frame."""
    levels: np.ndarray
    """`[L]` int16: their changes of level."""
    counts: np.ndarray
    """`[T]` int64: how many of them belong to each frame."""
    moves: np.ndarray
    """`[T]` float32: the policy's draws."""
    rewards: np.ndarray
    """`[T]` float32, points."""

    def frames(self, view: View, start: int, stop: int) -> Frames:
        """The difference frames of the decisions from `start` up to `stop`."""
        first = self.counts[:start].sum()
        listed = slice(first, first + self.counts[start:stop].sum())
        counts = self.counts[start:stop]
        return Frames.of(self.pixels[listed], self.levels[listed], counts, view.scale)


class Recorder:
    """Collects one game's steps until its episode ends."""

    def __init__(self):
        self.pixels: list[np.ndarray] = []
        self.levels: list[np.ndarray] = []
        self.counts: list[int] = []
        self.moves: list[float] = []
        self.rewards: list[float] = []

    def episode(self) -> Episode:
        """What was collected, as arrays."""
        return Episode(
            np.concatenate(self.pixels),
            np.concatenate(self.levels),
            np.array(self.counts),
            np.array(self.moves, np.float32),
            np.array(self.rewards, np.float32),
        )


@dataclass(frozen=True)
class Seen:
    """What the last moves of N games led to."""

    changes: Changes
    """The present frames."""
    rewards: np.ndarray
    """`[N]` float32, points."""
    first: np.ndarray
    """`[N]` boolean: the frame is an episode's first; the one before ended with these rewards."""


class Games:
    """N games that step together. Between `act` and `see` their emulators run.

    Args:
        emulators: a vector environment with `reset`, `send` and `recv`.
        sight: makes frames of its screens.
        actions: the emulator's action for each of the policy's moves.
        seed: of the first game; the others count on from it.
    """

    def __init__(
        self, emulators: AtariVectorEnv, sight: Differences | Pairs, actions: np.ndarray, seed: int
    ):
        self.emulators, self.sight, self.actions = emulators, sight, actions
        screens, _ = emulators.reset(seed=seed)
        first = np.ones(len(screens), bool)
        self.seen = Seen(sight(screens[:, 0], first), np.zeros(len(screens), np.float32), first)
        self.running = False

    def see(self) -> Seen:
        """What the last moves led to, once it is there."""
        if self.running:
            screens, rewards, terminated, truncated, _ = self.emulators.recv()
            first = terminated | truncated  # the screen is the next episode's already
            self.seen = Seen(self.sight(screens[:, 0], first), rewards, first)
            self.running = False
        return self.seen

    def act(self, moves: Tensor) -> None:
        """Send the next moves, `[N]`."""
        self.emulators.send(self.actions[moves.long().numpy()])
        self.running = True


def groups(
    make: Callable[[int], AtariVectorEnv],
    environments: int,
    sight: Callable[[int], Differences | Pairs],
    actions: np.ndarray,
    seed: int,
) -> list[Games]:
    """Two halves that take turns: while one's moves are chosen, the other's emulators run.

    Args:
        make: makes the vector environment of a given number of games.
        environments: how many there are in all.
        sight: makes what makes frames of the screens of so many games.
        actions: the emulator's action for each of the policy's moves.
        seed: of the first game; the others count on from it.

    Raises:
        RunError: so many do not fit into this machine's memory.
    """
    check_memory(environments)
    half = environments // 2
    sizes = [environments - half, half] if half else [environments]
    return [
        Games(make(size), sight(size), actions, seed + index * environments)
        for index, size in enumerate(sizes)
    ]


class Rollout:
    """N games whose episodes are recorded one by one.

    The order of all steps is fixed, so a seed fixes the whole training.

    Args:
        make: makes the vector environment of a given number of games.
        environments: N.
        view: how screens become frames.
        actions: the emulator's action for each of the policy's moves.
        seed: of the first game; the others count on from it.
    """

    def __init__(
        self,
        make: Callable[[int], AtariVectorEnv],
        environments: int,
        view: View,
        actions: np.ndarray,
        seed: int,
    ):
        self.view = view
        self.groups = groups(make, environments, partial(Differences, view), actions, seed)
        self.recorders = [[Recorder() for _ in games.sight.last] for games in self.groups]
        self.turn = 0
        self.agent_steps = 0
        """Moves sent so far, over all games."""

    def step(self, policy: Policy) -> list[Episode]:
        """One step of the group whose turn it is: the episodes that ended with it."""
        games, recorders = self.groups[self.turn], self.recorders[self.turn]
        self.turn = (self.turn + 1) % len(self.groups)
        finished = []
        seen = games.see()
        for recorder, reward in zip(recorders, seen.rewards.tolist(), strict=True):
            if recorder.moves:
                recorder.rewards.append(reward)
        for game in np.flatnonzero(seen.first):
            if recorders[game].moves:
                finished.append(recorders[game].episode())
            recorders[game] = Recorder()
        with torch.no_grad():  # outside a graph, sample() just draws
            moves = sf.sample(policy(Frames.of(*seen.changes, self.view.scale)))
        games.act(moves)
        self.agent_steps += len(moves)
        pixels, levels, counts = seen.changes
        end = 0  # the emulators run from here on; the book-keeping costs nothing
        for recorder, move, count in zip(recorders, moves.tolist(), counts.tolist(), strict=True):
            start, end = end, end + count
            recorder.pixels.append(pixels[start:end])
            recorder.levels.append(levels[start:end])
            recorder.counts.append(count)
            recorder.moves.append(move)
        return finished


@dataclass(frozen=True)
class Steps:
    """T steps of N games, one after the other and side by side; a row is a step of a game."""

    changes: Changes
    """The frames of the T · N rows, step after step."""
    moves: Tensor
    """`[T, N]`, the policy's draws."""
    log_probs: Tensor
    """`[T, N]`, of these moves under the policy that drew them, nats."""
    values: Tensor
    """`[T + 1, N]`, the return it expected before each step and after the last."""
    rewards: Tensor
    """`[T, N]`, points."""
    ended: Tensor
    """`[T, N]` boolean: the step ended an episode."""
    returns: list[float]
    """Of the episodes that ended, points."""


class Collector:
    """Plays N games for T steps at a time.

    Args:
        games: in groups that take turns.
        horizon: T.
        scale: of the frames' levels.
    """

    def __init__(self, games: list[Games], horizon: int, scale: float):
        self.games, self.horizon, self.scale = games, horizon, scale
        self.scores = [np.zeros(len(group.seen.first)) for group in games]
        """Points of the episodes in flight."""

    @torch.no_grad()
    def collect(self, model: ActorCritic) -> Steps:
        """The next T steps; the model draws the moves, all of them with the same parameters."""
        rows, moves, log_probs, values, rewards, ended, returns = [], [], [], [], [], [], []
        device = next(model.parameters()).device
        for step in range(self.horizon + 1):
            for games, scores in zip(self.games, self.scores, strict=True):
                seen = games.see()
                dist, value = model(Frames.of(*seen.changes, self.scale).to(device))
                values.append(value.cpu())
                if step < self.horizon:
                    move = sf.sample(dist)  # outside a graph: it just draws
                    games.act(move.cpu())
                    rows.append(seen.changes)
                    moves.append(move.cpu())
                    log_probs.append(dist.log_prob(move).cpu())
                if step:
                    rewards.append(torch.from_numpy(seen.rewards))
                    ended.append(torch.from_numpy(seen.first))
                    scores += seen.rewards
                    returns += scores[seen.first].tolist()
                    scores[seen.first] = 0

        def table(parts: list[Tensor]) -> Tensor:
            """`[steps, N]`."""
            return torch.cat(parts).view(-1, sum(map(len, self.scores)))

        pixels, levels, counts = zip(*rows, strict=True)
        joined = None if levels[0] is None else np.concatenate(levels)
        changes = np.concatenate(pixels), joined, np.concatenate(counts)
        parts = moves, log_probs, values, rewards, ended
        return Steps(changes, *map(table, parts), returns)
