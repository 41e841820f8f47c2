"""The baseline that learns: a module's prediction of the cost to go."""

import torch
from torch import Tensor, nn

from sfgrad.baselines import Baseline


class Learned(Baseline):
    """A module's prediction of the cost to go from what was known before the draw.

    It learns from the same `loss.backward()` by its squared error, which is added to the loss as
    `error − stop(error)`: the value of the loss stays the objective.

    Args:
        module: maps `context` `[R, ...]` to `[R]` or `[R, 1]`, in the unit of the cost.
        detach: whether the context is detached, so that nothing but the module learns to predict;
            False lets a trunk that the context comes from learn from the error too.
        weight: of the squared error in the loss.

    Raises:
        ValueError: at the draw, if there is no context, or the module returns another shape.

    Unbiased: yes, if the context does not depend on the draw. With `detach=False` the trunk follows
    the gradient of the objective plus that of the weighted error.

    Source: Mnih & Gregor (2014), Neural Variational Inference and Learning, section 2.3.
    """

    def __init__(self, module: nn.Module, detach: bool = True, weight: float = 1.0):
        super().__init__()
        self.module, self.detach, self.weight = module, detach, weight

    def at_draw(self, name: str, context: Tensor | None, samples: int) -> Tensor | None:
        """Predict, before anything written in place afterwards could leak the draw."""
        if context is None:
            raise ValueError(f"node {name!r} has a Learned baseline but no context: pass context=")
        context = context.clone() if context.is_inference() else context  # autograd refuses it
        return self.module(context.detach() if self.detach else context)

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
