"""What policies with drawn actions learn from: what they did, and what its advantage was."""

from dataclasses import dataclass

import torch
from torch import Tensor

import sfgrad as sf
from applications.control.config import Config
from applications.control.environments import TASKS, Environments, Played, Step
from applications.control.policies import Policy, network

ENVIRONMENTS = 16
"""Environments side by side."""
GAE_LAMBDA = 0.95
"""λ of the advantage."""
EPOCHS, ROWS = 5, 320
"""Passes of the critic over what was played, and rows of a step."""


@dataclass(frozen=True)
class Rollout:
    """What was drawn, in R = T·N rows."""

    observation: Tensor
    """`[R, D]`."""
    action: Tensor
    """`[R]` or `[R, A]`."""
    advantage: Tensor
    """`[R]`, of mean 0 and deviation 1."""
    goal: Tensor
    """`[R]`, what the critic should have said, in the unit of the scaled reward."""
    returns: Tensor
    """`[E]`, of the episodes that ended."""

    def told(self, **figures: float) -> Played:
        """What an update has to tell of it, and more figures."""
        return Played(self.returns, len(self.goal), figures)


class Player:
    """A policy that plays by drawn actions, and a critic that learns what to expect of it.

    Args:
        config: what to train.
    """

    def __init__(self, config: Config):
        self.task = TASKS[config.environment]
        self.policy = Policy(self.task, config.hidden)
        self.critic = network(self.task.observation, config.hidden, 1)
        self.optimizer = torch.optim.Adam(self.critic.parameters(), 3e-3)
        self.environments = Environments(self.task, ENVIRONMENTS)
        self.parts = {
            "policy": self.policy,
            "critic": self.critic,
            "critic_optimizer": self.optimizer,
        }

    @torch.no_grad()
    def play(self) -> Rollout:
        """Play from new episodes for as long as one can last."""
        seen, actions, steps = [self.environments.reset()], [], []
        for _ in range(self.task.horizon):
            actions.append(self.policy(seen[-1]).sample())
            steps.append(self.environments.step(actions[-1]))
            seen.append(steps[-1].observation)
        observation, action = torch.stack(seen[:-1]), torch.stack(actions)
        value = self.value(observation)
        advantage = self.advantage(steps, value)
        return Rollout(
            observation.flatten(0, 1),
            action.flatten(0, 1),
            sf.standardize(advantage).flatten(),
            (advantage + value).flatten(),
            episode_returns(steps),
        )

    def value(self, observation: Tensor) -> Tensor:
        """The discounted return to expect at observations `[..., D]`: `[...]`."""
        return self.critic(observation).squeeze(-1)

    def advantage(self, steps: list[Step], value: Tensor) -> Tensor:
        """Of each action, `[T, N]`; where time was up, the critic says what was still to come."""
        following = self.value(torch.stack([step.following for step in steps]))
        truncated = torch.stack([step.truncated for step in steps])
        reward = self.task.scale * torch.stack([step.reward for step in steps])
        return sf.generalized_advantage(
            reward + self.task.discount * truncated * following,
            value,
            following[-1],
            self.task.discount,
            GAE_LAMBDA,
            done=torch.stack([step.done for step in steps]),
        )

    def learn_values(self, rollout: Rollout) -> float:
        """Teach the critic: the share of the goals' variance that it had explained before."""
        with torch.no_grad():
            error = (rollout.goal - self.value(rollout.observation)).var()
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(rollout.goal)).split(ROWS):
                value = self.value(rollout.observation[rows])
                loss = (value - rollout.goal[rows]).square().mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
        return 1 - (error / rollout.goal.var().clamp_min(1e-8)).item()


def episode_returns(steps: list[Step]) -> Tensor:
    """The undiscounted return of every episode that began and ended in these steps, `[E]`."""
    total, ended = torch.zeros_like(steps[0].reward), []
    for step in steps:
        total = total + step.reward
        ended.append(total[step.done])
        total = total * ~step.done
    return torch.cat(ended)
