"""If draws follow the log-probability that scores them, the mean score is 0.

`E_p[∇θ log p(z; θ)] = ∇θ ∫ p(z; θ) dz = 0`, if z is drawn from p and its support is fixed.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.draws import Live
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.log_prob import row_log_prob
from sfgrad.estimators.score_function import PLAIN, ScoreFunction
from sfgrad.masks import base_distribution
from sfgrad.site import Site
from sfgrad.verify.bias import FRESH, Distances, distances
from sfgrad.verify.replays import restored
from sfgrad.verify.report import BiasReport, Comparison
from sfgrad.verify.runs import Runs, flat
from sfgrad.verify.statistics import Moments
from sfgrad.verify.trial import start_trial

DRAWS = 2000
"""The least number of scored draws of every node."""


class RealDraws(Live):
    """Every scored node draws by the `sample()` of its distribution, whatever its estimator.

    Pathwise nodes draw as usual; masked elements are not scored.

    Args:
        count: the least number of scored draws of every node, over all rows.
        factor: multiplies the number of draws.
    """

    learns = False

    def __init__(self, count: float, factor: int):
        self.count, self.factor = count, factor
        self._own: Estimator = PLAIN  # of the node that is being drawn
        self.log_prob: dict[str, Tensor] = {}
        """By node, the mean over its draws and rows, `[]`, nats."""
        self.discrete: set[str] = set()
        self.left_out: dict[str, str] = {}
        """By node, why its score is not tested."""

    def estimator(self, name: str, estimator: Estimator) -> Estimator:
        """The plain score function, without a baseline that needs several draws."""
        self._own = estimator
        return PLAIN

    def joins_copies(self, cost: str) -> bool:
        """No: the copies are not made, and costs do not matter here."""
        return False

    def draw(self, site: Site, estimator: Estimator) -> Draw:
        """One draw for the model; more are scored if there are few rows."""
        distribution, rows = site.distribution, max(site.rows, 1)
        if not isinstance(self._own, ScoreFunction):
            own = super().draw(site, self._own)
            if own.log_prob is None:
                return own
        try:
            values = _sample(distribution, self.factor * math.ceil(self.count / rows))
        except NotImplementedError:
            kind = type(distribution).__name__
            self.left_out[site.name] = f"{kind} cannot be sampled, so its score was not tested"
            return super().draw(site, self._own)

        log_prob = row_log_prob(distribution, values, site.batch_ndims + 1)
        self.log_prob[site.name] = log_prob.sum() / (len(values) * rows)
        if _is_discrete(distribution):
            self.discrete.add(site.name)
        return Draw(values[0].detach())


def _sample(distribution: Distribution, count: int) -> Tensor:
    """Draws of a distribution, `[count, ...]`."""
    try:
        return distribution.sample(torch.Size([count]))
    except TypeError:  # a user's class, whose sample() takes no shape
        return torch.stack([distribution.sample() for _ in range(count)])


def _is_discrete(distribution: Distribution) -> bool:
    """Whether it declares values of positive probability."""
    base = base_distribution(distribution)
    if getattr(base, "has_enumerate_support", False):
        return True
    try:
        return bool(getattr(base.support, "is_discrete", False))
    except Exception:  # a user's distribution may raise anything
        return False


class ScoreTest:
    """Decides whether mean scores are 0, with the settings of `check_unbiased`.

    Args:
        runs: the model.
        rtol: tolerance for rounding.
        error_rate: of all comparisons together.
        repeats: how many runs.
    """

    def __init__(self, runs: Runs, rtol: float, error_rate: float, repeats: int):
        self.runs, self.rtol, self.error_rate, self.repeats = runs, rtol, error_rate, repeats

    def complete(self, report: BiasReport) -> BiasReport:
        """The report with the scores of all nodes; those at fault are added to its `nodes`."""
        scores, left_out = self._compare(apart=False)
        if any(score.biased for score in scores.values()):
            # Name the one of several repeated draws that is at fault, if it can be identified.
            apart, _ = self._compare(apart=True)
            if any(score.biased for score in apart.values()):
                scores = apart

        nodes = dict(report.nodes)
        for name, score in scores.items():
            if score.biased:
                nodes[name] = max(nodes.get(name, 0.0), score.bias)
        basis = report.basis
        if scores:
            basis += f"; mean scores by {self.repeats} runs of real draws"
        return replace(report, nodes=nodes, scores=scores, left_out=left_out, basis=basis)

    def _compare(self, apart: bool) -> tuple[dict[str, Comparison], dict[str, str]]:
        """The worst coordinate of every node's mean score, and why other nodes are left out."""
        sample = _Scores(self.runs, self.repeats, 1, apart)
        result = {name: self._distances(sample, name) for name in sample.moments}
        if any(distance.weak_alarms().any() for distance in result.values()):
            fresh = _Scores(self.runs, self.repeats, FRESH, apart)
            for name, distance in result.items():
                weak = distance.weak_alarms()
                if weak.any() and name in fresh.moments:
                    result[name] = distance.where(weak, self._distances(fresh, name))
        comparisons = {name: self._worst(distance) for name, distance in result.items()}
        return comparisons, sample.left_out

    def _distances(self, sample: "_Scores", name: str) -> Distances:
        """The distances of one node's mean score from 0."""
        moments = sample.moments[name]
        zero = torch.zeros_like(moments.mean)
        tail = self.error_rate / (2 * len(zero) * len(sample.moments))
        rounding = torch.full_like(zero, 1e-14) + self.rtol * moments.magnitude.max()
        result = distances(moments, zero, zero, tail, rounding)

        # A score that never varies should be 0, but rare values of a discrete node may be missing.
        allowed = result.allowed
        if name in sample.discrete:
            allowed = torch.where(result.varied, allowed, moments.magnitude)
        return result._replace(allowed=allowed, varied=torch.ones_like(result.varied))

    def _worst(self, result: Distances) -> Comparison:
        """The worst coordinate of all parameters."""
        parts = [
            tensor.split(self.runs.sizes[1:])
            for tensor in (result.mean, result.wanted, result.allowed, result.varied)
        ]
        named = zip(self.runs.labels[1:], *parts, strict=True)
        comparisons = [Comparison.worst(*part) for part in named]
        return max(comparisons, key=lambda c: (c.biased, c.bias / max(c.allowed, 1e-300)))


