"""Is the gradient unbiased? Tests any estimator on the user's own model."""

import copy
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from sfgrad.credit import Narrowed, Ordered
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.score_function import ScoreFunction
from sfgrad.expectation import Expectation
from sfgrad.graph import StochasticGraph
from sfgrad.record import Node
from sfgrad.verify.oracle import as_objective, default_wrt, exact_gradient, restored
from sfgrad.verify.outcomes import (
    HIDDEN_RANDOMNESS,
    IntractableError,
    Outcomes,
    Quadrature,
    support,
)
from sfgrad.verify.report import BiasReport, Comparison

__all__ = ["check_unbiased"]

_PLAIN = ScoreFunction()


class _Trial(StochasticGraph):
    """One run of the estimator: baselines do not learn, draws may be scripted.

    With `keep`, only the nodes that it names use their own estimator and credit; all others use
    `others`, credited with every cost, which is unbiased whatever the order of recording.
    """

    updates_baselines = False

    def __init__(
        self,
        batch_ndims: int,
        keep: set[str] | None = None,
        others: Estimator = _PLAIN,
        outcomes: Outcomes | None = None,
        quadrature: Quadrature = None,
    ):
        super().__init__(batch_ndims)
        self.log_probability = 0.0
        self._keep = keep
        self._others = others
        self._outcomes = outcomes
        self._quadrature = quadrature

    def estimator_for(self, name: str, estimator: Estimator) -> Estimator:
        """The node's own estimator, or the one that is used for all others."""
        if self._keep is None or name in self._keep:
            return estimator
        samples = getattr(estimator, "samples", 1)
        if samples > 1 and self._keep:  # a kept node may compare these copies
            return ScoreFunction(samples=samples)
        return self._others

    def perform(self, name: str, distribution: Distribution, estimator: Estimator) -> Draw:
        """Let the estimator draw from a distribution whose draws are chosen for it."""
        if self._outcomes is not None:
            distribution = self._scripted(name, distribution)
        return super().perform(name, distribution, estimator)

    def credit(self, nodes: list[Node]) -> Ordered | Narrowed:
        """Every node with every cost, except where a node keeps its own credit."""
        own = super().credit(nodes)
        if self._keep is None:
            return own
        kept_orders = {self.nodes[name].order for name in self._keep if name in self.nodes}
        kept = torch.tensor([node.order in kept_orders for node in nodes])
        kept = kept.to(self._device or "cpu")
        if isinstance(own, Ordered):
            before = torch.tensor(own.before, device=kept.device).unsqueeze(1)
            own_costs = before > torch.arange(len(nodes), device=kept.device)
        else:
            own_costs = own.costs
        return Narrowed(own_costs | ~kept, ~kept.expand(len(nodes), -1))

    def _scripted(self, name: str, distribution: Distribution) -> Distribution:
        """A copy of the distribution whose `sample` and `rsample` follow the outcomes."""
        values, log_mass = support(name, distribution, self.batch_ndims, self._quadrature)
        values = values if self.batch_ndims else values.unsqueeze(1)

        def rsample(sample_shape: Sequence[int] = ()) -> Tensor:
            assert self._outcomes is not None, "only a script calls this"
            copies, rows = math.prod(sample_shape), log_mass.shape[1]
            index = torch.tensor(
                [self._outcomes.choose(name, len(values)) for _ in range(copies * rows)],
                device=values.device,
            )
            row = torch.arange(rows, device=values.device).repeat(copies)
            self.log_probability += float(log_mass[index, row].detach().sum())
            shape = values.shape[1:] if self.batch_ndims else values.shape[2:]
            return values[index, row].reshape(*sample_shape, *shape)

        scripted = copy.copy(distribution)
        scripted.rsample = rsample
        scripted.sample = lambda sample_shape=(): rsample(sample_shape).detach()
        return scripted


