"""The protocol of an estimator: a draw and a weight.

Every sampling node makes a draw `z` from some density `q` and carries a differentiable weight
`ω = p(z) / stop(q(z)) = exp(log_prob − stop(log_density))`.

One condition makes an estimator valid: for every f, the mean over copies of `ω·f(z)` has the
expectation E_p[f]; if its derivatives agree up to order k, gradients are right up to order k.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor
from torch.distributions import Distribution

from sfgrad.baselines import Baseline

Recorded = Tensor | tuple[Tensor, Tensor | None]
"""A draw to be replayed: its value, or that and the log-density it was drawn at."""


class Draw(NamedTuple):
    """What an estimator hands to the graph.

    Args:
        value: `[copies · R, ...]`, the drawn values, newest copies outermost.
        log_prob: `[copies · R]`, nats: log p(z), or whatever has the derivatives that the weight
            should have; None means ω = 1 without derivative (the gradient flows through `value`).
        log_density: `[copies · R]`, nats, without gradient: log q(z); None with `log_prob`.
        copies: how many rows each row became.
    """

    value: Tensor
    log_prob: Tensor | None = None
    log_density: Tensor | None = None
    copies: int = 1

    @property
    def weight(self) -> Tensor | None:
        """`[copies · R]`, ω."""
        if self.log_prob is None or self.log_density is None:
            return None
        return (self.log_prob - self.log_density).exp()


class Estimator(ABC):
    """How a node draws, and how its draw carries a gradient."""

    baseline: Baseline | None = None
    """Subtracted from the cost to go, or None."""

    independent: bool = False
    """Whether the copies are independent draws, which leave-one-out may compare."""

    @abstractmethod
    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw one value, or `copies` values, for every row.

        Args:
            distribution: over R rows: `batch_shape = [R, ...]` (any shape when `batch_ndims` is 0).
            batch_ndims: number of leading dimensions that are rows, 0 or 1.
        """

    def plain(self, distribution: Distribution) -> Tensor:
        """One value per row, for use outside any graph."""
        return distribution.sample()


def row_log_prob(distribution: Distribution, value: Tensor, ndims: int) -> Tensor:
    """Log-probability of `value`, summed over everything after the first `ndims` dimensions.

    Args:
        distribution: over R rows.
        value: `[R, ...]`, or `[copies, R, ...]` with `ndims` one larger.
        ndims: leading dimensions to keep; copies and rows are folded into one.

    Returns:
        `[copies · R]` (`[1]` when `ndims` is 0), nats.
    """
    log_prob = distribution.log_prob(value)
    if log_prob.dim() == ndims == 1:
        return log_prob
    return log_prob.reshape(log_prob.shape[:ndims].numel(), -1).sum(1)


def replay(name: str, distribution: Distribution, given: Recorded, batch_ndims: int) -> Draw:
    """Score a given value with the present parameters instead of drawing one.

    The weight is 1, or the importance ratio to the density that the value was recorded at.

    Args:
        name: the node, for errors.
        distribution: over R rows.
        given: the value `[copies · R, ...]`, whose rows tell the number of copies; and with it
            log q `[copies · R]`, nats, unless it was drawn from the present parameters.
        batch_ndims: as in `Estimator.draw`.

    Raises:
        ValueError: the value has another shape than the distribution, or log q than the rows.
    """
    value, log_density = given if isinstance(given, tuple) else (given, None)
    wanted = distribution.batch_shape + distribution.event_shape
    copies, rest = divmod(value.numel(), wanted.numel())
    if value.shape[batch_ndims:] != wanted[batch_ndims:] or rest or not copies:
        shapes = f"{list(value.shape)} but the distribution draws {list(wanted)}"
        raise ValueError(f"node {name!r}: the replayed value has shape {shapes}")
    value = value.detach()
    log_prob = row_log_prob(distribution, value.reshape(-1, *wanted), batch_ndims + 1)
    log_density = log_prob if log_density is None else log_density
    if log_density.numel() != log_prob.numel():
        shapes = f"{list(log_density.shape)}: give one number for each of the {len(log_prob)} rows"
        raise ValueError(f"node {name!r}: the replayed log-probability has shape {shapes}")
    return Draw(value, log_prob, log_density.detach().reshape(-1), copies)
