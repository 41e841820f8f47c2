"""The distance between the mean of an estimator and the mean it should have."""

from typing import NamedTuple

import torch
from torch import Tensor

from sfgrad.estimators.base import Estimator
from sfgrad.estimators.score_function import PLAIN
from sfgrad.verify.outcomes import IntractableError, Outcomes, Quadrature
from sfgrad.verify.report import BiasReport, Comparison, Power
from sfgrad.verify.runs import Runs
from sfgrad.verify.statistics import Moments, t_quantile
from sfgrad.verify.trial import Substitution

CERTAIN = 20
"""Standard errors beyond which an alarm of enough runs needs no confirmation."""

ENOUGH = 100
"""Runs, below which a standard error may be far too small by chance."""

SINGLE = 1e-5
"""Tolerance for rounding, relative, where the model makes its costs of single precision."""

ROUNDING = 1e-6
"""A gradient of this share of the error, or less, is none."""

FRESH = 16
"""How many times as many draws must confirm a weaker alarm."""


class Distances(NamedTuple):
    """Means and what they should be, coordinate by coordinate: all `[P]`."""

    mean: Tensor
    wanted: Tensor
    allowed: Tensor
    """The largest distance that rounding or chance explains."""
    error: Tensor
    """The standard error."""
    varied: Tensor
    """Whether the runs differed."""
    certain: Tensor
    """Beyond it an alarm needs no second look."""

    def alarms(self) -> Tensor:
        """Where the distance exceeds what is allowed, boolean."""
        return self.varied & ~((self.mean - self.wanted).abs() <= self.allowed)

    def weak_alarms(self) -> Tensor:
        """Alarms that fresh draws must confirm."""
        return self.alarms() & ((self.mean - self.wanted).abs() < self.certain)

    def where(self, chosen: Tensor, others: "Distances") -> "Distances":
        """The others in the chosen coordinates."""
        pairs = zip(others, self, strict=True)
        return Distances(*(torch.where(chosen, other, own) for other, own in pairs))


def distances(
    moments: Moments, wanted: Tensor, square_error: Tensor, tail: float, rounding: Tensor
) -> Distances:
    """Compare the mean of independent runs with what it should be, by Student's t.

    Args:
        moments: of the runs.
        wanted: `[P]`, what the mean should be.
        square_error: `[P]`, the squared standard error of `wanted`.
        tail: the probability of a false alarm to one side, in each coordinate.
        rounding: `[P]`, distances that rounding explains.
    """
    error = (moments.square_error + square_error).sqrt()
    varied = (moments.high - moments.low > rounding) | (square_error > 0)
    chance = t_quantile(tail, moments.count - 1) * error
    allowed = torch.where(varied, chance, 0) + rounding
    certain = CERTAIN * error if moments.count >= ENOUGH else torch.full_like(error, torch.inf)
    return Distances(moments.mean, wanted, allowed, error, varied, certain)


class Exact:
    """The exact value and gradient, `[P]`, as the reference."""

    basis = "the exact gradient"

    def __init__(self, mean: Tensor, max_outcomes: int, quadrature: Quadrature):
        self.mean = mean
        self._settings = max_outcomes, quadrature

    def outcomes(self) -> Outcomes:
        """All outcomes of the estimator, to iterate over."""
        return Outcomes(*self._settings)

    def draw(self, factor: int) -> tuple[Tensor, Tensor]:
        """The mean and its squared standard error, `[P]`."""
        return self.mean, torch.zeros_like(self.mean)


class Sampled:
    """The mean of a reference estimator, used at every node and credited with every cost.

    Args:
        runs: the model.
        estimator: the reference; None for the plain score function.
        repeats: how many runs.
    """

    def __init__(self, runs: Runs, estimator: Estimator | None, repeats: int):
        self.runs, self.repeats = runs, repeats
        self.substitution = Substitution(estimator or PLAIN, kept=None)
        self._known: dict[int, Moments] = {}

    @property
    def basis(self) -> str:
        """What the reference is."""
        kind = type(self.substitution.rest).__name__
        if not self.runs.unscorable:
            return f"{kind}() at every node"
        return f"{kind}() at every node but {', '.join(self.runs.unscorable)} (support moves)"

    def draw(self, factor: int) -> tuple[Tensor, Tensor]:
        """The mean of `factor` times as many runs, and its squared standard error, `[P]`."""
        if factor not in self._known:
            moments = self.runs.sampled(self.substitution, factor * self.repeats)
            self._known[factor] = moments
        return self._known[factor].mean, self._known[factor].square_error


