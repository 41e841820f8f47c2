"""Returns and advantages along a time axis: discounting, episode boundaries.

Both public functions are one linear recurrence `y[t] = x[t] + a[t]·y[t+1]`, solved in blocks, so
that the Python loop takes about √T vectorised steps instead of T.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SERIAL = 32
"""Up to this many steps a plain loop is faster than blocks."""


def linear_recurrence(x: Tensor, a: Tensor) -> Tensor:
    """Solve `y[t] = x[t] + a[t]·y[t+1]` with `y[T] = 0` along the first dimension.

    Time is cut into √T blocks that run side by side; the same recurrence over the blocks' first
    elements then carries each block's result into the one before it. Differentiable.

    Args:
        x: `[T, ...]`.
        a: `[T, ...]`, of the same shape as `x`; the last row is never used.

    Returns:
        `[T, ...]`, y.
    """
    if len(x) <= SERIAL:
        return _one_by_one(x, a)
    blocks = math.isqrt(len(x))
    width = -(-len(x) // blocks)
    ends = (0, 0) * (x.dim() - 1)
    padding = *ends, 0, blocks * width - len(x)
    xs, coefficients = (
        F.pad(t, padding).unflatten(0, (blocks, width)).transpose(0, 1) for t in (x, a)
    )
    y = _one_by_one(xs, coefficients)  # [width, blocks, ...]
    reach = coefficients.flip(0).cumprod(0).flip(0)  # what the next block's start is multiplied by
    following = F.pad(linear_recurrence(y[0], reach[0])[1:], (*ends, 0, 1))
    return torch.addcmul(y, reach, following).transpose(0, 1).flatten(0, 1)[: len(x)]


def _one_by_one(x: Tensor, a: Tensor) -> Tensor:
    """The recurrence as a loop."""
    y = list(x.unbind())
    for t in range(len(y) - 2, -1, -1):
        y[t] = torch.addcmul(y[t], a[t], y[t + 1])
    return torch.stack(y) if y else x


def discounted_return(
    reward: Tensor, discount: float, done: Tensor | None = None, dim: int = 0
) -> Tensor:
    """Sum of the present and all later rewards, the later ones discounted.

    `return[t] = reward[t] + discount · (1 − done[t]) · return[t+1]`

    Args:
        reward: `[..., T, ...]`, time along `dim`, in any unit.
        discount: γ in [0, 1], per step.
        done: same shape as `reward`, boolean or 0/1: nothing after step t counts for steps up to t
            (the end of an episode, or of a point in Pong).
        dim: the time axis.

    Returns:
        The return-to-go, of the shape and in the unit of `reward`, floating-point.

    Raises:
        ValueError: the discount is outside [0, 1], or `done` has another shape than `reward`.

    Unbiased: a discount below 1 estimates another objective, with less variance.

    Source: Sutton & Barto (2018), Reinforcement Learning, eq. 3.8.

    Examples:
        >>> discounted_return(torch.tensor([0.0, 1.0, 0.0, 1.0]), 0.5)
        tensor([0.6250, 1.2500, 0.5000, 1.0000])
        >>> discounted_return(torch.ones(4), 1.0, done=torch.tensor([0, 1, 0, 0]))
        tensor([2., 1., 2., 1.])
    """
    reward = reward.to(torch.result_type(reward, 1.0)).movedim(dim, 0)  # whole numbers to float
    return linear_recurrence(reward, _carry(reward, discount, done, dim)).movedim(0, dim)


def generalized_advantage(
    reward: Tensor,
    value: Tensor,
    last_value: Tensor,
    discount: float,
    trace: float,
    done: Tensor | None = None,
    dim: int = 0,
) -> Tensor:
    """Advantage by an exponentially weighted mean of n-step estimates (GAE).

    `δ[t] = reward[t] + discount·(1 − done[t])·value[t+1] − value[t]`,
    `advantage[t] = δ[t] + discount·trace·(1 − done[t])·advantage[t+1]`

    Args:
        reward: `[..., T, ...]`, time along `dim`, in any unit.
        value: same shape and unit: the predicted return from each state before its step.
        last_value: the same without `dim`: the predicted return from the state after the last step.
        discount: γ in [0, 1], per step.
        trace: λ in [0, 1]: 0 trusts the prediction after one step, 1 uses the whole return.
        done: same shape as `reward`, boolean or 0/1: nothing after step t counts for steps up to t.
        dim: the time axis.

    Returns:
        The advantage, of the shape and in the unit of `reward`.

    Raises:
        ValueError: discount or trace is outside [0, 1], or a shape differs from that of `reward`.

    Unbiased: as an advantage only for trace = 1 (then for any `value`, up to the bootstrap from
    `last_value`); below that as far as `value` is right.

    Source: Schulman et al. (2016), High-Dimensional Continuous Control Using Generalized Advantage
    Estimation, eq. 16.

    Examples:
        >>> r, v = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5])
        >>> generalized_advantage(r, v, torch.tensor(2.0), discount=0.5, trace=0.5)
        tensor([0.1250, 1.5000])
    """
    _check_fraction("trace", trace)
    reward = reward.to(torch.result_type(reward, 1.0)).movedim(dim, 0)  # whole numbers to float
    value = _same_shape("value", value, reward, dim)
    if last_value.shape != reward.shape[1:]:
        shapes = f"{list(last_value.shape)}: one step of reward has {list(reward.shape[1:])}"
        raise ValueError(f"last_value has shape {shapes}")
    carry = _carry(reward, discount, done, dim)
    following = torch.cat([value[1:], last_value.to(value.dtype).unsqueeze(0)])
    delta = reward + carry * following - value
    return linear_recurrence(delta, trace * carry).movedim(0, dim)


def _carry(reward: Tensor, discount: float, done: Tensor | None, dim: int) -> Tensor:
    """How much of the next step counts for each: `[T, ...]`."""
    _check_fraction("discount", discount)
    carry = torch.full_like(reward, discount)
    return carry if done is None else carry * (1 - _same_shape("done", done, reward, dim))


def _check_fraction(name: str, number: float) -> None:
    if not 0 <= number <= 1:
        raise ValueError(f"{name} is {number}: it must be in [0, 1]")


def _same_shape(name: str, tensor: Tensor, reward: Tensor, dim: int) -> Tensor:
    """`tensor` with time first and in the dtype of `reward`; refused where the shapes differ."""
    if tensor.dim() != reward.dim() or tensor.movedim(dim, 0).shape != reward.shape:
        shapes = f"{list(tensor.shape)}: reward has {list(reward.movedim(0, dim).shape)}"
        raise ValueError(f"{name} has shape {shapes}")
    return tensor.movedim(dim, 0).to(reward.dtype)
