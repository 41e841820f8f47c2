"""Networks: a policy of drawn or of best actions, and what critics are made of."""

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Normal

from applications.control.environments import Task


def network(inputs: int, units: int, outputs: int) -> nn.Sequential:
    """One hidden layer, or with 0 units none."""
    if units == 0:
        return nn.Sequential(nn.Linear(inputs, outputs))
    return nn.Sequential(nn.Linear(inputs, units), nn.Tanh(), nn.Linear(units, outputs))


class Policy(nn.Module):
    """A law over actions for every observation, and its most likely action.

    Args:
        task: its actions are drawn from a `Categorical`, or from a `Normal` whose mean is
            within what the environment allows and whose deviation is the same everywhere.
        units: hidden ones.
    """

    def __init__(self, task: Task, units: int):
        super().__init__()
        self.task = task
        self.net = network(task.observation, units, task.actions)
        if not task.discrete:
            self.log_std = nn.Parameter(torch.full((task.actions,), -0.5))

    def forward(self, observation: Tensor) -> Distribution:
        """The law of the actions `[...]` or `[..., A]` at observations `[..., D]`."""
        outputs = self.net(observation)
        if self.task.discrete:
            return Categorical(logits=outputs)
        spread = self.task.largest * self.log_std.exp()
        return Independent(Normal(self.bounded(outputs), spread.expand_as(outputs)), 1)

    def best(self, observation: Tensor) -> Tensor:
        """The likeliest action."""
        return self.decide(self.net(observation))

    def decide(self, outputs: Tensor) -> Tensor:
        """The likeliest action by the outputs of the network."""
        return outputs.argmax(-1) if self.task.discrete else self.bounded(outputs)

    def bounded(self, outputs: Tensor) -> Tensor:
        """Numbers within what the environment allows."""
        return self.task.largest * outputs.tanh()
