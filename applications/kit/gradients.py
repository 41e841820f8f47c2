"""What every training tells of the gradients that it follows."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def gradients_of(losses: Iterable[Tensor], module: nn.Module) -> Tensor:
    """The gradient of each loss, which is made when it is asked for, `[N, P]`.

    Args:
        losses: N of them.
        module: whose P parameters they are differentiated by.
    """
    parameters, gradients = list(module.parameters()), []
    for loss in losses:
        parts = torch.autograd.grad(loss, parameters)
        gradients.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(gradients)


def fit_baseline(node: nn.Module, losses: Iterable[Tensor], rate: float) -> None:
    """Let the baseline of a node learn, and nothing else.

    Args:
        node: an `sf.StochasticNode`.
        losses: each made when it is asked for; one update is made by each.
        rate: learning rate.
    """
    parameters = list(node.parameters())
    optimizer = torch.optim.Adam(parameters, rate) if parameters else None
    for loss in losses:  # by which an average has learned already
        if optimizer:
            optimizer.zero_grad()
            loss.backward(inputs=parameters)
            optimizer.step()


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
