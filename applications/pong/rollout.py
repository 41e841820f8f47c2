"""Many games at once: the emulators, the moves, and the record of each finished episode."""

from dataclasses import dataclass

import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv

import sfgrad as sf
from applications.pong.frames import Differences, Frames, View
from applications.pong.policy import Policy

MAX_FRAMES = 108_000
"""The emulator ends an episode after so many frames (27,000 agent steps, half an hour of play)."""
FRAME_SKIP = 4


def make_emulators(
    game: str, environments: int, view: View, sticky: float, threads: int = 2
) -> AtariVectorEnv:
    """N games of the emulator with `view`'s screens.

    Frame skip 4 and no moves but the policy's: no no-op start, no FIRE on reset. Rewards are not
    clipped: returns are standardised per episode, which takes their unit away.
    """
    return AtariVectorEnv(
        game,
        environments,
        num_threads=min(threads, environments),
        repeat_action_probability=sticky,
        max_num_frames_per_episode=MAX_FRAMES,
        img_height=view.height,
        img_width=view.width,
        stack_num=1,
        frameskip=FRAME_SKIP,
        maxpool=view.maxpool,
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


class Recorder:
    """Collects one game's steps until its episode ends."""

    def __init__(self):
        self.pixels, self.levels, self.counts, self.moves, self.rewards = [], [], [], [], []

    def finish(self) -> Episode:
        """The episode as arrays; the recorder is empty again."""
        episode = Episode(
            np.concatenate(self.pixels),
            np.concatenate(self.levels),
            np.array(self.counts, np.int64),
            np.array(self.moves, np.float32),
            np.array(self.rewards, np.float32),
        )
        self.__init__()
        return episode


class Group:
    """Games that step together."""

    def __init__(self, emulators, view: View, actions: np.ndarray, seed: int):
        self.emulators, self.view, self.actions = emulators, view, actions
        self.games = emulators.num_envs
        self.recorders = [Recorder() for _ in range(self.games)]
        self.differences = Differences(view, self.games)
        self.screens: np.ndarray | None = emulators.reset(seed=seed)[0]  # none while moves are out

    def step(self, policy: Policy) -> list[Episode]:
        """Receive what the last moves led to, and send the next: the episodes that ended."""
        finished = []
        if self.screens is None:
            screens, rewards, terminated, truncated, _ = self.emulators.recv()
            done = terminated | truncated
            for recorder, reward in zip(self.recorders, rewards.tolist(), strict=True):
                recorder.rewards.append(reward)
            finished = [self.recorders[game].finish() for game in np.flatnonzero(done)]
        else:
            screens, done, self.screens = self.screens, np.ones(self.games, bool), None
        pixels, levels, counts = self.differences(screens[:, 0], done)
        with torch.no_grad():
            moves = sf_draw(policy(Frames.of(pixels, levels, counts, self.view.scale)))
        self.emulators.send(self.actions[moves.long().numpy()])
        # the emulators run now; the book-keeping is done meanwhile
        start = 0
        for recorder, move, count in zip(
            self.recorders, moves.tolist(), counts.tolist(), strict=True
        ):
            recorder.pixels.append(pixels[start : start + count])
            recorder.levels.append(levels[start : start + count])
            recorder.counts.append(count)
            recorder.moves.append(move)
            start += count
        return finished


def sf_draw(dist):
    return dist.sample()


class Rollout:
    """N games in two groups that take turns: one group's games run while the other's are judged.

    The order of everything is fixed by the seed.
    """

    def __init__(self, make, environments: int, view: View, actions: np.ndarray, seed: int):
        sizes = [environments - environments // 2, environments // 2]
        self.groups = [
            Group(make(size), view, actions, seed + index * environments)
            for index, size in enumerate(sizes)
            if size
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
