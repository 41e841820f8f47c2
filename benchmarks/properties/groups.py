"""Exact means over all groups of draws, for estimators that compare the draws of a group."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Categorical

import sfgrad as sf


def groups(probs: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """All groups of draws from a categorical distribution `[M]`, in whatever order.

    Returns:
        The draws, `[G, size]`, and the probability of each group, `[G]`.
    """
    values = range(len(probs))
    draws = torch.tensor(list(itertools.combinations_with_replacement(values, size)))
    counts = nn.functional.one_hot(draws, len(probs)).sum(1).to(probs)
    orders = math.lgamma(size + 1) - torch.lgamma(counts + 1).sum(1)
    return draws, (orders + counts @ probs.log()).exp()


def group_gradients(
    cost: Callable[[Tensor, Tensor], Tensor],
    logits: Tensor,
    draws: Tensor,
    estimator: sf.Estimator,
    join: sf.Join | None = None,
) -> Tensor:
    """The gradient by the logits that each group gives when it is drawn, `[G, M]`.

    Args:
        cost: of logits `[R, M]` and values `[R]`.
        logits: `[M]`.
        draws: `[G, size]`, replayed.
        estimator: makes them.
        join: of the costs of a group.
    """

    def model(logits: Tensor) -> Tensor:
        return cost(logits, sf.sample(Categorical(logits=logits), estimator, name="z"))

    replayed = {"z": draws.T.flatten()}
    inputs = logits.repeat(len(draws), 1).requires_grad_()
    sf.expectation(model, samples=draws.shape[1], join=join, draws=replayed)(inputs).backward()
    assert inputs.grad is not None
    return len(draws) * inputs.grad
