"""The policy gradient, followed as far as the policy may change and no further."""

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from applications.control.config import Config
from applications.control.environments import Played
from applications.control.rollout import Player
from sfgrad.optim import TrustRegion


class TrustRegionStep:
    """One step a batch, along the gradient or the natural one, by a line search on the divergence.

    Args:
        config: what to train.
    """

    def __init__(self, config: Config):
        self.player = Player(config)
        self.policy = self.player.policy
        self.region = TrustRegion(self.policy.parameters(), config.max_kl, config.natural)

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

    def state_dict(self) -> dict:
        """All that is needed to go on."""
        return {**self.player.state_dict(), "region": self.region.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Go on from there."""
        self.player.load_state_dict(state)
        self.region.load_state_dict(state["region"])
