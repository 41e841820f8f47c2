"""A stochastic computation graph, and the one formula that turns it into a loss.

    J = mean over rows of  Σ_c (Π_{w ≺ c} ω_w)·c  +  Σ_w Ω_before(w)·(1 − ω_w)·b_w

with c the costs, ω_w the weight of node w, b_w its baseline, `≺` "recorded before" (or, with
`parents=`, "is an ancestor of") and Ω_before(w) the product of the weights of the nodes before w.
"""

import threading
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from sfgrad.baselines import Baseline
from sfgrad.credit import Narrowed, Ordered
from sfgrad.estimators.base import Recorded
from sfgrad.record import Node, Recorder

_active = threading.local()


def active_graph() -> "StochasticGraph | None":
    """The innermost graph that is recording in this thread, or None."""
    graphs: list[StochasticGraph] = getattr(_active, "graphs", [])
    return graphs[-1] if graphs else None


class StochasticGraph(Recorder):
    """Records draws and costs inside a `with` block and turns them into a loss.

    Args:
        batch_ndims: leading dimensions that are independent rows: 1, or 0 for a single row.
        draws: `{name: value}` or `{name: (value, log_prob)}` replays these nodes: the given values
            are scored with the present parameters instead of drawn, at weight 1 or at the
            importance ratio to the recorded log-probability (`[rows]`, nats). The `draws` of
            another graph fit. Nodes that are not named draw as usual.

    Raises:
        ValueError: `batch_ndims` is neither 0 nor 1; and whatever a record or `loss()` refuses.

    Unbiased: value and gradient of `loss()` are, to the order that the estimators allow, if rows do
    not interact and no baseline depends on the draw it is used for.

    Source: Schulman et al. (2015), Gradient Estimation Using Stochastic Computation Graphs;
    Foerster et al. (2018), DiCE, for the weights; Mao et al. (2019), A Baseline for Any Order
    Gradient Estimation in Stochastic Computation Graphs, for the second sum.
    """

    updates_baselines = True

    def __enter__(self):
        """Start recording in this thread."""
        _active.graphs = [*getattr(_active, "graphs", []), self]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop recording."""
        _active.graphs.pop()

    @property
    def draws(self) -> dict[str, Recorded]:
        """What was drawn, as the `draws=` of another graph takes it."""
        return {n: (node.draw.value, node.draw.log_density) for n, node in self.nodes.items()}

    def loss(self) -> Tensor:
        """The surrogate J of the module's docstring; to be taken once.

        Returns:
            `[]`: its value is the estimate of the expected total cost (mean over rows), its
            gradient the estimate of the gradient.

        Raises:
            ValueError: there is no cost; the loss was taken before; a node is credited with no
                cost; a replayed name was never drawn; or something is NaN or infinite (named;
                unchecked under `torch.compile`).
        """
        costs = self.stacked_costs()
        self._check_whole()
        self._closed = True
        nodes = [node for node in self.nodes.values() if node.draw.log_prob is not None]
        if not nodes:
            return self._checked(costs.sum(0).mean())
        log_weights = self._stack([n.draw.log_prob for n in nodes])
        log_weights = log_weights - self._stack([n.draw.log_density for n in nodes]).detach()
        credit = self.credit(nodes)
        at_costs, at_nodes = credit.products(log_weights)
        loss = (at_costs * costs).sum(0).mean()
        if any(node.estimator.baseline is not None for node in nodes):
            loss = self._checked(loss)  # before a baseline learns from it
            weights = log_weights.exp()
            costs_to_go = credit.costs_to_go(weights.detach(), costs.detach())
            baselines, errors = self._baselines(nodes, costs_to_go)
            loss = loss + (at_nodes * (1 - weights) * baselines).sum(0).mean()
            loss = sum([error - error.detach() for error in errors], loss)
        return self._checked(loss)

    def stacked_costs(self) -> Tensor:
        """Every cost in every present row, `[C, R]`."""
        if not self.costs:
            raise ValueError("the graph has no cost: call add_cost(), or return one cost per row")
        return self._stack([cost.value for cost in self.costs.values()])

    def credit(self, nodes: list[Node]) -> Ordered | Narrowed:
        """Which of the `nodes` may influence which cost and which node."""
        costs = list(self.costs.values())
        events = [*costs, *nodes]
        if all(isinstance(event.ancestors, range) for event in events):
            weighted = (node.draw.log_prob is not None for node in self.nodes.values())
            before = list(accumulate(weighted, initial=0))  # of the first nodes, how many have one
            counts = [before[len(cost.ancestors)] for cost in costs]
            return Ordered(torch.tensor(counts, device=self._device))
        masks = [[node.position in event.ancestors for node in nodes] for event in events]
        table = torch.tensor(masks, device=self._device)
        return Narrowed(table[: len(costs)], table[len(costs) :])

    def _baselines(self, nodes: list[Node], costs_to_go: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Read every baseline `[W, R]`, then update every baseline: the errors to be minimised."""
        read = torch.zeros_like(costs_to_go)
        updates: list[tuple[Baseline, Tensor, Tensor | None]] = []
        for row, node in enumerate(nodes):
            baseline, prediction = node.estimator.baseline, node.prediction
            if baseline is None:
                continue
            cost_to_go = costs_to_go[row].view(-1, *node.layout).mean(0)
            if prediction is not None:
                prediction = prediction.repeat(node.draw.copies).view(node.layout)
            value = baseline.read(cost_to_go, prediction).detach()
            read[row] = self.tile(value.expand(node.layout).reshape(-1))
            if self.updates_baselines and self._grad and baseline.training:
                updates.append((baseline, cost_to_go, prediction))
        errors = [baseline.update(seen, predicted) for baseline, seen, predicted in updates]
        return read, [error for error in errors if error is not None]

    def _stack(self, recorded: Sequence[Tensor | None]) -> Tensor:
        return torch.stack([self.tile(rows) for rows in recorded if rows is not None])

    def tile(self, rows: Tensor) -> Tensor:
        """Repeat what was recorded before a branch to the present number of rows."""
        return rows if len(rows) == self.rows else rows.repeat(self.rows // len(rows))

    def _check_whole(self) -> None:
        """Refuse what only the whole graph shows."""
        if self._closed:
            raise ValueError("loss() was called twice: it updates baselines, so keep its result")
        if unknown := ", ".join(name for name in self._replayed if name not in self.nodes):
            drawn = ", ".join(self.nodes) or "nothing"
            raise ValueError(f"draws= names {unknown}, which the graph never drew: it drew {drawn}")
        credited = [cost.ancestors for cost in self.costs.values()]
        for position, name in enumerate(self.nodes):
            if position not in credited[-1] and not any(position in some for some in credited):
                found = f"node {name!r} is credited with no cost and would get no gradient"
                raise ValueError(f"{found}: add its costs after it is drawn, or draw it elsewhere")

    def _checked(self, loss: Tensor) -> Tensor:
        """The loss, or an error that names what is NaN or infinite in it."""
        if torch.compiler.is_compiling() or loss.is_meta or torch.isfinite(loss):
            return loss
        seen = {f"cost {name!r}": cost.value for name, cost in self.costs.items()}
        for name, node in self.nodes.items():
            if (weight := node.draw.weight) is not None:
                seen[f"log-probability or importance ratio of node {name!r}"] = weight
        for what, value in seen.items():
            if bad := (~torch.isfinite(value)).nonzero().flatten().tolist():
                where = f"{len(bad)} of {len(value)} rows, first row {bad[0]}"
                raise ValueError(f"{what} is NaN or infinite in {where}")
        raise ValueError("the loss is NaN or infinite: a baseline or a product of weights is")
