"""The events of a stochastic computation graph: draws, costs and branches, in order, checked."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.estimators.base import Draw, Estimator

Parents = Iterable[str | Tensor]


class Node(NamedTuple):
    """A recorded draw: `draw.value` is `[rows, ...]`; `before` nodes were recorded before it.

    `layout` splits the rows into (enumerated or coupled copies, independent draws, rows before
    their branch); `ancestors` are the nodes that may influence this one, by their `before`, None
    for all before it; `prediction` is what its baseline said at the draw.
    """

    before: int
    estimator: Estimator
    draw: Draw
    layout: tuple[int, int, int]
    ancestors: frozenset[int] | None
    prediction: Tensor | None


class Cost(NamedTuple):
    """A recorded cost: `value` is `[rows]`; `before` nodes were recorded before it."""

    value: Tensor
    before: int
    ancestors: frozenset[int] | None


class Recorder:
    """Keeps the events and the number of rows, and refuses what does not fit.

    Args:
        batch_ndims: leading dimensions that are independent rows: 1, or 0 for a single row.
    """

    uses_baselines = True

    def __init__(self, batch_ndims: int = 1):
        if batch_ndims not in (0, 1):
            raise ValueError(
                f"batch_ndims is {batch_ndims}: it must be 1 (rows first) or 0 (a single row)"
            )
        self.batch_ndims = batch_ndims
        self.nodes: dict[str, Node] = {}
        self.costs: dict[str, Cost] = {}
        self.rows = 1 - batch_ndims  # 0 until the first record fixes it
        self._branches: list[tuple[int, int, bool]] = []  # rows before, copies, independent
        self._repeats: dict[str, int] = {}
        self._device: torch.device | None = None
        self._grad = torch.is_grad_enabled()
        self._closed = False

    def estimator_for(self, name: str, estimator: Estimator) -> Estimator:
        """The estimator of a node; checks of a graph put others in its place."""
        del name
        return estimator

    def perform(self, name: str, distribution: Distribution, estimator: Estimator) -> Draw:
        """Make the draw of a node."""
        del name
        return estimator.draw(distribution, self.batch_ndims)

    def record_draw(
        self,
        distribution: Distribution,
        estimator: Estimator,
        context: Tensor | None = None,
        parents: Parents | None = None,
        name: str | None = None,
    ) -> Tensor:
        """Draw and remember it; what `sample` calls inside the graph."""
        name = self._unique(name or "node", self.nodes)
        what = f"node {name!r}"
        if torch.is_grad_enabled() != self._grad:
            raise ValueError(
                f"{what} is sampled with gradients {'off' if self._grad else 'on'} but the graph "
                "began the other way: its gradient would silently be lost. Sample under the "
                "graph's own grad mode; for checkpointing use use_reentrant=False"
            )
        if self.batch_ndims and not distribution.batch_shape:
            raise ValueError(
                f"{what}: the distribution has no batch shape: give it one entry per row, or use "
                "batch_ndims=0 for a single row"
            )
        self.check_rows(what, distribution.batch_shape[0] if self.batch_ndims else 1)
        ancestors = self._ancestors(what, parents)
        estimator = self.estimator_for(name, estimator)
        draw = self.perform(name, distribution, estimator)
        self._check_device(what, draw.value)
        self.record_branch(what, draw.copies, estimator.independent)
        layout, prediction = self._layout(), None
        if estimator.baseline is not None and self.uses_baselines:
            prediction = estimator.baseline.at_draw(name, context, layout[1])
        self.nodes[name] = Node(len(self.nodes), estimator, draw, layout, ancestors, prediction)
        return draw.value

    def record_cost(
        self, value: Tensor, parents: Parents | None = None, name: str | None = None
    ) -> None:
        """Remember a cost per row; what `add_cost` calls."""
        name = self._unique(name or "cost", self.costs)
        what = f"cost {name!r}"
        if not torch.is_tensor(value):
            raise TypeError(f"{what} is a {type(value).__name__}: give a tensor, one cost per row")
        if self.batch_ndims and not value.dim():
            raise ValueError(
                f"{what} has shape [] but the graph has {self.rows or 'several'} rows: keep one "
                "cost per row, e.g. reduction='none' (or batch_ndims=0 for a single row)"
            )
        rows = value.shape[0] if self.batch_ndims else 1
        self.check_rows(what, rows)
        self._check_device(what, value)
        if not value.is_floating_point():
            value = value.to(torch.get_default_dtype())
        if value.shape != (rows,):
            value = value.reshape(rows, -1).sum(1)
        self.costs[name] = Cost(value, len(self.nodes), self._ancestors(what, parents))

    def record_branch(self, what: str, copies: int, independent: bool = True) -> None:
        """Let every row be `copies` rows from here on; what `branch` calls."""
        if copies > 1 and not self.batch_ndims:
            raise ValueError(
                f"{what} makes {copies} copies but batch_ndims=0 means a single row: use "
                "batch_ndims=1 with a batch of one"
            )
        if copies > 1:
            self._branches.append((self.rows, copies, independent))
            self.rows *= copies

    def check_rows(self, what: str, rows: int) -> None:
        """Refuse another number of rows than the present one; the first record fixes it."""
        if self._closed:
            raise ValueError(f"{what} comes after loss(): record everything before taking the loss")
        self.rows = self.rows or rows
        if rows == self.rows:
            return
        reason = "rows come first, every record needs all of them, and nothing is broadcast"
        if rows in self.row_counts():
            reason = "it was made before the rows were copied, pass it through align()"
        raise ValueError(
            f"{what} has {rows} rows but the graph has {self.rows}: {reason} "
            "(align() repeats what is older than a branch)"
        )

    def row_counts(self) -> list[int]:
        """Numbers of rows the graph had so far, the present one first."""
        return [self.rows, *[before for before, _, _ in reversed(self._branches)]]

    def _layout(self) -> tuple[int, int, int]:
        """The present rows, split at the nearest branch into independent draws."""
        for before, copies, independent in reversed(self._branches):
            if independent:
                return self.rows // (copies * before), copies, before
        return 1, 1, self.rows

    def _unique(self, name: str, taken: Iterable[str]) -> str:
        """`name`, then `name.1`, `name.2`, and so on."""
        unique, count = name, self._repeats.get(name, 0)
        while unique in taken:
            count += 1
            unique = f"{name}.{count}"
        self._repeats[name] = count
        return unique

    def _ancestors(self, what: str, parents: Parents | None) -> frozenset[int] | None:
        """The parents and everything that may influence them; None for all nodes so far."""
        if parents is None:
            return None
        closure: set[int] = set()
        for parent in parents:
            node = self._find(what, parent)
            closure |= {node.before, *(node.ancestors or ())}
            if node.ancestors is None:
                closure |= set(range(node.before))
        return frozenset(closure)

    def _find(self, what: str, parent: str | Tensor) -> Node:
        for name, node in self.nodes.items():
            if node.draw.value is parent or (isinstance(parent, str) and name == parent):
                return node
        asked = repr(parent) if isinstance(parent, str) else "a tensor that no node returned"
        raise ValueError(
            f"{what}: parent {asked} is not in the graph, which has "
            f"{', '.join(self.nodes) or 'no node'}"
        )

    def _check_device(self, what: str, value: Tensor) -> None:
        self._device = self._device or value.device
        if value.device != self._device:
            raise ValueError(
                f"{what} is on {value.device} but the graph began on {self._device}: move it "
                "yourself, nothing is moved between devices silently"
            )
