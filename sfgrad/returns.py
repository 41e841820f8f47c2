"""Returns and advantages along a time axis: discounting, episode boundaries, time limits."""

import torch
from torch import Tensor

from sfgrad.recurrence import linear_recurrence
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
            (the end of an episode, or of a point in Pong).
        dim: the time axis.
        last_value: the shape of `reward` without `dim`: the predicted return from the state after
            the last step, for a roll-out that was cut in the middle; None for 0.

    Returns:
        The return-to-go, of the shape and in the unit of `reward`, floating-point.

    Raises:
        ValueError: the discount is outside [0, 1], or something has another shape than `reward`.

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
    reward = reward.to(torch.result_type(reward, 1.0)).movedim(dim, 0)  # whole numbers to float
    carry = _carry(reward, discount, done, dim)
    if last_value is not None and len(reward):
        following = carry[-1] * _one_step("last_value", last_value, reward)
        reward = torch.cat([reward[:-1], (reward[-1] + following).unsqueeze(0)])
    return linear_recurrence(reward, carry).movedim(0, dim)


def generalized_advantage(
    reward: Tensor,
    value: Tensor,
    last_value: Tensor,
    discount: Discount,
    trace: float,
    done: Tensor | None = None,
    dim: int = 0,
    final_value: Tensor | None = None,
) -> Tensor:
    """Advantage by an exponentially weighted mean of n-step estimates (GAE).

    `δ[t] = reward[t] + discount[t]·((1 − done[t])·value[t+1] + final_value[t]) − value[t]`,
    `advantage[t] = δ[t] + discount[t]·trace·(1 − done[t])·advantage[t+1]`

    Args:
        reward: `[..., T, ...]`, time along `dim`, in any unit.
        value: same shape and unit: the predicted return from each state before its step.
        last_value: the same without `dim`: the predicted return from the state after the last step.
        discount: γ in [0, 1], per step: a number, or of the shape of `reward`.
        trace: λ in [0, 1]: 0 trusts the prediction after one step, 1 uses the whole return.
        done: same shape as `reward`, boolean or 0/1: nothing after step t counts for steps up to t.
        dim: the time axis.
        final_value: same shape and unit as `reward`: where a time limit cut an episode off, the
            predicted return from the state that it stopped in; 0 elsewhere. `done` is 1 there too,
            since the next step is of another episode, but a limit is not an end.

    Returns:
        The advantage, of the shape and in the unit of `reward`.

    Raises:
        ValueError: discount or trace is outside [0, 1], a shape differs from that of `reward`, or
            `final_value` is not 0 where no episode is done.

    Unbiased: as an advantage only for trace = 1 (then for any `value`, up to the bootstrap from
    `last_value` and `final_value`); below that as far as `value` is right.

    Source: Schulman et al. (2016), High-Dimensional Continuous Control Using Generalized Advantage
    Estimation, eq. 16; Pardo et al. (2018), Time Limits in Reinforcement Learning, section 3, for
    time limits.

    Examples:
        >>> r, v = torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5])
        >>> generalized_advantage(r, v, torch.tensor(2.0), discount=0.5, trace=0.5)
        tensor([0.1250, 1.5000])
    """
    _check_fraction("trace", trace)
    reward = reward.to(torch.result_type(reward, 1.0)).movedim(dim, 0)  # whole numbers to float
    value = _same_shape("value", value, reward, dim)
    carry = _carry(reward, discount, done, dim)

    following = carry * torch.cat([value[1:], _one_step("last_value", last_value, reward)[None]])
    if final_value is not None:
        final_value = _same_shape("final_value", final_value, reward, dim)
        _check_final(final_value, done, reward, dim)
        following = following + _carry(reward, discount, None, dim) * final_value
    return linear_recurrence(reward + following - value, trace * carry).movedim(0, dim)


def _carry(reward: Tensor, discount: Discount, done: Tensor | None, dim: int) -> Tensor:
    """How much of the next step counts for each: `[T, ...]`."""
    if isinstance(discount, Tensor):
        carry = _same_shape("discount", discount, reward, dim)
        if is_readable(carry) and not ((carry >= 0) & (carry <= 1)).all():
            raise ValueError("discount has entries outside [0, 1]: give one factor in it per step")
    else:
        _check_fraction("discount", discount)
        carry = torch.full_like(reward, discount)
    return carry if done is None else carry * (1 - _same_shape("done", done, reward, dim))


def _check_final(final_value: Tensor, done: Tensor | None, reward: Tensor, dim: int) -> None:
    """Refuse the value of a final state in the middle of an episode."""
    if not is_readable(final_value):
        return
    going_on = final_value != 0
    if done is not None:
        going_on = going_on & (_same_shape("done", done, reward, dim) == 0)
    if going_on.any():
        raise ValueError(
            "final_value is not 0 at a step where done is 0: give the value of the last state if "
            "a time limit cut an episode off, with done = 1, and 0 elsewhere"
        )


def _check_fraction(name: str, number: float) -> None:
    """Refuse what is outside [0, 1]."""
    if not 0 <= number <= 1:
        raise ValueError(f"{name} is {number}: it must be in [0, 1]")


def _one_step(name: str, tensor: Tensor, reward: Tensor) -> Tensor:
    """`tensor` in the dtype of `reward`; refused where it has another shape than one step."""
    if tensor.shape != reward.shape[1:]:
        raise ValueError(
            f"{name} has shape {list(tensor.shape)}: one step of reward has "
            f"{list(reward.shape[1:])}"
        )
    return tensor.to(reward.dtype)


def _same_shape(name: str, tensor: Tensor, reward: Tensor, dim: int) -> Tensor:
    """`tensor` with time first and in the dtype of `reward`; refused where the shapes differ."""
    if tensor.dim() != reward.dim() or tensor.movedim(dim, 0).shape != reward.shape:
        raise ValueError(
            f"{name} has shape {list(tensor.shape)}: reward has "
            f"{list(reward.movedim(0, dim).shape)}: give it the same shape, nothing is broadcast"
        )
    return tensor.movedim(dim, 0).to(reward.dtype)
