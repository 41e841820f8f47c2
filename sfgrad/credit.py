"""Credit: which weights multiply which cost, and the cost to go that a baseline is compared with.

Where all ancestors are the first n nodes, both are one recurrence along the nodes. Chains of
`parents=` are followed node by node. Both grow like the number of events.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from sfgrad.ancestry import Ancestors, Members, Path
from sfgrad.recurrence import linear_recurrence
from sfgrad.tensors import summed


class Credit:
    """The products of weights and the costs to go of one graph.

    Args:
        nodes: the ancestors of every node, in the order of recording.
        costs: the ancestors of every cost.
        weighted: of every node, whether it has a weight; others have weight 1, without derivative.
    """

    def __init__(
        self, nodes: Sequence[Ancestors], costs: Sequence[Ancestors], weighted: Sequence[bool]
    ):
        self.nodes, self.costs, self.weighted = nodes, costs, weighted
        self.number = list(accumulate(weighted, initial=0))
        """Of the first nodes, how many have a weight: where a node is among the weighted ones."""
        self.ordered = all(isinstance(event, int) for event in (*nodes, *costs))

    def products(self, log_weights: Tensor, factors: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Products of the weights before every cost, and before every weighted node.

        Args:
            log_weights: `[W, R]`, of the weighted nodes in the order of recording.
            factors: `[W, R]`, what these weights are multiplied by; None for 1.

        Returns:
            `[C, R]` and `[W, R]`.
        """
        at_costs, at_nodes = self._log_products(log_weights)
        if factors is None:
            return at_costs, at_nodes
        factors_at_costs, factors_at_nodes = self.factor_products(factors)
        return at_costs * factors_at_costs, at_nodes * factors_at_nodes

    def _log_products(self, log_weights: Tensor) -> tuple[Tensor, Tensor]:
        """As `products`, of weights that are known by their logarithms."""
        if len(log_weights) == 1 and self.ordered:
            weight, later = log_weights.exp(), self._after_one()
            one = torch.ones_like(weight)
            if all(later):
                return weight if len(later) == 1 else weight.expand(len(later), -1), one
            return torch.cat([weight if is_later else one for is_later in later]), one

        # The sums over the first 0, 1, … W weighted nodes.
        sums = torch.cat([torch.zeros_like(log_weights[:1]), log_weights.cumsum(0)])
        if not self.ordered:
            return self._path_products(log_weights, sums)

        products = sums.exp()
        at_costs = products.index_select(0, self._counts(self.costs, sums.device))
        starts = [e for e, weighted in zip(self.nodes, self.weighted, strict=True) if weighted]
        if [self.number[e] for e in starts] == list(range(len(starts))):  # type: ignore
            return at_costs, products[:-1]
        return at_costs, products.index_select(0, self._counts(starts, sums.device))

    def _after_one(self) -> list[bool]:
        """Of every cost, whether it comes after the only weighted node."""
        return [self.number[event] == 1 for event in self.costs if isinstance(event, int)]

    def _counts(self, events: Sequence[Ancestors], device: torch.device) -> Tensor:
        """How many weighted nodes may influence each of the events, all of which are numbers."""
        counts = [self.number[event] for event in events if isinstance(event, int)]
        return torch.tensor(counts, dtype=torch.int64, device=device)

    def _path_products(self, log_weights: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
        """As `products`, node by node: each sum is its ancestor's and one weight more."""
        rows, prefixes = log_weights.unbind(), sums.unbind()
        known: dict[Ancestors, Tensor] = {}
        at_nodes: list[Tensor] = []

        def total(event: Ancestors) -> Tensor:
            if isinstance(event, int):
                return prefixes[self.number[event]]
            if event in known:
                return known[event]
            if isinstance(event, Members):
                known[event] = log_weights[self._places(event)].sum(0)
            else:
                known[event] = at_nodes[event.last]
                if self.weighted[event.last]:
                    known[event] = known[event] + rows[self.number[event.last]]
            return known[event]

        for event in self.nodes:
            at_nodes.append(total(event))
        at_costs = torch.stack([total(event) for event in self.costs])
        weighted = [at for at, has in zip(at_nodes, self.weighted, strict=True) if has]
        return at_costs.exp(), torch.stack(weighted).exp()

    def factor_products(self, factors: Tensor) -> tuple[Tensor, Tensor]:
        """As `products`, of factors alone, which may be 0 or negative; one by one: there are few.

        Args:
            factors: `[W, R]`, of the weighted nodes in the order of recording.

        Returns:
            `[C, R]` and `[W, R]`.
        """
        rows, one = factors.unbind(), torch.ones_like(factors[0])
        prefixes = list(accumulate(rows, torch.mul, initial=one))
        at_nodes: list[Tensor] = []

        def product(event: Ancestors) -> Tensor:
            if isinstance(event, int):
                return prefixes[self.number[event]]
            if isinstance(event, Members):
                return torch.stack([one, *(rows[place] for place in self._places(event))]).prod(0)
            before = at_nodes[event.last]
            if not self.weighted[event.last]:
                return before
            return before * rows[self.number[event.last]]

        for event in self.nodes:
            at_nodes.append(product(event))
        at_costs = torch.stack([product(event) for event in self.costs])
        weighted = [at for at, has in zip(at_nodes, self.weighted, strict=True) if has]
        return at_costs, torch.stack(weighted)

    def _places(self, event: Members) -> list[int]:
        """Where its weighted nodes are among all weighted ones."""
        return [self.number[i] for i in event.positions() if self.weighted[i]]

    def costs_to_go(self, weights: Tensor, costs: Tensor) -> Tensor:
        """For every weighted node, the later costs, each times the weights in between.

        Args:
            weights: `[W, R]`, without gradient.
            costs: `[C, R]`, without gradient.

        Returns:
            `[W, R]`.
        """
        if len(weights) == 1 and self.ordered:
            later = [place for place, is_later in enumerate(self._after_one()) if is_later]
            costs = costs if len(later) == len(costs) else costs[later]
            return summed(costs).unsqueeze(0)

        weights = weights.to(costs.dtype)
        after = costs.new_zeros(len(weights) + 1, costs.shape[1])
        if all(isinstance(event, int) for event in self.costs):
            after = after.index_add(0, self._counts(self.costs, costs.device), costs)
            return _backwards(after, weights)

        # Costs at the end of a path flow along it, from its last node to what it begins after.
        flows: dict[Ancestors, Tensor] = {}
        for event, cost in zip(self.costs, costs.unbind(), strict=True):
            flows[event] = flows[event] + cost if event in flows else cost
        along = self._follow_paths(flows, weights)

        # What is left is of the first nodes, or of other sets of nodes.
        first = [event for event in flows if isinstance(event, int)]
        if first:
            at = self._counts(first, costs.device)
            after = after.index_add(0, at, torch.stack([flows[event] for event in first]))
        result = _backwards(after, weights) + along
        for event, flow in flows.items():
            if isinstance(event, Members):
                places = torch.tensor(self._places(event), dtype=torch.int64, device=costs.device)
                own = torch.cat([flow.new_zeros(len(places), len(flow)), flow.unsqueeze(0)])
                result = result.index_add(0, places, _backwards(own, weights[places]))
        return result

    def _follow_paths(self, flows: dict[Ancestors, Tensor], weights: Tensor) -> Tensor:
        """Take the paths out of `flows`: what passes every weighted node, `[W, R]`."""
        rows, passed = weights.unbind(), [torch.zeros_like(weights[0])] * len(weights)
        for position in reversed(range(len(self.nodes))):
            flow = flows.pop(Path(position), None)
            if flow is None:
                continue
            if self.weighted[position]:
                place = self.number[position]
                passed[place], flow = flow, rows[place] * flow
            before = self.nodes[position]
            flows[before] = flows[before] + flow if before in flows else flow
        return torch.stack(passed)


def _backwards(after: Tensor, weights: Tensor) -> Tensor:
    """Costs to go along a line of nodes: `y[w] = after[w + 1] + ω[w + 1]·y[w + 1]`.

    Args:
        after: `[W + 1, R]`, the costs after so many nodes.
        weights: `[W, R]`.

    Returns:
        `[W, R]`.
    """
    weights = torch.cat([weights, torch.ones_like(after[:1])])
    return linear_recurrence(after, weights)[1:]
