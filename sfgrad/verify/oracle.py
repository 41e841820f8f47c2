"""The exact objective and its gradient, by replaying the model along every trajectory."""

import contextlib
import functools
from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from sfgrad.baselines import Baseline
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.expectation import Expectation
from sfgrad.graph import StochasticGraph
from sfgrad.verify.outcomes import HIDDEN_RANDOMNESS, Outcomes, Quadrature

Pick = Callable[..., Tensor]
"""Of the node's name, M and R: which of its M values each of the R rows takes, `[R]`."""


class _Replay(StochasticGraph):
    """One trajectory: every row takes the values that `pick` says; nothing is credited by order."""

    uses_baselines = False

    def __init__(self, batch_ndims: int, outcomes: Outcomes, pick: Pick):
        super().__init__(batch_ndims)
        self.supports: dict[str, tuple[int, int]] = {}  # by node: values M, rows R
        self._outcomes = outcomes
        self._pick = pick
        self._log_mass: list[Tensor] = []

    def perform(self, name: str, distribution: Distribution, estimator: Estimator) -> Draw:
        """Take the picked values, in a single copy whatever the estimator would make."""
        values, log_mass = self._outcomes.support(name, distribution, self.batch_ndims)
        size, rows = log_mass.shape
        self.supports[name] = size, rows
        index = self._pick(name, size, rows).to(values.device)
        row = torch.arange(rows, device=values.device)
        self._log_mass.append(log_mass[index, row])
        value = values[index, row] if self.batch_ndims else values[index[0]]
        return Draw(value.detach())

    def outcome(self) -> tuple[Tensor, Tensor]:
        """Probability and total cost of the trajectory in each row, `[R]` and `[R]`."""
        if not self.costs:
            raise ValueError("the graph has no cost: call add_cost(), or return one cost per row")
        cost = torch.stack([self.tile(cost.value) for cost in self.costs.values()]).sum(0)
        log_mass = [torch.zeros_like(cost), *map(self.tile, self._log_mass)]
        return torch.stack(log_mass).sum(0).exp(), cost


def exact_gradient(
    fn: Callable[..., Any],
    *inputs: Any,
    wrt: Sequence[Tensor] | None = None,
    max_trajectories: int = 100_000,
    quadrature: Quadrature = None,
    batch_ndims: int = 1,
) -> tuple[Tensor, list[Tensor]]:
    """The expected cost and its gradient, every node enumerated: the oracle.

    `value = mean over rows of Σ_trajectories p(trajectory) · cost(trajectory)`

    `fn` runs once per trajectory, all rows along the same one, and need not know of it: `.item()`
    and Python branches per row are fine, `align` is not needed, estimators and baselines play no
    part, and neither does the order in which costs are recorded.

    Args:
        fn: a model or function as `expectation` takes it, or an `expectation`.
        *inputs: its arguments; rows first.
        wrt: the tensors to differentiate by; the parameters of `fn` except its baselines' if None.
        max_trajectories: refuse more than this.
        quadrature: Gauss–Hermite order per element for Gaussian nodes, one number for all or
            `{name: order}`; exact for costs that are polynomials of degree below twice the order.
        batch_ndims: as in `expectation`.

    Returns:
        value `[]`, and a gradient for each entry of `wrt` in that order, zeros for unused ones.

    Raises:
        ValueError: there are too many trajectories, a node is continuous, rows interact (another
            row's cost moves with one row's draw), the model is random without telling the graph
            (two replays differ), or there is nothing to differentiate by.

    Unbiased: exact, up to quadrature and rounding.

    Source: enumeration as in Zaremba & Sutskever (2015), Reinforcement Learning Neural Turing
        Machines, section 6 (gradient checking).

    >>> from torch.distributions import Bernoulli
    >>> import sfgrad as sf
    >>> eta = torch.zeros(1, requires_grad=True)
    >>> fn = lambda: (sf.sample(Bernoulli(logits=eta)) - 0.45) ** 2
    >>> sf.exact_gradient(fn, wrt=[eta])
    (tensor(0.2525), [tensor([0.0250])])
    """
    model = as_objective(fn, batch_ndims)
    model = Expectation(model.fn, 1, model.in_dims, model.batch_ndims, model.has_aux)
    wrt = list(default_wrt(model).values() if wrt is None else wrt)
    if not wrt:
        raise ValueError("there is nothing to differentiate by: pass wrt=[tensor, …]")
    outcomes = Outcomes(max_trajectories, quadrature)

    def replay(pick: Pick) -> _Replay:
        graph = _Replay(model.batch_ndims, outcomes, pick)
        model.record(graph, *inputs)
        return graph

    def along(name: str, size: int, rows: int) -> Tensor:
        return torch.full((rows,), outcomes.choose(name, size))

    value: Tensor | float = 0.0
    gradients = [torch.zeros_like(tensor) for tensor in wrt]
    with restored(model), torch.enable_grad():
        for count in outcomes:
            probability, cost = replay(along).outcome()
            if count == 0:
                _check_rows_and_randomness(replay)
            part = (probability * cost).mean()
            if not torch.isfinite(part):
                raise ValueError("a cost or log-probability is NaN or infinite on a trajectory")
            value = part.detach() + value
            if part.requires_grad:
                found = torch.autograd.grad(part, wrt, allow_unused=True, materialize_grads=True)
                gradients = [total + part for total, part in zip(gradients, found, strict=True)]
    return torch.as_tensor(value), gradients


