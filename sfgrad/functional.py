"""Pure functions on plain tensors, for people who keep their own training loop."""

import torch
from torch import Tensor

from sfgrad.settings import describe, is_number
from sfgrad.tensors import check_dim, check_tensor, floating_type, single
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
        `[]`, to be minimised, in single precision at least; 0 where the mask lets no draw count.

    Raises:
        TypeError: an argument is not a tensor.
        ValueError: the shapes differ (nothing is broadcast), the mask is not boolean, or there is
            no draw and no mask.

    Unbiased: yes, if what was subtracted from the return does not depend on the draw.

    Source: Williams (1992), Simple statistical gradient-following algorithms, eq. 5.

    Examples:
        >>> log_prob = torch.tensor([-1.0, -2.0], requires_grad=True)
        >>> score_function_loss(log_prob, torch.tensor([3.0, -1.0])).backward()
        >>> log_prob.grad
        tensor([-1.5000,  0.5000])
    """
    check_tensor("log_prob", log_prob)
    check_tensor("advantage", advantage)
    if log_prob.shape != advantage.shape:
        raise ValueError(
            f"log_prob has shape {list(log_prob.shape)} but advantage has {list(advantage.shape)}: "
            "give one advantage per draw"
        )
    log_prob, advantage = single(log_prob), single(advantage)
    if mask is None:
        check_draws(log_prob)
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

    Raises:
        TypeError: it is not a tensor.

    Unbiased: yes, to any order of differentiation.

    Source: Foerster et al. (2018), DiCE: The Infinitely Differentiable Monte Carlo Estimator,
    eq. 5.

    Examples:
        >>> log_prob = torch.tensor([-1.0, -2.0], requires_grad=True)
        >>> magic_box(log_prob)
        tensor([1., 1.], grad_fn=<ExpBackward0>)
    """
    check_tensor("log_prob", log_prob)
    return (log_prob - log_prob.detach()).exp()


def leave_one_out(cost: Tensor, dim: int = 0, groups: Tensor | None = None) -> Tensor:
    """Mean of the *other* samples' costs: a baseline free of its own draw.

    `baseline[k] = (Σ_j cost[j] − cost[k]) / (S − 1)`

    Args:
        cost: `[..., S, ...]`, samples along `dim`, in any unit.
        dim: the axis of the samples.
        groups: int64 `[S]`, from 0 up: samples are compared with those of the same number only;
            each has at least two. None for one group.

    Returns:
        Same shape and unit, without gradient.

    Raises:
        TypeError: an argument is not a tensor.
        ValueError: there are fewer than two samples, also in a group; or the groups have another
            shape or type.

    Unbiased: yes as a baseline, if the samples are independent draws.

    Source: Kool et al. (2019), Buy 4 REINFORCE samples, get a baseline for free!, eq. 8.

    Examples:
        >>> leave_one_out(torch.tensor([1.0, 2.0, 6.0]))
        tensor([4.0000, 3.5000, 1.5000])
    """
    check_tensor("cost", cost)
    if cost.dim():
        check_dim(cost, dim)
    samples = cost.shape[dim] if cost.dim() else 1
    if not samples:
        raise ValueError("leave-one-out over no sample: the batch has no rows, so leave it out")
    if samples < 2:
        raise ValueError(f"leave-one-out over {samples} sample: it needs at least two to compare")
    wide = single(cost.detach())
    if groups is None:
        result = (wide.sum(dim, keepdim=True) - wide) / (samples - 1)
    else:
        _check_groups(groups, samples)
        result = _leave_one_out_of_groups(wide.movedim(dim, 0), groups).movedim(0, dim)
    return result.to(cost.dtype) if cost.is_floating_point() else result


def _leave_one_out_of_groups(cost: Tensor, groups: Tensor) -> Tensor:
    """As `leave_one_out`, of samples along the first dimension."""
    sizes = groups.bincount()
    if is_readable(sizes) and (sizes == 1).any():
        raise ValueError("leave-one-out over a group of 1 sample: it needs at least two to compare")
    sums = cost.new_zeros(len(sizes), *cost.shape[1:]).index_add(0, groups, cost)
    others = (sizes[groups] - 1).view(-1, *[1] * (cost.dim() - 1))
    return (sums[groups] - cost) / others


