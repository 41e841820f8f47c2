"""The sensor: a few square patches around a location, each twice as wide and half as sharp."""

import torch
from torch import Tensor


def integral(images: Tensor) -> Tensor:
    """Sums over everything above and to the left: a box of any size is four look-ups.

    Args:
        images: uint8 `[B, H, W]`.

    Returns:
        float32 `[B, H + 1, W + 1]`, whole numbers, exact up to 65,000 pixels (2²⁴ / 255).

    Source: Crow (1984), Summed-area tables for texture mapping.
    """
    rows, height, width = images.shape
    table = torch.zeros(rows, height + 1, width + 1, device=images.device)
    torch.cumsum(images.float().cumsum(1), 2, out=table[:, 1:, 1:])
    return table


class Retina:
    """Looks at many images at once: every row and every scale is one batched look-up.

    At scale k it sees `patch` × `patch` boxes of 2ᵏ × 2ᵏ pixels around the location; a box is the
    mean of its pixels, and what lies outside the image is dark.

    Args:
        patch: boxes a side; even, so that the centre is a corner.
        scales: how many.

    Raises:
        ValueError: `patch` is odd or below 2, or `scales` below 1.
    """

    def __init__(self, patch: int, scales: int):
        if patch < 2 or patch % 2:
            raise ValueError(f"patch is {patch}: the retina needs an even number of samples a side")
        if scales < 1:
            raise ValueError(f"scales is {scales}: the retina needs at least one")
        self.patch, self.scales = patch, scales
        width = 2 ** torch.arange(scales).float()
        self.edges = width[:, None] * (torch.arange(patch + 1) - patch / 2)  # [K, P + 1] pixels
        self.brightness = (1 / (255 * width**2))[:, None, None]

    @property
    def features(self) -> int:
        """Numbers per glimpse."""
        return self.scales * self.patch**2

    def __call__(self, table: Tensor, location: Tensor, smooth: bool = False) -> Tensor:
        """What is seen around a location.

        Args:
            table: `[R, H + 1, W + 1]`, `integral` of the images.
            location: `[R, 2]`, (x, y) of the centre; −1 and 1 are the image's borders.
            smooth: look exactly there, between pixels, differentiable in the location; otherwise
                at the nearest pixel.

        Returns:
            `[R, scales · patch²]`, from 0 (dark) to 1.
        """
        height, width = table.shape[1] - 1, table.shape[2] - 1
        centre = (location + 1) / 2 * location.new_tensor([width, height])
        centre = centre if smooth else centre.round()
        x = (centre[:, 0, None, None] + self.edges).clamp(0, width)  # [R, K, P + 1]
        y = (centre[:, 1, None, None] + self.edges).clamp(0, height)
        flat = table.flatten(1)

        def sums(y: Tensor, x: Tensor) -> Tensor:
            """The table at whole pixels, `[R, K, P + 1, P + 1]`."""
            index = (y * (width + 1))[..., :, None] + x[..., None, :]
            return flat.gather(1, index.flatten(1)).view(index.shape)

        if smooth:  # between pixels the integral of an image is bilinear
            left = x.detach().long().clamp(max=width - 1)
            top = y.detach().long().clamp(max=height - 1)
            right_by, down_by = (x - left)[..., None, :], (y - top)[..., :, None]
            above = sums(top, left).lerp(sums(top, left + 1), right_by)
            below = sums(top + 1, left).lerp(sums(top + 1, left + 1), right_by)
            corners = above.lerp(below, down_by)
        else:
            corners = sums(y.long(), x.long())
        boxes = corners.diff(dim=-2).diff(dim=-1)
        return (boxes * self.brightness).flatten(1)
