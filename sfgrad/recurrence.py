"""The linear recurrence that credit and returns share: `y[t] = x[t] + a[t]·y[t+1]`.

Solved in blocks, so that the Python loop takes about √T vectorised steps instead of T.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SERIAL = 32
"""Up to this many steps a plain loop is faster than blocks."""


def linear_recurrence(x: Tensor, a: Tensor, ends: Tensor | None = None) -> Tensor:
    """Solve `y[t] = x[t] + a[t]·y[t+1]` with `y[T] = 0` along the first dimension.

    Time is cut into √T blocks that run side by side; the same recurrence over the blocks' first
    elements then carries each block's result into the one before it. Differentiable.

    Args:
        x: `[T, ...]`.
        a: `[T, ...]`, of the same shape as `x`; the last row is never used.
        ends: boolean `[T, ...]`: True where a is 0 for good. A product by 0 lets NaN and infinity
            through, in the value and in the gradient; this lets nothing through, and takes longer.

    Returns:
        `[T, ...]`, y.
    """
    if len(x) <= SERIAL:
        return _loop(x, a, ends)

    # Cut time into blocks of equal width, the last one filled up with zeros.
    blocks = math.isqrt(len(x))
    width = -(-len(x) // blocks)
    after = (0, 0) * (x.dim() - 1)
    padding = (*after, 0, blocks * width - len(x))
    inputs = F.pad(x, padding).unflatten(0, (blocks, width)).transpose(0, 1)
    coefficients = F.pad(a, padding).unflatten(0, (blocks, width)).transpose(0, 1)
    if ends is not None:
        ends = F.pad(ends, padding).unflatten(0, (blocks, width)).transpose(0, 1)

    # Solve every block as if nothing followed it.
    y = _loop(inputs, coefficients, ends)  # [width, blocks, ...]

    # Add what follows: the start of the next block, times the coefficients up to there.
    reach = coefficients.flip(0).cumprod(0).flip(0)
    closed = None if ends is None else ends.flip(0).cumsum(0).flip(0) > 0
    starts = linear_recurrence(y[0], reach[0], None if closed is None else closed[0])
    following = F.pad(starts[1:], (*after, 0, 1))
    if closed is not None:
        following = torch.where(closed, 0, following)
    return torch.addcmul(y, reach, following).transpose(0, 1).flatten(0, 1)[: len(x)]


def _loop(x: Tensor, a: Tensor, ends: Tensor | None) -> Tensor:
    """The recurrence, step by step."""
    y = list(x.unbind())
    for t in range(len(y) - 2, -1, -1):
        following = y[t + 1] if ends is None else y[t + 1].masked_fill(ends[t], 0)
        y[t] = torch.addcmul(y[t], a[t], following)
    return torch.stack(y) if y else x
