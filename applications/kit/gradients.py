"""What every training tells of the gradients that it follows."""

import torch
from torch import Tensor


def signal_to_noise(gradients: Tensor) -> float | None:
    """‖E g‖² / tr Var g of an update's gradient g, numerator and denominator both without bias.

    Args:
        gradients: `[M, D]`, M independent ones.

    Returns:
        The ratio, without unit, negative by chance where there is little signal; None from one
        gradient alone.
    """
    if len(gradients) < 2:
        return None
    noise = gradients.var(0).sum().clamp_min(torch.finfo(gradients.dtype).tiny)
    return ((gradients.mean(0).square().sum() - noise / len(gradients)) / noise).item()
