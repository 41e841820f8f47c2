"""The score function of copies that are drawn apart from each other on purpose."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.estimators.base import Draw, Layout
from sfgrad.estimators.coupling import Coupling, antithetic_uniforms, stratified_uniforms
from sfgrad.estimators.log_prob import log_prob_of_copies
from sfgrad.estimators.quantiles import noise_shape, prototype, quantile
from sfgrad.estimators.score_function import PLAIN
from sfgrad.estimators.siblings import Copies
from sfgrad.masks import base_distribution


class Antithetic(Coupling):
    """Draw the copies of a row in pairs, at the quantiles u and 1 − u of every element.

    Each copy follows the distribution, and is weighted as by `ScoreFunction`; but where one of a
    pair is large the other is small. Where the cost is about linear in the draw, the mean over a
    pair varies far less than over two independent draws; where it is symmetric, more.

    Works for Bernoulli, categories (in the order of their numbers), Gaussians, and whatever has a
    quantile function (`icdf`). Copies may differ before the node.

    Args:
        baseline: what the cost to go is compared with: one that does not compare the copies.
        samples: an even number of copies that the node makes of every row; None to take those that
            the nearest branch or `expectation(samples=)` made.

    Raises:
        ValueError: `samples` is odd; there are no copies; the distribution has no quantiles; or the
            baseline compares copies, which would be biased.
        TypeError: an argument has the wrong type.

    Unbiased: yes, to any order.

    Source: Hammersley & Morton (1956), A new Monte Carlo technique: antithetic variates; for
    gradients: Mohamed et al. (2020), Monte Carlo Gradient Estimation in Machine Learning, section
    7.
    """

    even = True

    def couple(self, distribution: Distribution, batch_ndims: int, copies: Copies) -> Draw:
        """One value for every copy, and its score."""
        return draw_at_quantiles(distribution, batch_ndims, copies, antithetic_uniforms)


class Mirrored(Antithetic):
    """Antithetic where the copies of a row have pairs, else the plain score function."""

    def draw_among(self, distribution: Distribution, batch_ndims: int, layout: Layout) -> Draw:
        """One value for every row."""
        if layout[1] % 2:
            return PLAIN.draw(distribution, batch_ndims)
        return super().draw_among(distribution, batch_ndims, layout)


class Stratified(Coupling):
    """Draw the copies of a row so that each has a stratum of its own.

    Of n copies one is drawn between the quantiles 0 and 1/n of an element, one between 1/n and 2/n,
    and so on; which one is random for every element. Each copy follows the distribution, and is
    weighted as by `ScoreFunction`.

    Works for Bernoulli, categories (in the order of their numbers), Gaussians, and whatever has a
    quantile function (`icdf`). Copies may differ before the node.

    Args:
        baseline: what the cost to go is compared with: one that does not compare the copies.
        samples: how many copies the node makes of every row; None to take those that the nearest
            branch or `expectation(samples=)` made.

    Raises:
        ValueError: `samples` is below 2; there are no copies; the distribution has no quantiles; or
            the baseline compares copies, which would be biased.
        TypeError: an argument has the wrong type.

    Unbiased: yes, to any order.

    Source: stratified sampling as in McKay, Beckman & Conover (1979), A Comparison of Three Methods
    for Selecting Values of Input Variables in the Analysis of Output from a Computer Code
    (Latin hypercubes).
    """

    def couple(self, distribution: Distribution, batch_ndims: int, copies: Copies) -> Draw:
        """One value for every copy, and its score."""
        return draw_at_quantiles(distribution, batch_ndims, copies, stratified_uniforms)


def draw_at_quantiles(
    distribution: Distribution,
    batch_ndims: int,
    copies: Copies,
    uniforms: Callable[[tuple[int, ...], torch.device], Tensor],
) -> Draw:
    """Values at coupled quantiles, each weighted by its own probability."""
    base = base_distribution(distribution)
    noise = uniforms(copies.shape(noise_shape(base)), prototype(base).device)
    value = quantile(base, copies.merge(noise))

    own = copies.number if copies.outer is None else None
    log_prob = log_prob_of_copies(distribution, value, batch_ndims, own)
    record = copies.rows_first(value, batch_ndims)
    return Draw(record.clone(), log_prob, log_prob, record=record)
