"""What the fast recipe is told, and how it learns from a roll-out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import sfgrad as sf
from applications.kit.errors import RunError
from applications.kit.gradients import signal_to_noise
from applications.pong.frames import SIGHTS, Frames, chosen
from applications.pong.policy import NETWORKS, ActorCritic
from applications.pong.ranks import Ranks
from applications.pong.rollout import Steps
from sfgrad.optim import clipped_surrogate

RANK_SEEDS = 1_000_003
"""What a rank's seed is further than the one's before it."""


@dataclass(frozen=True)
class Config:
    """What is trained, on what, and how."""

    recipe: str = "fast"
    """The recipe that this configures."""
    game: str = "pong"
    """ROM name of an ALE game."""
    environments: int = 32
    """Games in flight."""
    horizon: int = 64
    """Steps of each game in a roll-out, in the first stage."""
    frames: str = "pair"
    """What the policy sees: a `pair` of frames or their `difference`."""
    shuffle: bool = False
    """Whether it sees the pixels in another order, drawn once and for all."""
    rest: bool = True
    """Whether Pong's paddle may also be left where it is."""
    network: str | None = None
    """`dense`, `conv`, or `apart`: dense, with hidden units of its own for the expected return; by
    default `dense`, and `apart` where a trust region bounds the divergence."""
    hidden: int = 128
    """Hidden units."""
    discount: float = 0.99
    """γ, per agent step."""
    trace: float = 0.95
    """λ of the advantages."""
    cut: bool | None = None
    """Whether a move is credited up to the next point only, not to the end of the game; by default
    in Pong."""
    baseline: bool = True
    """Whether what was expected is subtracted from what came."""
    standardize: bool = True
    """Whether advantages are standardised in each roll-out."""
    trust: str = "clip"
    """What bounds the change that a roll-out makes: `clip` the ratio of probabilities to those of
    the policy that played it; `line` and `natural` the divergence from the policy before the step,
    which goes along either gradient."""
    clip: float = 0.2
    """A move counts only while its probability is within so much of what it was, relatively."""
    bound: float = 0.01
    """Largest divergence of a roll-out's step from the policy before it, nats."""
    epochs: int = 10
    """How often each step is learned from."""
    minibatch: int = 512
    """Steps per update of the weights, in the first stage."""
    learning_rate: float | None = None
    """AdamW's step size when a stage begins; it falls to 0 with the stage's last step. By default
    2.5e-3, and 3e-4 after imitation: a policy that can play is soon spoilt by large steps."""
    entropy: float = 0.01
    """Reward of the policy's entropy, standard deviations of the advantage (or points, if that is
    not standardised) per nat; it falls as the step size does."""
    value: float = 0.5
    """Weight of the squared error of the expected return."""
    l2: float = 0.01
    """AdamW's decay of weights (L2)."""
    start: str | None = None
    """The folder of a run whose policy to begin with, or `shipped`."""
    imitation_steps: int = 0
    """Agent steps for which a teacher plays and is imitated, before the first stage."""
    imitation_rate: float = 2.5e-3
    """AdamW's step size when that begins."""
    teacher: str | None = None
    """The folder of its run; by default the policy that is `shipped`."""
    seed: int = 0
    """Fixes the weights, the moves and the emulators."""
    steps: int = 700_000
    """Agent steps of the first stage, in which every action is done as sent."""
    sticky: float = 0.25
    """In the second stage, the probability per frame that the emulator repeats the last action."""
    sticky_steps: int = 3_000_000
    """Agent steps of the second stage."""
    patience: int = 4
    """So many times longer are roll-outs and minibatches there, where chance has a greater part."""
    caution: float = 0.6
    """And so many times as large the step size."""
    seconds: float | None = None
    """Stop after so many seconds of training, in all; None: never."""
    film_minutes: float | None = None
    """Minutes of training from one film of the policy to the next; None: no films."""

    def __post_init__(self) -> None:
        """Fill in what depends on other options."""
        usual = {
            "network": "dense" if self.trust == "clip" else "apart",
            "cut": self.game == "pong",
            "learning_rate": 3e-4 if self.imitation_steps else 2.5e-3,
        }
        for name, value in usual.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)  # as dataclasses do in a frozen one
        if self.trust != "clip" and self.network != "apart":
            raise RunError(
                f"a bound on the divergence moves the policy alone, and in the network "
                f"{self.network} it shares its units: use --network apart"
            )


TRUST = ("clip", "line", "natural")
LIMITS = ("seconds", "film_minutes")
"""The fields in which a resumed run may differ."""


@dataclass(frozen=True)
class Stage:
    """A part of the training, under one probability of repeated actions."""

    sticky: float
    """That probability, per frame."""
    begin: int
    """Agent steps before it."""
    end: int
    """And up to its end."""
    horizon: int
    """Steps of each game in a roll-out."""
    minibatch: int
    """Steps per update of the weights."""
    learning_rate: float
    """AdamW's step size when it begins."""
    imitation: bool = False
    """Whether a teacher plays."""

    def left(self, agent_steps: int) -> float:
        """The share of it that is still to come."""
        return max(0.0, (self.end - agent_steps) / max(self.end - self.begin, 1))


def stages(config: Config) -> list[Stage]:
    """Imitation; then as the text's emulator is without chance; then as `ALE/Pong-v5` is."""
    begin = config.imitation_steps
    middle = begin + config.steps
    end = middle + config.sticky_steps
    quick = config.horizon, config.minibatch, config.learning_rate
    calm = (
        config.patience * config.horizon,
        config.patience * config.minibatch,
        config.caution * config.learning_rate,
    )
    return [
        Stage(0.0, 0, begin, *quick[:2], config.imitation_rate, imitation=True),
        Stage(0.0, begin, middle, *quick),
        Stage(config.sticky, middle, end, *calm),
    ]


class Learner:
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
            weight_decay=config.l2,
            eps=1e-5,
            fused=True,
        )
        self.network = ranks.share(self.model)
        own = config.seed + RANK_SEEDS * ranks.rank
        torch.manual_seed(own)
        self.generator = torch.Generator().manual_seed(own)  # torch's own is the player's

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
            (parts[0] - config.entropy * left * entropy).backward()
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
            rewards, values, steps.values[-1], config.discount, config.trace, done
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
        surrogate = clipped_surrogate(log_prob, old, advantage, config.clip)
        loss = surrogate + config.value * F.mse_loss(value, target)
        log_ratio = (log_prob - old).detach()
        ratio = log_ratio.exp()
        kl = (log_ratio.expm1() - log_ratio).mean()  # an estimate that is never negative
        return loss, entropy, kl, ((ratio - 1).abs() > config.clip).float().mean()

    def imitate(
        self, frames: Frames, moves: Tensor, old: Tensor, advantage: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `loss`: how unlikely the teacher's moves are to it, nats."""
        dist, value = self.network(frames)
        log_prob = dist.log_prob(moves)
        loss = self.config.value * F.mse_loss(value, target) - log_prob.mean()
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
                f"the policy in {self.config.start} is another network: {error}"
            ) from error

    def state(self) -> dict[str, Any]:
        """All that is learned."""
        return {
            "policy": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "order_rng": self.generator.get_state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.model.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        self.generator.set_state(state["order_rng"])


def explained(steps: Steps, target: Tensor) -> float:
    """The share of the targets' variance `[T, N]` that was expected."""
    return (1 - (target - steps.values[:-1]).var() / target.var().clamp_min(1e-4)).item()
