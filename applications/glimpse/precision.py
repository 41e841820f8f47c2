"""Which precision of matrix products is the faster one on this processor."""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

FLOAT32, BFLOAT16 = PRECISIONS = "float32", "bfloat16"
TIME_RATIO = 0.9
"""bfloat16 is used if its time is below this fraction of float32's."""


def faster_precision(rows: int = 128, units: int = 512, rounds: int = 10) -> str:
    """Time a training step of one layer in both precisions, for some hundredths of a second.

    A processor without native bfloat16 emulates it, up to sixty times slower than float32.

    Args:
        rows: of the batch.
        units: inputs and outputs of the layer.
        rounds: timings of each precision, of which the fastest counts.

    Returns:
        `float32` or `bfloat16`.
    """
    inputs = torch.ones(rows, units)
    weights = torch.full((units, units), 1 / units, requires_grad=True)

    def step(precision: str) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == BFLOAT16):
            loss = F.linear(inputs, weights).sum()
        loss.backward()

    # The two take turns, so that a busy moment of the machine slows down both.
    seconds = {precision: [] for precision in PRECISIONS}
    for _ in range(rounds):
        for precision in PRECISIONS:
            seconds[precision].append(_time(step, precision))
    return BFLOAT16 if min(seconds[BFLOAT16]) < TIME_RATIO * min(seconds[FLOAT32]) else FLOAT32


def _time(step: Callable[[str], None], precision: str) -> float:
    """Seconds that a step takes."""
    began = time.perf_counter()
    step(precision)
    return time.perf_counter() - began
