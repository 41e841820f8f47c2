"""What is shown: the glimpses of a network, what they saw, which images, where the digits are."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from applications.glimpse.data import Images
from applications.glimpse.model import GlimpseModel
from applications.glimpse.outcomes import held_out_scenes
from applications.glimpse.retina import integral
from applications.glimpse.tasks import DIGIT, Task


class Looks(NamedTuple):
    """What a network did with N images, or with one and no first axis, in up to T glimpses."""

    locations: Tensor
    """`[N, T, 2]`, (x, y), −1 to 1 within the image."""
    seen: Tensor
    """`[N, T, K, P, P]`, 0 to 1, from the finest scale to the coarsest."""
    beliefs: Tensor
    """`[N, T, 10]`, probabilities of the classes."""
    made: Tensor
    """int64 `[N]`, glimpses made before it stopped."""

    @property
    def answers(self) -> Tensor:
        """int64 `[N]`, the most probable class after the last glimpse made."""
        rows = torch.arange(len(self.made))
        return self.beliefs[rows, self.made - 1].argmax(1)

    def until(self, made: int) -> "Looks":
        """The first glimpses of one image, at most so many."""
        locations, seen, beliefs, all_made = self
        return Looks(locations[:made], seen[:made], beliefs[:made], all_made.clamp(max=made))

    def of(self, row: int) -> "Looks":
        """One image's, without the glimpses that were not made."""
        one = Looks(*(part[row] for part in self))
        return one.until(int(one.made))


@torch.no_grad()
def look_at(model: GlimpseModel, scenes: Tensor) -> Looks:
    """Look at all scenes, uint8 `[N, S, S]`, along one drawn path each."""
    glimpses = list(model.look(integral(scenes)))
    seen = torch.stack([glimpse.seen for glimpse in glimpses], 1)
    return Looks(
        locations=torch.stack([glimpse.location for glimpse in glimpses], 1),
        seen=seen.unflatten(2, (model.retina.scales, model.retina.patch, model.retina.patch)),
        beliefs=torch.stack([glimpse.logits.softmax(1) for glimpse in glimpses], 1),
        made=sum(glimpse.looking.long() for glimpse in glimpses),
    )


class Example(NamedTuple):
    """An image, and how it was looked at."""

    scene: Tensor
    """uint8 `[S, S]`."""
    label: int
    looks: Looks
    """Of this image alone."""

    @property
    def answer(self) -> int:
        """The network's."""
        return int(self.looks.beliefs[-1].argmax())

    @property
    def centres(self) -> Tensor:
        """`[T, 2]`, where the retina was, pixels."""
        return to_pixels(self.looks.locations, len(self.scene))


def choose(labels: Tensor, answers: Tensor, count: int) -> list[int]:
    """Rows to show: the first of each class as they come, and a wrong answer if there is one.

    Where the first ones are all right, the first wrong answer takes the place of the last.

    Args:
        labels: int64 `[N]`, the true classes.
        answers: int64 `[N]`, the network's.
        count: how many, one of each class at most.
    """
    firsts = sorted(labels.tolist().index(label) for label in labels.unique().tolist())[:count]
    wrong = (labels != answers).nonzero()[:, 0].tolist()
    if wrong and not set(firsts) & set(wrong):
        firsts = [*firsts[: count - 1], wrong[0]]
    return firsts


def to_pixels(locations: Tensor, canvas: int) -> Tensor:
    """Pixels from the left and upper border, `[…, 2]`, of the whole pixel that the retina is on.

    Args:
        locations: `[…, 2]`, (x, y); −1 is the left or upper border, 1 the right or lower one.
        canvas: side of the image, pixels.
    """
    return ((locations + 1) / 2 * canvas).round()


def sharpness(looks: Looks, canvas: int) -> Tensor:
    """The finest scale at which each pixel has been seen, int64 `[S, S]`; K where it has not.

    Args:
        looks: of one image.
        canvas: side of the image, pixels.
    """
    _, scales, patch, _ = looks.seen.shape
    found = torch.full((canvas, canvas), scales)
    for scale in reversed(range(scales)):
        side = patch * 2**scale
        for x, y in to_pixels(looks.locations, canvas).long().tolist():
            (rows, _), (columns, _) = window(y, side, canvas), window(x, side, canvas)
            found[rows, columns] = scale
    return found


def recalled(looks: Looks, canvas: int) -> Tensor:
    """The image as far as it was seen, `[S, S]`, 0 to 1: each pixel as sharp as it was seen best.

    Args:
        looks: of one image.
        canvas: side of the image, pixels.
    """
    _, scales, patch, _ = looks.seen.shape
    picture = torch.zeros(canvas, canvas)
    places = to_pixels(looks.locations, canvas).long().tolist()
    for scale in reversed(range(scales)):
        side = patch * 2**scale
        for (x, y), seen in zip(places, looks.seen[:, scale], strict=True):
            (rows, within), (columns, across) = window(y, side, canvas), window(x, side, canvas)
            large = seen.repeat_interleave(2**scale, 0).repeat_interleave(2**scale, 1)
            picture[rows, columns] = large[within, across]
    return picture


def window(centre: int, side: int, canvas: int) -> tuple[slice, slice]:
    """Where `side` pixels around `centre` lie on the canvas, and which of them do."""
    first = centre - side // 2
    start, stop = max(first, 0), max(min(first + side, canvas), 0)
    return slice(start, stop), slice(start - first, stop - first)


def digit_centres(task: Task, images: Images, count: int) -> Tensor:
    """Where the digits of `held_out_scenes(task, images, count)` are, `[N, 2]`, (x, y), pixels.

    The same scenes are made of digits that are squares: the one full square is where the digit is.
    """
    squares = replace(images, test_images=torch.ones_like(images.test_images))
    table = integral(held_out_scenes(task, squares, count)[0].clamp(max=1))
    far, near = slice(DIGIT, None), slice(None, -DIGIT)
    area = table[:, far, far] - table[:, far, near] - table[:, near, far] + table[:, near, near]
    row, column = np.divmod(area.flatten(1).argmax(1).numpy(), area.shape[2])
    return torch.from_numpy(np.stack([column, row], 1)) + DIGIT / 2


def density(points: Tensor, low: float, high: float, bins: int) -> Tensor:
    """How often points `[N, 2]`, (x, y), fall where: `[bins, bins]`, rows along y, 1 at most.

    Smoothed over the neighbouring bins; points beyond the range count as on its border.
    """
    steps = ((points - low) / (high - low) * bins).long().clamp(0, bins - 1)
    counts = (steps[:, 1] * bins + steps[:, 0]).bincount(minlength=bins**2).float()
    kernel = torch.tensor([1.0, 2.0, 1.0])
    smooth = F.conv2d(counts.view(1, 1, bins, bins), kernel.outer(kernel)[None, None], padding=1)
    return smooth[0, 0] / smooth.max().clamp_min(1)
