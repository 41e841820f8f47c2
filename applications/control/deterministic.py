"""The deterministic policy gradient: a critic of actions says which way to change them."""

import copy

import torch
from torch import Tensor, nn

from applications.control.config import Config
from applications.control.environments import TASKS, Environments, Played, Step
from applications.control.policies import Policy, network
from applications.kit.trainer import Stateful

CAPACITY = 50_000
"""Agent steps that are remembered."""
RANDOM_STEPS = 1000
"""Agent steps by random actions, before anything is learned."""
BATCH_STEPS = 128
"""Remembered steps per update."""
ACTION_NOISE, TARGET_NOISE, MAX_TARGET_NOISE = 0.1, 0.2, 0.5
"""Deviation of the noise on actions played, on those of the target and its largest, as shares of
the largest action."""
LEARNING_RATE = 1e-3
"""Learning rate of Adam, for both."""
POLICY_INTERVAL = 2
"""Updates of the critics for one of the policy."""
TARGET_RATE = 0.005
"""Share of the way to the present networks that the targets go at each update of the policy."""


class Memory:
    """The last steps taken, each a row: what was seen, done, earned, seen next, and if more came.

    Args:
        capacity: rows.
        width: numbers of a row.
    """

    def __init__(self, capacity: int, width: int):
        self.rows, self.count = torch.zeros(capacity, width), 0

    def add(self, row: Tensor) -> None:
        """Remember a row; the oldest is forgotten where there is no room."""
        self.rows[self.count % len(self.rows)] = row
        self.count += 1

    def draw(self, rows: int) -> Tensor:
        """Rows at random, `[rows, width]`."""
        return self.rows[torch.randint(min(self.count, len(self.rows)), (rows,))]

    def state_dict(self) -> dict:
        """What is remembered."""
        return {"rows": self.rows[: self.count], "count": self.count}

    def load_state_dict(self, state: dict) -> None:
        """Remember that."""
        self.count = state["count"]
        self.rows[: self.count] = state["rows"]


class Critics(nn.Module):
    """Two opinions on the discounted return of an action.

    Args:
        inputs: numbers of an observation and an action together.
        units: hidden ones.
    """

    def __init__(self, inputs: int, units: int):
        super().__init__()
        self.both = nn.ModuleList(network(inputs, units, 1) for _ in range(2))

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """`[B, D]` and `[B, A]` to `[2, B]`."""
        inputs = torch.cat([observation, action], -1)
        return torch.stack([critic(inputs).squeeze(-1) for critic in self.both])


class Deterministic(Stateful):
    """Deterministic policy gradient from remembered steps, with the lower of two critics.

    Source: Lillicrap et al. (2016), Continuous control with deep reinforcement learning; the two
    critics, the smoothed target, the delayed policy: Fujimoto et al. (2018), Addressing Function
    Approximation Error in Actor-Critic Methods.

    Args:
        config: what to train.
    """

    def __init__(self, config: Config):
        self.task = TASKS[config.environment]
        self.environments = Environments(self.task, 1)
        self.policy = Policy(self.task, config.hidden)
        self.critics = Critics(self.task.observation + self.task.actions, config.hidden)
        self.targets = copy.deepcopy(nn.ModuleList([self.policy, self.critics]))
        self.optimizers = [
            torch.optim.Adam(network.parameters(), LEARNING_RATE)
            for network in (self.policy.net, self.critics)
        ]
        self.memory = Memory(CAPACITY, 2 * self.task.observation + self.task.actions + 2)
        self.parts = {
            "policy": self.policy,
            "critics": self.critics,
            "targets": self.targets,
            "memory": self.memory,
        }

    def update(self) -> Played:
        """Play an episode, with an update of the critics after each step."""
        observation, total, steps, losses = self.environments.reset(), torch.zeros(1), 0, []
        done = False
        while not done:
            action = self.explore(observation)
            step = self.environments.step(action)
            self.memory.add(self.row(observation, action, step))
            observation, total, steps = step.observation, total + step.reward, steps + 1
            if self.memory.count > RANDOM_STEPS:
                losses.append(self.learn())
            done = bool(step.done)
        loss = sum(losses) / max(len(losses), 1)
        return Played(total, steps, {"critic_loss": loss, "remembered": self.memory.count})

    @torch.no_grad()
    def explore(self, observation: Tensor) -> Tensor:
        """The best action with noise; at first any action. `[1, A]`."""
        largest = self.task.largest
        if self.memory.count < RANDOM_STEPS:
            return largest * (2 * torch.rand(1, self.task.actions) - 1)
        action = self.policy.best(observation)
        return (action + ACTION_NOISE * largest * torch.randn_like(action)).clamp(-largest, largest)

    def row(self, observation: Tensor, action: Tensor, step: Step) -> Tensor:
        """A step as it is remembered."""
        earned = self.task.scale * step.reward, (~step.terminated).float()
        return torch.cat([observation[0], action[0], *earned, step.following[0]])

    def learn(self) -> float:
        """Improve the critics, and every other time the policy: the loss of the critics."""
        sizes = [self.task.observation, self.task.actions, 1, 1, self.task.observation]
        observation, action, reward, more, following = self.memory.draw(BATCH_STEPS).split(sizes, 1)
        goal = self.goal(reward.squeeze(1), more.squeeze(1), following)
        loss = (self.critics(observation, action) - goal).square().mean()
        self.descend(loss, self.optimizers[1])
        if self.memory.count % POLICY_INTERVAL == 0:
            value = self.critics(observation, self.policy.best(observation))[0]
            self.descend(-value.mean(), self.optimizers[0])
            self.follow()
        return loss.item()

    @torch.no_grad()
    def goal(self, reward: Tensor, more: Tensor, following: Tensor) -> Tensor:
        """What the critics should say, `[B]`."""
        policy, critics = self.targets
        action, largest = policy.best(following), self.task.largest
        noise = (TARGET_NOISE * torch.randn_like(action)).clamp(-MAX_TARGET_NOISE, MAX_TARGET_NOISE)
        action = (action + largest * noise).clamp(-largest, largest)
        value = critics(following, action).min(0).values
        return reward + self.task.discount * more * value

    def descend(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """One step."""
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def follow(self) -> None:
        """Move the targets a little."""
        present = [*self.policy.parameters(), *self.critics.parameters()]
        for target, parameter in zip(self.targets.parameters(), present, strict=True):
            target.lerp_(parameter, TARGET_RATE)

    def state_dict(self) -> dict:
        """All that is needed to go on."""
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        return {**super().state_dict(), "optimizers": optimizers}

    def load_state_dict(self, state: dict) -> None:
        """Go on from there."""
        super().load_state_dict(state)
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
