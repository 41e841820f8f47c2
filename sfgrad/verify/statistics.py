"""Moments of independent runs, and the distances that chance explains."""

import functools
import math
from statistics import NormalDist

import torch
from torch import Tensor


class Moments:
    """Mean, variance, range and mean magnitude of a stream of estimates `[P]`, in one pass.

    Source: West (1979), Updating Mean and Variance Estimates: An Improved Method.
    """

    def __init__(self):
        self.count = 0
        self.mean = self.magnitude = self.low = self.high = torch.empty(0)
        self._squares = torch.empty(0)

    def add(self, estimate: Tensor) -> None:
        """Add one of several independent estimates, `[P]`."""
        self._begin(estimate)
        self.count += 1
        distance = estimate - self.mean
        self.mean = self.mean + distance / self.count
        self._squares = self._squares + distance * (estimate - self.mean)
        self.magnitude = self.magnitude + (estimate.abs() - self.magnitude) / self.count
        self.low = torch.minimum(self.low, estimate)
        self.high = torch.maximum(self.high, estimate)

    def add_all(self, estimates: Tensor) -> None:
        """Take several more of them at once, `[N, P]`.

        Source: Chan, Golub & LeVeque (1983), Algorithms for Computing the Sample Variance.
        """
        self._begin(estimates[0])
        before, more = self.count, len(estimates)
        self.count += more
        mean = estimates.mean(0)
        distance, share = mean - self.mean, more / self.count
        self.mean = self.mean + distance * share
        squares = (estimates - mean).square().sum(0) + distance.square() * before * share
        self._squares = self._squares + squares
        self.magnitude = self.magnitude + (estimates.abs().mean(0) - self.magnitude) * share
        self.low = torch.minimum(self.low, estimates.amin(0))
        self.high = torch.maximum(self.high, estimates.amax(0))

    def add_outcome(self, probability: float, estimate: Tensor) -> None:
        """Add the estimate `[P]` of one outcome; over all outcomes the mean is exact."""
        self._begin(estimate)
        self.mean = self.mean + probability * estimate
        self.magnitude = self.magnitude + probability * estimate.abs()

    @property
    def square_error(self) -> Tensor:
        """The squared standard error of the mean, `[P]`; 0 if the mean is exact."""
        return self._squares / max(self.count - 1, 1) / max(self.count, 1)

    def _begin(self, estimate: Tensor) -> None:
        """Take the shape of the first estimate."""
        if not len(self.mean):
            self.mean = self.magnitude = self._squares = torch.zeros_like(estimate)
            self.low, self.high = estimate.clone(), estimate.clone()


@functools.lru_cache(maxsize=256)
def t_quantile(tail: float, degrees: int) -> float:
    """The value that Student's t exceeds with probability `tail`.

    Args:
        tail: the probability, below ½.
        degrees: of freedom, at least 1.
    """
    low, high = 0.0, 2 * NormalDist().inv_cdf(1 - tail) + 1
    while t_tail(high, degrees) > tail:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if t_tail(middle, degrees) > tail:
            low = middle
        else:
            high = middle
    return high


def t_tail(t: float, degrees: int) -> float:
    """The probability that Student's t exceeds `t`, at least 0."""
    x = degrees / (degrees + t * t)
    return _incomplete_beta(x, degrees / 2, 0.5) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction.

    Source: DLMF 8.17.22, evaluated by the method of Lentz (1976).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below this
        return 1 - _incomplete_beta(1 - x, b, a)

    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / a
    tiny = 1e-300
    fraction, numerator, denominator = 1.0, 1.0, 0.0
    for step in range(10_000):
        m = step // 2
        if step == 0:
            coefficient = 1.0
        elif step % 2 == 0:
            coefficient = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            coefficient = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        denominator = 1 + coefficient * denominator
        denominator = 1 / (denominator if abs(denominator) > tiny else tiny)
        numerator = 1 + coefficient / (numerator if abs(numerator) > tiny else tiny)
        change = numerator * denominator
        fraction *= change
        if abs(change - 1) < 1e-15:
            break
    return front * (fraction - 1)
