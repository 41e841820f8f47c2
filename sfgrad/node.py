"""The words used inside a model: sample, add_cost, branch, align, StochasticNode."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from sfgrad.baselines import check_baseline
from sfgrad.diagnosis import explain
from sfgrad.estimators.base import Estimator, check_estimator, shown_settings
from sfgrad.estimators.score_function import PLAIN
from sfgrad.graph import active_graph, is_greedy
from sfgrad.greedy import likeliest
from sfgrad.joins import Join, check_join
from sfgrad.names import check_name
from sfgrad.rows import row_index
from sfgrad.settings import describe, whole_number
from sfgrad.site import Parents, Request
from sfgrad.warn import warn_user


def sample(
    distribution: Distribution,
    estimator: Estimator = PLAIN,
    *,
    mask: Tensor | None = None,
    index: Tensor | None = None,
    context: Tensor | None = None,
    parents: Parents = None,
    name: str | None = None,
) -> Tensor:
    """Draw from a distribution inside the active graph; outside any graph it just draws.

    Args:
        distribution: over R rows: `batch_shape = [R, ...]`; log-probabilities are summed over
            everything after the rows.
        estimator: how the draw carries a gradient.
        mask: boolean, True where the draw counts: `[R]`, or one for each element, in the batch
            shape that the distribution has inside any `Independent`. What does not count is
            drawn, but never scored: weight 1, no derivative, whatever stands there; a replayed
            value is ignored there, and no baseline learns from a row where no element counts.
        index: int64 `[N]`, for ragged rows (sequences laid end to end, graphs of different sizes):
            the row to which each of N elements belongs; `batch_shape = [N, ...]`, and a mask is
            `[N]`. The first record fixes the rows: the largest number plus 1. After a branch every
            copy has its own N elements, laid out like the rows, and the index stays that of one.
        context: `[R, ...]`, what a `Learned` baseline may look at; must not depend on this draw.
        parents: the nodes (names or the tensors they returned) that may influence this one; None
            for all drawn before it.
        name: for errors, replay and reports; repeated names become `name.1`, `name.2`, …

    Returns:
        `[copies · R, ...]`, a plain tensor, without gradient unless the estimator is pathwise.
        Copies are 1 unless the estimator makes its own; newest copies are outermost. It may be
        written to: the graph has kept a copy.

    Raises:
        ValueError: the rows, the mask, the index or the device do not fit the graph, the
            distribution does not fit the estimator, a parent is not in the graph, or gradients were
            switched on or off since the graph began.
        TypeError: the distribution, the estimator or another argument is something else, or a
            method of their class takes or returns something else than it should.
        RuntimeError: the graph belongs to another asyncio task.

    Unbiased: as the estimator says, if what is masked influences no cost.
    """
    graph = active_graph()
    if graph is not None:
        plain = mask is None and index is None and context is None and parents is None
        request = None if plain else Request(mask, index, context, parents)
        return graph.tape.record_draw(distribution, estimator, request, name)
    if is_greedy():
        return likeliest(distribution, name or "node")
    try:
        value = estimator.plain(distribution)
        if not torch.is_tensor(value):
            raise TypeError(
                f"node {name or 'node'!r}: {type(estimator).__name__}.plain returned "
                f"{describe(value)}: return a tensor"
            )
    except Exception as error:
        explain(name or "node", distribution, estimator, None, error)
        raise
    return value


def add_cost(
    value: Tensor,
    *,
    index: Tensor | None = None,
    join: Join | None = None,
    parents: Parents = None,
    name: str | None = None,
) -> None:
    """Add a cost to the active graph, credited to the draws made so far, row by row.

    Outside any graph it does nothing, so that a model can be used as it is.

    Args:
        value: `[R, ...]`, to be minimised, in any unit; summed over everything after the rows, in
            single precision at least, which the loss then has. It may be written to afterwards: the
            graph has kept a copy.
        index: int64 `[N]`, for ragged rows: the row to which each of the N first entries belongs;
            after a branch, of one copy.
        join: makes one cost of what all copies of a row give, those made by the nearest branch:
            `VIMCO()` of log-weights, nats. None for a cost of every copy.
        parents: the nodes (names or the tensors they returned) that may influence this cost; their
            own ancestors count too. None for all drawn before it.
        name: for errors, `loss(costs=)` and reports.

    Raises:
        ValueError: the rows or the device do not fit the graph, a parent is not in it, or the
            cost is complex, or of whole numbers that the default type cannot hold; or there are no
            copies to join, or a draw of theirs has a baseline.
        TypeError: the value is not a tensor, or `join` not a join.

    Warns:
        UserWarning: no graph is open, but the cost has a gradient, which nobody would get; or the
            shape of the cost says that it was broadcast, or that single elements were meant.

    Unbiased: yes, unless a draw made later influences this cost.
    """
    if join is not None:
        check_join(f"cost {name or 'cost'!r}", join)
    graph = active_graph()
    if graph is not None:
        graph.tape.record_cost(value, index, parents, name, join)
    elif not is_greedy() and torch.is_tensor(value) and value.requires_grad:
        warn_user(
            "add_cost() was called where no graph is open, so the cost is lost: to train, call the "
            "model through expectation() or in the block of a StochasticGraph(), which belongs to "
            "the thread and task that opens it; otherwise use no_grad()"
        )


def branch(tensor: Tensor, copies: int, *, index: Tensor | None = None) -> Tensor:
    """Start `copies` copies of every row from here on; outside any graph, return the tensor.

    Args:
        tensor: `[R, ...]`; or `[N, ...]`, the elements of ragged rows.
        copies: at least 1.
        index: int64 `[N]`, for ragged rows: the row of each of the N elements.

    Returns:
        `[copies · R, ...]`, newest copies outermost. Older tensors follow through `align`.

    Raises:
        ValueError: `copies` is below 1, or the rows do not fit the graph.
        TypeError: `tensor` is not a tensor, or `copies` not a whole number.

    Unbiased: yes; the loss is the mean over rows, so copies count as one.
    """
    if not torch.is_tensor(tensor):
        raise TypeError(
            f"branch() got {describe(tensor)}: give a tensor, rows first, then the number of "
            "copies, as in branch(x, 3)"
        )
    copies = whole_number("copies", copies)
    graph = active_graph()
    if graph is None:
        return tensor
    rows = graph.tape.rows
    if index is not None:
        row_index("branch", index, len(tensor), rows)
    else:
        rows.guessed = rows.guessed or rows.first is None
        rows.check("branch", tuple(tensor.shape[:1]) or (1,))
    graph.tape.branch("branch", copies)
    return rows.align(tensor, index)


def align(tensor: Tensor, *, index: Tensor | None = None) -> Tensor:
    """Repeat an older tensor to the present number of rows; outside any graph, return it.

    Args:
        tensor: `[R_old, ...]`, with as many rows as the graph had at some time; or elements.
        index: int64 `[N]`, for the elements of ragged rows: those of one copy.

    Returns:
        `[R, ...]`.

    Raises:
        ValueError: the graph never had that many rows.
        TypeError: it is not a tensor.

    Unbiased: yes.
    """
    if not torch.is_tensor(tensor):
        raise TypeError(
            f"align() got {describe(tensor)}: give a tensor, rows first; several are aligned one "
            "by one"
        )
    graph = active_graph()
    return tensor if graph is None else graph.tape.rows.align(tensor, index)


class StochasticNode(nn.Module):
    """A sampling node that owns its estimator and its baseline's state.

    Args:
        estimator: how the draws carry a gradient.
        name: for errors, replay and reports; `expectation` fills in the attribute's path.

    Raises:
        TypeError: the estimator or its baseline is something else, or the name is not a string.

    Unbiased: as the estimator says.

    Examples:
        >>> from torch.distributions import Bernoulli
        >>> import torch
        >>> gate = StochasticNode()
        >>> gate(Bernoulli(torch.ones(3)))
        tensor([1., 1., 1.])
    """

    def __init__(self, estimator: Estimator = PLAIN, name: str | None = None):
        super().__init__()
        if name is not None:
            check_name(name)
        self.name = name
        self.estimator = estimator

    def __setattr__(self, attribute: str, value: Any) -> None:
        """Set an attribute; with an estimator comes its baseline, whose state the node owns."""
        if attribute == "baseline" and not getattr(self, "_is_replica", False):
            raise AttributeError(
                "a node's baseline is that of its estimator: assign the estimator, "
                "node.estimator = ScoreFunction(baseline)"
            )
        if attribute == "estimator":
            what = type(self).__name__
            check_estimator(what, value)
            baseline: Any = value.baseline
            if baseline is not None:
                check_baseline(f"the {type(value).__name__} of {what}", baseline)
            super().__setattr__("baseline", baseline)  # type: ignore[arg-type]
        super().__setattr__(attribute, value)

    def forward(
        self,
        distribution: Distribution,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        index: Tensor | None = None,
        parents: Parents = None,
    ) -> Tensor:
        """Draw; arguments and result as in `sample`. May be called many times in one forward."""
        estimator = self.estimator
        if getattr(self, "_is_replica", False):  # by DataParallel, with a baseline of its own
            estimator = _with_baseline(estimator, self.baseline)
        if estimator.baseline is not self.baseline:
            raise ValueError(
                f"node {self.name!r}: the baseline of its estimator was replaced after the node "
                "took it over, so it would not be saved or trained: assign node.estimator again"
            )
        return sample(
            distribution,
            estimator,
            mask=mask,
            index=index,
            context=context,
            parents=parents,
            name=self.name,
        )

    def mode(self, distribution: Distribution) -> Tensor:
        """The likeliest value of every row, without gradient, to act by at inference.

        Args:
            distribution: any with a `mode`, or with a finite support.

        Returns:
            `[*batch_shape, *event_shape]`, element by element.

        Raises:
            ValueError: a graph is open, where a node draws; or the mode is not known.
        """
        if active_graph() is not None:
            raise ValueError(
                f"mode() of node {self.name!r} inside a graph: there a node draws, so leave the "
                "graph to act by its likeliest values"
            )
        return likeliest(distribution, self.name or "node")

    def extra_repr(self) -> str:
        """The estimator, the name and the estimator's settings; its baseline follows by itself."""
        settings = shown_settings(self.estimator)
        return ", ".join([type(self.estimator).__name__, f"name={self.name!r}", *settings])


def _with_baseline(estimator: Estimator, baseline: Any) -> Estimator:
    """The same estimator with another baseline, wherever it keeps that."""
    result = copy.copy(estimator)
    for name, value in vars(estimator).items():
        if value is not None and value is estimator.baseline:
            vars(result)[name] = baseline
    return result
