"""Returns and advantages along a time axis: discounting, episode boundaries, time limits."""

import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from sfgrad.recurrence import linear_recurrence
from sfgrad.tensors import check_dim, check_tensor, floating_type, single
from sfgrad.tracing import is_readable

Discount = float | Tensor


def discounted_return(
    reward: Tensor,
    discount: Discount,
    done: Tensor | None = None,
    dim: int = 0,
    last_value: Tensor | None = None,
) -> Tensor:
    """Sum of the present and all later rewards, the later ones discounted.

    `return[t] = reward[t] + discount[t] · (1 − done[t]) · return[t+1]`

    Args:
        reward: `[..., T, ...]`, time along `dim`, in any unit.
        discount: γ in [0, 1], per step: a number, or of the shape of `reward` where it differs from
            step to step.
        done: same shape as `reward`, boolean or 0/1: nothing after step t counts for steps up to t
            (the end of an episode, or of a point in Pong), not even NaN or infinity.
        dim: the time axis.
        last_value: the shape of `reward` without `dim`: the predicted return from the state after
            the last step, for a roll-out that was cut in the middle; None for 0.

    Returns:
        The return-to-go, of the shape and in the unit of `reward`, floating-point; half types are
        summed in single precision and rounded at the end.

    Raises:
        TypeError: an argument is not a tensor.
        ValueError: the discount is outside [0, 1], something has another shape than `reward`, or
            `done` is neither 0 nor 1 somewhere.

    Unbiased: a discount below 1 estimates another objective, with less variance. With `last_value`
    as far as that is right.

    Source: Sutton & Barto (2018), Reinforcement Learning, eq. 3.8.

    Examples:
        >>> discounted_return(torch.tensor([0.0, 1.0, 0.0, 1.0]), 0.5)
        tensor([0.6250, 1.2500, 0.5000, 1.0000])
        >>> discounted_return(torch.ones(4), 1.0, done=torch.tensor([0, 1, 0, 0]))
        tensor([2., 1., 2., 1.])
        >>> discounted_return(torch.zeros(2), 0.5, last_value=torch.tensor(8.0))
        tensor([2., 4.])
    """
    reward, dtype = _time_first(reward, dim)
    carry, ends = _carry(reward, discount, _ends(done, reward, dim), dim)
    if last_value is not None and len(reward):
        last = None if ends is None else ends[-1]
        following = _carried(_one_step("last_value", last_value, reward), carry[-1], last)
        reward = torch.cat([reward[:-1], (reward[-1] + following).unsqueeze(0)])
    return _solved(reward, carry, ends).movedim(0, dim).to(dtype)


def generalized_advantage(
    reward: Tensor,
    value: Tensor,
    last_value: Tensor,
    discount: Discount,
    gae_lambda: float,
    done: Tensor | None = None,
    dim: int = 0,
    final_value: Tensor | None = None,
) -> Tensor:
    """Advantage by an exponentially weighted mean of n-step estimates (GAE).

    `δ[t] = reward[t] + discount[t]·((1 − done[t])·value[t+1] + final_value[t]) − value[t]`,
    `advantage[t] = δ[t] + discount[t]·λ·(1 − done[t])·advantage[t+1]`

    Args:
        reward: `[..., T, ...]`, time along `dim`, in any unit.
        value: same shape and unit: the predicted return from each state before its step.
        last_value: the same without `dim`: the predicted return from the state after the last step.
        discount: γ in [0, 1], per step: a number, or of the shape of `reward`.
        gae_lambda: λ in [0, 1]: 0 trusts the prediction after one step, 1 uses the whole return.
        done: same shape as `reward`, boolean or 0/1: nothing after step t counts for steps up to t,
            not even NaN or infinity.
        dim: the time axis.
        final_value: same shape and unit as `reward`: where a time limit cut an episode off, the
            predicted return from the state that it stopped in; 0 elsewhere. `done` is 1 there too,
            since the next step is of another episode, but a limit is not an end.

    Returns:
        The advantage, of the shape and in the unit of `reward`; half types are summed in single
        precision and rounded at the end.

    Raises:
        TypeError: an argument is not a tensor.
        ValueError: discount or gae_lambda is outside [0, 1], a shape differs from that of `reward`,
            `done` is neither 0 nor 1 somewhere, or `final_value` is not 0 where no episode is done.

    Unbiased: as an advantage only for λ = 1 (then for any `value`, up to the bootstrap from
    `last_value` and `final_value`); below that as far as `value` is right.

    Source: Schulman et al. (2016), High-Dimensional Continuous Control Using Generalized Advantage
    Estimation, eq. 16; Pardo et al. (2018), Time Limits in Reinforcement Learning, section 3, for
    time limits.

    Examples:
        >>> r, v = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5])
        >>> generalized_advantage(r, v, torch.tensor(2.0), discount=0.5, gae_lambda=0.5)
        tensor([0.1250, 1.5000])
    """
    _check_fraction("gae_lambda", gae_lambda)
    reward, dtype = _time_first(reward, dim)
    value = _same_shape("value", value, reward, dim).to(reward.dtype)
    is_done = _ends(done, reward, dim)
    carry, ends = _carry(reward, discount, is_done, dim)

    last = _one_step("last_value", last_value, reward)
    following = _carried(torch.cat([value[1:], last.unsqueeze(0)]), carry, ends)
    if final_value is not None:
        final_value = _same_shape("final_value", final_value, reward, dim).to(reward.dtype)
        _check_final(final_value, is_done)
        following = following + _carried(final_value, *_carry(reward, discount, None, dim))
    error = reward + following - value
    advantage = _solved(error, gae_lambda * carry, ends) if gae_lambda else error
    return advantage.movedim(0, dim).to(dtype)


