"""`--recipe fast`: the same policy gradient, learned from thirty times fewer games.

While the emulators play a roll-out, the network learns from the one before it.
"""

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import sfgrad as sf
from applications.pong.frames import SIGHTS, Frames, chosen
from applications.pong.games import Settings, view_and_actions
from applications.pong.policy import NETWORKS, ActorCritic
from applications.pong.progress import Tally
from applications.pong.rollout import Collector, Steps, groups, make_emulators
from applications.runs import CHECKPOINT, Display, Run, RunError, StopSignals, load_state
from sfgrad.optim import clipped_surrogate

SAVE = 5.0
"""Seconds between checkpoints."""


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
    network: str = "dense"
    """`dense` or `conv`."""
    hidden: int = 128
    """Hidden units."""
    discount: float = 0.99
    """γ, per agent step."""
    trace: float = 0.95
    """λ of the advantages."""
    cut: bool = True
    """Whether a move is credited up to the next point only, not to the end of the game."""
    standardize: bool = True
    """Whether advantages are standardised in each roll-out."""
    clip: float = 0.2
    """A move counts only while its probability is within so much of what it was, relatively."""
    epochs: int = 10
    """How often each step is learned from."""
    minibatch: int = 512
    """Steps per update of the weights, in the first stage."""
    learning_rate: float = 2.5e-3
    """AdamW's step size when a stage begins; it falls to 0 with the stage's last step."""
    entropy: float = 0.01
    """Reward of the policy's entropy, points per nat; it falls as the step size does."""
    value: float = 0.5
    """Weight of the squared error of the expected return."""
    l2: float = 0.01
    """AdamW's decay of weights (L2)."""
    start: str | None = None
    """The folder of a run whose policy to begin with."""
    seed: int = 0
    """Fixes the weights, the moves and the emulators."""
    steps: int = 1_000_000
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


LIMITS = ("seconds",)
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

    def left(self, agent_steps: int) -> float:
        """The share of it that is still to come."""
        return max(0.0, (self.end - agent_steps) / max(self.end - self.begin, 1))


def stages(config: Config) -> list[Stage]:
    """First as the text's emulator is without chance, then as `ALE/Pong-v5` is."""
    first, all = config.steps, config.steps + config.sticky_steps
    horizon, minibatch = config.patience * config.horizon, config.patience * config.minibatch
    rate = config.learning_rate
    return [
        Stage(0.0, 0, first, config.horizon, config.minibatch, rate),
        Stage(config.sticky, first, all, horizon, minibatch, config.caution * rate),
    ]


