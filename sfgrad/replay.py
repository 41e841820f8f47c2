"""Recorded draws, replayed: scored with the present parameters."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, TransformedDistribution

from sfgrad.draws import Live
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.log_prob import summed_log_prob
from sfgrad.masks import Masked, base_distribution
from sfgrad.site import Site
from sfgrad.tensors import single, trailing_sum
from sfgrad.tracing import is_readable

Recorded = Tensor | tuple[Tensor, Tensor | None]
"""A draw to be replayed: its value, or that and the log-density it was drawn at."""


SQUASHED = (
    " (a transform cannot be undone where it saturates: draw before squashing, squash outside)"
)


class Replay(Live):
    """Draws that were recorded are scored with the present parameters; others are live.

    The weight is 1, or the importance ratio to the density that the value was recorded at.

    Args:
        recorded: by node: the value `[copies · R, ...]`, whose rows tell the number of copies; and
            with it log q, nats, unless it was drawn from the present parameters: `[copies · R]`, or
            one number per element, which is summed.
        max_ratio: largest importance ratio of a row at a node; larger ones count as this. None for
            no limit.

    Unbiased: without `max_ratio`.
    """

    def __init__(self, recorded: Mapping[str, Recorded], max_ratio: float | None = None):
        self.recorded, self.max_ratio = dict(recorded), max_ratio
        self._transformed: set[str] = set()

    def draw(self, site: Site, estimator: Estimator) -> Draw:
        """Replay what was recorded for the site, else draw."""
        if site.name not in self.recorded:
            return super().draw(site, estimator)
        value, recorded = _given(site.name, self.recorded[site.name])
        value, copies = _fitting(site, value)
        if squashed(site):
            self._transformed.add(site.name)

        # Copies: what is scored nobody else can write to, and what was recorded stays as it is.
        # They are made of tensors of inference mode, too, which autograd would refuse.
        wanted = site.distribution.batch_shape + site.distribution.event_shape
        scored = _scorable(site, value.reshape(copies, *wanted))
        log_density = None
        if recorded is not None and not _lacks_log_prob(site, scored, recorded):
            log_density = _log_density(site, recorded, copies)
        log_prob = site.fold(_log_prob(site, scored), copies)
        if log_density is None:
            log_density = log_prob.detach()
        else:
            log_prob = self._limited(site, log_prob, log_density)
        return Draw(value.clone(), log_prob, log_density, copies, value)

    def advice(self, name: str) -> str:
        """As in `Live`."""
        return SQUASHED if name in self._transformed else ""

    def _limited(self, site: Site, log_prob: Tensor, log_density: Tensor) -> Tensor:
        """The log-probability, lowered where the ratio would be above the limit."""
        if self.max_ratio is None:
            return log_prob
        excess = (log_prob.detach() - log_density - math.log(self.max_ratio)).clamp(min=0)
        if site.counted is not None:  # the others have weight 1
            excess = excess.where(site.counted.repeat(len(excess) // site.rows), 0)
        return log_prob - excess


def _fitting(site: Site, value: Tensor) -> tuple[Tensor, int]:
    """A private copy of the replayed value, and the number of copies that it holds."""
    wanted = site.distribution.batch_shape + site.distribution.event_shape
    n = min(site.batch_ndims, 1)
    copies = value.numel() // wanted.numel() if wanted.numel() else 1
    if value.shape[n:] != wanted[n:] or value.numel() != copies * wanted.numel() or not copies:
        raise ValueError(
            f"node {site.name!r}: the replayed value has shape {list(value.shape)} but the "
            f"distribution draws {list(wanted)}: give that shape, or whole copies of it as rows"
        )
    return value.detach().clone(), copies


def _scorable(site: Site, value: Tensor) -> Tensor:
    """The replayed values, with a draw in place of those that do not count, which may be padding.

    Args:
        site: with or without a mask.
        value: `[copies, *batch_shape, *event_shape]`.
    """
    distribution = site.distribution
    if not isinstance(distribution, Masked):
        return value
    if torch.compiler.is_compiling():
        drawn = distribution.sample()
    else:
        devices = [value.device] if value.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):  # the generator stays where it was
            drawn = distribution.sample()
    return torch.where(distribution.value_mask(), value, drawn.detach().to(value.dtype))


def _log_prob(site: Site, value: Tensor) -> Tensor:
    """Log-probability of `[copies, *batch_shape, *event_shape]`, or an error with the node."""
    try:
        return summed_log_prob(site.distribution, value, site.batch_ndims + 1, (len(value),))
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        advice = SQUASHED if squashed(site) else ""
        raise ValueError(
            f"node {site.name!r}: the distribution refuses the replayed value{advice}: "
            f"{str(error) or 'it has no log_prob'}"
        ) from error


def _lacks_log_prob(site: Site, value: Tensor, recorded: Tensor) -> bool:
    """Whether NaN was recorded because the distribution has no log-probability."""
    if not is_readable(recorded) or not recorded.isnan().any():
        return False
    try:
        site.distribution.log_prob(value)
    except NotImplementedError:
        return True
    except Exception:  # the value does not fit, which is said elsewhere
        return False
    return False


def squashed(site: Site) -> bool:
    """Whether draws are transformed, and the way back may be lost."""
    return isinstance(base_distribution(site.distribution), TransformedDistribution)


def _given(name: str, given: Any) -> tuple[Tensor, Tensor | None]:
    """The value and the log-probability that were given for a node."""
    pair = given if isinstance(given, tuple | list) and len(given) == 2 else (given, None)
    if torch.is_tensor(pair[0]) and (pair[1] is None or torch.is_tensor(pair[1])):
        return pair[0], pair[1]
    kinds = ", ".join(type(part).__name__ for part in pair)
    raise ValueError(
        f"node {name!r}: draws= gives {kinds}: give a tensor, or a pair of tensors, "
        "(value, log_prob), as graph.draws has them"
    )


def _copied(shape: tuple[int, ...], copies: int) -> tuple[int, ...]:
    """The dimensions of rows after they became copies."""
    return (copies * shape[0], *shape[1:]) if shape else ()


def _log_density(site: Site, recorded: Tensor, copies: int) -> Tensor:
    """The recorded log q of every row, `[copies · R]`.

    Raises:
        ValueError: it has neither one number per row nor one per element, or is not finite.
    """
    recorded = single(recorded.detach().clone())
    base = base_distribution(site.distribution)
    elements = torch.Size((copies * base.batch_shape[:1].numel(), *base.batch_shape[1:]))
    rows, shape = copies * site.rows, site.row_shape
    by_rows = [(rows,)] if site.index is not None else [(rows,), _copied(shape, copies)]

    # One number per element is masked and summed as the present ones are.
    if recorded.shape in by_rows and (recorded.shape != elements or site.index is not None):
        result = recorded.reshape(-1)
    elif recorded.shape == elements:
        result = recorded.reshape(copies, *base.batch_shape)
        if isinstance(site.distribution, Masked):
            result = result.where(site.distribution.mask, 0)
        result = site.fold(trailing_sum(result, site.batch_ndims + 1), copies)
    else:
        raise ValueError(
            f"node {site.name!r}: the replayed log-probability has shape {list(recorded.shape)}: "
            f"give one number for each of the {rows} rows, or one for each element, "
            f"{list(elements)}"
        )

    if site.counted is not None:
        result = result.where(site.counted.repeat(copies), 0)
    if is_readable(result) and not torch.isfinite(result).all():
        advice = SQUASHED if squashed(site) else ""
        raise ValueError(
            f"node {site.name!r}: the recorded log-probability is NaN or infinite, so the draw "
            f"cannot be replayed{advice}; draws of an estimator that has none, and of "
            "distributions without log_prob, cannot be either: leave the node out of draws="
        )
    if is_readable(result) and _is_discrete(base) and (result > 0).all():
        raise ValueError(
            f"node {site.name!r}: the recorded log-probability is above 0 in every row, which that "
            f"of {type(base).__name__} never is: give the logarithm, not the probability"
        )
    return result


def _is_discrete(base: Distribution) -> bool:
    """Whether its values have probabilities, as far as it says so."""
    try:
        support: Any = base.support
        return bool(support.is_discrete)
    except (AttributeError, NotImplementedError):
        return False
