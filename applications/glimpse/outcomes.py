"""What a network answers on the test scenes, glimpse by glimpse, and how often it errs."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from applications.glimpse.config import LOWEST_PRICE_SHARE
from applications.glimpse.data import Images
from applications.glimpse.model import CLASSES, ConvNet, GlimpseModel
from applications.glimpse.retina import integral
from applications.glimpse.tasks import Task, make_scenes

TEST_SEED = 20140624
"""Fixes the test scenes, once and for all."""
BATCH = 250
"""So many scenes are made, and looked at, at once; the test scenes depend on it."""
PRICES = 9
"""Points of the curve of a network that may stop."""


def held_out_scenes(task: Task, images: Images, count: int | None = None) -> tuple[Tensor, Tensor]:
    """The task's test set: always the same scenes, of the test digits and pieces of them.

    Args:
        task: canvas and clutter.
        images: the digits.
        count: the first so many; None for all.

    Returns:
        uint8 `[N, canvas, canvas]` and labels, int64 `[N]`.
    """
    generator = Generator().manual_seed(TEST_SEED)
    digits, labels = images.test_images, images.test_labels[:count]
    batches = digits.split(BATCH)[: math.ceil(len(labels) / BATCH)]
    scenes = [make_scenes(task, batch, digits, generator) for batch in batches]
    return torch.cat(scenes)[: len(labels)], labels


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a network answered, glimpse by glimpse."""

    labels: Tensor
    """int64 `[N]`, the true classes."""
    answers: Tensor
    """int64 `[P, T, N]`, on each path after each glimpse; the last one stays where looking
    stopped."""
    made: Tensor
    """`[P, N]`, glimpses made."""

    @property
    def wrong(self) -> Tensor:
        """`[N]`, for each image the share of its paths that end in a wrong answer."""
        return (self.answers[:, -1] != self.labels).double().mean(0)

    @property
    def error(self) -> float:
        """The share of wrong answers when each image is looked at along one path."""
        return self.wrong.mean().item()

    @property
    def standard_error(self) -> float:
        """Of the error, over the images: √(e (1 − e) / N) for one path each."""
        return self.wrong.std(correction=0).item() / len(self.labels) ** 0.5

    @property
    def by_glimpses(self) -> Tensor:
        """`[T]`, the error if the answer is asked for after 1, 2, … glimpses."""
        return (self.answers != self.labels).double().mean((0, 2))

    @property
    def confusion(self) -> Tensor:
        """int64 `[10, 10]`, paths by true class (row) and answer (column)."""
        pairs = self.labels * CLASSES + self.answers[:, -1]
        return pairs.flatten().bincount(minlength=CLASSES**2).view(CLASSES, CLASSES)

    @property
    def mean_glimpses(self) -> float:
        """Glimpses made per path."""
        return self.made.mean().item()


@torch.no_grad()
def errors(
    model: nn.Module,
    scenes: Tensor,
    labels: Tensor,
    paths: int = 1,
    mean: bool = False,
    price: float | None = None,
) -> Outcome:
    """Look at every scene, and answer after each glimpse.

    Args:
        model: a `GlimpseModel`; or a `ConvNet`, which sees all at its first glimpse.
        scenes: uint8 `[N, canvas, canvas]`.
        labels: int64 `[N]`.
        paths: how often each scene is looked at anew; every path answers for itself.
        mean: go to the mean location and stop where that is likelier, instead of drawing.
        price: nats per glimpse, for a model that may stop; None for its highest.
    """
    parts = []
    for batch in scenes.split(BATCH):
        looks = [_look(model, batch, mean, price) for _ in range(paths)]
        parts.append([torch.stack(part) for part in zip(*looks, strict=True)])
    answers, made = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    return Outcome(labels, answers, made)


def by_glimpses(model: nn.Module, scenes: Tensor, labels: Tensor, mean: bool = False) -> Tensor:
    """The error after each glimpse, `[T]`: `errors(...).by_glimpses`."""
    return errors(model, scenes, labels, mean=mean).by_glimpses


def by_price(model: GlimpseModel, scenes: Tensor, labels: Tensor) -> list[tuple[float, Outcome]]:
    """What a model that may stop comes to at each price of a glimpse, nats, from high to low."""
    prices = [
        model.stop_price * LOWEST_PRICE_SHARE ** (step / (PRICES - 1)) for step in range(PRICES)
    ]
    return [(price, errors(model, scenes, labels, price=price)) for price in prices]


def lead(outcome: Outcome, other: Outcome) -> float:
    """By how many standard errors an outcome errs less than another, on the same images."""
    difference = other.wrong - outcome.wrong
    error = difference.std(correction=0) / len(difference) ** 0.5
    return (difference.mean() / error.clamp_min(1e-12)).item()


def _look(
    model: nn.Module, scenes: Tensor, mean: bool, price: float | None
) -> tuple[Tensor, Tensor]:
    """One path per scene: the answer after each glimpse `[T, R]`, and glimpses made `[R]`."""
    if isinstance(model, ConvNet):
        return model(scenes).argmax(1)[None], torch.ones(len(scenes))
    answers, made = [], torch.zeros(len(scenes))
    for glimpse in model.look(integral(scenes), price=price, mean=mean):
        answer = glimpse.logits.argmax(1)
        answers.append(torch.where(glimpse.looking > 0, answer, answers[-1]) if answers else answer)
        made += glimpse.looking
    return torch.stack(answers), made
