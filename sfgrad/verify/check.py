"""Is the gradient unbiased? Tests any estimator on the user's own model."""

import copy
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.utils._pytree import tree_map_only

from sfgrad.credit import Narrowed, Ordered
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.score_function import ScoreFunction
from sfgrad.expectation import Expectation
from sfgrad.graph import StochasticGraph
from sfgrad.record import Node
from sfgrad.verify.oracle import as_objective, default_wrt, exact_gradient, restored
from sfgrad.verify.outcomes import HIDDEN_RANDOMNESS, IntractableError, Outcomes, Quadrature
from sfgrad.verify.report import BiasReport, Comparison

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
    ):
        super().__init__(batch_ndims)
        self.log_probability = 0.0
        self._keep, self._others, self._outcomes = keep, others, outcomes

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
            distribution = self._scripted(name, distribution, self._outcomes)
        return super().perform(name, distribution, estimator)

    def credit(self, nodes: list[Node]) -> Ordered | Narrowed:
        """Every node with every cost, except where a node keeps its own credit."""
        own = super().credit(nodes)
        if self._keep is None:
            return own
        if isinstance(own, Ordered):
            before = torch.tensor(own.before).unsqueeze(1) > torch.arange(len(nodes))
        else:
            before = own.costs
        kept = {self.nodes[name].before for name in self._keep if name in self.nodes}
        others = torch.tensor([node.before not in kept for node in nodes])
        return Narrowed(before.to("cpu") | others, others.expand(len(nodes), -1)).to(self._device)

    def _scripted(self, name: str, dist: Distribution, outcomes: Outcomes) -> Distribution:
        """A copy of the distribution whose `sample` and `rsample` follow the outcomes."""
        values, log_mass = outcomes.support(name, dist, self.batch_ndims)
        values = values.flatten(1, self.batch_ndims) if self.batch_ndims else values.unsqueeze(1)
        size, rows = log_mass.shape

        def rsample(sample_shape: Sequence[int] = ()) -> Tensor:
            row = torch.arange(rows).repeat(math.prod(sample_shape)).to(values.device)
            index = torch.tensor([outcomes.choose(name, size) for _ in row]).to(values.device)
            self.log_probability += float(log_mass.detach()[index, row].sum())
            shape = dist.batch_shape + dist.event_shape
            return values[index, row].reshape(*sample_shape, *shape)

        scripted = copy.copy(dist)
        scripted.rsample = rsample
        scripted.sample = lambda sample_shape=(): rsample(sample_shape).detach()
        return scripted