def _check_groups(groups: Tensor, samples: int) -> None:
    """Refuse groups that are not the number of the group of every sample."""
    check_tensor("groups", groups)
    if groups.dtype != torch.int64 or groups.shape != (samples,):
        raise ValueError(
            f"groups has shape {list(groups.shape)} and type {groups.dtype}: give the group of "
            f"each of the {samples} samples, int64 [{samples}]"
        )
    if is_readable(groups) and (groups < 0).any():
        raise ValueError("groups has a negative number: number the groups from 0 up")


def standardize(
    x: Tensor, eps: float = 1e-8, dim: int | None = None, mask: Tensor | None = None
) -> Tensor:
    """Shift to mean 0 and scale to deviation 1: `(x − mean) / (deviation + eps)`.

    Equal numbers come out as 0, or nearly: a deviation below a few units of rounding of the mean
    says nothing, so it counts as `4·ε·|mean|` at least, with ε that of the floating type (of single
    precision where `x` has half, since that is what is computed in).

    Args:
        x: any shape and unit; the deviation is the population's (divided by the number of
            elements).
        eps: added to the deviation, in the unit of `x`.
        dim: along this axis alone, as in group-normalised advantages; None for all elements.
        mask: same shape, boolean: mean and deviation are those of the elements where it is True.

    Returns:
        Same shape, floating-point, no unit; 0 where the mask is False.

    Raises:
        TypeError: `x` or the mask is not a tensor.
        ValueError: there are fewer than two elements, or the mask has another shape or type.

    Unbiased: no. Mean and deviation depend on every draw of the batch, its own included, so
    gradients scaled by them are biased; a common and often useful trade in reinforcement learning.

    Source: Karpathy (2016), Deep Reinforcement Learning: Pong from Pixels.

    Examples:
        >>> standardize(torch.tensor([1.0, 3.0]))
        tensor([-1.,  1.])
        >>> standardize(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), dim=1)
        tensor([[-1.,  1.],
                [ 0.,  0.]])
    """
    check_tensor("x", x)
    if not is_number(eps) or not eps >= 0:
        raise ValueError(f"eps is {describe(eps)}: it must be a number, at least 0, as in 1e-8")
    if dim is not None and x.dim():
        check_dim(x, dim)
    axes = tuple(range(x.dim())) if dim is None else (dim,)
    count = x.numel() if dim is None or not x.dim() else x.shape[dim]
    if not count:
        raise ValueError("standardize got no element: the batch has no rows, so leave it out")
    if count < 2:
        raise ValueError(f"standardize got {count} element: it needs at least two")
    number: int | Tensor = count
    if mask is not None:
        check_mask(mask, x)
        number = mask.sum(axes, keepdim=True).clamp(min=1)

    # The mean of equal numbers may be a rounding off, so it is taken twice.
    dtype = floating_type(x)
    wide = single(x.to(dtype))
    mean = _mean(wide, axes, number, mask)
    centred = _centred(wide, mean, mask)
    centred = _centred(centred, _mean(centred, axes, number, mask), mask)

    # The norm, unlike the root of a sum of squares, has a derivative where all is equal.
    norm = torch.linalg.vector_norm(centred, dim=axes, keepdim=True)
    deviation = norm / number**0.5
    floor = mean.detach().abs() * (4 * torch.finfo(wide.dtype).eps)
    return (centred / (torch.maximum(deviation, floor) + eps)).to(dtype)


def _mean(x: Tensor, axes: tuple[int, ...], number: int | Tensor, mask: Tensor | None) -> Tensor:
    """The mean along some axes, which stay, of the elements that count."""
    if mask is None:
        return x.mean(axes, keepdim=True)
    return x.where(mask, 0).sum(axes, keepdim=True) / number


def _centred(x: Tensor, mean: Tensor, mask: Tensor | None) -> Tensor:
    """What is left of the elements that count, and 0 elsewhere."""
    return x - mean if mask is None else (x - mean).where(mask, 0)


def check_mask(mask: Tensor, like: Tensor) -> None:
    """Refuse a mask of another shape than the tensor that it is for, or of numbers."""
    check_tensor("mask", mask)
    if mask.dtype != torch.bool or mask.shape != like.shape:
        raise ValueError(
            f"the mask has shape {list(mask.shape)} and type {mask.dtype}: give booleans of shape "
            f"{list(like.shape)}, True where an element counts"
        )


def check_draws(log_prob: Tensor) -> None:
    """Refuse the mean over no draws, which is not a number."""
    if not log_prob.numel():
        raise ValueError(
            f"log_prob has shape {list(log_prob.shape)}: the batch has no rows, so leave it out"
        )
