"""The formula: one loss of the weights, the costs, and what the costs to go are compared with.

    J = mean over rows of  Σ_c (Π_{w ≺ c} ω_w)·c  +  Σ_w Ω_before(w)·(k_w − ω_w·h_w)

with c the costs, ω_w the weight of node w, `≺` "may influence", Ω_before(w) the product of the
weights of the nodes before w, and E[ω·h] = E[k]. A baseline b is the case k = h = b.
"""

from typing import NamedTuple

from torch import Tensor

from sfgrad.credit import Credit
from sfgrad.tensors import summed


class Weights(NamedTuple):
    """The weights `ω = factor · exp(log)` of the nodes, in the order of recording.

    Args:
        logs: `[W, R]`, nats.
        factors: `[W, R]`, of any sign, may be 0; None for 1 everywhere.
    """

    logs: Tensor
    factors: Tensor | None = None

    def values(self) -> Tensor:
        """`[W, R]`, without gradient."""
        weights = self.logs.detach().exp()
        return weights if self.factors is None else weights * self.factors.detach()


class Pairs(NamedTuple):
    """What the costs to go are compared with: k and h, `[W, R]`, in the unit of the costs."""

    k: Tensor
    h: Tensor

    def plus(self, other: "Pairs") -> "Pairs":
        """The sums of both."""
        h = self.h + other.h
        return Pairs(h if self.k is self.h and other.k is other.h else self.k + other.k, h)


def row_loss(costs: Tensor, weights: Weights, credit: Credit, pairs: Pairs | None = None) -> Tensor:
    """J before the mean over rows.

    Args:
        costs: `[C, R]`, to be minimised, in any unit.
        weights: those of the nodes.
        credit: which weights may influence which cost, and which node.
        pairs: of every node, with E[ω·h] = E[k]; None for 0 everywhere. Where both are one tensor
            it is a baseline: without gradient, and free of each node's own draw.

    Returns:
        `[R]`: its mean is the estimate of the expected total cost, and the gradient of that the
        estimate of the gradient.

    Unbiased: yes, if rows do not interact, to the order that the weights allow.

    Source: Schulman et al. (2015), Gradient Estimation Using Stochastic Computation Graphs, for the
    graph; Foerster et al. (2018), DiCE, for the first sum; Mao et al. (2019), A Baseline for Any
    Order Gradient Estimation in Stochastic Computation Graphs, for the second.
    """
    before_costs, before_nodes = credit.products(weights.logs, weights.factors)
    total = summed(before_costs * costs)
    if pairs is None:
        return total

    own = weights.logs.exp()
    if weights.factors is not None:
        own = own * weights.factors
    plain = pairs.k is pairs.h
    compared = (1 - own) * pairs.k if plain else pairs.k - own * pairs.h
    return total + summed(before_nodes * compared)
