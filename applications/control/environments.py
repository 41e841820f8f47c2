"""The environments of gymnasium, several at a time, in tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor


@dataclass(frozen=True)
class Task:
    """An environment, and what its learners are told of it."""

    name: str
    """In gymnasium's registry."""
    observation: int
    """Numbers in an observation."""
    actions: int
    """Numbers in an action, or actions to choose from."""
    discrete: bool
    """Whether one of the actions is chosen."""
    largest: float
    """Largest absolute action, where it is a number."""
    horizon: int
    """Most agent steps of an episode."""
    discount: float
    """Per agent step, of the objective that learners with a critic pursue."""
    scale: float
    """What they multiply rewards by; returns are always told unscaled and undiscounted."""


TASKS = {
    task.name: task
    for task in (
        Task("CartPole-v1", 4, 2, True, 1.0, 500, discount=0.99, scale=1.0),
        Task("Pendulum-v1", 3, 1, False, 2.0, 200, discount=0.95, scale=0.1),
    )
}


@dataclass(frozen=True)
class Step:
    """What one agent step in each of N environments led to."""

    observation: Tensor
    """`[N, D]`: what is seen next; where an episode ended, the first of the next one."""
    following: Tensor
    """`[N, D]`: the same, but the last of the episode where it ended."""
    reward: Tensor
    """`[N]`."""
    terminated: Tensor
    """`[N]`, boolean: nothing could follow."""
    truncated: Tensor
    """`[N]`, boolean: time was up; more could have followed."""

    @property
    def done(self) -> Tensor:
        """`[N]`, boolean: the episode ended."""
        return self.terminated | self.truncated


class Environments:
    """N copies of a task side by side; an episode that ends is followed by the next at once.

    Args:
        task: which.
        count: N.
    """

    def __init__(self, task: Task, count: int):
        self.task, self.count = task, count
        makers = [partial(gymnasium.make, task.name)] * count
        self._vector = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)

    def reset(self) -> Tensor:
        """New episodes in all, seeded from torch's generator: their observations, `[N, D]`."""
        seed = int(torch.randint(2**31 - self.count, ()))
        return torch.from_numpy(self._vector.reset(seed=seed)[0].copy())

    def step(self, action: Tensor) -> Step:
        """Act.

        Args:
            action: int64 `[N]`, or float32 `[N, A]`, which is clipped to what is allowed.
        """
        observation, reward, terminated, truncated, info = self._vector.step(action.numpy())
        following = observation.copy()
        for index in np.flatnonzero(terminated | truncated):
            following[index] = info["final_obs"][index]
        return Step(
            torch.from_numpy(observation.copy()),
            torch.from_numpy(following),
            torch.from_numpy(reward).float(),
            torch.from_numpy(terminated.copy()),
            torch.from_numpy(truncated.copy()),
        )


@dataclass(frozen=True)
class Played:
    """What an update played, and what else it has to tell."""

    returns: Tensor
    """`[E]`: the undiscounted return of each episode that ended."""
    steps: int
    """Agent steps taken."""
    figures: dict[str, float]
    """Of the method's own, for its line of metrics."""


@torch.no_grad()
def play(environments: Environments, act: Callable[[Tensor], Tensor]) -> Played:
    """Play one episode in each environment.

    Args:
        environments: N of them.
        act: observations `[N, D]` to actions.

    Returns:
        N returns, in the order of the environments.
    """
    observation, total = environments.reset(), torch.zeros(environments.count)
    alive, steps = torch.ones(environments.count, dtype=torch.bool), 0
    while alive.any():
        step = environments.step(act(observation))
        total += step.reward * alive
        steps += int(alive.sum())
        alive &= ~step.done
        observation = step.observation
    return Played(total, steps, {})