def _time_first(reward: Tensor, dim: int) -> tuple[Tensor, torch.dtype]:
    """The reward with time first, in single precision at least; and the type of what it makes."""
    check_tensor("reward", reward)
    if not reward.dim():
        raise ValueError("reward has no dimension: give it one of time, [T] or more")
    dtype = floating_type(reward)
    check_dim(reward, dim)
    return single(reward.to(dtype)).movedim(dim, 0), dtype


def _ends(done: Tensor | None, reward: Tensor, dim: int) -> Tensor | None:
    """Where episodes end: boolean `[T, ...]`, or None."""
    if done is None:
        return None
    done = _same_shape("done", done, reward, dim)
    if done.dtype == torch.bool:
        return done
    ends = done != 0
    if is_readable(done) and not torch.equal(done, ends.to(done.dtype)):
        raise ValueError(
            "done has entries other than 0 and 1: give booleans, True at the end of an episode (a "
            "probability of going on belongs in discount)"
        )
    return ends


def _carry(
    reward: Tensor, discount: Discount, ends: Tensor | None, dim: int
) -> tuple[Tensor, Tensor | None]:
    """How much of the next step counts for each, `[T, ...]`; and where nothing does, or None.

    A discount of 0 is an end like any other, unless a derivative by it is wanted.
    """
    if torch.is_tensor(discount):
        carry = _same_shape("discount", discount, reward, dim).to(reward.dtype)
        if is_readable(carry) and not ((carry >= 0) & (carry <= 1)).all():
            raise ValueError(
                "discount has entries outside [0, 1]: give one factor in [0, 1] per step"
            )
    else:
        _check_fraction("discount", discount, ", or a tensor of one for every step")
        carry = torch.full_like(reward, discount)
    if ends is not None:
        carry = carry.masked_fill(ends, 0)

    may_be_zero = torch.is_tensor(discount) or not discount
    if may_be_zero and is_readable(carry) and not carry.requires_grad:
        ends = carry == 0
    return carry, ends


def _carried(following: Tensor, carry: Tensor, ends: Tensor | None) -> Tensor:
    """How much the next step adds to each; 0 at an end, even to NaN and infinity."""
    return carry * (following if ends is None else following.masked_fill(ends, 0))


def _solved(x: Tensor, carry: Tensor, ends: Tensor | None) -> Tensor:
    """The sum of the present and all later `x`, the later ones times what is carried of them."""
    if ends is None:
        return linear_recurrence(x, carry)

    # Only NaN and infinity pass an end, as 0 · NaN, so only they are worth the longer way.
    if is_readable(x):
        result = linear_recurrence(x, carry)
        if math.isfinite(result.sum().item()):
            return result
    return linear_recurrence(x, carry, ends)


def _check_final(final_value: Tensor, ends: Tensor | None) -> None:
    """Refuse the value of a final state in the middle of an episode."""
    if not is_readable(final_value):
        return
    going_on = final_value != 0
    if ends is not None:
        going_on = going_on & ~ends
    if going_on.any():
        raise ValueError(
            "final_value is not 0 at a step where done is 0: give the value of the last state if "
            "a time limit cut an episode off, with done = 1, and 0 elsewhere"
        )


def _check_fraction(name: str, number: Any, alternative: str = "") -> None:
    """Refuse what is not a number, or outside [0, 1]."""
    is_number = isinstance(number, Real) or (torch.is_tensor(number) and not number.dim())
    if not is_number:
        raise TypeError(
            f"{name} is of type {type(number).__name__}: give a number in [0, 1]{alternative}"
        )
    if not 0 <= float(number) <= 1:
        raise ValueError(f"{name} is {number}: it must be in [0, 1]")


def _one_step(name: str, tensor: Tensor, reward: Tensor) -> Tensor:
    """`tensor` in the dtype of `reward`; refused where it has another shape than one step."""
    check_tensor(name, tensor)
    if tensor.shape != reward.shape[1:]:
        raise ValueError(
            f"{name} has shape {list(tensor.shape)}: one step of reward has "
            f"{list(reward.shape[1:])}"
        )
    return tensor.to(reward.dtype)


def _same_shape(name: str, tensor: Tensor, reward: Tensor, dim: int) -> Tensor:
    """`tensor` with time first; refused where its shape is not that of `reward`."""
    check_tensor(name, tensor)
    if tensor.dim() != reward.dim() or tensor.movedim(dim, 0).shape != reward.shape:
        raise ValueError(
            f"{name} has shape {list(tensor.shape)} but reward has "
            f"{list(reward.movedim(0, dim).shape)}: give it the same shape, nothing is broadcast"
        )
    return tensor.movedim(dim, 0)