class _Trials:
    """Runs of one model at fixed parameters, each giving value and gradient as one vector."""

    def __init__(self, objective: Expectation, inputs: tuple[Any, ...], wrt: list[Tensor]):
        self.objective = objective
        self.inputs = inputs
        self.wrt = wrt
        self.names: list[str] = []

    def run(self, graph: _Trial) -> Tensor:
        """`[1 + parameters]`: the loss and its gradient, flattened."""
        with restored(self.objective):
            self.objective.record(graph, *self.inputs)
            baselines = [n.estimator.baseline for n in graph.nodes.values()]
            with restored(*[baseline for baseline in baselines if baseline is not None]):
                loss = graph.loss()
        self.names = list(graph.nodes)
        gradients: Sequence[Tensor] = [torch.zeros_like(tensor) for tensor in self.wrt]
        if loss.requires_grad:
            gradients = torch.autograd.grad(
                loss, self.wrt, allow_unused=True, materialize_grads=True
            )
        return torch.cat([t.detach().reshape(-1).double() for t in (loss, *gradients)])

    def expectation(
        self, keep: set[str] | None, limit: int, quadrature: Quadrature
    ) -> tuple[Tensor, Tensor]:
        """Exact mean over all outcomes of the estimator's draws, and the mean magnitude."""
        mean, magnitude = torch.zeros(()), torch.zeros(())
        outcomes = Outcomes(limit)
        first: Tensor | None = None
        for count in outcomes:
            graph = _Trial(self.objective.batch_ndims, keep, _PLAIN, outcomes, quadrature)
            found = self.run(graph)
            if count == 0:
                first = found
            part = math.exp(graph.log_probability) * found
            mean, magnitude = mean + part, magnitude + part.abs()
        replayed = Outcomes(limit)
        for _ in replayed:
            graph = _Trial(self.objective.batch_ndims, keep, _PLAIN, replayed, quadrature)
            if first is None or not torch.allclose(self.run(graph), first, rtol=1e-9, atol=1e-12):
                raise IntractableError(
                    f"{HIDDEN_RANDOMNESS}; or an estimator draws noise of its own: use "
                    "mode='monte_carlo'"
                )
            break
        return mean, magnitude

    def moments(
        self, keep: set[str] | None, repeats: int, others: Estimator = _PLAIN
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, squared standard error and mean magnitude over independent runs."""
        runs = torch.stack(
            [self.run(_Trial(self.objective.batch_ndims, keep, others)) for _ in range(repeats)]
        )
        return runs.mean(0), runs.var(0) / repeats, runs.abs().mean(0)


def check_unbiased(
    fn: Callable[..., Any],
    *inputs: Any,
    samples: int = 1,
    wrt: Sequence[Tensor] | None = None,
    mode: Literal["auto", "exact", "monte_carlo"] = "auto",
    rtol: float = 1e-9,
    error_rate: float = 1e-6,
    repeats: int = 1000,
    reference: Estimator | None = None,
    max_outcomes: int = 10_000,
    quadrature: Quadrature = None,
    batch_ndims: int = 1,
    seed: int | None = None,
) -> BiasReport:
    """Test whether value and gradient of the loss have the right expectation.

    Exact mode sums the loss and its gradient over every joint outcome of the estimator's own draws
    (all rows, all copies), weighed by its probability, on a copy in double precision, and compares
    with `exact_gradient`. Monte Carlo mode compares the mean of independent runs, coordinate by
    coordinate, with `exact_gradient`, or, where that is not to be had, with the mean of a
    reference estimator. Baselines do not learn meanwhile. When there is a bias, each node is
    tested alone, all others made plainly unbiased, to name those that cause it.

    Args:
        fn: a model or function as `expectation` takes it, or an `expectation`.
        *inputs: its arguments; rows first.
        samples: as in `expectation`.
        wrt: the tensors to differentiate by; the parameters of `fn` except its baselines' if None.
            Tensors that are not parameters of `fn` are used as they are: make them float64.
        mode: "exact", "monte_carlo", or "auto": exact if there are few enough outcomes.
        rtol: exact mode's tolerance, relative to the mean magnitude of the estimate.
        error_rate: Monte Carlo mode's family-wise probability of a false alarm, over all
            coordinates, by a Bonferroni threshold on z-scores (normal approximation of the mean).
        repeats: runs in Monte Carlo mode.
        reference: in Monte Carlo mode, compare with this estimator at every node (credited with
            every cost) instead of the exact gradient; where there is none, `ScoreFunction()`.
        max_outcomes: refuse exact mode above this; also the oracle's limit of trajectories.
        quadrature: as in `exact_gradient`; exact mode then covers Gaussian nodes too.
        batch_ndims: as in `expectation`.
        seed: of Monte Carlo mode; None goes on with torch's generator.

    Returns:
        A report, true if no bias was found, which prints the parameters and nodes at fault and the
        size of the bias.

    Raises:
        ValueError: exact mode was asked for and is impossible; there is nothing to differentiate
            by; and what `exact_gradient` refuses.

    Unbiased: this is the test of it.

    Source: exact mode is the gradient check of Zaremba & Sutskever (2015), Reinforcement Learning
        Neural Turing Machines, section 6, carried from the model to the estimator.

    >>> from torch.distributions import Bernoulli
    >>> import sfgrad as sf
    >>> eta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    >>> fn = lambda: (sf.sample(Bernoulli(logits=eta)) - 0.45) ** 2
    >>> bool(sf.check_unbiased(fn, wrt=[eta]))
    True
    """
    if mode not in ("auto", "exact", "monte_carlo"):
        raise ValueError(f"mode is {mode!r}: it must be 'auto', 'exact' or 'monte_carlo'")
    if repeats < 2:
        raise ValueError(f"repeats is {repeats}: a standard error needs at least two")
    objective, inputs, named = _in_double(as_objective(fn, batch_ndims, samples), inputs, wrt)
    trials = _Trials(objective, inputs, list(named.values()))
    sizes = [1] + [tensor.numel() for tensor in named.values()]
    labels = ["the objective's value", *named]

    def oracle() -> Tensor:
        value, gradients = exact_gradient(
            objective, *inputs, wrt=trials.wrt, max_trajectories=max_outcomes, quadrature=quadrature
        )
        return torch.cat([t.reshape(-1).double() for t in (value, *gradients)])

    if mode != "monte_carlo":
        try:
            truth = oracle()

            def exact(keep: set[str] | None) -> list[Comparison]:
                mean, magnitude = trials.expectation(keep, max_outcomes, quadrature)
                scale = [part.max() for part in magnitude.split(sizes)]
                tolerance = torch.cat([s.expand(n) for s, n in zip(scale, sizes, strict=True)])
                return _compare(labels, sizes, mean, truth, rtol * tolerance)

            return _report("exact", exact, trials)
        except IntractableError:
            if mode == "exact":
                raise
    coordinates = sum(sizes)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        variance = torch.zeros(coordinates, dtype=torch.float64)
        try:
            if reference is not None:
                raise IntractableError("a reference was asked for")
            truth = oracle()
        except IntractableError:
            truth, variance, _ = trials.moments(set(), repeats, reference or _PLAIN)

        def monte_carlo(keep: set[str] | None) -> list[Comparison]:
            mean, square_error, magnitude = trials.moments(keep, repeats)
            tests = coordinates * (1 if keep is None else 1 + len(trials.names))
            z = NormalDist().inv_cdf(1 - error_rate / (2 * tests))
            z += (z**3 + z) / (4 * (repeats - 1))  # Student's t with as many degrees of freedom
            floor = 1e-9 * magnitude  # rounding, where the estimate does not vary
            error = (square_error + variance).sqrt() + floor / z
            return _compare(labels, sizes, mean, truth, z * error)

        return _report("monte_carlo", monte_carlo, trials)


def _report(
    mode: str, compare: Callable[[set[str] | None], list[Comparison]], trials: _Trials
) -> BiasReport:
    comparisons = compare(None)
    nodes: dict[str, float] = {}
    if any(comparison.biased for comparison in comparisons):
        for name in trials.names:
            alone = [c.bias for c in compare({name}) if c.biased]
            if alone:
                nodes[name] = max(alone)
    return BiasReport(mode, comparisons, nodes)


def _compare(
    labels: list[str], sizes: list[int], mean: Tensor, truth: Tensor, tolerance: Tensor
) -> list[Comparison]:
    """For each parameter the coordinate that is furthest beyond its tolerance."""
    result: list[Comparison] = []
    parts = (tensor.split(sizes) for tensor in (mean, truth, tolerance))
    for label, found, wanted, allowed in zip(labels, *parts, strict=True):
        bias = (found - wanted).abs()
        worst = int((bias / allowed.clamp(min=1e-300)).argmax())
        result.append(Comparison(label, *(float(x[worst]) for x in (found, wanted, bias, allowed))))
    return result


def _in_double(
    objective: Expectation, inputs: tuple[Any, ...], wrt: Sequence[Tensor] | None
) -> tuple[Expectation, tuple[Any, ...], dict[str, Tensor]]:
    """The model, its inputs and what to differentiate by, copied to double precision."""
    names = {id(p): name.removeprefix("fn.") for name, p in objective.named_parameters()}
    chosen = (
        list(default_wrt(objective))
        if wrt is None
        else [names.get(id(tensor), f"wrt[{i}]") for i, tensor in enumerate(wrt)]
    )
    if not chosen:
        raise ValueError("there is nothing to differentiate by: pass wrt=[tensor, …]")
    if isinstance(objective.fn, nn.Module):
        objective = copy.deepcopy(objective).double()
    copied = {name.removeprefix("fn."): p for name, p in objective.named_parameters()}
    named: dict[str, Tensor] = {}
    for i, name in enumerate(chosen):
        if name in copied:
            named[name] = copied[name]
        elif wrt is not None:
            if wrt[i].dtype != torch.float64:
                raise ValueError(
                    f"{name} is {wrt[i].dtype} and no parameter of fn, so it cannot be copied to "
                    "double precision: make it float64"
                )
            named[name] = wrt[i]
    doubled = tuple(
        x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs
    )
    return objective, doubled, named
