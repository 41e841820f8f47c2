"""A trust region by the policy's divergence: one step per roll-out, as long as it may be."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import kl_divergence

from applications.kit.errors import RunError
from applications.pong.config import Config, Stage
from applications.pong.frames import Frames, chosen
from applications.pong.learner import Learner, explained
from applications.pong.ranks import Ranks
from applications.pong.rollout import Steps
from sfgrad.optim import StepReport, TrustRegion


class TrustLearner(Learner):
    """Moves the policy down its surrogate by a line search, and fits what it expects as before.

    Args:
        config: how; its network is `apart`.
        moves: the policy's, to choose from.
        scale: of the frames' levels.
        ranks: must be one alone.

    Raises:
        RunError: there are several ranks, and each would go its own way.
    """

    def __init__(self, config: Config, moves: int, scale: float, ranks: Ranks | None = None):
        if ranks and ranks.size > 1:
            raise RunError(f"--trust {config.trust} learns in one process: start without torchrun")
        super().__init__(config, moves, scale, ranks)
        natural = config.trust == "natural"
        self.region = TrustRegion(self.model.own(), config.max_kl, natural)
        self.parts["region"] = self.region

    def learn(self, steps: Steps, stage: Stage, left: float) -> dict[str, float | None]:
        """One step of the policy, then many small updates of what it expects."""
        if stage.imitation:
            return super().learn(steps, stage, left)
        advantage, target = self.judge(steps)
        report, entropy = self.follow(steps, advantage.flatten().to(self.device), left)
        self.fit(steps, target.flatten().to(self.device), stage, left)
        return {
            "entropy": entropy,
            "kl": report.kl,
            "halvings": report.halvings,
            "baseline_fit": explained(steps, target),
            "gradient_snr": None,
        }

    def follow(self, steps: Steps, advantage: Tensor, left: float) -> tuple[StepReport, float]:
        """The policy's step, and its entropy before it, nats."""
        frames = Frames.of(*steps.changes, self.scale).to(self.device)
        moves, drawn = (
            column.flatten().to(self.device) for column in (steps.moves, steps.log_probs)
        )
        with torch.no_grad():
            old = self.model.choose(frames)

        def surrogate() -> Tensor:
            dist = self.model.choose(frames)
            ratio = (dist.log_prob(moves) - drawn).exp()
            bonus = self.config.entropy_coefficient * left * dist.entropy().mean()
            return -(ratio * advantage).mean() - bonus

        def divergence() -> Tensor:
            return kl_divergence(old, self.model.choose(frames)).mean()

        return self.region.step(surrogate, divergence), old.entropy().mean().item()

    def fit(self, steps: Steps, target: Tensor, stage: Stage, left: float) -> None:
        """Learn what to expect, `[T · N]`."""
        self.set_rate(stage, left)
        for _, rows in self.minibatches(len(target), stage):
            frames = Frames.of(*chosen(steps.changes, rows.numpy()), self.scale)
            value = self.model.critic(frames.to(self.device))[1]
            self.optimizer.zero_grad()
            F.mse_loss(value, target[rows.to(self.device)]).backward()
            self.optimizer.step()