class BiasTest:
    """Decides whether a distance is a bias, with the settings of `check_unbiased`.

    Args:
        runs: the model.
        reference: what the mean should be.
        rtol: tolerance for rounding.
        error_rate: of all comparisons together.
        repeats: how many runs; None for exact mode, which iterates over all outcomes instead.
    """

    def __init__(
        self,
        runs: Runs,
        reference: Exact | Sampled,
        rtol: float,
        error_rate: float,
        repeats: int | None,
    ):
        self.runs, self.reference = runs, reference
        self.rtol, self.error_rate, self.repeats = rtol, error_rate, repeats
        self._draws = "real draws"

    def report(self) -> BiasReport:
        """Test all nodes together and, if there is a bias, each of them alone."""
        together = self._distances(None)
        comparisons = self._worst(together)
        mode = "monte_carlo" if self.repeats else "exact"

        nodes: dict[str, float] = {}
        untested: dict[str, str] = {}
        if any(comparison.biased for comparison in comparisons):
            for name in self.runs.nodes:
                try:
                    alone = self._worst(self._distances(Substitution(PLAIN, kept=name)))
                except IntractableError as error:  # the verdict stands without it
                    untested[name] = str(error)
                    continue
                if biases := [c.bias for c in alone if c.biased]:
                    nodes[name] = max(biases)
        basis = f"{self._draws} against {self.reference.basis}"
        if self.runs.hidden:
            basis += "; draws and noise outside sample() are not checked"
        if self.runs.single:
            basis += f"; in single precision {', '.join(self.runs.single)}"
        power = self._power(together)
        return BiasReport(mode, comparisons, nodes, basis, untested=untested, power=power)

    def _distances(self, substitution: Substitution | None) -> Distances:
        """Those of the value and the gradient, with the estimators of some nodes substituted."""
        if self.repeats is None:
            return self._exact_distances(substitution)

        # Bonferroni over all coordinates, and over all nodes if each is tested alone.
        def measure(factor: int, repeats: int) -> Distances:
            moments = self.runs.sampled(substitution, factor * repeats)
            tests = len(moments.mean) * (1 + len(self.runs.nodes) * (substitution is not None))
            tail = self.error_rate / (2 * tests)
            return distances(moments, *self.reference.draw(factor), tail, self._rounding(moments))

        result = measure(1, self.repeats)
        weak = result.weak_alarms()
        if not weak.any():
            return result
        if (result.alarms() & ~weak).any():  # the verdict is certain, so weak alarms may be dropped
            return result._replace(allowed=torch.where(weak, result.certain, result.allowed))
        return result.where(weak, measure(FRESH, self.repeats))

    def _exact_distances(self, substitution: Substitution | None) -> Distances:
        """As `_distances`, with no error but rounding."""
        assert isinstance(self.reference, Exact)
        outcomes = self.reference.outcomes()
        moments = self.runs.enumerated(substitution, outcomes)
        wanted, error = self.reference.draw(1)
        self._draws = "scripted draws"
        if outcomes.integrated:
            self._draws = f"scripted draws and quadrature (of {', '.join(outcomes.integrated)})"
        varied = torch.ones_like(wanted, dtype=torch.bool)
        return Distances(moments.mean, wanted, self._rounding(moments), error, varied, error)

    def _rounding(self, moments: Moments) -> Tensor:
        """Distances that rounding explains, `[P]`, from the magnitudes of the estimates."""
        parts = self.runs.split(moments.magnitude)
        scale = torch.cat([part.max().expand(len(part)) for part in parts])
        rtol = max(self.rtol, SINGLE) if self.runs.single else self.rtol
        return rtol * scale + 1e-14 * moments.magnitude.max()

    def _worst(self, result: Distances) -> list[Comparison]:
        """The worst coordinate of the value and of every parameter."""
        parts = [
            self.runs.split(tensor)
            for tensor in (result.mean, result.wanted, result.allowed, result.varied)
        ]
        named = zip(self.runs.labels, *parts, strict=True)
        return [Comparison.worst(*part) for part in named]

    def _power(self, result: Distances) -> Power | None:
        """The largest bias, relative to the gradient, that could have gone unseen."""
        if self.repeats is None:
            return None
        parts = zip(
            self.runs.labels,
            self.runs.split(result.allowed),
            self.runs.split(result.wanted),
            strict=True,
        )
        powers: list[Power] = []
        for name, allowed, wanted in list(parts)[1:]:
            bias, gradient = float(allowed.max()), float(wanted.abs().max())
            if gradient <= ROUNDING * bias:  # zero up to rounding
                gradient = 0.0
            powers.append(Power(name, bias, gradient, self.repeats))
        with_gradient = [power for power in powers if power.gradient > 0]
        if with_gradient:
            return max(with_gradient, key=lambda power: power.bias / power.gradient)
        return max(powers, key=lambda power: power.bias)
