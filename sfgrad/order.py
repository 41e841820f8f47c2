"""Refusal of derivatives beyond those that an estimator gets right."""

import math
from typing import Any

import torch
from torch import Tensor

from sfgrad.estimators.base import Draw, Estimator
from sfgrad.tracing import is_readable


def limit_order(draw: Draw, name: str, estimator: Estimator) -> Draw:
    """The draw, whose first derivative cannot be differentiated again.

    Args:
        draw: by an estimator of which only the first derivative is right, or not even that.
        name: of the node, for errors.
        estimator: what made the draw.
    """
    if torch.compiler.is_compiling():  # which takes no second derivative
        return draw
    baseline = estimator.baseline
    limits = estimator if baseline is None or baseline.order == math.inf else baseline
    message = (
        f"node {name!r}: {type(limits).__name__} has order {estimator.order:g}, so of its draws "
        "only the first derivative can be taken, and a second one was asked for: use "
        "ScoreFunction() or Enumerate(), whose derivatives are right to any order"
    )

    def limited(part: Tensor | None) -> Tensor | None:
        if part is None:
            return None
        if not is_readable(part):  # it may be differentiated forward, which nothing shows
            return _Limit.apply(part, message)  # type: ignore[no-any-return]
        return _QuickLimit.apply(part, message) if part.requires_grad else part  # type: ignore

    # Where the log-density is the log-probability itself, it stays so: it saves a subtraction.
    log_prob, value = limited(draw.log_prob), draw.value
    log_density = log_prob if draw.log_density is draw.log_prob else draw.log_density
    if draw.log_prob is None and value.is_floating_point():
        value = limited(value)
    return draw._replace(
        value=value, log_prob=log_prob, log_density=log_density, factor=limited(draw.factor)
    )


class _Limit(torch.autograd.Function):
    """The identity, of which one derivative can be taken."""

    generate_vmap_rule = True

    @staticmethod
    def forward(part: Tensor, message: str) -> Tensor:
        return part.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        part, ctx.message = inputs
        ctx.save_for_backward(part)
        ctx.save_for_forward(part)

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        (part,) = ctx.saved_tensors
        return _Refusal.apply(grad_inputs[0], part, ctx.message)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        # The gradient is made to depend on the part again, so that whatever differentiates it by
        # what the part comes from has to pass.
        if not torch.is_grad_enabled():  # no graph is made of it: nothing can differentiate it
            return gradients[0], None
        (part,) = ctx.saved_tensors
        return _Refusal.apply(gradients[0], part, ctx.message), None


class _QuickLimit(torch.autograd.Function):
    """The same outside of `torch.func`, which takes the other form and longer to call it."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, message: str) -> Tensor:
        ctx.message = message
        ctx.save_for_backward(part)
        ctx.save_for_forward(part)
        return part.clone()

    jvp = staticmethod(_Limit.jvp)
    backward = staticmethod(_Limit.backward)


class _Refusal(torch.autograd.Function):
    """The first argument, of which no derivative can be taken."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, part: Tensor, message: str) -> Tensor:
        return gradient.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        *_, ctx.message = inputs

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        raise ValueError(ctx.message)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise ValueError(ctx.message)
