"""The policy gradient: what did better than expected becomes more likely."""

import torch

import sfgrad as sf
from applications.control.config import Config
from applications.control.environments import Played
from applications.control.rollout import Player
from applications.kit.trainer import Stateful


class ScoreFunction(Stateful):
    """The score-function gradient with a learned baseline; one step of Adam for all that was drawn.

    Args:
        config: what to train.
    """

    def __init__(self, config: Config):
        self.player = Player(config)
        self.policy = self.player.policy
        self.optimizer = torch.optim.Adam(self.policy.parameters(), config.learning_rate)
        self.parts = {**self.player.parts, "optimizer": self.optimizer}

    def update(self) -> Played:
        """One update."""
        rollout = self.player.play()
        law = self.policy(rollout.observation)
        loss = sf.score_function_loss(law.log_prob(rollout.action), rollout.advantage)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        explained = self.player.learn_values(rollout)
        return rollout.told(entropy=law.entropy().mean().item(), explained=explained)
