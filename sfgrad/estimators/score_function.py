"""The score-function estimator, also called REINFORCE or the likelihood-ratio method."""

from typing import Any

import torch
from torch.distributions import Distribution

from sfgrad.baselines import Baseline, check_baseline
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.log_prob import private, summed_log_prob
from sfgrad.settings import whole_number


class ScoreFunction(Estimator):
    """Draw from p and weight with `ω = p(z) / stop(p(z))`: value 1, derivative the score.

    `∇ E[f(z)] = E[(f(z) − b) · ∇ log p(z)]`

    Works for every distribution that has `sample` and `log_prob` and whose support does not depend
    on the parameters, and every cost.

    Args:
        baseline: what the cost to go is compared with; any baseline that does not depend on the
            draw leaves the gradient unbiased and can lower its variance a lot.
        samples: independent draws for every row; each becomes a row of its own from here on, so
            older tensors must pass through `align`.

    Raises:
        ValueError: `samples` is below 1.
        TypeError: it is not a whole number, or the baseline is not a `Baseline`.

    Unbiased: yes, to any order of differentiation. Not where parameters move the bounds of the
    support, as in `Uniform(0, θ)`: the probability that enters at a bound is in no score.

    Source: Williams (1992), Simple statistical gradient-following algorithms; the weight:
    Foerster et al. (2018), DiCE: The Infinitely Differentiable Monte Carlo Estimator, eq. 5.
    """

    independent = True
    takes_masks = True
    _baseline: Baseline | None = None
    _sample_shape = torch.Size([])

    def __init__(self, baseline: Baseline | None = None, samples: int = 1):
        if baseline is not None:
            check_baseline("ScoreFunction", baseline)
            if baseline.order < self.order:
                self.order = baseline.order
        self._baseline, self.samples = baseline, samples

    def __setattr__(self, attribute: str, value: Any) -> None:
        """Set an attribute; with the number of samples comes their shape."""
        if attribute == "baseline":
            raise AttributeError(
                "the baseline of a ScoreFunction is fixed: make another one, and assign it to its "
                "node, node.estimator = ScoreFunction(baseline)"
            )
        if attribute == "samples":
            value = whole_number("samples", value)
            self._sample_shape = torch.Size([value] if value > 1 else [])
        super().__setattr__(attribute, value)

    @property
    def baseline(self) -> Baseline | None:  # type: ignore[override]
        """What the cost to go is compared with; fixed, since a `StochasticNode` owns it too."""
        return self._baseline

    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw `samples` values for every row."""
        value = distribution.sample(self._sample_shape)
        if value.requires_grad:  # else the same tensor, which a cached transform knows
            value = value.detach()

        # The score keeps the value that it was taken at, and the user may write to theirs.
        scored = private(distribution, value)
        shape = self._sample_shape
        log_prob = summed_log_prob(distribution, scored, batch_ndims + len(shape), shape)
        record = None if scored is value else scored

        if shape and batch_ndims:
            value = value.flatten(0, 1)
            record = None if record is None else record.flatten(0, 1)
        return Draw(value, log_prob, log_prob, self.samples or 1, record)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(baseline={self.baseline!r}, samples={self.samples})"


PLAIN = ScoreFunction()
"""Without a baseline, one draw: what `sample` uses unless told otherwise."""
