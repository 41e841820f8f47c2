"""What is recorded: draws, costs and branches in order, checked, and kept as copies."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.ancestry import Ancestors, Ancestry
from sfgrad.baselines import Baseline
from sfgrad.claims import Claims
from sfgrad.controls import Control
from sfgrad.costs import cost_by_row
from sfgrad.diagnosis import explain
from sfgrad.draws import Live
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.joins import Join
from sfgrad.names import Names
from sfgrad.records import Cost, Node, check_takes_groups, joined, make_node, observe
from sfgrad.rows import Groups, Rows, row_index
from sfgrad.settings import describe
from sfgrad.shapes import Shapes
from sfgrad.site import Parents, Request, Site, make_site, predict
from sfgrad.tensors import stacked


class Tape:
    """Keeps the events of a graph and its rows, and refuses what does not fit.

    Args:
        batch_ndims: leading dimensions that are independent rows, or 0 for a single row.
        source: who makes the draws.
        groups: rows that are compared, or None.
    """

    def __init__(self, batch_ndims: int, source: Live, groups: Groups | None = None):
        self.rows = Rows(batch_ndims)
        self.source, self.groups = source, groups
        self.nodes: dict[str, Node] = {}
        self.costs: dict[str, Cost] = {}
        self.ancestry = Ancestry()
        """The ancestors of every node."""
        self.closed = False
        """Whether a loss was taken, after which nothing may be recorded."""
        self.reruns = False
        """Whether whoever records runs the model again where a baseline asks for it."""
        self.greedy: Tape | None = None
        """The record of the run whose draws are the likeliest values."""
        self.grad = torch.is_grad_enabled()
        self.device: torch.device | None = None
        self._node_names, self._cost_names = Names(), Names()
        self._order: list[Node] = []
        self._indexed = 0
        self._positions: dict[int, int] = {}  # of nodes, by the id of the tensor handed out
        self._claims = Claims(self.rows)
        self._shapes = Shapes(batch_ndims)

    # ------------------------------------------------------------ draws

    def record_draw(
        self,
        distribution: Distribution,
        estimator: Estimator,
        request: Request | None = None,
        name: str | None = None,
    ) -> Tensor:
        """Draw and remember it; what `sample` calls inside the graph."""
        name = self._node_names.unique(name or "node", self.nodes)
        if self.closed or torch.is_grad_enabled() != self.grad:
            self._refuse_draw(f"node {name!r}")
        takes_copies, rows = getattr(estimator, "samples", 1) is None, self.rows
        estimator = self.source.estimator(name, estimator)

        # Most draws ask for nothing more than a value of every row, and there are many of them.
        ancestors: Ancestors = len(self._order)
        try:
            if request is None and distribution.batch_shape == rows.shape:
                site = Site(name, distribution, rows.batch_ndims, None, rows.count, None)
            else:
                site, ancestors = self._place(name, distribution, estimator, request or Request())
            if self.groups is not None:
                self._check_groups(f"node {name!r}", self.groups)
            if takes_copies:
                site.layout = self._claims.take(name, estimator)
            draw = self.source.draw(site, estimator)
        except Exception as error:
            explain(name, distribution, estimator, request, error)
            raise

        context = None if request is None else request.context
        return self._remember(site, draw, estimator, ancestors, context)

    def _remember(
        self,
        site: Site,
        draw: Draw,
        estimator: Estimator,
        ancestors: Ancestors,
        context: Tensor | None,
    ) -> Tensor:
        """Keep a draw, with its copies and its baseline; what the user gets."""
        name = site.name
        if draw.value.device != self.device:
            self._check_device(f"node {name!r}", draw.value)
        if draw.copies > 1:
            self._claims.make(name, draw.copies, estimator)
            self.branch(f"node {name!r}", draw.copies, estimator.independent)

        node = make_node(site, draw, len(self._order), ancestors, estimator.coupled)
        if self.grad and estimator.baseline is not None:  # else it has nothing to do
            node = self._ask_baseline(node, estimator, site, context)
        self.rows.guessed = False
        self.nodes[name] = node
        self._order.append(node)
        self.ancestry.events.append(ancestors)
        return node.handed

    def _ask_baseline(
        self, node: Node, estimator: Estimator, site: Site, context: Tensor | None
    ) -> Node:
        """The node with its baseline, and what that says before the draw has consequences."""
        baseline = estimator.baseline
        assert baseline is not None
        if estimator.coupled and baseline.compares:
            raise ValueError(
                f"node {site.name!r}: {type(estimator).__name__} draws the copies of a row "
                f"together, so {type(baseline).__name__}, which compares them, would be biased: "
                "leave its baseline out, or use MovingAverage() or Learned(module)"
            )
        comparable = self._comparable(site.name, baseline)
        prediction = predict(site, baseline, context, comparable)
        node = node._replace(baseline=baseline, prediction=prediction, layout=self.rows.layout())
        if not isinstance(baseline, Control):
            return node
        return observe(node, baseline, site, self.reruns)

    def _refuse_draw(self, what: str) -> None:
        """Refuse a draw after the loss, or under another gradient mode than the graph's."""
        self._check_open(what)
        now, before = ("off", "on") if self.grad else ("on", "off")
        raise ValueError(
            f"{what} is sampled with gradients {now}, but the graph began with them {before}: use "
            "one mode for both, or draw outside no_grad() and checkpoint()"
        )

    def _place(
        self, name: str, distribution: Distribution, estimator: Estimator, request: Request
    ) -> tuple[Site, Ancestors]:
        """The site of a node that fixes the rows, or asks for more than a value; its ancestors."""
        site = make_site(name, distribution, estimator, request, self.rows)
        self._shapes.trailing.add(distribution.batch_shape[self.rows.batch_ndims :])
        return site, self._find_ancestors(f"node {name!r}", request.parents)

    # ------------------------------------------------------------ costs

    def record_cost(
        self,
        value: Tensor,
        index: Tensor | None = None,
        parents: Parents = None,
        name: str | None = None,
        join: Join | None = None,
    ) -> None:
        """Remember a cost per row, or one of all copies of a row; what `add_cost` calls."""
        name = self._cost_names.unique(name or "cost", self.costs)
        rows = self.rows
        if not torch.is_tensor(value):
            raise TypeError(
                f"cost {name!r} is a {type(value).__name__}: give a tensor, one cost per row"
            )
        if self.closed or index is not None or value.shape != rows.shape:
            index = self._fit_cost(f"cost {name!r}", value, index)
        if self.groups is not None:
            self._check_groups(f"cost {name!r}", self.groups)
        if value.device != self.device:
            self._check_device(f"cost {name!r}", value)

        # A simulator may use its buffer again, so what is kept is a copy.
        copied = cost_by_row(name, value, index, rows)
        ancestors: Ancestors = len(self._order)
        if parents is not None:
            ancestors = self._find_ancestors(f"cost {name!r}", parents)
        cost = Cost(copied, ancestors)
        if join is not None and self.source.joins_copies(name):
            cost = joined(name, cost, join, self.rows, self.ancestry, self._order)
        self.costs[name] = cost

    def _fit_cost(self, what: str, value: Tensor, index: Tensor | None) -> Tensor | None:
        """The row of every entry of a cost, or None; fixes the rows, or checks that they fit."""
        self._check_open(what)
        n, rows = self.rows.batch_ndims, self.rows
        if value.dim() < n:
            raise ValueError(
                f"{what} has shape {list(value.shape)} but the graph has {rows.count or 'several'} "
                "rows: keep one cost per row, reduction='none', or batch_ndims=0 (rows are the "
                f"first {n} dimension(s))"
            )
        if index is None:
            rows.check(what, value.shape[:n])
        else:
            index = row_index(what, index, len(value) if value.dim() else 1, rows)
        if n and value.dim() > n:
            if index is None:
                self._shapes.warn_of_tokens(what, value.shape)
            self._shapes.warn_of_broadcast(what, value.shape, self._order)
        return index

    def check_has_cost(self) -> None:
        """Refuse a graph without any cost."""
        if not self.costs:
            raise ValueError(
                "the graph has no cost: call add_cost() inside its with block, or return one "
                "cost per row"
            )

    def stacked_costs(self, names: Iterable[str] | None = None) -> Tensor:
        """Costs in every present row, `[C, R]`: all, or those of the names."""
        self.check_has_cost()
        names = self.costs if names is None else names
        return self.stacked(self.costs[name].value for name in names)

    def stacked(self, recorded: Iterable[Tensor | None]) -> Tensor:
        """What was recorded by rows, in every present row, `[N, R]`; None is left out."""
        return stacked([self.rows.tile(rows) for rows in recorded if rows is not None])

    def _comparable(self, name: str, baseline: Baseline) -> int:
        """How many independent draws a baseline has to compare."""
        if self.groups is None or not baseline.compares:
            return self.rows.layout()[1]
        check_takes_groups(name, baseline)
        self._check_device("groups=", self.groups.ids)
        self.groups.check_comparable(name)
        return int(self.groups.sizes.min())

    # ------------------------------------------------------------ branches, and what both need

    def branch(self, what: str, copies: int, independent: bool = True) -> None:
        """Let every row be `copies` rows from here on."""
        if copies > 1 and self.groups is not None:
            raise ValueError(
                f"{what} makes {copies} copies of every row, but groups= says already which rows "
                "are draws from the same start: use one of the two"
            )
        self.rows.branch(what, copies, independent, len(self._order))

    def _find_ancestors(self, what: str, parents: Parents) -> Ancestors:
        """The parents and everything that may influence them; all nodes so far for None."""
        if parents is None:
            return len(self.nodes)
        if isinstance(parents, str | Tensor) or not hasattr(parents, "__iter__"):
            raise ValueError(
                f"{what}: parents is {describe(parents)}: give a list of names or tensors, as in "
                "parents=['move']"
            )
        return self.ancestry.union([self._position(what, parent) for parent in parents])

    def _position(self, what: str, parent: str | Tensor) -> int:
        """Where a parent was recorded."""
        if isinstance(parent, str):
            if parent in self.nodes:
                return self.nodes[parent].position
        else:
            for node in self._order[self._indexed :]:
                self._positions[id(node.handed)] = node.position
            self._indexed = len(self._order)
            position = self._positions.get(id(parent))
            if position is not None and self._order[position].handed is parent:
                return position
        label = repr(parent) if isinstance(parent, str) else describe(parent)
        names = ", ".join(self.nodes) or "no node"
        raise ValueError(
            f"{what}: parent {label} is not in the graph, which has {names}: give names, or the "
            "very tensors that the nodes returned"
        )

    def _check_open(self, what: str) -> None:
        """Refuse a record after the loss."""
        if self.closed:
            raise ValueError(
                f"{what} comes after loss(): record everything before taking the loss, and make a "
                "new graph for every step"
            )

    def _check_groups(self, what: str, groups: Groups) -> None:
        """Refuse groups of another number of rows."""
        if len(groups.ids) != self.rows.first:
            raise ValueError(
                f"{what} has {self.rows.first} rows but groups= names the group of "
                f"{len(groups.ids)}: give one number for each row"
            )

    def _check_device(self, what: str, value: Tensor) -> None:
        """Refuse another device than that of the first record, which fixes it."""
        self.device = self.device or value.device
        if value.device != self.device:
            raise ValueError(
                f"{what} is on {value.device} but the graph began on {self.device}: nothing is "
                "moved silently, move it yourself"
            )
