"""What estimators have in common that draw the copies of a row together."""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.baselines import Baseline, check_baseline
from sfgrad.estimators.base import Draw, Estimator, Layout
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.estimators.siblings import Copies
from sfgrad.settings import whole_number


class Coupling(Estimator):
    """Draws the copies of a row together.

    Args:
        baseline: of estimators whose copies are scored one by one.
        samples: how many copies of its own the node makes of every row; None to take those that
            the nearest branch made.
    """

    coupled = True
    independent = True
    takes_masks = True
    even = False
    """Whether copies come in pairs."""
    _baseline: Baseline | None = None

    def __init__(self, baseline: Baseline | None = None, samples: int | None = None):
        kind = type(self).__name__
        if baseline is not None:
            check_baseline(kind, baseline)
            if baseline.compares:
                raise ValueError(
                    f"the baseline of {kind} is {type(baseline).__name__}, which compares copies, "
                    "but they are drawn together, so it would be biased: leave it out, or use "
                    "MovingAverage() or Learned(module)"
                )
        self._baseline = baseline
        self.samples = None if samples is None else whole_number("samples", samples)
        if self.samples is not None and (self.samples < 2 or (self.even and self.samples % 2)):
            raise ValueError(f"samples is {samples}: {kind} {self._advice()}")

    @property
    def baseline(self) -> Baseline | None:  # type: ignore[override]
        """What the cost to go is compared with."""
        return self._baseline

    def _advice(self) -> str:
        return "draws pairs: give an even number" if self.even else "couples copies: give 2 or more"

    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw `samples` values for every row."""
        assert self.samples is not None
        draw = self.couple(distribution, batch_ndims, Copies(self.samples))
        return draw._replace(copies=self.samples)

    def draw_among(self, distribution: Distribution, batch_ndims: int, layout: Layout) -> Draw:
        """Draw one value for every row, together with those of its siblings."""
        outer, count, _ = layout
        kind = type(self).__name__
        if count == 1:
            raise MisfitError(
                f"{kind} has no copies to couple, every row is drawn once: set samples=2 in "
                f"expectation() or in the estimator, {kind}(samples=2), or call branch()"
            )
        if self.even and count % 2:
            raise MisfitError(
                f"{kind} draws pairs, but the nearest branch made {count} copies: make it an even "
                "number, or set samples= of the estimator"
            )
        return self.couple(distribution, batch_ndims, Copies(count, outer))

    @abstractmethod
    def couple(self, distribution: Distribution, batch_ndims: int, copies: Copies) -> Draw:
        """One value for every copy of every row, `[copies · R, ...]`, and its weight."""


def antithetic_uniforms(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Uniform numbers in pairs u, 1 − u: those of the first half of the copies, then the others."""
    half = torch.rand((shape[0] // 2, *shape[1:]), dtype=torch.float64, device=device)
    return torch.cat([half, 1 - half])


def stratified_uniforms(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Uniform numbers of which each copy has one in a stratum of its own, in random order.

    The order is random for every element: with one order for all, elements would be dependent.
    """
    order = torch.rand(shape, device=device).argsort(0)
    inside = torch.rand(shape, dtype=torch.float64, device=device)
    return (order + inside) / shape[0]


def averaged(log_probs: Tensor, ratios: Tensor, size: int) -> Tensor:
    """What has the derivative of the averaged score: `mean over j ≠ k of r_kj·(log p_k − log p_j)`.

    Args:
        log_probs: `[S, ...]`, of every copy.
        ratios: r, `[S / size, size, size, ...]`; of copies whose draws agree it does not matter.
        size: how many copies are coupled.
    """
    groups = log_probs.unflatten(0, (-1, size))
    result = (ratios * (groups.unsqueeze(2) - groups.unsqueeze(1))).sum(2)
    return (result / (size - 1)).flatten(0, 1).to(log_probs.dtype)
