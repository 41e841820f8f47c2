"""Guess and check: draw whole policies, keep those that did best, draw around them."""

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from applications.control.config import Config
from applications.control.environments import TASKS, Environments, Played, play
from applications.control.policies import Policy
from applications.kit.trainer import Stateful
from sfgrad.optim import CrossEntropyMethod

ELITE = 0.2
"""Share of the population that is kept."""
NOISE, FADE = 0.25, 20
"""Variance added at first, and generations until none is."""


class CrossEntropy(Stateful):
    """The cross-entropy method on the weights of a policy; an episode decides about each.

    Args:
        config: what to train.
    """

    def __init__(self, config: Config):
        task = TASKS[config.environment]
        self.policy = Policy(task, config.hidden)
        self.environments = Environments(task, config.population)
        centre = torch.zeros_like(parameters_to_vector(self.policy.net.parameters()))
        elite = max(2, round(ELITE * config.population))
        self.search = CrossEntropyMethod(centre, 1.0, config.population, elite, NOISE, FADE)
        self.parts = {"policy": self.policy, "search": self.search}

    def update(self) -> Played:
        """One generation."""
        weights = self.unflatten(self.search.ask())

        def act(observation: Tensor) -> Tensor:
            return self.policy.decide(torch.vmap(self.respond)(weights, observation))

        played = play(self.environments, act)
        self.search.tell(played.returns)
        vector_to_parameters(self.search.mean.clone(), self.policy.net.parameters())
        figures = {"parameters": len(self.search.mean), "spread": self.search.std.mean().item()}
        return Played(played.returns, played.steps, figures)

    def respond(self, weights: dict[str, Tensor], observation: Tensor) -> Tensor:
        """Outputs of the network with these weights."""
        return functional_call(self.policy.net, weights, (observation,))

    def unflatten(self, vectors: Tensor) -> dict[str, Tensor]:
        """Vectors `[P, D]` as weights `[P, ...]`, by name."""
        named = dict(self.policy.net.named_parameters())
        parts = vectors.split([weight.numel() for weight in named.values()], dim=1)
        return {
            name: part.reshape(len(vectors), *weight.shape)
            for (name, weight), part in zip(named.items(), parts, strict=True)
        }
