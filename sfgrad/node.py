"""The words used inside a model: sample, add_cost, branch, align, StochasticNode."""

from torch import Tensor, nn
from torch.distributions import Distribution

from sfgrad.estimators.base import Estimator
from sfgrad.estimators.score_function import PLAIN
from sfgrad.graph import active_graph
from sfgrad.record import Parents


def sample(
    dist: Distribution,
    estimator: Estimator = PLAIN,
    *,
    context: Tensor | None = None,
    parents: Parents = None,
    name: str | None = None,
) -> Tensor:
    """Draw from a distribution inside the active graph; outside any graph it just draws.

    Args:
        dist: over R rows: `batch_shape = [R, ...]`; log-probabilities are summed over everything
            after the rows.
        estimator: how the draw carries a gradient.
        context: `[R, ...]`, what a `Learned` baseline may look at; must not depend on this draw.
        parents: the nodes (names or the tensors they returned) that may influence this one; None
            for all drawn before it.
        name: for errors, replay and reports; repeated names become `name.1`, `name.2`, …

    Returns:
        `[copies · R, ...]`, a plain tensor, without gradient unless the estimator is pathwise.
        Copies are 1 unless the estimator makes its own; newest copies are outermost.

    Raises:
        ValueError: the rows or the device do not fit the graph, the distribution does not fit the
            estimator, a parent is not in the graph, or gradients were switched on or off since the
            graph began.

    Unbiased: as the estimator says.
    """
    graph = active_graph()
    if graph is None:
        return estimator.plain(dist)
    return graph.record_draw(dist, estimator, context, parents, name)


def add_cost(value: Tensor, *, parents: Parents = None, name: str | None = None) -> None:
    """Add a cost to the active graph, credited to the draws made so far, row by row.

    Args:
        value: `[R, ...]`, to be minimised, in any unit; summed over everything after the rows.
        parents: the nodes (names or the tensors they returned) that may influence this cost; their
            own ancestors count too. None for all drawn before it.
        name: for errors and reports.

    Raises:
        RuntimeError: there is no active graph.
        ValueError: the rows or the device do not fit the graph, or a parent is not in it.
        TypeError: the value is no tensor.

    Unbiased: yes, unless a draw made later influences this cost.
    """
    graph = active_graph()
    if graph is None:
        raise RuntimeError("add_cost() outside a graph: use StochasticGraph() or expectation()")
    graph.record_cost(value, parents, name)


def branch(tensor: Tensor, copies: int) -> Tensor:
    """Start `copies` copies of every row from here on; outside any graph, return the tensor.

    Args:
        tensor: `[R, ...]`.
        copies: at least 1.

    Returns:
        `[copies · R, ...]`, newest copies outermost. Older tensors follow through `align`.

    Raises:
        ValueError: `copies` is below 1, or the rows do not fit the graph.

    Unbiased: yes; the loss is the mean over rows, so copies count as one.
    """
    if copies < 1:
        raise ValueError(f"copies is {copies}: branch into at least one")
    graph = active_graph()
    if graph is None:
        return tensor
    graph.check_rows("branch", tensor.shape[0] if graph.batch_ndims and tensor.dim() else 1)
    graph.record_branch("branch", copies)
    return align(tensor)


def align(tensor: Tensor) -> Tensor:
    """Repeat an older tensor to the present number of rows; outside any graph, return it.

    Args:
        tensor: `[R_old, ...]`, with as many rows as the graph had at some time.

    Returns:
        `[R, ...]`.

    Raises:
        ValueError: the graph never had that many rows.

    Unbiased: yes.
    """
    graph = active_graph()
    if graph is None or not graph.rows or not graph.batch_ndims:
        return tensor
    rows = tensor.shape[0] if tensor.dim() else 1
    if rows not in graph.row_counts():
        earlier = ", ".join(map(str, graph.row_counts()[1:])) or "no other number"
        raise ValueError(f"align() got {rows} rows: the graph has {graph.rows} and had {earlier}")
    copies = graph.rows // rows
    return tensor if copies == 1 else tensor.repeat(copies, *[1] * (tensor.dim() - 1))


class StochasticNode(nn.Module):
    """A sampling node that owns its estimator and its baseline's state.

    Args:
        estimator: how the draws carry a gradient.
        name: for errors, replay and reports; `expectation` fills in the attribute's path.

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
        self.estimator, self.name = estimator, name
        self.baseline = estimator.baseline

    def forward(
        self, dist: Distribution, context: Tensor | None = None, *, parents: Parents = None
    ) -> Tensor:
        """Draw; arguments and result as in `sample`. May be called many times in one forward."""
        return sample(dist, self.estimator, context=context, parents=parents, name=self.name)

    def extra_repr(self) -> str:
        """The estimator and the name."""
        return f"{type(self.estimator).__name__}, name={self.name!r}"
