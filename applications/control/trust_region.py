"""The policy gradient, followed as far as the policy may change and no further."""

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from applications.control.config import Config
from applications.control.environments import Played
from applications.control.rollout import Player
from applications.kit.trainer import Stateful
from sfgrad.optim import TrustRegion


class TrustRegionStep(Stateful):
    """One step a batch, along the gradient or the natural one, by a line search on the divergence.

    Args:
        config: what to train.
    """

    def __init__(self, config: Config):
        self.player = Player(config)
        self.policy = self.player.policy
        self.region = TrustRegion(self.policy.parameters(), config.max_kl, config.natural)
        self.parts = {**self.player.parts, "region": self.region}

    def update(self) -> Played:
        """One update."""
        rollout = self.player.play()
        with torch.no_grad():
            old = self.policy(rollout.observation)
            old_log_prob = old.log_prob(rollout.action)

        def surrogate() -> Tensor:
            ratio = self.policy(rollout.observation).log_prob(rollout.action) - old_log_prob
            return -(ratio.exp() * rollout.advantage).mean()

        def divergence() -> Tensor:
            return kl_divergence(old, self.policy(rollout.observation)).mean()

        report = self.region.step(surrogate, divergence)
        explained = self.player.learn_values(rollout)
        return rollout.told(
            entropy=old.entropy().mean().item(),
            explained=explained,
            kl=report.kl,
            halvings=report.halvings,
        )
