"""Which weights multiply which cost, and the cost to go that a baseline is compared with.

Two ways to say the same: `Ordered`, where everything recorded before counts, costs one cumulative
product; `Narrowed`, where `parents=` was used, needs a mask for every cost.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from sfgrad.returns import linear_recurrence


class Ordered(NamedTuple):
    """Every node recorded before a cost may influence it.

    Args:
        before: `[C]`, whole numbers: how many of the W nodes were recorded before each cost.
    """

    before: Tensor

    def products(self, log_weights: Tensor) -> tuple[Tensor, Tensor]:
        """Products of the weights before every cost `[C, R]` and every node `[W, R]`.

        Args:
            log_weights: `[W, R]`, in the order of recording.
        """
        products = torch.cat([torch.zeros_like(log_weights[:1]), log_weights.cumsum(0)]).exp()
        return products.index_select(0, self.before), products[:-1]

    def costs_to_go(self, weights: Tensor, costs: Tensor) -> Tensor:
        """For every node, the later costs, each times the weights in between: `[W, R]`.

        Args:
            weights: `[W, R]`, without gradient.
            costs: `[C, R]`, without gradient.
        """
        after = costs.new_zeros(len(weights) + 1, costs.shape[1])
        after.index_add_(0, self.before, costs)
        weights = torch.cat([weights.to(costs.dtype), torch.ones_like(after[:1])])
        return linear_recurrence(after, weights)[1:]


class Narrowed(NamedTuple):
    """Only its ancestors may influence a cost.

    Args:
        costs: `[C, W]`, boolean: whether the node is an ancestor of the cost.
        nodes: `[W, W]`, boolean: whether the second node is an ancestor of the first.
    """

    costs: Tensor
    nodes: Tensor

    def products(self, log_weights: Tensor) -> tuple[Tensor, Tensor]:
        """As `Ordered.products`."""
        masks = self.costs.unsqueeze(-1), self.nodes.unsqueeze(-1)
        at_costs, at_nodes = (log_weights.where(mask, 0).sum(1).exp() for mask in masks)
        return at_costs, at_nodes

    def costs_to_go(self, weights: Tensor, costs: Tensor) -> Tensor:
        """As `Ordered.costs_to_go`."""
        result = torch.zeros_like(weights)
        one = torch.ones_like(weights[:1])
        for mask, cost in zip(self.costs.unsqueeze(-1), costs, strict=True):
            later = torch.cat([torch.where(mask, weights, one)[1:], one])
            later = later.flip(0).cumprod(0).flip(0)  # product of the weights after each node
            result = result + mask * later * cost
        return result
