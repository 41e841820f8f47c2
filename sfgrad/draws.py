"""Who makes a draw: the estimator, live; or the recording that is replayed.

A graph asks its source for every draw. The oracle and the checks bring sources of their own.
"""

import math
from typing import Any

import torch
from torch import Tensor

from sfgrad.diagnosis import refuse_detached
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.log_prob import summed_log_prob
from sfgrad.masks import Masked
from sfgrad.order import limit_order
from sfgrad.settings import describe
from sfgrad.site import Site


class Live:
    """Every draw is the estimator's own."""

    learns: bool = True
    """Whether baselines learn from the costs of its draws."""

    joins: bool = True
    """Whether copies that share a cost are compared with each other."""

    def estimator(self, name: str, estimator: Estimator) -> Estimator:
        """The estimator of a node, or what takes its place."""
        return estimator

    def joins_copies(self, cost: str) -> bool:
        """Whether the copies of a row share a cost that says so; it may be refused."""
        return True

    def draw(self, site: Site, estimator: Estimator) -> Draw:
        """The draw at a site, logarithms by rows."""
        draw = _estimated(site, estimator)
        if not isinstance(draw, Draw):
            raise TypeError(
                f"node {site.name!r}: {type(estimator).__name__}.draw returned {describe(draw)}: "
                "return a Draw(value, log_prob, log_density)"
            )

        # The usual draw, one log-probability a row, needs no second look.
        log_prob = draw.log_prob
        if (
            not isinstance(log_prob, Tensor)
            or log_prob is not draw.log_density
            or site.index is not None
            or log_prob.shape != (draw.copies * site.rows,)
            or draw.factor is not None
        ):
            draw.check(site.name, type(estimator).__name__, site.row_shape)
        if log_prob is not None and not log_prob.requires_grad and draw.factor is None:
            refuse_detached(site, log_prob, estimator)

        if estimator.order < math.inf:
            draw = limit_order(draw, site.name, estimator)
        if site.index is None and site.counted is None:
            return draw
        return _by_rows(site, draw, estimator)

    def advice(self, name: str) -> str:
        """What to do where the log-probability of a node is not finite, to end a message with."""
        return ""


def _estimated(site: Site, estimator: Estimator) -> Any:
    """What the estimator makes of the site: a `Draw`, if its class is written as it should be."""
    # Where there is no gradient, one plain value is all that is needed.
    distribution = site.distribution
    if not torch.is_grad_enabled():
        value = estimator.plain(distribution)
        # The same tensor where it can be: a transform that caches knows it by identity.
        return Draw(value.detach() if value.requires_grad else value)

    if isinstance(distribution, Masked) and not estimator.takes_masks:
        distribution = distribution.distribution
    if site.layout is None or estimator.samples is not None:
        return estimator.draw(distribution, site.batch_ndims)
    return estimator.draw_among(distribution, site.batch_ndims, site.layout)


def _by_rows(site: Site, draw: Draw, estimator: Estimator) -> Draw:
    """A live draw whose logarithms are those of ragged rows, and of the rows that count."""
    log_prob, log_density, factor = draw.log_prob, draw.log_density, draw.factor
    if log_prob is None or log_density is None:
        return draw
    if site.index is not None:
        if factor is not None or estimator.samples is None:
            raise ValueError(
                f"node {site.name!r}: {type(estimator).__name__} does not take index=: its copies "
                "are weighted row by row, so draw the elements of ragged rows by ScoreFunction()"
            )
        if draw.copies > 1 and not estimator.independent:
            raise ValueError(
                f"node {site.name!r}: {type(estimator).__name__} makes copies that are not "
                "independent, and does not take index=: ragged rows have no common number of values"
            )
        log_prob = site.fold(log_prob, draw.copies)
        log_density = site.fold(log_density, draw.copies)
    if site.counted is not None and not estimator.takes_masks:
        counted = site.counted.repeat(draw.copies)
        log_prob, log_density = log_prob.where(counted, 0), log_density.where(counted, 0)
        factor = None if factor is None else factor.where(counted, 1)
    return draw._replace(log_prob=log_prob, log_density=log_density, factor=factor)


def density(site: Site, draw: Draw) -> Tensor:
    """Log q of a draw that carries no weight, should it be replayed: `[R]`, NaN where it has none.

    It is taken at the draw, since parameters may change before the replay. Nothing is refused
    here: most such draws are never replayed.
    """
    with torch.no_grad():
        try:
            log_prob = summed_log_prob(site.distribution, draw.value, site.batch_ndims)
        except Exception:
            return draw.value.new_full((site.rows,), torch.nan, dtype=torch.get_default_dtype())
        return site.fold(log_prob, 1)
