"""How the fast recipe learns from a roll-out."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

import sfgrad as sf
from applications.kit.errors import RunError
from applications.kit.gradients import signal_to_noise
from applications.kit.trainer import Stateful
from applications.pong.config import Config, Stage
from applications.pong.frames import SIGHTS, Frames, chosen
from applications.pong.policy import NETWORKS, ActorCritic
from applications.pong.ranks import Ranks
from applications.pong.rollout import Steps
from sfgrad.optim import clipped_surrogate

RANK_SEED_OFFSET = 1_000_003
"""Seed offset between consecutive ranks."""


class Learner(Stateful):
    """A network that learns from roll-outs, in the thread that makes it.

    Args:
        config: how.
        moves: the policy's, to choose from.
        scale: of the frames' levels.
        ranks: the processes that learn together.
    """

    def __init__(self, config: Config, moves: int, scale: float, ranks: Ranks | None = None):
        ranks = ranks or Ranks()
        # moments of pixels that are seldom lit become subnormal, and some processors slow at them
        torch.set_flush_denormal(True)
        torch.manual_seed(config.seed)
        self.config, self.scale, self.device = config, scale, ranks.device
        model = NETWORKS[config.network](moves, config.hidden, SIGHTS[config.frames].size)
        self.model: ActorCritic = model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            config.learning_rate,
            weight_decay=config.weight_decay,
            eps=1e-5,
            fused=True,
        )
        self.network = ranks.share(self.model)
        own = config.seed + RANK_SEED_OFFSET * ranks.rank
        torch.manual_seed(own)
        self.generator = torch.Generator().manual_seed(own)  # torch's own is the player's
        self.parts = {
            "policy": self.model,
            "optimizer": self.optimizer,
            "order_rng": self.generator,
        }

    def learn(self, steps: Steps, stage: Stage, left: float) -> dict[str, float | None]:
        """Many small updates from one roll-out.

        Args:
            steps: the roll-out.
            stage: it is of.
            left: the share of the stage that is still to come.

        Returns:
            What the metrics tell of it.
        """
        config = self.config
        self.set_rate(stage, left)
        advantage, target = self.judge(steps)
        columns = [
            column.flatten().to(self.device)
            for column in (steps.moves, steps.log_probs, advantage, target)
        ]
        sums, gradients = torch.zeros(3), []
        loss = self.imitate if stage.imitation else self.loss
        for epoch, rows in self.minibatches(len(columns[0]), stage):
            frames = Frames.of(*chosen(steps.changes, rows.numpy()), self.scale)
            here = rows.to(self.device)
            parts = loss(frames.to(self.device), *(column[here] for column in columns))
            entropy = parts[1]
            self.optimizer.zero_grad()
            (parts[0] - config.entropy_coefficient * left * entropy).backward()
            if epoch == 0:
                gradients.append(self.model.heads.weight.grad[1:].flatten().cpu())
            self.optimizer.step()
            sums += torch.stack(parts[1:]).detach().cpu() * len(rows)
        entropy, kl, clipped = (sums / (config.epochs * len(columns[0]))).tolist()
        return {
            "entropy": entropy,
            "kl": kl,
            "clipped": clipped,
            "baseline_fit": explained(steps, target),
            "gradient_snr": signal_to_noise(torch.stack(gradients)),
        }

    def set_rate(self, stage: Stage, left: float) -> None:
        """The step size, with this share of a stage still to come."""
        for group in self.optimizer.param_groups:
            group["lr"] = stage.learning_rate * left

    def minibatches(self, rows: int, stage: Stage) -> Iterator[tuple[int, Tensor]]:
        """Epoch, from 0, and rows `[minibatch]`: each row once an epoch, in another order."""
        for epoch in range(self.config.epochs):
            order = torch.randperm(rows, generator=self.generator)
            yield from ((epoch, part) for part in order.split(stage.minibatch))

    def judge(self, steps: Steps) -> tuple[Tensor, Tensor]:
        """How much better each move was than expected, and what to expect, `[T, N]` both.

        Without a baseline the first is what the move came to instead, expected or not.
        """
        config = self.config
        done = steps.ended | (steps.rewards != 0) if config.cut else steps.ended
        values, rewards = steps.values[:-1], steps.rewards.sign()  # games have units of their own
        advantage = sf.generalized_advantage(
            rewards, values, steps.values[-1], config.discount, config.gae_lambda, done
        )
        target = advantage + values
        credit = advantage if config.baseline else target
        return sf.standardize(credit) if config.standardize else credit, target

    def loss(
        self, frames: Frames, moves: Tensor, old: Tensor, advantage: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of a minibatch: loss, entropy; for the metrics, divergence and share out of the clip."""
        config = self.config
        dist, value = self.network(frames)
        log_prob = dist.log_prob(moves)
        entropy = dist.entropy().mean()
        surrogate = clipped_surrogate(log_prob, old, advantage, config.clip_range)
        loss = surrogate + config.value_coefficient * F.mse_loss(value, target)
        log_ratio = (log_prob - old).detach()
        ratio = log_ratio.exp()
        kl = (log_ratio.expm1() - log_ratio).mean()  # an estimate that is never negative
        return loss, entropy, kl, ((ratio - 1).abs() > config.clip_range).float().mean()

    def imitate(
        self, frames: Frames, moves: Tensor, old: Tensor, advantage: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `loss`: how unlikely the teacher's moves are to it, nats."""
        dist, value = self.network(frames)
        log_prob = dist.log_prob(moves)
        loss = self.config.value_coefficient * F.mse_loss(value, target) - log_prob.mean()
        kl = (old - log_prob).detach().mean()
        return loss, dist.entropy().mean(), kl, torch.zeros_like(kl)

    def begin(self, policy: ActorCritic) -> None:
        """With another policy.

        Raises:
            RunError: it is another network.
        """
        try:
            self.model.load_state_dict(policy.state_dict())
        except RuntimeError as error:
            raise RunError(
                f"the policy in {self.config.start} has another network: {error}"
            ) from error


def explained(steps: Steps, target: Tensor) -> float:
    """The share of the targets' variance `[T, N]` that was expected."""
    return (1 - (target - steps.values[:-1]).var() / target.var().clamp_min(1e-4)).item()
