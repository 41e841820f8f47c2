"""A stochastic computation graph: a tape of draws and costs, and the loss that they make.

The formula is in `objective`, what is recorded in `tape`, who makes a draw in `draws`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, Self

import torch
from torch import Tensor

from sfgrad import active
from sfgrad.assembly import row_total
from sfgrad.draws import Live
from sfgrad.paths import warn_of_cut_paths
from sfgrad.records import Cost, Node
from sfgrad.replay import Recorded, Replay
from sfgrad.rows import Groups
from sfgrad.settings import check_replay, list_of_names, row_dimensions
from sfgrad.tape import Tape
from sfgrad.tracing import is_readable
from sfgrad.warn import warn_user

Reduction = Literal["mean", "none"]


class StochasticGraph:
    """Records draws and costs inside a `with` block and turns them into a loss.

    It belongs to the thread, and under asyncio to the task, that opens it.

    Args:
        batch_ndims: leading dimensions that are independent rows: 1; 0 for a single row; or n, and
            the first n dimensions are rows, as if flattened (2 for a sequence token by token).
        draws: `{name: value}` or `{name: (value, log_prob)}` replays these nodes: the given values
            are scored with the present parameters instead of drawn, at weight 1 or at the
            importance ratio to the recorded log-probability, nats: one number for each row, or one
            for each element, summed like the present ones (ragged rows with as many elements as
            rows are taken to have one for each row). The `draws` of another graph fit. Nodes
            that are not named draw as usual.
        groups: int64 `[R]`: rows of equal number are independent draws from the same start, which
            `LeaveOneOut` compares; in any order, two at least. For completions that something else
            generated; not together with `branch` or `samples=`, which make their own. Across
            processes each compares its own.
        max_ratio: above 0: a row's importance ratio at a replayed node counts as this at most.

    Raises:
        ValueError: `batch_ndims` is negative, or `max_ratio` or `groups` make no sense; and
            whatever a record or `loss()` refuses.
        TypeError: `batch_ndims`, `draws` or `max_ratio` has the wrong type.
        RuntimeError: it is left out of order, or opened under `greedy()`.

    Unbiased: value and gradient of `loss()` are, to the order that the estimators allow, if rows do
    not interact and no baseline depends on the draw it is used for. Not with `max_ratio`, which
    trades a bias for less variance.

    Source: Schulman et al. (2015), Gradient Estimation Using Stochastic Computation Graphs;
    Foerster et al. (2018), DiCE, for the weights; Mao et al. (2019), A Baseline for Any Order
    Gradient Estimation in Stochastic Computation Graphs, for the second sum; Espeholt et al.
    (2018), IMPALA, section 4.1, for `max_ratio`.
    """

    def __init__(
        self,
        batch_ndims: int = 1,
        draws: Mapping[str, Recorded] | None = None,
        groups: Tensor | None = None,
        max_ratio: float | None = None,
    ):
        batch_ndims = row_dimensions(batch_ndims)
        check_replay(draws, max_ratio)
        if groups is not None and not batch_ndims:
            raise ValueError(
                "groups= compares rows, and batch_ndims=0 means a single row: use batch_ndims=1"
            )
        source = Replay(draws, max_ratio) if draws else Live()
        self.tape = Tape(batch_ndims, source, None if groups is None else Groups(groups))
        self._chosen: set[str] = set()  # costs that a loss was taken of
        self._served: set[int] = set()  # by id, baselines with a state that learned in a loss

    def __enter__(self) -> Self:
        """Start recording in this thread, or task."""
        if active.current() is GREEDY:
            raise RuntimeError("a graph under greedy() has no draws to score: leave greedy() first")
        active.enter(self)
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Stop recording."""
        active.leave(self, error)

    @property
    def batch_ndims(self) -> int:
        """Leading dimensions that are rows."""
        return self.tape.rows.batch_ndims

    @property
    def rows(self) -> int:
        """Number of rows so far, copies included; 0 before the first record."""
        return self.tape.rows.count

    @property
    def nodes(self) -> dict[str, Node]:
        """The draws, by name."""
        return self.tape.nodes

    @property
    def costs(self) -> dict[str, Cost]:
        """The costs, by name."""
        return self.tape.costs

    @property
    def draws(self) -> dict[str, Recorded]:
        """What was drawn, as the `draws=` of another graph takes it."""
        return {n: (node.draw.value, node.log_density.detach()) for n, node in self.nodes.items()}

    def loss(self, costs: Sequence[str] | None = None, reduction: Reduction = "mean") -> Tensor:
        """The surrogate J: its value is the objective, its gradient the estimator.

        Args:
            costs: names, as `graph.costs` has them: the loss of these alone, for several
                objectives of one roll-out; once for each of several choices that have no cost in
                common. Repeated names count one by one: `cost`, `cost.1`, … None for all. The
                losses share what led to the draws: `backward(retain_graph=True)` for all but the
                last.
            reduction: "mean" over rows; or "none", the surrogate of every row, for objectives of
                rows such as a risk. A function of rows that is not linear is biased as soon as it
                joins several rows' estimates.

        Returns:
            `[]`, or with "none" the dimensions of the rows, copies included: its value is the
            estimate of the expected total cost, its gradient the estimate of the gradient. The mean
            of the rows is the loss.

        Raises:
            ValueError: there is no cost, or none of that name; the loss of a cost was taken
                before; a node is credited with no cost; a replayed name was never drawn; a baseline
                with a state would learn from two losses; or something is NaN or infinite (named;
                unchecked under `torch.compile` and `torch.func`).
            TypeError: `costs` holds no names; or a baseline's class returns something else than it
                should.

        Warns:
            UserWarning: the graph recorded no draw; a baseline with a state was made while it
                recorded, and no module owns it, so that it never learns; or the gradient of a draw
                would flow through its value, but no cost is a differentiable function of that.
        """
        check_reduction(reduction)
        chosen = self._choose(costs)
        self._check_complete()
        total, learning = row_total(self.tape, chosen)
        loss = total.mean()
        if is_readable(loss) and not math.isfinite(loss.item()):
            self._refuse_what_is_not_finite(chosen)

        # Only what was found finite teaches the baselines.
        result = loss if reduction == "mean" else total.reshape(self.tape.rows.shape)
        for error in learning.update(self._served) if learning else ():
            result = result + error
        self._chosen.update(chosen)
        self.tape.closed = True
        return result

    def _choose(self, names: Sequence[str] | None) -> dict[str, Cost]:
        """The costs of those names, which no loss was taken of."""
        self.tape.check_has_cost()
        if names is None and self._chosen:
            raise ValueError("loss() was called twice: keep its result, or name other costs=")
        if isinstance(names, str):
            raise ValueError(
                f"costs is the string {names!r}: give a list, costs=[{names!r}]; how to reduce "
                "over rows is reduction="
            )
        names = list(self.costs) if names is None else list_of_names("costs", names)
        names = list(dict.fromkeys(names))
        if unknown := [name for name in names if name not in self.costs]:
            raise ValueError(
                f"loss(costs=…) names {unknown[0]!r}, which is not in the graph: it has "
                f"{', '.join(self.costs)}"
            )
        if again := [name for name in names if name in self._chosen]:
            raise ValueError(
                f"cost {again[0]!r} is in a loss that was taken before: choices of costs must have "
                "none in common"
            )
        if not names:
            raise ValueError("loss(costs=[]) has no cost: name some, or leave it out for all")
        return {name: self.costs[name] for name in names}

    def _check_complete(self) -> None:
        """Refuse what only the whole graph shows."""
        source = self.tape.source
        recorded = source.recorded if isinstance(source, Replay) else {}
        if unknown := ", ".join(name for name in recorded if name not in self.nodes):
            drawn = ", ".join(self.nodes) or "nothing"
            raise ValueError(
                f"draws= names {unknown}, which the graph never drew: it drew {drawn}, so give "
                "the names that the nodes have here"
            )
        if not self.nodes:
            warn_user(
                "the graph recorded no draw, so its loss has no score-function gradient: draws in "
                "another thread or task (a pool, DataParallel) are not recorded; open the graph "
                "there, or wrap the model by expectation() first"
            )

        credited = self.tape.ancestry.reached(cost.ancestors for cost in self.costs.values())
        for name, has_cost in zip(self.nodes, credited, strict=True):
            if not has_cost:
                raise ValueError(
                    f"node {name!r} is credited with no cost and would get no gradient: add its "
                    "costs after it is drawn, or draw it elsewhere"
                )
        if source.learns:  # no check that runs the model many times
            warn_of_cut_paths(self.nodes, self.costs.values())

    def _refuse_what_is_not_finite(self, chosen: dict[str, Cost]) -> None:
        """Name what is NaN or infinite."""
        suspects = [(f"cost {name!r}", cost.value, "") for name, cost in chosen.items()]
        for name, node in self.nodes.items():
            if node.draw.log_prob is None or node.draw.log_density is None:
                continue
            log_ratio = node.draw.log_prob - node.draw.log_density
            factor = 1 if node.draw.factor is None else node.draw.factor
            overflows = bool((log_ratio.isfinite() & log_ratio.exp().isinf()).any())
            advice = (
                ": it overflows, and max_ratio= limits it"
                if overflows
                else self.tape.source.advice(name)
            )
            what = f"log-probability or importance ratio of node {name!r}"
            suspects.append((what, factor * log_ratio.exp(), advice))

        for what, value, advice in suspects:
            if bad := (~torch.isfinite(value)).nonzero().flatten().tolist():
                raise ValueError(
                    f"{what} is NaN or infinite in {len(bad)} of {len(value)} rows, first row "
                    f"{bad[0]}{advice}"
                )
        raise ValueError(
            "the loss is NaN or infinite: a baseline, a product of weights or a sum of costs is, "
            "so check what the baselines return, how many draws are weighted together, and how "
            "large the costs are"
        )


def check_reduction(reduction: str) -> None:
    """Refuse what is neither of the two ways to reduce over rows."""
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction is {reduction!r}: it must be 'mean' or 'none'")


GREEDY = object()
"""Stands for `greedy()` among the open graphs."""


def active_graph() -> StochasticGraph | None:
    """The innermost graph that records for this thread or task, or None."""
    graph = active.current()
    return None if graph is GREEDY else graph


def is_greedy() -> bool:
    """Whether `greedy()` is open for this thread or task."""
    return active.current() is GREEDY
