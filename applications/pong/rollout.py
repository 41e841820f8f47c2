"""Many games at once: the emulators, the moves, and the record of each finished episode."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv

import sfgrad as sf
from applications.pong.frames import Differences, Frames, View
from applications.pong.games import Settings
from applications.pong.policy import Policy


def make_emulators(settings: Settings, games: int, view: View, grey: bool = True) -> AtariVectorEnv:
    """So many games of the emulator, with the screens that `view` asks for.

    No move is made but the policy's: no no-op start, no FIRE on reset. Rewards are not clipped:
    returns are standardised per episode, which takes their unit away.
    """
    return AtariVectorEnv(
        settings.game,
        games,
        num_threads=min(os.cpu_count() or 1, games),
        repeat_action_probability=settings.sticky,
        max_num_frames_per_episode=settings.max_frames,
        frameskip=settings.frame_skip,
        img_height=view.height,
        img_width=view.width,
        grayscale=grey,
        maxpool=view.maxpool,
        stack_num=1,
        noop_max=0,
        use_fire_reset=False,
        reward_clipping=False,
        autoreset_mode="SameStep",
    )


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


class Group:
    """Games that step together. Between two calls of `step` their emulators run.

    Args:
        emulators: a vector environment with `reset`, `send` and `recv`.
        view: how screens become frames.
        actions: the emulator's action for each of the policy's moves.
        seed: of the first game; the others count on from it.
    """

    def __init__(self, emulators: AtariVectorEnv, view: View, actions: np.ndarray, seed: int):
        self.emulators, self.view, self.actions = emulators, view, actions
        self.games: int = emulators.num_envs
        self.recorders = [Recorder() for _ in range(self.games)]
        self.differences = Differences(view, self.games)
        self.opening: np.ndarray | None = emulators.reset(seed=seed)[0]

    def step(self, policy: Policy) -> list[Episode]:
        """Take what the last moves led to and send the next: the episodes that ended."""
        finished = []
        if self.opening is None:
            screens, rewards, terminated, truncated, _ = self.emulators.recv()
            first = terminated | truncated  # the screen is the next episode's already
            for recorder, reward in zip(self.recorders, rewards.tolist(), strict=True):
                recorder.rewards.append(reward)
            for game in np.flatnonzero(first):
                finished.append(self.recorders[game].episode())
                self.recorders[game] = Recorder()
        else:
            screens, self.opening = self.opening, None
            first = np.ones(self.games, bool)
        pixels, levels, counts = self.differences(screens[:, 0], first)
        with torch.no_grad():  # outside a graph, sample() just draws
            moves = sf.sample(policy(Frames.of(pixels, levels, counts, self.view.scale)))
        self.emulators.send(self.actions[moves.long().numpy()])
        end = 0  # the emulators run from here on; the book-keeping costs nothing
        for recorder, move, count in zip(
            self.recorders, moves.tolist(), counts.tolist(), strict=True
        ):
            start, end = end, end + count
            recorder.pixels.append(pixels[start:end])
            recorder.levels.append(levels[start:end])
            recorder.counts.append(count)
            recorder.moves.append(move)
        return finished


class Rollout:
    """N games in two groups that take turns: while one's moves are chosen, the other's games run.

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
        half = environments // 2
        sizes = [environments - half, half] if half else [environments]
        self.groups = [
            Group(make(size), view, actions, seed + index * environments)
            for index, size in enumerate(sizes)
        ]
        self.turn = 0
        self.agent_steps = 0
        """Moves sent so far, over all games."""

    def step(self, policy: Policy) -> list[Episode]:
        """One step of the group whose turn it is: the episodes that ended with it."""
        group = self.groups[self.turn]
        self.turn = (self.turn + 1) % len(self.groups)
        self.agent_steps += group.games
        return group.step(policy)
