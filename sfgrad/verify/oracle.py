"""The exact objective and its gradient, by replaying the model along every trajectory."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sfgrad.baselines import Baseline
from sfgrad.buffers import hidden_modules
from sfgrad.estimators.score_function import PLAIN
from sfgrad.expectation import Expectation
from sfgrad.settings import whole_number
from sfgrad.verify.outcomes import JoinedError, Outcomes, Pick, Quadrature
from sfgrad.verify.replays import Replayed, check_replays, restored
from sfgrad.verify.settings import (
    check_integrated,
    check_quadrature,
    check_targets,
    refuse_inference,
)
from sfgrad.verify.trial import Script, Substitution, Trial, start_trial


def exact_gradient(
    fn: Callable[..., Any],
    *inputs: Any,
    wrt: Sequence[Tensor] | None = None,
    max_trajectories: int = 100_000,
    quadrature: Quadrature = None,
    batch_ndims: int = 1,
) -> tuple[Tensor, list[Tensor]]:
    """The exact expected cost and its gradient, by enumeration of every node.

    `value = mean over rows of Σ_trajectories p(trajectory) · cost(trajectory)`

    Where copies of a row share a cost (`join=`), a trajectory is of all rows and copies together.

    `fn` runs once per trajectory, with all rows along the same one, and needs no changes: `.item()`
    and Python branches per row are fine, and `align` is not needed. Estimators, baselines and the
    order in which costs are recorded play no part.

    Args:
        fn: a model or function as `expectation` takes it, or an `expectation`.
        *inputs: its arguments; rows first.
        wrt: with respect to which tensors; the parameters of `fn` except its baselines' if None.
        max_trajectories: the largest number of trajectories to run.
        quadrature: Gauss–Hermite order per element for Gaussian nodes, one number for all or
            `{name: order}`; exact for costs that are polynomials of degree below twice the order
            (two degrees less for the gradient, which multiplies the cost by the score).
        batch_ndims: as in `expectation`.

    Returns:
        The value `[]`, and a list with the gradient for each entry of `wrt`, zeros for unused ones.

    Raises:
        TypeError: a setting has the wrong type.
        ValueError: there are too many trajectories, a node is continuous and has no quadrature
            order, rows interact (one row's draw changes another row's cost), two replays differ
            (the graph does not know of some randomness, or the model carries state from call to
            call), something is NaN or infinite, or there is no tensor to differentiate with
            respect to.

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
    refuse_inference()
    check_quadrature(quadrature)
    whole_number("max_trajectories", max_trajectories)
    model = as_objective(fn, batch_ndims)
    settings = model.in_dims, model.batch_ndims, model.has_aux
    tensors = [tensor for _, tensor in targets(model, wrt)]
    outcomes = Outcomes(max_trajectories, quadrature)
    try:
        if model.join is not None:
            raise JoinedError("cost")
        totals = _enumerate(Expectation(model.fn, 1, *settings), inputs, tensors, outcomes)
    except JoinedError:
        model = Expectation(model.fn, model.samples, *settings, model.join)
        outcomes = Outcomes(max_trajectories, quadrature)
        totals = _enumerate_jointly(model, inputs, tensors, outcomes)
    check_integrated(quadrature, outcomes.integrated)
    return totals[0], totals[1:]


def _enumerate(
    model: Expectation, inputs: tuple[Any, ...], tensors: list[Tensor], outcomes: Outcomes
) -> list[Tensor]:
    """The value and the gradients, with all rows along the same trajectory."""

    def replay_and_restore(pick: Pick) -> Replayed:
        with restored(model):
            return _replay(model, inputs, Script(outcomes, pick))

    totals = [_zero(tensors), *map(torch.zeros_like, tensors)]
    with torch.enable_grad():
        for count in outcomes:
            with restored(model):
                replayed = _replay(model, inputs, Script(outcomes, outcomes.same_for_all))
                expected = (replayed.probability() * replayed.cost()).mean()
                parts = value_and_gradients(expected, tensors)
            if count == 0:
                check_replays(replay_and_restore)
            _check_finite(parts)
            totals = [total + part for total, part in zip(totals, parts, strict=True)]
    return totals


