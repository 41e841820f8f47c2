"""Train a program: problems grow as they are solved, and choices are credited with what follows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

import sfgrad as sf
from applications.kit import loop
from applications.kit import trainer as kit
from applications.kit.display import sparkline
from applications.kit.gradients import gradients_of, signal_to_noise
from applications.kit.run import Run
from applications.memory.config import Config
from applications.memory.evaluate import solve
from applications.memory.model import MemoryModel
from applications.memory.tasks import Problems, make_problems

CURRICULUM_DECAY = 0.8
"""Decay of the average share of letters right, by which the curriculum advances."""
PASS_THRESHOLD = 0.9
"""Average share of letters right above which the level rises."""
ANY_LENGTH_SHARE, SHORTER_SHARE = 0.1, 0.25
"""Shares of problems of any length, and of those up to the length of the others."""
ENTROPY_SHARE = 0.8
"""Share of the updates by which the entropy bonus has fallen to 0."""
MAX_GRADIENT_NORM = 1.0
"""Largest norm of the controller's gradient."""
METRICS_INTERVAL = 50
"""Updates between lines of metrics."""


@dataclass
class Tally(kit.Tally):
    """What a run has done so far."""

    level: int = 0
    """Letters of the problems that are being learned."""
    average: float = 0.0
    """Share of letters right at that level, of late."""
    problems: int = 0
    """Runs through a problem made."""
    steps: int = 0
    """Choices made."""


class Trainer(kit.Trainer):
    """A program in training.

    Args:
        config: what to train.
    """

    work, work_name = "steps", "steps"

    def __init__(self, config: Config):
        title = f"Sampled memory · {config.task} by {config.mode}"
        super().__init__(config, Tally(level=config.first), title)
        torch.manual_seed(config.seed)
        self.generator = Generator().manual_seed(config.seed)
        self.model = MemoryModel(config)
        self.objective = sf.expectation(self.model, config.samples, has_aux=True)
        self.optimizer = torch.optim.Adam(self.model.parameters(), config.learning_rate)
        self.latest: dict[str, float] = {}
        self.line, self.course = dict[str, Any](), list[float]()
        """The last line of metrics, and the share right in each."""
        self.parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "problems_rng": self.generator,
        }

    def __iter__(self) -> Iterator[kit.Line | None]:
        """An update, and every so often a line."""
        while True:
            self.step()
            self.tick()
            yield (
                self.metrics()
                if self.tally.update % METRICS_INTERVAL == 0 or self.reached()
                else None
            )

    def draw_lengths(self, count: int) -> Tensor:
        """Letters of each of the next problems, int64 `[B]`."""
        last, level, generator = self.config.last, self.tally.level, self.generator
        kind, place = torch.rand(2, count, generator=generator)
        above = torch.empty(count).geometric_(0.5, generator=generator).long() - 1
        most = torch.where(kind < ANY_LENGTH_SHARE, last, (level + above).clamp(max=last))
        drawn = (place * most).long() + 1
        return torch.where(kind < ANY_LENGTH_SHARE + SHORTER_SHARE, drawn, most)

    def draw_problems(self) -> tuple[Problems, Tensor]:
        """Problems, and how many steps may be spent on each, int64 `[B]`."""
        count = self.config.batch // self.config.samples
        problems = make_problems(self.config.task, self.draw_lengths(count), self.generator)
        slack = 1 + self.config.slack * torch.rand(count, generator=self.generator)
        return problems, (self.model.enough(problems) * slack).long() + 2

    def loss(self, problems: Problems, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The expected cost of a batch and what entropy earns; entropy and letters right, `[R]`.

        A choice is credited with its own entropy, not with that of later ones.
        """
        loss, (entropy, right, steps) = self.objective(*problems, limit)
        self.tally.steps += int(steps.sum())
        left = 1 - self.tally.update / (ENTROPY_SHARE * self.config.updates)
        return (
            loss - self.config.entropy_coefficient * max(0.0, left) * entropy.mean(),
            entropy,
            right,
        )

    def step(self) -> None:
        """One update."""
        tally, samples = self.tally, self.config.samples
        problems, limit = self.draw_problems()
        loss, entropy, right = self.loss(problems, limit)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.controller.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        share = right / problems.due.repeat(samples)
        self.latest = {"right": share.mean().item(), "entropy": entropy.mean().item()}
        tally.update += 1
        tally.problems += len(share)
        self.pass_level(share.view(samples, -1).mean(0)[problems.lengths >= tally.level])

    def pass_level(self, shares: Tensor) -> None:
        """Make problems longer once those of the present level are solved."""
        tally = self.tally
        if len(shares):
            tally.average += (1 - CURRICULUM_DECAY) * (shares.mean().item() - tally.average)
        if tally.average > PASS_THRESHOLD and tally.level < self.config.last:
            tally.level, tally.average = tally.level + 1, PASS_THRESHOLD / 2

    def metrics(self) -> dict[str, float]:
        """A line of metrics."""
        tally, longest = self.tally, self.config.last
        symbols, perfect = solve(self.model, longest, Generator().manual_seed(0))
        self.course.append(symbols)
        self.line = {
            "update": tally.update,
            "seconds": round(tally.seconds, 3),
            "level": tally.level,
            "problems": tally.problems,
            "steps": tally.steps,
            **self.latest,
            "error": 1 - symbols,
            "perfect": perfect,
            "gradient_snr": self.signal_to_noise(),
            "steps_per_second": self.speed(),
        }
        return self.line

    def signal_to_noise(self, batches: int = 4) -> float | None:
        """Of an update's gradient of the controller.

        The gradient is the one that is followed: that of what entropy earns is in it.
        """
        before = self.generator.get_state(), torch.get_rng_state(), self.tally.steps
        self.model.eval()  # the baselines stay as they are
        losses = (self.loss(*self.draw_problems())[0] for _ in range(batches))
        gradients = gradients_of(losses, self.model.controller)
        self.model.train()
        self.generator.set_state(before[0])
        torch.set_rng_state(before[1])
        self.tally.steps = before[2]
        return signal_to_noise(gradients)

    def columns(self) -> dict[str, str]:
        """What the display shows."""
        tally, last, line = self.tally, self.config.last, self.line
        shown = {"level": f"{tally.level} of {last} letters"}
        if line:
            shown[f"error, {last} letters"] = f"{line['error']:.1%} of letters"
            shown["solved"] = f"{line['perfect']:.0%} of problems"
            shown["entropy"] = f"{line['entropy']:.1f} nats per run"
            shown["signal-to-noise ratio of the gradient"] = f"{line['gradient_snr']:.2f}"
            shown["letters right so far"] = sparkline(self.course)
        return shown


def train(config: Config, run: Run) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # the tensors are small: a second thread only waits
    return loop.train(Trainer(config), run)
