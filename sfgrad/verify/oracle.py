"""The exact objective and its gradient, by replaying the model along every trajectory."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sfgrad.baselines import Baseline
from sfgrad.estimators.score_function import PLAIN
from sfgrad.expectation import Expectation
from sfgrad.graph import StochasticGraph
from sfgrad.verify.trial import (
    HIDDEN_RANDOMNESS,
    Outcomes,
    Pick,
    Quadrature,
    Script,
    Substitution,
    Trial,
    start_trial,
)


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
            `{name: order}`; exact for costs that are polynomials of degree below twice the order
            (two degrees less for the gradient, which multiplies the cost by the score).
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

    Examples:
        >>> from torch.distributions import Bernoulli
        >>> import sfgrad as sf
        >>> eta = torch.zeros(1, requires_grad=True)
        >>> fn = lambda: (sf.sample(Bernoulli(logits=eta)) - 0.45) ** 2
        >>> sf.exact_gradient(fn, wrt=[eta])
        (tensor(0.2525), [tensor([0.0250])])
    """
    model = as_objective(fn, batch_ndims)
    model = Expectation(model.fn, 1, model.in_dims, model.batch_ndims, model.has_aux)
    tensors = [tensor for _, tensor in targets(model, wrt)]
    outcomes = Outcomes(max_trajectories, quadrature)

    def replay(pick: Pick) -> Replayed:
        trial = Trial(Script(outcomes, pick), Substitution(PLAIN, kept=None))
        graph = start_trial(model.batch_ndims, trial)
        model.record(graph, *inputs)
        return Replayed(graph, trial.log_mass)

    totals = [torch.zeros(()), *map(torch.zeros_like, tensors)]
    with restored(model), torch.enable_grad():
        for count in outcomes:
            probability, cost = _outcome(replay(outcomes.same_for_all))
            if count == 0:
                _check_rows_and_randomness(replay)
            part = (probability * cost).mean()
            if not torch.isfinite(part):
                raise ValueError("a cost or log-probability is NaN or infinite on a trajectory")
            parts = value_and_gradients(part, tensors)
            totals = [total + part for total, part in zip(totals, parts, strict=True)]
    return totals[0], totals[1:]


class Replayed(NamedTuple):
    """The model along a trajectory, and the log-mass of every draw in it, `[R]`."""

    graph: StochasticGraph
    log_mass: list[Tensor]


def _outcome(replayed: Replayed) -> Tensor:
    """Probability and total cost of the trajectory in each row: `[2, R]`."""
    tape = replayed.graph.tape
    cost = tape.stacked_costs().sum(0)
    log_mass = sum(map(tape.rows.tile, replayed.log_mass), torch.zeros_like(cost))
    return torch.stack([log_mass.exp(), cost])


def _pattern(start: int, step: int, changed: str = "", changed_row: int = 0) -> Pick:
    """Row r takes value `start + step·r`, in the changed node the changed row the one after."""

    def pick(name: str, size: int, rows: int) -> Tensor:
        index = start + step * torch.arange(rows)
        if name == changed:
            index[changed_row] += 1
        return index % size

    return pick


def _check_rows_and_randomness(replay: Callable[[Pick], Replayed]) -> None:
    """Replay a few trajectories again, and with one row's draw changed; refuse what moves."""
    for start, step in ((0, 0), (-1, 0), (0, 1)):  # all first values, all last, rows differ
        base = replay(_pattern(start, step))
        before = _outcome(base)
        for _ in range(5):  # a hidden draw may repeat by chance
            if not _same(before, _outcome(replay(_pattern(start, step)))):
                raise ValueError(HIDDEN_RANDOMNESS)
        for name, log_mass in zip(base.graph.nodes, base.log_mass, strict=True):
            rows = len(log_mass)
            for row in {0, rows - 1} if rows > 1 else ():
                after = _outcome(replay(_pattern(start, step, name, row)))
                others = torch.arange(before.shape[1]) % rows != row  # later copies are outermost
                if not _same(before, after, others):
                    raise ValueError(
                        f"rows interact: changing the draw of node {name!r} in row {row} moves "
                        "another row's cost or probability; batch norm in training mode and "
                        "branches on a whole batch do that"
                    )


def _same(before: Tensor, after: Tensor, rows: Tensor | slice = slice(None)) -> bool:
    pair, near = (before[:, rows], after[:, rows]), torch.finfo(before.dtype).eps ** 0.75
    return before.shape == after.shape and torch.allclose(*pair, near, near, equal_nan=True)


def value_and_gradients(loss: Tensor, wrt: list[Tensor]) -> list[Tensor]:
    """The detached loss, then its gradient by each tensor, zeros where it does not depend on it."""
    gradients: Sequence[Tensor] = [torch.zeros_like(tensor) for tensor in wrt]
    if loss.requires_grad:
        gradients = torch.autograd.grad(loss, wrt, allow_unused=True, materialize_grads=True)
    return [loss.detach(), *gradients]


def as_objective(fn: Callable[..., Any], batch_ndims: int, samples: int = 1) -> Expectation:
    """`fn` as an `Expectation`, which keeps its own settings if it is one."""
    if isinstance(fn, Expectation) and fn.draws:
        raise ValueError(
            f"the objective replays {', '.join(fn.draws)}, but here all draws are made anew: leave "
            "out draws= to check the model that made them"
        )
    return fn if isinstance(fn, Expectation) else Expectation(fn, samples, batch_ndims=batch_ndims)


def targets(objective: nn.Module, wrt: Sequence[Tensor] | None) -> list[tuple[str, Tensor]]:
    """What to differentiate by, with names: `wrt`, or all parameters but those of baselines."""
    names: dict[Tensor, str] = {p: name for name, p in objective.named_parameters()}
    baselines = [module for module in objective.modules() if isinstance(module, Baseline)]
    theirs = {parameter for baseline in baselines for parameter in baseline.parameters()}
    if wrt is None:
        wrt = [p for p in names if p.requires_grad and p not in theirs]
    if not wrt:
        raise ValueError("there is nothing to differentiate by: pass wrt=[tensor, …]")
    return [(names.get(p, f"wrt[{i}]").removeprefix("fn."), p) for i, p in enumerate(wrt)]


@contextlib.contextmanager
def restored(*modules: nn.Module) -> Generator[None]:
    """Put all buffers (running statistics, moving averages) back as they were, also replaced ones.

    In place, so gradients must be taken inside.
    """
    owners = [owner for module in modules for owner in module.modules()]
    buffers = [(owner, *named) for owner in owners for named in owner.named_buffers(recurse=False)]
    saved = [buffer.clone() for _, _, buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for (owner, name, buffer), old in zip(buffers, saved, strict=True):
                setattr(owner, name, buffer.copy_(old))
