"""The baseline that learns: a module's prediction of the cost to go."""

from typing import Any

import torch
from torch import Tensor, nn

from sfgrad.baselines import Baseline
from sfgrad.settings import describe, is_number


class Learned(Baseline):
    """A module's prediction of the cost to go from what was known before the draw.

    The same `loss.backward()` trains it: its squared error is added to the loss as
    `error − stop(error)`, so the value of the loss remains the objective.

    Args:
        module: maps `context` `[R, ...]` to `[R]` or `[R, 1]`, in the unit of the cost.
        detach: whether the context is detached, so that the error trains the module alone; with
            False it also trains the trunk that computes the context.
        weight: of the squared error in the loss, at least 0.

    Raises:
        ValueError: `weight` is below 0; at the draw, if there is no context, or the module fails
            on it or returns the wrong shape.
        TypeError: an argument has the wrong type; at the draw, if the context is not a tensor, or
            the module does not return one.

    Unbiased: yes, if the context does not depend on the draw. With `detach=False` the trunk follows
    the gradient of the objective plus that of the weighted error.

    Source: Mnih & Gregor (2014), Neural Variational Inference and Learning, section 2.3.
    """

    def __init__(self, module: nn.Module, detach: bool = True, weight: float = 1.0):
        super().__init__()
        _check_learned(module, detach, weight)
        self.module, self.detach, self.weight = module, detach, weight

    def extra_repr(self) -> str:
        """The settings; torch adds the module."""
        return f"detach={self.detach}, weight={self.weight}"

    def at_draw(self, name: str, context: Tensor | None, samples: int) -> Tensor | None:
        """Predict now, before a later write in place could leak the draw into the context."""
        if context is None:
            raise ValueError(f"node {name!r} has a Learned baseline but no context: pass context=")
        if not torch.is_tensor(context):
            raise TypeError(
                f"node {name!r}: the context of its Learned baseline is {describe(context)}: give "
                "a tensor, rows first"
            )
        context = context.clone() if context.is_inference() else context  # autograd refuses it
        try:
            prediction = self.module(context.detach() if self.detach else context)
        except Exception as error:
            if type(error) not in (RuntimeError, TypeError, IndexError):  # out of memory, say
                raise
            raise ValueError(
                f"node {name!r}: the {type(self.module).__name__} of its Learned baseline fails on "
                f"a context of {context.dtype} {list(context.shape)} on {context.device}: give the "
                f"context that the module takes ({error})"
            ) from error
        if not torch.is_tensor(prediction):
            raise TypeError(
                f"node {name!r}: the {type(self.module).__name__} of its Learned baseline returned "
                f"{describe(prediction)}: return one number per row, a tensor [R] or [R, 1]"
            )
        return prediction

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The prediction made at the draw."""
        assert prediction is not None
        return prediction

    def update(
        self, cost_to_go: Tensor, prediction: Tensor | None, mask: Tensor | None = None
    ) -> Tensor | None:
        """Weighted mean squared error of the prediction, over the rows that count."""
        assert prediction is not None
        if mask is None:
            return self.weight * (prediction - cost_to_go).square().mean()
        error = torch.where(mask, prediction, 0) - torch.where(mask, cost_to_go, 0)
        return self.weight * error.square().sum() / mask.sum().clamp(min=1)


def _check_learned(module: Any, detach: Any, weight: Any) -> None:
    """Refuse invalid arguments of `Learned`."""
    if isinstance(module, type | Baseline) or not callable(module):
        raise TypeError(
            f"the module of Learned is {describe(module)}: give a network that maps the context to "
            "one number per row, an object such as nn.Linear(8, 1)"
        )
    if not isinstance(detach, bool):
        raise TypeError(
            f"detach of Learned is {describe(detach)}: it must be True or False; the weight of the "
            "error is set by weight="
        )
    if not is_number(weight):
        raise TypeError(f"weight of Learned is {describe(weight)}: it must be a number, at least 0")
    if not weight >= 0:
        raise ValueError(f"weight of Learned is {weight}: it must be at least 0")
