"""Train a glimpse model: locations by the score function, all else by backpropagation."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.optim.swa_utils import AveragedModel

import sfgrad as sf
from applications.glimpse import weights
from applications.glimpse.baselines import Watched
from applications.glimpse.config import LOWEST_PRICE_SHARE, Config
from applications.glimpse.data import Images
from applications.glimpse.model import ConvNet, GlimpseModel, make_model
from applications.glimpse.outcomes import errors
from applications.glimpse.precision import BFLOAT16, faster_precision
from applications.glimpse.retina import integral
from applications.glimpse.tasks import make_scenes, warp
from applications.kit import loop
from applications.kit import trainer as kit
from applications.kit.display import sparkline
from applications.kit.gradients import gradients_of, signal_to_noise
from applications.kit.options import Limit
from applications.kit.run import Run

VALIDATION_SHARE = 1 / 12
"""Share of the training images, the last ones, kept for the validation error."""
AVERAGE_DECAY = 0.999
"""Decay of the moving average of the weights, which is validated and kept; less at first."""
WARM_UP_UPDATES = 200
"""Updates until the learning rate is at its highest."""
LOCATOR_PREFIXES = ("locate.", "plan")
"""Beginnings of the names of the locator's weights."""

FIGURES = {
    "mean_glimpses": "glimpses per image",
    "baseline_fit": "variance that the baseline explains",
    "locator_snr": "signal-to-noise ratio of the locator's gradient",
}
"""Metrics of an epoch, and what the display calls them."""


@dataclass
class Tally(kit.Tally):
    """What a run has done so far."""

    images: int = 0
    """Images learned from."""
    loss: float = 0.0
    """Sum of the losses since the epoch began, nats."""
    best: float = 1.0
    """Lowest validation error so far."""
    best_epoch: int = 0
    """When that was."""
    course: list[float] = field(default_factory=list)
    """Validation error after each epoch."""


class Scenes:
    """Batches of a task's images, made as they are asked for.

    Args:
        config: task and distortions.
        digits: uint8 `[N, 28, 28]`.
        labels: int64 `[N]`.
        seed: fixes the order and everything drawn.
    """

    def __init__(self, config: Config, digits: Tensor, labels: Tensor, seed: int):
        self.config, self.task = config, config.looks()
        self.digits, self.labels, self.seed = digits, labels, seed
        self.generator = Generator().manual_seed(seed)
        self.epoch, self.order = -1, torch.empty(0)

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """Images uint8 `[B, canvas, canvas]` and labels `[B]` of the update `index`."""
        epoch, place = divmod(index, self.per_epoch)
        if epoch != self.epoch:
            shuffle = Generator().manual_seed(hash((self.seed, epoch)) % 2**31)
            self.epoch, self.order = epoch, torch.randperm(len(self.digits), generator=shuffle)
        rows = self.order[place * self.config.batch :][: self.config.batch]
        digits = warp(self.digits[rows], self.config.warp, self.generator)
        return make_scenes(self.task, digits, self.digits, self.generator), self.labels[rows]

    @property
    def per_epoch(self) -> int:
        """Updates per epoch."""
        return len(self.digits) // self.config.batch