def _check_rows_and_randomness(replay: Callable[[Pick], _Replay]) -> None:
    """Replay a few trajectories twice, and with one row's draw changed; refuse what moves."""
    for start, step in ((0, 0), (-1, 0), (0, 1)):  # all first values, all last, rows differ

        def pick(
            name: str,
            size: int,
            rows: int,
            changed: tuple[str, int] = ("", 0),
            s: int = start,
            t: int = step,
        ) -> Tensor:
            index = s + t * torch.arange(rows)
            if name == changed[0]:
                index[changed[1]] += 1
            return index % size

        graph = replay(pick)
        before = graph.outcome()
        if not _same(before, replay(pick).outcome(), slice(None)):
            raise ValueError(HIDDEN_RANDOMNESS)
        for name, (size, rows) in graph.supports.items():
            for row in {0, rows - 1} if size > 1 < rows else ():
                after = replay(functools.partial(pick, changed=(name, row))).outcome()
                others = torch.arange(len(before[0])) % rows != row  # later copies are outermost
                if not _same(before, after, others):
                    raise ValueError(
                        f"rows interact: changing the draw of node {name!r} in row {row} moves "
                        "the cost or the probabilities of another row; batch norm in training "
                        "mode, in-batch negatives and branches on a whole batch do that"
                    )


def _same(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], rows: Any) -> bool:
    tolerance = torch.finfo(before[0].dtype).eps ** 0.75
    return all(
        x.shape == y.shape and torch.allclose(x[rows], y[rows], rtol=tolerance, atol=tolerance)
        for x, y in zip(before, after, strict=True)
    )


def as_objective(fn: Callable[..., Any], batch_ndims: int, samples: int = 1) -> Expectation:
    """`fn` as an `Expectation`, which keeps its own settings if it is one."""
    return fn if isinstance(fn, Expectation) else Expectation(fn, samples, batch_ndims=batch_ndims)


def default_wrt(objective: nn.Module) -> dict[str, Tensor]:
    """The parameters by name, without those of baselines."""
    baselines = {
        parameter
        for module in objective.modules()
        if isinstance(module, Baseline)
        for parameter in module.parameters()
    }
    return {
        name.removeprefix("fn."): parameter
        for name, parameter in objective.named_parameters()
        if parameter not in baselines and parameter.requires_grad
    }


@contextlib.contextmanager
def restored(*modules: nn.Module) -> Generator[None]:
    """Put all buffers (running statistics, moving averages) back as they were."""
    buffers = [buffer for module in modules for buffer in module.buffers()]
    saved = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, old in zip(buffers, saved, strict=True):
                buffer.copy_(old)
