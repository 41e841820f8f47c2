"""The Dirichlet copula: n uniform numbers that avoid each other, and how two of them are joint.

With d from the flat Dirichlet distribution, `u_i = 1 − (1 − d_i)^(n−1)` is uniform. Of two,
`P(d_i > s, d_j > t) = (1 − s − t)₊^(n−1)`. For n = 2 they are u and 1 − u.

Source: Dimitriev & Zhou (2021), ARMS: Antithetic-REINFORCE-Multi-Sample Gradient for Binary
Variables, section 4.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def uniforms(shape: tuple[int, ...], size: int, device: torch.device) -> Tensor:
    """Uniform numbers `[S, ...]`, double; `size` after the other are coupled."""
    if size == 2:
        half = torch.rand((shape[0] // 2, 1, *shape[1:]), dtype=torch.float64, device=device)
        return torch.cat([half, 1 - half], 1).flatten(0, 1)
    groups = (shape[0] // size, size, *shape[1:])
    masses = -torch.log1p(-torch.rand(groups, dtype=torch.float64, device=device))
    rest = 1 - masses / masses.sum(1, keepdim=True)
    return (1 - rest ** (size - 1)).flatten(0, 1)


def bernoulli_ratio(logits: Tensor, size: int) -> tuple[Tensor, Tensor | None]:
    """Of two coupled draws that differ, `p·(1 − p) / P(1, 0)`.

    A draw is 1 where its number is below p, or where 1 minus it is: whichever makes draws differ
    more often.

    Args:
        logits: any shape.
        size: how many draws are coupled.

    Returns:
        The ratios, and whether the numbers are to be taken from 1; None where either serves.
    """
    if size == 2:
        return logits.abs().sigmoid(), None
    logits = logits.double()
    log_one, log_zero = logsigmoid(logits), logsigmoid(-logits)
    straight = _apart(log_zero, size)
    flipped = _apart(log_one, size)
    ratio = (log_one + log_zero).exp() / torch.maximum(straight, flipped)
    return ratio.nan_to_num(nan=1.0), flipped > straight


def _apart(log_above: Tensor, size: int) -> Tensor:
    """The probability that of two numbers the first is below a bound and the second above.

    Args:
        log_above: the logarithm of the probability that one is above.
        size: how many are coupled.
    """
    # P(above) − P(both above), without cancellation where almost all are above.
    below = -torch.expm1(log_above / (size - 1))  # the bound of d
    both = (size - 1) * torch.log1p(-2 * below.clamp(max=0.5))
    return torch.expm1(log_above) - torch.expm1(both)


def random_order(probs: Tensor) -> Tensor:
    """An order of the categories of every element, `[..., C]`: one first, one last, both random.

    The others keep their order. Of any two categories each is first and the other last in some
    order, so that every pair of different draws has a positive probability.
    """
    count, device = probs.shape[-1], probs.device
    if count == 1:
        return torch.zeros(probs.shape, dtype=torch.int64, device=device)
    first = torch.randint(count, (*probs.shape[:-1], 1), device=device)
    last = torch.randint(count - 1, first.shape, device=device)
    last = last + (last >= first)
    rank = torch.arange(count, device=device).expand(probs.shape)
    rank = rank.scatter(-1, first, -1).scatter(-1, last, count)
    return rank.argsort(-1)


def category_ratios(probs: Tensor, numbers: Tensor, size: int) -> Tensor:
    """Of all pairs of coupled draws, `p(z_k)·p(z_j) / P(z_k, z_j)`; 0 where they agree.

    P is the mean over the orders of `random_order`.

    Args:
        probs: `[..., C]`, double.
        numbers: `[G, size, ...]`, the category of each draw.
        size: how many draws are coupled.

    Returns:
        `[G, size, size, ...]`.
    """
    count = probs.shape[-1]
    own = probs.expand(*numbers.shape, -1).gather(-1, numbers.unsqueeze(-1)).squeeze(-1)
    before = (probs.cumsum(-1) - probs).expand(*numbers.shape, -1)
    before = before.gather(-1, numbers.unsqueeze(-1)).squeeze(-1)

    joint = torch.zeros((), dtype=probs.dtype, device=probs.device)
    for first in range(count):
        low, high = _bounds(probs, numbers, own, before, first)  # [G, size, ..., C]
        low, high = _mass(low, size), _mass(high, size)
        joint = joint + _rectangle(low, high, size).sum(-1)
    joint = joint / max(count * (count - 1), 1)

    product = own.unsqueeze(2) * own.unsqueeze(1)
    usable = (numbers.unsqueeze(2) != numbers.unsqueeze(1)) & (joint > 0)
    return torch.where(usable, product / joint.where(usable, 1), 0)


def _bounds(
    probs: Tensor, numbers: Tensor, own: Tensor, before: Tensor, first: int
) -> tuple[Tensor, Tensor]:
    """Between which numbers each draw lies, in every order with this category first.

    Returns:
        Both `[G, size, ..., C]`, the last dimension over the category that is last; where that is
        the first one too, bounds are empty.
    """
    last = torch.arange(probs.shape[-1], device=probs.device)
    number, own, before = numbers.unsqueeze(-1), own.unsqueeze(-1), before.unsqueeze(-1)
    moved = torch.where(number < first, probs[..., first : first + 1], 0)
    moved = moved - torch.where(last < number, probs, 0)
    low = torch.where(number == last, 1 - own, before + moved)
    low = torch.where(number == first, 0, low)
    high = torch.where(number == last, 1, low + own)
    empty = last == first
    return low.masked_fill(empty, 0), high.masked_fill(empty, 0)


def _mass(number: Tensor, size: int) -> Tensor:
    """D of a uniform number."""
    return 1 - (1 - number).clamp(min=0) ** (1 / (size - 1))


def _rectangle(low: Tensor, high: Tensor, size: int) -> Tensor:
    """The probability that d_k and d_j lie between their bounds, `[G, size, size, ...]`."""

    def above(one: Tensor, other: Tensor) -> Tensor:
        return (1 - one.unsqueeze(2) - other.unsqueeze(1)).clamp(min=0) ** (size - 1)

    return above(low, low) - above(high, low) - above(low, high) + above(high, high)