class Trainer(kit.Trainer):
    """A model in training.

    Args:
        config: what to train.
        images: the digits.

    Raises:
        ValueError: the config leaves the precision open.
    """

    work, work_name = "images", "images"

    def __init__(self, config: Config, images: Images):
        super().__init__(config, Tally(), f"Hard attention · {config.task}")
        if config.precision is None:
            raise ValueError("precision is None: let choose_precision() fill it in first")
        torch.manual_seed(config.seed)
        task = config.looks()
        kept = round(len(images.train_images) * (1 - VALIDATION_SHARE))
        self.scenes = Scenes(
            config, images.train_images[:kept], images.train_labels[:kept], config.seed
        )
        fixed = Generator().manual_seed(0)
        held = images.train_images[kept:]
        self.validation = make_scenes(task, held, held, fixed), images.train_labels[kept:]
        self.model = make_model(config)
        weights.warm_start(self.model, config)
        self.averaged = AveragedModel(self.model, multi_avg_fn=average)
        named = list(self.model.named_parameters())
        groups = [
            {"params": [p for n, p in named if not n.startswith(LOCATOR_PREFIXES)], "rate": 1.0},
            {
                "params": [p for n, p in named if n.startswith(LOCATOR_PREFIXES)],
                "rate": config.locator_rate,
            },
        ]
        self.optimizer = torch.optim.Adam(groups, config.learning_rate, fused=True)
        self.objective = sf.expectation(self.model, config.samples)
        self.updates = config.epochs * self.scenes.per_epoch
        self.latest: dict[str, float] = {}
        self.parts = {
            "model": self.model,
            "averaged": self.averaged,
            "optimizer": self.optimizer,
            "scenes": self.scenes.generator,
        }

    def __iter__(self) -> Iterator[kit.Line | None]:
        """An update, and at the end of each epoch a line; the best weights are kept as well."""
        while True:
            self.step()
            self.tick()
            if self.tally.update % self.scenes.per_epoch:
                yield None
                continue
            self.latest = self.end_epoch()
            if self.folder and self.tally.best_epoch == len(self.tally.course):
                weights.save_best(self.folder, self.averaged.module, self.config, self.latest)
            yield {**self.latest, "images_per_second": self.speed()}

    def limits(self) -> list[Limit]:
        """Those of the config, the epochs in parts."""
        parts = Limit(
            "epochs", lambda state: state["update"] / self.scenes.per_epoch, self.config.epochs
        )
        return [parts if limit.unit == "epochs" else limit for limit in super().limits()]

    def step(self) -> None:
        """One update."""
        tally, peak = self.tally, self.config.learning_rate
        rate = peak * min(1, (tally.update + 1) / WARM_UP_UPDATES)
        rate *= (1 + math.cos(math.pi * tally.update / self.updates)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        self.set_noise()
        loss = self.loss(*self.scenes.batch(tally.update))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.averaged.update_parameters(self.model)
        tally.update += 1
        tally.images += self.config.batch
        tally.loss += loss.item()

    def set_noise(self) -> None:
        """Look around widely at first, closely at the end."""
        config, done = self.config, self.tally.update / self.updates
        if isinstance(self.model, GlimpseModel):
            noise = config.noise + (config.noise_end - config.noise) * done
            self.model.noise = self.averaged.module.noise = noise

    def loss(self, scenes: Tensor, labels: Tensor) -> Tensor:
        """The expected cost of a batch, whose gradient is the estimator."""
        with self.autocast():
            if isinstance(self.model, ConvNet):
                return F.cross_entropy(self.model(scenes), labels)
            price = draw_prices(self.config, len(labels), self.scenes.generator)
            loss = self.objective if self.model.draws else self.model.plain_loss
            return loss(integral(scenes), labels, price)

    def autocast(self) -> torch.autocast:
        """The precision of the matrix products."""
        return torch.autocast("cpu", torch.bfloat16, self.config.precision == BFLOAT16)

    def end_epoch(self) -> dict[str, float]:
        """Validate: the epoch's line of metrics."""
        tally = self.tally
        errors = self.validate()
        if errors["error"] < tally.best or not tally.course:
            tally.best, tally.best_epoch = errors["error"], len(tally.course) + 1
        tally.course = [*tally.course, errors["error"]]
        line = {
            "update": tally.update,
            "seconds": round(tally.seconds, 3),
            "epoch": len(tally.course),
            "images": tally.images,
            "loss": tally.loss / self.scenes.per_epoch,
            **errors,
            "best_error": tally.best,
        }
        tally.loss = 0.0
        place = getattr(self.model, "place", None)
        if place is not None:
            if isinstance(place.baseline, Watched):
                line["baseline_fit"] = place.baseline.take_fit()
            line["locator_snr"] = self.signal_to_noise()
        return line

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Errors of the averaged weights on the held-out images, one drawn path per image."""
        with self.autocast():
            outcome = errors(self.averaged.module.eval(), *self.validation)
        found = {"error": outcome.error}
        return found | ({"mean_glimpses": outcome.mean_glimpses} if self.config.stop_price else {})

    def signal_to_noise(self, batches: int = 8) -> float | None:
        """Of an update's gradient of the locator."""
        self.model.eval()  # the baselines stay as they are
        rows = min(self.config.batch, len(self.validation[1]) // batches)
        losses = (
            self.loss(*(part[index * rows :][:rows] for part in self.validation))
            for index in range(batches)
        )
        gradients = gradients_of(losses, self.model.locate)
        self.model.train()
        return signal_to_noise(gradients)

    def columns(self) -> dict[str, str]:
        """What the display shows."""
        shown = {"matrix products": f"in {self.config.precision}"}
        if last := self.latest:
            shown["validation error"] = f"{last['error']:.2%}, best {self.tally.best:.2%}"
            for name, words in FIGURES.items():
                if name in last:
                    shown[words] = f"{last[name]:.2f}"
            errors = [math.log(max(error, 1e-4)) for error in self.tally.course]
            shown["validation error so far"] = sparkline(errors)
        return shown


@torch.no_grad()
def average(averaged: list[Tensor], present: list[Tensor], updates: Tensor) -> None:
    """Move the averaged weights, in place, towards the present ones."""
    count = int(updates)
    torch._foreach_lerp_(averaged, present, 1 - min(AVERAGE_DECAY, (1 + count) / (10 + count)))


def draw_prices(config: Config, rows: int, generator: Generator) -> Tensor | None:
    """Prices of a glimpse `[R]`, nats, log-uniform; None for a model that never stops."""
    if config.stop_price is None:
        return None
    return config.stop_price * LOWEST_PRICE_SHARE ** torch.rand(rows, generator=generator)


def choose_precision(config: Config) -> Config:
    """The config with the precision that is faster here, unless it names one."""
    if config.precision is not None:
        return config
    torch.set_num_threads(1)  # as in training
    return replace(config, precision=faster_precision(config.batch))


def train(config: Config, run: Run, images: Images) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # a second gains a fifth where it is idle, and loses all where not
    return loop.train(Trainer(config, images), run)