def _enumerate_jointly(
    model: Expectation, inputs: tuple[Any, ...], tensors: list[Tensor], outcomes: Outcomes
) -> list[Tensor]:
    """As `_enumerate`, where copies share a cost: every row and copy has draws of its own."""
    totals = [_zero(tensors), *map(torch.zeros_like, tensors)]
    with torch.enable_grad():
        for _ in outcomes:
            with restored(model):
                script = Script(outcomes, outcomes.one_for_each, joint=True)
                replayed = _replay(model, inputs, script)
                log_mass = sum((mass.sum() for _, mass in replayed.log_mass), _zero(tensors))
                expected = log_mass.exp() * replayed.cost().mean()
                parts = value_and_gradients(expected, tensors)
            _check_finite(parts)
            totals = [total + part for total, part in zip(totals, parts, strict=True)]
    return totals


def _zero(tensors: list[Tensor]) -> Tensor:
    return torch.zeros((), device=tensors[0].device)


def _replay(model: Expectation, inputs: tuple[Any, ...], script: Script) -> Replayed:
    """The record of a model along a script, with the plain score function at every node."""
    trial = Trial(script, Substitution(PLAIN, kept=None), keeps_copies=script.joint)
    graph = start_trial(model.batch_ndims, trial)
    model.record(graph, *inputs)
    return Replayed(graph, trial.log_mass)


def _check_finite(parts: list[Tensor]) -> None:
    """Refuse NaN and infinity, which would spoil the sum."""
    if not torch.isfinite(parts[0]):
        raise ValueError(
            "a cost or log-probability is NaN or infinite on a trajectory: check the costs for "
            "every value that a node can draw"
        )
    if not all(torch.isfinite(part).all() for part in parts[1:]):
        raise ValueError(
            "the gradient of a cost or of a log-probability is NaN or infinite on a trajectory: a "
            "parameter may be on the boundary of its domain, so give logits= instead of probs="
        )


def value_and_gradients(loss: Tensor, wrt: list[Tensor]) -> list[Tensor]:
    """The detached loss, then its gradient by each tensor, zeros for unused ones."""
    gradients: Sequence[Tensor] = [torch.zeros_like(tensor) for tensor in wrt]
    if loss.requires_grad:
        gradients = torch.autograd.grad(loss, wrt, allow_unused=True, materialize_grads=True)
        gradients = [part.to_dense() if part.is_sparse else part for part in gradients]
    return [loss.detach(), *gradients]


def as_objective(fn: Callable[..., Any], batch_ndims: int, samples: int = 1) -> Expectation:
    """`fn` as an `Expectation`, which keeps its own settings if it is one."""
    if isinstance(fn, Expectation) and fn.draws:
        raise ValueError(
            f"the objective replays {', '.join(fn.draws)}, but here all draws are made anew: pass "
            "an expectation without draws="
        )
    if not isinstance(fn, Expectation):
        return Expectation(fn, samples, batch_ndims=batch_ndims)

    # An expectation has settings of its own; a different one here would be lost.
    for name, value, usual in (("samples", samples, 1), ("batch_ndims", batch_ndims, 1)):
        if value not in (usual, getattr(fn, name)):
            raise ValueError(
                f"{name}={value}, but the expectation passed as the model has {name}="
                f"{getattr(fn, name)}: set it there, expectation(model, {name}={value})"
            )
    return fn


def _own_parameters(module: nn.Module, seen: set[nn.Module]) -> set[Tensor]:
    """The parameters of a module, but for those that only baselines use."""
    if module in seen or isinstance(module, Baseline):
        return set()
    seen.add(module)
    own: set[Tensor] = set(module.parameters(recurse=False))
    for child in [*module.children(), *hidden_modules(getattr(module, "fn", None))]:
        own |= _own_parameters(child, seen)
    return own


def targets(objective: nn.Module, wrt: Sequence[Tensor] | None) -> list[tuple[str, Tensor]]:
    """The tensors that get a gradient, with names: `wrt`, or all parameters except baselines'."""
    names: dict[Tensor, str] = {p: name for name, p in objective.named_parameters()}
    for module in hidden_modules(getattr(objective, "fn", None)):
        names |= {p: name for name, p in module.named_parameters() if p not in names}
    if wrt is None:
        own = _own_parameters(objective, set())
        wrt = [p for p in names if p.requires_grad and p in own]
    check_targets(wrt)
    if not wrt:
        raise ValueError(
            "there is no tensor to differentiate with respect to: pass wrt=[tensor, …]"
        )
    return [(names.get(p, f"wrt[{i}]").removeprefix("fn."), p) for i, p in enumerate(wrt)]
