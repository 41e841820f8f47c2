"""Is the gradient unbiased? Tests any estimator on the user's own model."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from sfgrad.estimators.base import Estimator
from sfgrad.estimators.score_function import PLAIN
from sfgrad.expectation import Expectation
from sfgrad.verify import oracle, trial
from sfgrad.verify.report import BiasReport, Comparison

Moments = tuple[Tensor, Tensor, Tensor]
"""Of an estimate `[P]`: its mean, the squared standard error of that, and the mean magnitude."""


class _Trials:
    """Runs of a double-precision copy of a model, each giving value and gradient as one `[P]`."""

    def __init__(self, objective: Expectation, inputs: Any, wrt: Sequence[Tensor] | None):
        names, originals = zip(*oracle.targets(objective, wrt), strict=True)
        copies: dict[int, Any] = {}  # by the id of the original, also inside of bound methods
        self.model = copy.deepcopy(objective, copies).double()
        self.inputs = tree_map_only(Tensor, _double, inputs)
        self.wrt: list[Tensor] = [copies.get(id(tensor), tensor) for tensor in originals]
        pairs = zip(names, self.wrt, strict=True)
        if single := [name for name, tensor in pairs if tensor.dtype != torch.float64]:
            raise ValueError(
                f"{', '.join(single)}: no float64 and no parameter of fn, which would be copied to "
                "double precision: make it float64"
            )
        self.labels = ["the objective's value", *names]
        self.sizes = [1, *[tensor.numel() for tensor in self.wrt]]
        self.nodes: dict[str, None] = {}  # all that were met, in order

    def run(
        self, substitution: trial.Substitution | None, script: trial.Script | None
    ) -> tuple[Tensor, float]:
        """The loss and its gradient `[P]`, and the probability of the scripted draws."""
        with torch.enable_grad(), oracle.restored(self.model):
            source = trial.Trial(script, substitution)
            graph = trial.start_trial(self.model.batch_ndims, source)
            self.model.record(graph, *self.inputs)
            self.nodes.update(dict.fromkeys(graph.nodes))
            probability = math.exp(sum(mass.sum().item() for mass in source.log_mass))
            if not probability:  # as of a masked value, whose log-probability no loss takes
                return torch.zeros(sum(self.sizes), dtype=torch.float64), 0.0
            if substitution is not None:
                trial.credit_everything(graph, substitution.kept)
            baselines = [node.baseline for node in graph.nodes.values()]
            with oracle.restored(*[baseline for baseline in baselines if baseline is not None]):
                estimate = oracle.value_and_gradients(graph.loss(), self.wrt)
        return _flat(estimate), probability

    def enumerated(
        self, substitution: trial.Substitution | None, outcomes: trial.Outcomes
    ) -> Moments:
        """Exactly, from all outcomes of the estimators' draws."""
        mean = magnitude = torch.zeros(())
        state = torch.get_rng_state()
        script = trial.Script(outcomes, outcomes.one_for_each, joint=True)
        for count in outcomes:
            estimate, probability = self.run(substitution, script)
            if count == 0:
                outcomes.rewind()
                if not torch.allclose(estimate, self.run(substitution, script)[0], equal_nan=True):
                    raise trial.IntractableError(trial.HIDDEN_RANDOMNESS)
            if not torch.equal(state, torch.get_rng_state()):  # results may agree by chance
                raise trial.IntractableError(trial.HIDDEN_RANDOMNESS)
            mean = mean + probability * estimate
            magnitude = magnitude + probability * estimate.abs()
        return mean, torch.zeros_like(mean), magnitude

    def sampled(self, substitution: trial.Substitution | None, repeats: int) -> Moments:
        """From independent runs."""
        runs = torch.stack([self.run(substitution, None)[0] for _ in range(repeats)])
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
    quadrature: trial.Quadrature = None,
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
        rtol: tolerance for rounding, relative to the mean magnitude of the estimate.
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

    Examples:
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
    trials = _Trials(oracle.as_objective(fn, batch_ndims, samples), inputs, wrt)
    test = _Test(trials, rtol, error_rate, repeats, max_outcomes, quadrature)

    # The exact gradient is what to compare with, unless there is none or another is asked for.
    truth, variance = None, torch.zeros(())
    try:
        if mode != "monte_carlo" or reference is None:
            truth = test.truth()
        if mode != "monte_carlo" and truth is not None:
            return test.report("exact", truth, variance)
    except trial.IntractableError:
        if mode == "exact":
            raise

    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        if truth is None:
            substitution = trial.Substitution(reference or PLAIN, kept=None)
            truth, variance, _ = trials.sampled(substitution, repeats)
        return test.report("monte_carlo", truth, variance)


@dataclass
class _Test:
    """What decides whether a distance is a bias, with the settings of `check_unbiased`."""

    trials: _Trials
    rtol: float
    error_rate: float
    repeats: int
    max_outcomes: int
    quadrature: trial.Quadrature

    def truth(self) -> Tensor:
        """The exact value and gradient, `[P]`."""
        trials = self.trials
        value, gradients = oracle.exact_gradient(
            trials.model,
            *trials.inputs,
            wrt=trials.wrt,
            max_trajectories=self.max_outcomes,
            quadrature=self.quadrature,
        )
        return _flat([value, *gradients])

    def report(self, mode: str, wanted: Tensor, variance: Tensor) -> BiasReport:
        """All nodes together and, if there is a bias, each of them alone."""
        report = BiasReport(mode, self.compare(mode, None, wanted, variance), {})
        for name in [] if report else list(self.trials.nodes):
            alone = trial.Substitution(PLAIN, kept=name)
            comparisons = self.compare(mode, alone, wanted, variance)
            if biases := [c.bias for c in comparisons if c.biased]:
                report.nodes[name] = max(biases)
        return report

    def compare(
        self, mode: str, substitution: trial.Substitution | None, wanted: Tensor, variance: Tensor
    ) -> list[Comparison]:
        """The worst coordinate of the value and of every parameter."""
        trials = self.trials
        if mode == "exact":
            outcomes = trial.Outcomes(self.max_outcomes, self.quadrature)
            mean, square_error, magnitude = trials.enumerated(substitution, outcomes)
        else:
            mean, square_error, magnitude = trials.sampled(substitution, self.repeats)

        # Bonferroni over all coordinates, and all nodes where each is tested alone.
        tests = len(mean) * (1 if substitution is None else 1 + len(trials.nodes))
        z = NormalDist().inv_cdf(1 - self.error_rate / (2 * tests))
        z += (z**3 + z) / (4 * (self.repeats - 1))  # Student's t with as many degrees of freedom

        scale = [part.max().expand(len(part)) for part in magnitude.split(trials.sizes)]
        rounding = self.rtol * torch.cat(scale) + 1e-14 * magnitude.max()
        allowed = z * (square_error + variance).sqrt() + rounding
        parts = [tensor.split(trials.sizes) for tensor in (mean, wanted, allowed)]
        return [Comparison.worst(*named) for named in zip(trials.labels, *parts, strict=True)]


def _double(tensor: Tensor) -> Tensor:
    """In double precision, unless it holds whole numbers."""
    return tensor.double() if tensor.is_floating_point() else tensor


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    """`[P]`, double."""
    return torch.cat([tensor.reshape(-1).double() for tensor in tensors])