class Learner:
    """A network that learns from roll-outs.

    Args:
        config: how.
        moves: the policy's, to choose from.
        scale: of the frames' levels.
    """

    def __init__(self, config: Config, moves: int, scale: float):
        torch.manual_seed(config.seed)
        self.config, self.scale = config, scale
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = NETWORKS[config.network](moves, config.hidden, SIGHTS[config.frames].size)
        self.model: ActorCritic = model.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            config.learning_rate,
            weight_decay=config.l2,
            eps=1e-5,
            fused=True,
        )
        self.generator = torch.Generator().manual_seed(config.seed)  # torch's own is the player's

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
        for group in self.optimizer.param_groups:
            group["lr"] = stage.learning_rate * left
        advantage, target = self.judge(steps)
        columns = [
            column.flatten().to(self.device)
            for column in (steps.moves, steps.log_probs, advantage, target)
        ]
        sums, gradients = torch.zeros(3), []
        for epoch in range(config.epochs):
            order = torch.randperm(len(columns[0]), generator=self.generator)
            for rows in order.split(stage.minibatch):
                frames = Frames.of(*chosen(steps.changes, rows.numpy()), self.scale)
                here = rows.to(self.device)
                parts = self.loss(frames.to(self.device), *(column[here] for column in columns))
                entropy = parts[1]
                self.optimizer.zero_grad()
                (parts[0] - config.entropy * left * entropy).backward()
                if epoch == 0:
                    gradients.append(self.model.heads.weight.grad[1:].flatten().cpu())
                self.optimizer.step()
                sums += torch.stack(parts[1:]).detach().cpu() * len(rows)
        entropy, kl, clipped = (sums / (config.epochs * len(columns[0]))).tolist()
        explained = 1 - (target - steps.values[:-1]).var() / target.var().clamp_min(1e-4)
        return {
            "entropy": entropy,
            "kl": kl,
            "clipped": clipped,
            "baseline_fit": explained.item(),
            "gradient_snr": signal_to_noise(torch.stack(gradients)),
        }

    def judge(self, steps: Steps) -> tuple[Tensor, Tensor]:
        """How much better each move was than expected, and what to expect, `[T, N]` both."""
        config = self.config
        done = steps.ended | (steps.rewards != 0) if config.cut else steps.ended
        values = steps.values[:-1]
        advantage = sf.generalized_advantage(
            steps.rewards, values, steps.values[-1], config.discount, config.trace, done
        )
        target = advantage + values
        return sf.standardize(advantage) if config.standardize else advantage, target

    def loss(
        self, frames: Frames, moves: Tensor, old: Tensor, advantage: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of a minibatch: loss, entropy; for the metrics, divergence and share out of the clip."""
        config = self.config
        dist, value = self.model(frames)
        log_prob = dist.log_prob(moves)
        entropy = dist.entropy().mean()
        surrogate = clipped_surrogate(log_prob, old, advantage, config.clip)
        loss = surrogate + config.value * F.mse_loss(value, target)
        log_ratio = (log_prob - old).detach()
        ratio = log_ratio.exp()
        kl = (log_ratio.expm1() - log_ratio).mean()  # an estimate that is never negative
        return loss, entropy, kl, ((ratio - 1).abs() > config.clip).float().mean()

    def begin(self, folder: Path) -> None:
        """With the policy of another run.

        Raises:
            RunError: there is none, or it is another network.
        """
        weights = load_state(folder / CHECKPOINT)["policy"]
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as error:
            raise RunError(f"the policy in {folder} is another network: {error}") from error

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


def signal_to_noise(gradients: Tensor) -> float | None:
    """‖E g‖² / tr Var g of a gradient g, both without bias, from `[M, D]`; None from one alone."""
    if len(gradients) < 2:
        return None
    noise = gradients.var(0).sum().clamp_min(torch.finfo(gradients.dtype).tiny)
    return ((gradients.mean(0).square().sum() - noise / len(gradients)) / noise).item()


class Emulation:
    """Plays roll-outs in a thread of its own, and knows what they cost.

    Args:
        collector: plays.
        model: whose parameters it plays with, copied when a roll-out begins.
    """

    def __init__(self, collector: Collector, model: ActorCritic):
        self.collector, self.model = collector, model
        self.player = deepcopy(model)
        self.pool = ThreadPoolExecutor(1)
        self.began = time.process_time(), time.thread_time()
        self.played, self.playing = 0, 0.0
        """Steps made so far, and the seconds of a core that the policy took to choose."""

    def start(self) -> Future[Steps]:
        """The next roll-out, under the present parameters."""
        self.player.load_state_dict(self.model.state_dict())
        return self.pool.submit(self.play)

    def play(self) -> Steps:
        """In the thread."""
        began = time.thread_time()
        steps = self.collector.collect(self.player)
        self.playing += time.thread_time() - began
        self.played += steps.moves.numel()
        return steps

    def limit(self) -> float:
        """Agent steps per second if all cores did nothing but emulate.

        What the process did neither in the learner's thread nor in the player's was emulation.
        """
        process, thread = self.began
        emulated = time.process_time() - process - (time.thread_time() - thread) - self.playing
        return CORES * self.played / max(emulated, 1e-9)

    def close(self) -> None:
        """Wait for the roll-out in flight."""
        self.pool.shutdown()


def train(config: Config, run: Run) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # the second core is the emulators'
    started = time.monotonic()
    view, actions = view_and_actions(config.game, config.shuffle, config.rest)
    learner, tally = Learner(config, len(actions), view.scale), Tally()
    if config.start and run.state is None:
        learner.begin(Path(config.start))
    if run.state is not None:
        learner.load_state(run.state)
        tally = Tally(**{name: run.state[name] for name in asdict(tally)})

    def save() -> None:
        run.save({**learner.state(), **asdict(tally)})

    if run.state is None:
        save()
    before, saved, latest = replace(tally), time.monotonic(), dict[str, Any]()
    started -= tally.seconds
    limit = float("inf") if config.seconds is None else config.seconds
    with StopSignals() as stop, Display(f"Pong from pixels · {run.folder}") as display:
        for stage in stages(config):

            def over(stage: Stage = stage) -> bool:
                done = tally.agent_steps >= stage.end or tally.seconds >= limit
                return done or stop.requested

            if over():
                continue
            games = groups(
                partial(make_emulators, Settings(config.game, stage.sticky), view=view),
                config.environments,
                partial(SIGHTS[config.frames], view),
                actions,
                seed=int(torch.randint(2**30, ())),  # a resumed run starts new games
            )
            emulation = Emulation(Collector(games, stage.horizon, view.scale), learner.model)
            coming = emulation.start()
            while not over():
                steps = coming.result()
                coming = emulation.start()
                latest = learner.learn(steps, stage, stage.left(tally.agent_steps))
                tally.agent_steps += steps.moves.numel()
                tally.seconds = time.monotonic() - started
                tally.add(steps.returns)
                latest |= {
                    "won": (steps.rewards > 0).sum().item(),
                    "lost": (steps.rewards < 0).sum().item(),
                    "sticky": stage.sticky,
                    "emulator_limit": emulation.limit(),
                }
                run.log({**tally.metrics(before), **latest, "returns": steps.returns})
                if time.monotonic() - saved > SAVE:
                    save()
                    saved = time.monotonic()
                display.show(partial(figures, tally, before, latest, config))
            emulation.close()
        display.show(partial(figures, tally, before, latest, config), now=True)
    save()
    return not stop.requested


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def figures(tally: Tally, before: Tally, latest: dict[str, Any], config: Config) -> dict[str, str]:
    """What the display shows."""
    limits = [
        (before.agent_steps, tally.agent_steps, config.steps + config.sticky_steps),
        (before.seconds, tally.seconds, config.seconds),
    ]
    shown = {"episodes": f"{tally.episodes:,}", **tally.figures(before, limits)}
    if latest:
        shown["sticky actions"] = f"{latest['sticky']:g}"
        share = tally.speed(before) / latest["emulator_limit"]
        shown["of the emulator's speed"] = f"{share:.0%}"
        shown["entropy"] = f"{latest['entropy']:.2f} nats"
        shown["divergence"] = f"{latest['kl']:.3f} nats"
        shown["baseline fit"] = f"{latest['baseline_fit']:.2f}"
        if latest["gradient_snr"] is not None:
            shown["gradient snr"] = f"{latest['gradient_snr']:.2f}"
    return shown
