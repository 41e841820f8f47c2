"""Ten classes of 28×28 images that are made in no time: what the tests have in place of MNIST."""

import torch
from torch import Tensor

from applications.glimpse.data import Images

TOP, MIDDLE, BOTTOM, LEFT, RIGHT = 5.0, 13.5, 22.0, 9.0, 18.0
SEGMENTS = (  # y0, y1, x0, x1
    (TOP, TOP, LEFT, RIGHT),
    (TOP, MIDDLE, RIGHT, RIGHT),
    (MIDDLE, BOTTOM, RIGHT, RIGHT),
    (BOTTOM, BOTTOM, LEFT, RIGHT),
    (MIDDLE, BOTTOM, LEFT, LEFT),
    (TOP, MIDDLE, LEFT, LEFT),
    (MIDDLE, MIDDLE, LEFT, RIGHT),
)
LIT = torch.tensor(  # digit × segment
    [
        [1, 1, 1, 1, 1, 1, 0],
        [0, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 1],
        [1, 1, 1, 1, 0, 0, 1],
        [0, 1, 1, 0, 0, 1, 1],
        [1, 0, 1, 1, 0, 1, 1],
        [1, 0, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 0, 1, 1],
    ]
)


def generated_digits(train: int, test: int, seed: int) -> Images:
    """Seven-segment digits, shifted by up to 2 pixels, of random thickness and brightness.

    Among both `train` and `test` images every class is as frequent as any other, up to one image.
    """
    generator = torch.Generator().manual_seed(seed)
    return Images("digits", *_digits(train, generator), *_digits(test, generator))


def _digits(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.arange(count) % 10
    labels = labels[torch.randperm(count, generator=generator)]

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator)

    pixels = torch.arange(28.0)
    y = pixels[:, None] - draw(-2, 2).round()  # [count, 28, 1]
    x = pixels - draw(-2, 2).round()  # [count, 1, 28]
    thickness, brightness = draw(2, 4), draw(128, 255)
    ink = torch.zeros(count, 28, 28)
    for segment, (y0, y1, x0, x1) in enumerate(SEGMENTS):
        distance = torch.maximum((y - y.clamp(y0, y1)).abs(), (x - x.clamp(x0, x1)).abs())
        stroke = (thickness / 2 + 0.5 - distance).clamp(0, 1)
        ink = torch.maximum(ink, stroke * LIT[labels, segment, None, None])
    return (ink * brightness).round().to(torch.uint8), labels