class _Scores:
    """The mean scores of all nodes, over independent runs.

    Args:
        runs: the model.
        repeats: how many runs.
        factor: multiplies the number of draws that are scored in each run.
        apart: whether to keep the repeated draws of a node, `name` and `name.1`, apart; otherwise
            they count as one, which is much faster for long sequences.
    """

    def __init__(self, runs: Runs, repeats: int, factor: int, apart: bool):
        self.runs, self.apart = runs, apart
        self.moments: dict[str, Moments] = {}
        """By node, those of the mean score `[P − 1]`."""
        self.discrete: set[str] = set()
        self.left_out: dict[str, str] = {}
        for _ in range(repeats):
            self._run(RealDraws(DRAWS / repeats, factor))

        # In a run that never reaches a node, its score is 0.
        for moments in self.moments.values():
            for _ in range(repeats - moments.count):
                moments.add(torch.zeros_like(moments.mean))

    def _run(self, source: RealDraws) -> None:
        """Record the model once, and add the score of every node."""
        runs = self.runs
        with torch.enable_grad(), restored(runs.model):
            graph = start_trial(runs.model.batch_ndims, source)
            runs.model.record(graph, *runs.inputs)
            self.left_out.update(source.left_out)

            sums: dict[str, Tensor] = {}
            for name, log_prob in source.log_prob.items():
                group = name if self.apart else _group(name, source.log_prob)
                sums[group] = sums[group] + log_prob if group in sums else log_prob
                if name in source.discrete:
                    self.discrete.add(group)
            for group, log_prob in sums.items():
                if log_prob.requires_grad:
                    self.moments.setdefault(group, Moments()).add(self._score(log_prob))

    def _score(self, log_prob: Tensor) -> Tensor:
        """The derivatives by all parameters, `[P − 1]`."""
        gradients = torch.autograd.grad(
            log_prob, self.runs.wrt, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return flat([part.to_dense() if part.is_sparse else part for part in gradients])


def _group(name: str, names: dict[str, Tensor]) -> str:
    """The node drawn first under a repeated name: `step` for `step.3`."""
    first, _, number = name.rpartition(".")
    return first if number.isdigit() and first in names else name
