"""Sampling without replacement, whatever the order."""

import math

import torch
from torch import Tensor

from sfgrad.estimators.subsets import Subset, SubsetEstimator, gumbel_keys


class UnorderedSet(SubsetEstimator):
    """Draw k different values, and weight each by how the set depends on it.

    `∇ E[f(z)] = E_S[Σ_{s∈S} ∇p(s)·R(S, s)·(f(s) − Σ_{t∈S} p(t)·R_s(S, t)·f(t))]`

    S are the k largest of the log-probabilities with Gumbel noise. R(S, s) is the leave-one-out
    ratio: the probability of the other values of S, were s not in the support, over that of S.
    R_s(S, t) is the same ratio where s is not in the support, and 1 for t = s. The second sum is
    the built-in baseline. With k = M values the sum is exact.

    Args:
        samples: k, from 2 to the number of values; None to take the copies that the nearest branch
            made, which must be of equal parameters. A single value stands in all copies.

    Raises:
        ValueError: `samples` is below 2. At the draw: the support is infinite, or has more than
            4,096 values or fewer than k; or the copies differ before the draw.
        TypeError: `samples` is not a whole number.

    Unbiased: yes, to any order. Draws cannot be replayed.

    Source: Kool et al. (2020), Estimating Gradients for Discrete Random Variables by Sampling
    without Replacement, eq. 13 and 18.
    """

    def choose(self, log_probs: Tensor, copies: int) -> Subset:
        """The k largest of the Gumbel keys."""
        index = gumbel_keys(log_probs).topk(copies, 0).indices
        chosen = log_probs.gather(0, index)
        rest = log_probs.scatter(0, index, -torch.inf).logsumexp(0)
        log_ratio, others = leave_out(chosen - rest)
        return Subset(index, -math.log(copies) - log_ratio, others * chosen.exp())


def leave_out(log_odds: Tensor) -> tuple[Tensor, Tensor]:
    """Leave-one-out ratios of first and second order.

    Let each value have an exponential clock at the rate of its probability. The set is the one
    whose clocks all ring before any other, so its probability is that of the other clocks' first
    time T, at the rate of all their probabilities, being after all of these:
    `P = E_T[Π_s (1 − exp(−p_s·T))]`. A value that is not in the support is a factor left out. The
    integral over y, the logarithm of T times that rate, is smooth and ends double exponentially, so
    that equal steps give it to all digits.

    Args:
        log_odds: `[k, ...]`, nats: of every value of the set, its probability over the total of
            those that are not in it; infinite if there are none.

    Returns:
        `[k, ...]`, the logarithm of R(S, s); and `[k, k, ...]`, R_s(S, t), 1 for s = t.
    """
    copies = len(log_odds)
    everything = log_odds.isposinf()
    log_odds = log_odds.masked_fill(everything, 0)
    y = torch.arange(-40, 4.3, 0.2, dtype=log_odds.dtype, device=log_odds.device)

    # Of every value, the logarithm of the probability that its clock rings in time.
    in_time = (-torch.expm1(-(log_odds.unsqueeze(-1) + y).exp())).log()
    density = y - y.exp()
    total = density + in_time.sum(0)
    first = (total - in_time).logsumexp(-1)
    log_ratio = (first - total.logsumexp(-1)).masked_fill(everything, 0)

    # The second order as a product of matrices, each factor with half of the density.
    peak = total.amax(-1, keepdim=True)
    half = (0.5 * (total - peak) - in_time).exp()
    second = torch.einsum("s...y,t...y->st...", half, half).log() + peak.squeeze(-1)
    ratio = (second - first.unsqueeze(1)).exp()
    same = torch.eye(copies, dtype=torch.bool, device=y.device)
    same = same.reshape(copies, copies, *[1] * (log_odds.dim() - 1))
    return log_ratio, ratio.masked_fill(same | everything, 1)
