"""The likeliest values summed, and one of the others drawn."""

import math

import torch
from torch import Tensor

from sfgrad.estimators.subsets import Subset, SubsetEstimator, gumbel_keys


class SumAndSample(SubsetEstimator):
    """Visit the k − 1 likeliest values, and draw one of the others.

    `∇ E[f(z)] = Σ_{s∈C} ∇p(s)·(f(s) − b) + E[p(rest)·∇log p(z)·(f(z) − b)]`

    C are the likeliest values, z is drawn from the rest, whose probability is p(rest). The built-in
    baseline b is the mean cost over C, `Σ_C p(s)·f(s) / Σ_C p(s)`, which does not depend on z. With
    k = M values the sum is exact.

    Args:
        samples: k, from 2 to the number of values; None to take the copies that the nearest branch
            made, which must be of equal parameters. A single value stands in all copies.

    Raises:
        ValueError: `samples` is below 2. At the draw: the support is infinite, or has more than
            4,096 values or fewer than k; or the copies differ before the draw.
        TypeError: `samples` is not a whole number.

    Unbiased: yes, to any order. Draws cannot be replayed.

    Source: Liu et al. (2019), Rao-Blackwellized Stochastic Gradients for Discrete Distributions,
    section 3. The weights in the baseline: as Kool et al. (2020) for sets, eq. 18.
    """

    def choose(self, log_probs: Tensor, copies: int) -> Subset:
        """The likeliest values, and the largest Gumbel key of the rest."""
        index = log_probs.topk(copies - 1, 0).indices
        rest = log_probs.scatter(0, index, -torch.inf)
        last = gumbel_keys(rest).argmax(0, keepdim=True)
        log_likeliest = log_probs.gather(0, index)

        # A value of the sum counts fully; that of the rest stands for all of the rest.
        log_density = torch.zeros_like(log_likeliest)
        log_drawn = rest.gather(0, last) - rest.logsumexp(0)
        log_density = torch.cat([log_density, log_drawn]) - math.log(copies)

        mean = torch.cat([log_likeliest.softmax(0), torch.zeros_like(log_drawn)])
        return Subset(torch.cat([index, last]), log_density, mean.unsqueeze(0))
