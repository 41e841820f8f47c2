"""Pure functions on plain tensors, for people who keep their own training loop."""

import torch
from torch import Tensor

from sfgrad.tracing import is_readable


def score_function_loss(log_prob: Tensor, advantage: Tensor, mask: Tensor | None = None) -> Tensor:
    """Loss whose gradient is the score-function estimate of what raises the advantage.

    `loss = −mean(log_prob · stop(advantage))`

    Sign: the advantage is good when large (return minus baseline; for costs pass their negative).
    Reduction: the mean over all elements, or those that count. The value of the loss means nothing;
    its gradient does.

    Args:
        log_prob: any shape, nats: log-probability of each draw under the present parameters.
        advantage: same shape, in the unit of the return; no gradient flows into it.
        mask: same shape, boolean: True where a draw counts, as before the end of a sequence.

    Returns:
        `[]`, to be minimised; 0 where no draw counts.

    Raises:
        ValueError: the shapes differ (nothing is broadcast), or the mask is not boolean.

    Unbiased: yes, if what was subtracted from the return does not depend on the draw.

    Source: Williams (1992), Simple statistical gradient-following algorithms, eq. 5.

    Examples:
        >>> log_prob = torch.tensor([-1.0, -2.0], requires_grad=True)
        >>> score_function_loss(log_prob, torch.tensor([3.0, -1.0])).backward()
        >>> log_prob.grad
        tensor([-1.5000,  0.5000])
    """
    if log_prob.shape != advantage.shape:
        raise ValueError(
            f"log_prob has shape {list(log_prob.shape)} but advantage has {list(advantage.shape)}: "
            "give one advantage per draw"
        )
    if mask is None:
        return -(log_prob * advantage.detach()).mean()

    # What does not count is replaced, so that neither its value nor its derivative can be NaN.
    check_mask(mask, log_prob)
    log_prob, advantage = log_prob.where(mask, 0), advantage.detach().where(mask, 0)
    return -(log_prob * advantage).sum() / mask.sum().clamp(min=1)


def magic_box(log_prob: Tensor) -> Tensor:
    """One, with the derivatives of the likelihood: `exp(log_prob − stop(log_prob))`.

    A cost times the magic box of the draws that it depends on has the cost's value, and the
    derivatives of its expectation to any order.

    Args:
        log_prob: any shape, nats: the summed log-probability of the draws.

    Returns:
        Same shape, all ones.

    Unbiased: yes, to any order of differentiation.

    Source: Foerster et al. (2018), DiCE: The Infinitely Differentiable Monte Carlo Estimator,
    eq. 5.

    Examples:
        >>> log_prob = torch.tensor([-1.0, -2.0], requires_grad=True)
        >>> magic_box(log_prob)
        tensor([1., 1.], grad_fn=<ExpBackward0>)
    """
    return (log_prob - log_prob.detach()).exp()


def leave_one_out(cost: Tensor, dim: int = 0, groups: Tensor | None = None) -> Tensor:
    """Mean of the *other* samples' costs: a baseline free of the own draw.

    `baseline[k] = (Σ_j cost[j] − cost[k]) / (S − 1)`

    Args:
        cost: `[..., S, ...]`, samples along `dim`, in any unit.
        dim: the axis of the samples.
        groups: int64 `[S]`, from 0 up: samples are compared with those of the same number only;
            each has at least two. None for one group.

    Returns:
        Same shape and unit, without gradient.

    Raises:
        ValueError: there are fewer than two samples.

    Unbiased: yes as a baseline, if the samples are independent draws.

    Source: Kool et al. (2019), Buy 4 REINFORCE samples, get a baseline for free!, eq. 8.

    Examples:
        >>> leave_one_out(torch.tensor([1.0, 2.0, 6.0]))
        tensor([4.0000, 3.5000, 1.5000])
    """
    samples = cost.shape[dim] if cost.dim() else 1
    if samples < 2:
        raise ValueError(f"leave-one-out over {samples} sample: it needs at least two to compare")
    if groups is None:
        return ((cost.sum(dim, keepdim=True) - cost) / (samples - 1)).detach()

    cost = cost.detach().movedim(dim, 0)
    sizes = groups.bincount()
    if is_readable(sizes) and (sizes == 1).any():
        raise ValueError("leave-one-out over a group of 1 sample: it needs at least two to compare")
    sums = cost.new_zeros(len(sizes), *cost.shape[1:]).index_add(0, groups, cost)
    others = (sizes[groups] - 1).view(-1, *[1] * (cost.dim() - 1))
    return ((sums[groups] - cost) / others).movedim(0, dim)


def standardize(
    x: Tensor, eps: float = 1e-8, dim: int | None = None, mask: Tensor | None = None
) -> Tensor:
    """Shift to mean 0 and scale to deviation 1: `(x − mean) / (deviation + eps)`.

    Args:
        x: any shape and unit; the deviation is the population's (divided by the number of
            elements).
        eps: added to the deviation, in the unit of `x`.
        dim: along this axis alone, as in group-normalised advantages; None for all elements.
        mask: same shape, boolean: mean and deviation are those of the elements where it is True.

    Returns:
        Same shape, no unit; 0 where the mask is False.

    Raises:
        ValueError: there are fewer than two elements, or the mask has another shape or type.

    Unbiased: no. Mean and deviation depend on every draw of the batch, the own one included, so
    gradients scaled by them are biased; a common and often useful trade in reinforcement learning.

    Source: Karpathy (2016), Deep Reinforcement Learning: Pong from Pixels.

    Examples:
        >>> standardize(torch.tensor([1.0, 3.0]))
        tensor([-1.,  1.])
        >>> standardize(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), dim=1)
        tensor([[-1.,  1.],
                [ 0.,  0.]])
    """
    count = x.numel() if dim is None else x.shape[dim]
    if count < 2:
        raise ValueError(f"standardize got {count} element: it needs at least two")
    axes = tuple(range(x.dim())) if dim is None else (dim,)
    if mask is None:
        centred = x - x.mean(axes, keepdim=True)
        return centred / (centred.square().mean(axes, keepdim=True).sqrt() + eps)

    check_mask(mask, x)
    number = mask.sum(axes, keepdim=True).clamp(min=1)
    mean = x.where(mask, 0).sum(axes, keepdim=True) / number
    centred = (x - mean).where(mask, 0)
    return centred / ((centred.square().sum(axes, keepdim=True) / number).sqrt() + eps)


def check_mask(mask: Tensor, like: Tensor) -> None:
    """Refuse a mask of another shape than the tensor that it is for, or of numbers."""
    if mask.dtype != torch.bool or mask.shape != like.shape:
        raise ValueError(
            f"the mask has shape {list(mask.shape)} and type {mask.dtype}: give booleans of shape "
            f"{list(like.shape)}, True where an element counts"
        )
