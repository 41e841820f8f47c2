"""The events of a stochastic computation graph: draws, costs and branches, in order, checked."""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.estimators.base import Draw, Estimator, Recorded, replay

Parents = Iterable[str | Tensor] | None
Ancestors = range | frozenset[int]
"""The nodes that may influence an event, by position: all before it (a range), or a choice."""


class Node(NamedTuple):
    """A recorded draw: `draw.value` is `[rows, ...]`, `position` counts the nodes before it.

    `layout` splits the rows into (enumerated or coupled copies, independent draws, rows before
    their branch); `prediction` is what its baseline said at the draw.
    """

    position: int
    estimator: Estimator
    draw: Draw
    layout: tuple[int, int, int]
    ancestors: Ancestors
    prediction: Tensor | None


class Cost(NamedTuple):
    """A recorded cost: `value` is `[rows]`."""

    value: Tensor
    ancestors: Ancestors


class Recorder:
    """Keeps the events and the number of rows, and refuses what does not fit.

    Args:
        batch_ndims: leading dimensions that are independent rows: 1, or 0 for a single row.
        draws: by node, the draws that are replayed instead of made.
    """

    def __init__(self, batch_ndims: int = 1, draws: Mapping[str, Recorded] | None = None):
        if batch_ndims not in (0, 1):
            raise ValueError(f"batch_ndims is {batch_ndims}: it must be 1 (rows first) or 0 (one)")
        self.batch_ndims = batch_ndims
        self.nodes: dict[str, Node] = {}
        self.costs: dict[str, Cost] = {}
        self.rows = 1 - batch_ndims  # 0 until the first record fixes it
        self._replayed = dict(draws or {})
        self._branches: list[tuple[int, int, bool]] = []  # rows before, copies, independent
        self._repeats: defaultdict[tuple[bool, str], int] = defaultdict(int)
        self._device: torch.device | None = None
        self._grad = torch.is_grad_enabled()
        self._closed = False

    def visit(self, name: str, dist: Distribution, estimator: Estimator) -> tuple[Estimator, Draw]:
        """Replay the draw that was given for the node, else let the estimator draw.

        Returns also the estimator; checks of a graph put others in its place.
        """
        if name in self._replayed:
            return estimator, replay(name, dist, self._replayed[name], self.batch_ndims)
        return estimator, estimator.draw(dist, self.batch_ndims)

    def record_draw(
        self,
        distribution: Distribution,
        estimator: Estimator,
        context: Tensor | None = None,
        parents: Parents = None,
        name: str | None = None,
    ) -> Tensor:
        """Draw and remember it; what `sample` calls inside the graph."""
        name = self._unique(name or "node", self.nodes)
        what = f"node {name!r}"
        if torch.is_grad_enabled() != self._grad:
            found = f"{what} is sampled with gradients {'off' if self._grad else 'on'}, the graph"
            raise ValueError(f"{found} began otherwise: draw outside of no_grad() and checkpoint()")
        if self.batch_ndims and not distribution.batch_shape:
            raise ValueError(f"{what} has no batch shape: give one entry per row or batch_ndims=0")
        rows = distribution.batch_shape[0] if self.batch_ndims else 1
        self.check_rows(what, rows)
        ancestors = self._ancestors(what, parents)
        estimator, draw = self.visit(name, distribution, estimator)
        if (draw.log_prob is None) != (draw.log_density is None):
            given = "log_density" if draw.log_prob is None else "log_prob"
            raise ValueError(f"{what} has a Draw with {given} alone: give both, or neither")
        self._check_device(what, draw.value)
        self.record_branch(what, draw.copies, estimator.independent)
        layout, prediction = self._layout(), None
        if estimator.baseline is not None:
            prediction = estimator.baseline.at_draw(name, context, layout[1])
            if prediction is not None and len(prediction) != rows:
                found = f"{len(prediction)} rows of context but {rows} of its distribution"
                raise ValueError(f"{what} has {found}: pass the context through align()")
        self.nodes[name] = Node(len(self.nodes), estimator, draw, layout, ancestors, prediction)
        return draw.value

    def record_cost(self, value: Tensor, parents: Parents = None, name: str | None = None) -> None:
        """Remember a cost per row; what `add_cost` calls."""
        name = self._unique(name or "cost", self.costs)
        what = f"cost {name!r}"
        if not torch.is_tensor(value):
            raise TypeError(f"{what} is a {type(value).__name__}: give a tensor, one cost per row")
        if self.batch_ndims and not value.dim():
            found = f"{what} has shape [] but the graph has {self.rows or 'several'} rows"
            raise ValueError(f"{found}: keep one cost per row, reduction='none', or batch_ndims=0")
        rows = value.shape[0] if self.batch_ndims else 1
        self.check_rows(what, rows)
        self._check_device(what, value)
        if not value.is_floating_point():
            value = value.to(torch.get_default_dtype())
        if value.shape != (rows,):
            value = value.reshape(rows, -1).sum(1)
        self.costs[name] = Cost(value, self._ancestors(what, parents))

    def record_branch(self, what: str, copies: int, independent: bool = True) -> None:
        """Let every row be `copies` rows from here on; what `branch` calls."""
        if copies == 1:
            return
        if not self.batch_ndims:
            found = f"{what} makes {copies} copies but batch_ndims=0 means a single row"
            raise ValueError(f"{found}: use batch_ndims=1 with a batch of one")
        self._branches.append((self.rows, copies, independent))
        self.rows *= copies

    def check_rows(self, what: str, rows: int) -> None:
        """Refuse another number of rows than the present one; the first record fixes it."""
        if self._closed:
            raise ValueError(f"{what} comes after loss(): record everything before taking the loss")
        self.rows = self.rows or rows
        if rows != self.rows:
            found = f"{what} has {rows} rows but the graph has {self.rows}: rows come first"
            raise ValueError(f"{found}, none are broadcast, and align() repeats what is older")

    def row_counts(self) -> list[int]:
        """Numbers of rows the graph had so far, the present one first."""
        return [self.rows, *[before for before, _, _ in reversed(self._branches)]]

    def _layout(self) -> tuple[int, int, int]:
        """The present rows, split at the nearest branch into independent draws."""
        for before, copies, independent in reversed(self._branches):
            if independent:
                return self.rows // (copies * before), copies, before
        return 1, 1, self.rows

    def _unique(self, name: str, taken: Container[str]) -> str:
        """`name`, then `name.1`, `name.2`, and so on."""
        unique, key = name, (taken is self.nodes, name)
        while unique in taken:
            self._repeats[key] = count = self._repeats[key] + 1
            unique = f"{name}.{count}"
        return unique

    def _ancestors(self, what: str, parents: Parents) -> Ancestors:
        """The parents and everything that may influence them; all nodes so far for None."""
        if parents is None:
            return range(len(self.nodes))
        closure: set[int] = set()
        for parent in parents:
            named = self.nodes.get(parent) if isinstance(parent, str) else None
            node = named or next((n for n in self.nodes.values() if n.draw.value is parent), None)
            if node is None:
                asked = repr(parent) if isinstance(parent, str) else "a tensor no node returned"
                known = ", ".join(self.nodes) or "no node"
                raise ValueError(f"{what}: parent {asked} is not in the graph, which has {known}")
            closure |= {node.position, *node.ancestors}
        return frozenset(closure)

    def _check_device(self, what: str, value: Tensor) -> None:
        self._device = self._device or value.device
        if value.device != self._device:
            devices = f"{value.device} but the graph began on {self._device}"
            raise ValueError(f"{what} is on {devices}: nothing is moved silently, move it yourself")