class _Trials:
    """Runs of one model at fixed parameters, each giving value and gradient as one vector `[P]`."""

    def __init__(self, objective: Expectation, inputs: tuple[Any, ...], wrt: dict[str, Tensor]):
        self.objective, self.inputs, self.wrt = objective, inputs, list(wrt.values())
        self.labels = ["the objective's value", *wrt]
        self.sizes = [1, *[tensor.numel() for tensor in self.wrt]]
        self.nodes: list[str] = []

    def run(self, *options: Any) -> tuple[Tensor, float]:
        """The loss and its gradient `[P]`, and the probability of the scripted draws."""
        graph = _Trial(self.objective.batch_ndims, *options)
        with restored(self.objective):
            self.objective.record(graph, *self.inputs)
            baselines = [node.estimator.baseline for node in graph.nodes.values()]
            with restored(*[baseline for baseline in baselines if baseline is not None]):
                loss = graph.loss()
        self.nodes = list(graph.nodes)
        gradients = [torch.zeros_like(tensor) for tensor in self.wrt]
        if loss.requires_grad:
            gradients = torch.autograd.grad(
                loss, self.wrt, allow_unused=True, materialize_grads=True
            )
        return self.flat(loss, gradients), math.exp(graph.log_probability)

    def flat(self, value: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        """`[P]`, double."""
        return torch.cat([t.detach().reshape(-1).double() for t in (value, *gradients)])

    def enumerated(self, keep: set[str] | None, outcomes: Outcomes) -> tuple[Tensor, Tensor]:
        """Exact mean over all outcomes of the estimator's draws, and mean magnitude, `[P]` each."""
        mean = magnitude = torch.zeros(())
        for count in outcomes:
            found, probability = self.run(keep, _PLAIN, outcomes)
            if count == 0:
                outcomes.rewind()
                if not torch.allclose(found, self.run(keep, _PLAIN, outcomes)[0]):
                    raise IntractableError(HIDDEN_RANDOMNESS)
            mean, magnitude = mean + probability * found, magnitude + probability * found.abs()
        return mean, magnitude

    def sampled(
        self, keep: set[str] | None, repeats: int, others: Estimator = _PLAIN
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, its squared standard error and mean magnitude over independent runs, `[P]` each."""
        runs = torch.stack([self.run(keep, others)[0] for _ in range(repeats)])
        return runs.mean(0), runs.var(0) / repeats, runs.abs().mean(0)

    def report(
        self, mode: str, truth: Tensor, test: Callable[[set[str] | None], tuple[Tensor, Tensor]]
    ) -> BiasReport:
        """Compare the mean that `test` finds, and, if it is off, that of every node alone."""

        def compare(keep: set[str] | None) -> list[Comparison]:
            mean, allowed = test(keep)
            parts = zip(*(t.split(self.sizes) for t in (mean, truth, allowed)), strict=True)
            return [
                Comparison.worst(*named)
                for named in zip(self.labels, *zip(*parts, strict=True), strict=True)
            ]

        comparisons = compare(None)
        alone = {name: compare({name}) for name in self.nodes if any(c.biased for c in comparisons)}
        nodes = {
            name: max(c.bias for c in found if c.biased)
            for name, found in alone.items()
            if any(c.biased for c in found)
        }
        return BiasReport(mode, comparisons, nodes)


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
    trials = _Trials(*_in_double(as_objective(fn, batch_ndims, samples), inputs, wrt))

    def oracle() -> Tensor:
        return trials.flat(
            *exact_gradient(
                trials.objective,
                *trials.inputs,
                wrt=trials.wrt,
                max_trajectories=max_outcomes,
                quadrature=quadrature,
            )
        )

    def exact(keep: set[str] | None) -> tuple[Tensor, Tensor]:
        mean, magnitude = trials.enumerated(keep, Outcomes(max_outcomes, quadrature))
        scale = [part.max().expand(len(part)) for part in magnitude.split(trials.sizes)]
        return mean, rtol * torch.cat(scale)

    if mode != "monte_carlo":
        try:
            return trials.report("exact", oracle(), exact)
        except IntractableError:
            if mode == "exact":
                raise
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            if reference is not None:
                raise IntractableError("a reference was asked for")
            truth, variance = oracle(), torch.zeros(())
        except IntractableError:
            truth, variance, _ = trials.sampled(set(), repeats, reference or _PLAIN)

        def monte_carlo(keep: set[str] | None) -> tuple[Tensor, Tensor]:
            mean, square_error, magnitude = trials.sampled(keep, repeats)
            tests = len(mean) * (1 if keep is None else 1 + len(trials.nodes))
            z = NormalDist().inv_cdf(1 - error_rate / (2 * tests))
            z += (z**3 + z) / (4 * (repeats - 1))  # Student's t with as many degrees of freedom
            return mean, z * (square_error + variance).sqrt() + 1e-9 * magnitude  # rounding

        return trials.report("monte_carlo", truth, monte_carlo)


def _in_double(
    objective: Expectation, inputs: tuple[Any, ...], wrt: Sequence[Tensor] | None
) -> tuple[Expectation, tuple[Any, ...], dict[str, Tensor]]:
    """The model, its inputs and what to differentiate by, copied to double precision."""
    chosen = default_wrt(objective)
    if wrt is not None:
        names = {id(p): name.removeprefix("fn.") for name, p in objective.named_parameters()}
        chosen = {names.get(id(tensor), f"wrt[{i}]"): tensor for i, tensor in enumerate(wrt)}
    if not chosen:
        raise ValueError("there is nothing to differentiate by: pass wrt=[tensor, …]")
    objective = copy.deepcopy(objective).double()
    copied = {name.removeprefix("fn."): p for name, p in objective.named_parameters()}
    chosen = {name: copied.get(name, tensor) for name, tensor in chosen.items()}
    for name, tensor in chosen.items():
        if tensor.dtype != torch.float64:
            raise ValueError(
                f"{name} is {tensor.dtype} and no parameter of fn, so it cannot be copied to "
                "double precision: make it float64"
            )
    doubled = tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, inputs)
    return objective, doubled, chosen
