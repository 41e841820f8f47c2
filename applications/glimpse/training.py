"""Train a glimpse model: locations by the score function, all else by backpropagation."""

import math
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.optim.swa_utils import AveragedModel

import sfgrad as sf
from applications.glimpse import weights
from applications.glimpse.baselines import Watched
from applications.glimpse.config import CHEAPEST, Config
from applications.glimpse.data import Images
from applications.glimpse.evaluate import errors
from applications.glimpse.model import ConvNet, GlimpseModel, make_model
from applications.glimpse.precision import BFLOAT16, faster_precision
from applications.glimpse.retina import integral
from applications.glimpse.tasks import make_scenes, warp
from applications.kit.display import Display, duration, sparkline
from applications.kit.files import restored
from applications.kit.gradients import signal_to_noise
from applications.kit.run import Run
from applications.kit.signals import StopSignals

VALIDATION = 1 / 12
"""Share of the training images, the last ones, that the validation error is measured on."""
AVERAGING = 0.999
"""Decay of the moving average of the weights, which is validated and kept; less at first."""
WARM_UP = 200
"""Updates until the learning rate is at its highest."""
LOCATOR = ("locate.", "plan")
"""What the names of the locator's weights begin with."""


@dataclass
class Tally:
    """What a run has done so far."""

    update: int = 0
    """Updates made."""
    images: int = 0
    """Images learned from."""
    seconds: float = 0.0
    """Time spent training."""
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


class Trainer:
    """A model in training.

    Args:
        config: what to train.
        images: the digits.

    Raises:
        ValueError: the config leaves the precision open.
    """

    def __init__(self, config: Config, images: Images):
        if config.precision is None:
            raise ValueError("precision is None: let choose_precision() fill it in first")
        torch.manual_seed(config.seed)
        self.config, task = config, config.looks()
        kept = round(len(images.train_images) * (1 - VALIDATION))
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
            {"params": [p for n, p in named if not n.startswith(LOCATOR)], "rate": 1.0},
            {"params": [p for n, p in named if n.startswith(LOCATOR)], "rate": config.locator_rate},
        ]
        self.optimizer = torch.optim.Adam(groups, config.learning_rate, fused=True)
        self.objective = sf.expectation(self.model, config.samples)
        self.updates = config.epochs * self.scenes.per_epoch
        self.tally = Tally()

    def step(self) -> None:
        """One update."""
        tally, peak = self.tally, self.config.learning_rate
        rate = peak * min(1, (tally.update + 1) / WARM_UP)
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
        gradients = []
        rows = min(self.config.batch, len(self.validation[1]) // batches)
        for index in range(batches):
            loss = self.loss(*(part[index * rows :][:rows] for part in self.validation))
            parts = torch.autograd.grad(loss, list(self.model.locate.parameters()))
            gradients.append(torch.cat([part.flatten() for part in parts]))
        self.model.train()
        return signal_to_noise(torch.stack(gradients))

    def state(self) -> dict:
        """All that is needed to go on, bit for bit."""
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "scenes": self.scenes.generator.get_state(),
            **asdict(self.tally),
        }

    def load_state(self, state: dict) -> None:
        """Go on from there."""
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        self.scenes.generator.set_state(state["scenes"])
        self.tally = restored(Tally, state)


@torch.no_grad()
def average(averaged: list[Tensor], present: list[Tensor], updates: Tensor) -> None:
    """Move the averaged weights, in place, towards the present ones."""
    count = int(updates)
    torch._foreach_lerp_(averaged, present, 1 - min(AVERAGING, (1 + count) / (10 + count)))


def draw_prices(config: Config, rows: int, generator: Generator) -> Tensor | None:
    """Prices of a glimpse `[R]`, nats, log-uniform; None for a model that never stops."""
    if config.stop_price is None:
        return None
    return config.stop_price * CHEAPEST ** torch.rand(rows, generator=generator)


def choose_precision(config: Config) -> Config:
    """The config with the precision that is faster here, unless it names one."""
    if config.precision is not None:
        return config
    torch.set_num_threads(1)  # as in training
    return replace(config, precision=faster_precision(config.batch))


def train(config: Config, run: Run, images: Images) -> bool:
    """Train until a limit of the config or a signal to stop: whether it was a limit."""
    torch.set_num_threads(1)  # a second gains a fifth where it is idle, and loses all where not
    trainer = Trainer(config, images)
    if run.state is not None:
        trainer.load_state(run.state)
    tally, scenes = trainer.tally, trainer.scenes
    before = tally.seconds, tally.images
    started = time.monotonic() - tally.seconds
    limit = math.inf if config.seconds is None else config.seconds
    last: dict[str, float] = {}

    def complete() -> bool:
        epochs = len(tally.course)
        tired = config.patience and epochs - tally.best_epoch >= config.patience
        return tally.update >= trainer.updates or tally.seconds >= limit or bool(tired)

    title = f"Hard attention · {config.task} · {run.folder}"
    with StopSignals() as stop, Display(title) as display:
        while not complete() and not stop.requested:
            trainer.step()
            tally.seconds = time.monotonic() - started
            if tally.update % scenes.per_epoch == 0:
                last = trainer.end_epoch()
                tally.seconds = time.monotonic() - started
                run.log({**last, "images_per_second": speed(tally, before)})
                if tally.best_epoch == len(tally.course):
                    weights.save_best(run.folder, trainer.averaged.module, config, last)
                run.save(trainer.state())
            display.show(partial(figures, trainer, before, last))
        display.show(partial(figures, trainer, before, last), now=True)
    run.save(trainer.state())
    return not stop.requested


def speed(tally: Tally, before: tuple[float, int]) -> float:
    """Images per second since this call of `train` began."""
    return (tally.images - before[1]) / max(tally.seconds - before[0], 1e-9)


def figures(trainer: Trainer, before: tuple[float, int], last: dict[str, float]) -> dict[str, str]:
    """What the display shows."""
    tally, config = trainer.tally, trainer.config
    rate = speed(tally, before)
    left = (trainer.updates - tally.update) * config.batch / max(rate, 1e-9)
    if config.seconds is not None:
        left = min(left, max(config.seconds - tally.seconds, 0))
    steps = rate / config.batch
    shown = {
        "epoch": f"{tally.update / trainer.scenes.per_epoch:.1f} of {config.epochs}",
        "speed": f"{rate:,.0f} images/s, {steps:.1f} steps/s, in {config.precision}",
        "time": f"{duration(tally.seconds)}, {duration(left)} left",
    }
    if last:
        shown["validation error"] = f"{last['error']:.2%}, at best {tally.best:.2%}"
        for name in ("mean_glimpses", "baseline_fit", "locator_snr"):
            if name in last:
                shown[name.replace("_", " ")] = f"{last[name]:.2f}"
        shown["course"] = sparkline([math.log(max(error, 1e-4)) for error in tally.course])
    return shown
