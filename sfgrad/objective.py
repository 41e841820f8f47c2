"""The formula: one loss of the weights, the costs, and what the costs to go are compared with.

    J = mean over rows of  Σ_c (Π_{w ≺ c} ω_w)·c  +  Σ_w Ω_before(w)·(1 − ω_w)·b_w

with c the costs, ω_w the weight of node w, b_w its baseline, `≺` "may influence", and Ω_before(w)
the product of the weights of the nodes before w.
"""

from torch import Tensor

from sfgrad.credit import Credit


def row_loss(
    costs: Tensor, log_weights: Tensor, credit: Credit, baselines: Tensor | None = None
) -> Tensor:
    """J before the mean over rows.

    Args:
        costs: `[C, R]`, to be minimised, in any unit.
        log_weights: `[W, R]`, nats: log ω, of the nodes in the order of recording.
        credit: which weights may influence which cost, and which node.
        baselines: `[W, R]`, without gradient, in the unit of the costs, free of each node's own
            draw; None for 0 everywhere.

    Returns:
        `[R]`: its mean is the estimate of the expected total cost, and the gradient of that the
        estimate of the gradient.

    Unbiased: yes, if rows do not interact, to the order that the weights allow.

    Source: Schulman et al. (2015), Gradient Estimation Using Stochastic Computation Graphs, for the
    graph; Foerster et al. (2018), DiCE, for the first sum; Mao et al. (2019), A Baseline for Any
    Order Gradient Estimation in Stochastic Computation Graphs, for the second.
    """
    before_costs, before_nodes = credit.products(log_weights)
    total = (before_costs * costs).sum(0)
    if baselines is None:
        return total
    return total + (before_nodes * (1 - log_weights.exp()) * baselines).sum(0)
