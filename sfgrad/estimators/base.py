"""The protocol of an estimator: a draw and a weight.

Every sampling node makes a draw `z` from some density `q` and carries a differentiable weight
`ω = factor · exp(log_prob − stop(log_density))`, which is `p(z) / stop(q(z))` for most.

One condition makes an estimator valid: for every f, the mean over copies of `ω·f(z)` has the
expectation E_p[f]; if its derivatives agree up to order k, gradients are right up to order k.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from torch import Tensor
from torch.distributions import Distribution

from sfgrad.baselines import Baseline
from sfgrad.settings import describe, is_whole

Layout = tuple[int, int, int]
"""How rows lie, as (E, S, R), outermost first: E enumerated copies, S copies made by the nearest
branch, R rows before that branch."""


class Draw(NamedTuple):
    """What an estimator hands to the graph.

    Args:
        value: `[copies · R, ...]`, the drawn values, newest copies outermost.
        log_prob: `[copies · R]`, nats: log p(z), or whatever has the derivatives that the weight
            should have; None means ω = 1 without derivative (the gradient flows through `value`).
        log_density: `[copies · R]`, nats: log q(z); None with `log_prob`. No gradient flows into
            it; give `log_prob` itself where z was drawn from p.
        copies: how many rows each row became.
        record: a copy of `value` that the user cannot write to; the graph makes one if None.
        factor: `[copies · R]`, multiplies the weight: of any sign, may be 0, may carry a
            derivative; 1 if None.
        recorded: `[copies · R]`, nats: the log-probability by which a replay weighs the value, NaN
            where it cannot be replayed; `log_density` if None.
        observation: what the estimator's control variate is to keep of the draw, where only the
            estimator knows it; what its `observe` returns if None.
    """

    value: Tensor
    log_prob: Tensor | None = None
    log_density: Tensor | None = None
    copies: int = 1
    record: Tensor | None = None
    factor: Tensor | None = None
    recorded: Tensor | None = None
    observation: Any = None

    def check(self, name: str, estimator: str, row_shape: tuple[int, ...]) -> None:
        """Refuse what does not fit together, or not the rows.

        Args:
            name: the node, for errors.
            estimator: what made the draw, for errors.
            row_shape: the rows that it was made for.

        Raises:
            ValueError: one logarithm is missing, or something has another shape.
            TypeError: an argument is not a tensor, or the number of copies not a whole number.
        """
        self._check_types(name, estimator)
        if (self.log_prob is None) != (self.log_density is None):
            given = "log_density" if self.log_prob is None else "log_prob"
            raise ValueError(
                f"node {name!r} has a Draw with {given} alone: give both, or neither ({estimator} "
                "made it)"
            )

        # A single row has no dimension of its own, so nothing can be said of its value.
        shape = (self.copies * row_shape[0], *row_shape[1:]) if row_shape else ()
        if self.value.shape[: len(shape)] != shape:
            raise ValueError(
                f"node {name!r}: {estimator} returned a Draw whose value has shape "
                f"{list(self.value.shape)} for {self.copies} copies of rows {list(row_shape)}: its "
                f"first dimensions must be {list(shape)}"
            )
        if self.log_prob is None or self.log_density is None:
            return

        count = (math.prod(shape) if shape else self.copies,)
        if self.log_prob.shape != count or self.log_density.shape != count:
            raise ValueError(
                f"node {name!r}: {estimator} returned a Draw whose log_prob has shape "
                f"{list(self.log_prob.shape)} and whose log_density has "
                f"{list(self.log_density.shape)}: both must be {list(count)}, one number for every "
                "copy of every row, as row_log_prob() returns it"
            )
        for field in ("factor", "recorded"):
            part = getattr(self, field)
            if part is not None and part.shape != count:
                raise ValueError(
                    f"node {name!r}: {estimator} returned a Draw whose {field} has shape "
                    f"{list(part.shape)}: it must be {list(count)}, one number for every copy of "
                    "every row"
                )

    def _check_types(self, name: str, estimator: str) -> None:
        """Refuse what is not a tensor, and copies that are not a whole number."""
        for field in ("value", "log_prob", "log_density", "factor", "recorded"):
            part = getattr(self, field)
            if not isinstance(part, Tensor) and (part is not None or field == "value"):
                raise TypeError(
                    f"node {name!r}: {estimator} returned a Draw whose {field} is "
                    f"{describe(part)}: it must be a tensor"
                )
        if not is_whole(self.copies):
            raise TypeError(
                f"node {name!r}: {estimator} returned a Draw whose copies is "
                f"{describe(self.copies)}: it must be a whole number, 1 if every row is drawn once"
            )


class Estimator(ABC):
    """How a node draws, and how its draw carries a gradient."""

    baseline: Baseline | None = None
    """Subtracted from the cost to go, or None."""

    independent: bool = False
    """Whether the copies are independent draws, which leave-one-out may compare."""

    samples: int | None = 1
    """How many draws it makes for every row; None for one in each of the copies that the nearest
    branch made, so that `draw_among` is called in place of `draw`."""

    coupled: bool = False
    """Whether the draws of a row's copies depend on each other, so that leave-one-out, as the
    baseline of this node, would be biased."""

    together: bool = False
    """Whether copies are right only all together, so that no second such node may take them."""

    order: float = math.inf
    """The highest derivative that is right: 0 for a biased gradient, −1 for a biased value. A
    derivative beyond it, and beyond the first, is refused."""

    takes_masks: bool = False
    """Whether a mask of single elements reaches all its logarithms: they are taken of the
    distribution that `draw` is given. Whole rows may be masked with every estimator."""

    max_copies: int | None = None
    """How many copies of a row it may make, together with all others that do not draw
    independently; None for any number."""

    @abstractmethod
    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw one value, or `copies` values, for every row.

        Where gradients are off the graph calls `plain` instead.

        Args:
            distribution: over R rows: `batch_shape = [R, ...]` (any shape when `batch_ndims` is 0).
            batch_ndims: number of leading dimensions that are rows. Copies go into the first one.
        """

    def draw_among(self, distribution: Distribution, batch_ndims: int, layout: Layout) -> Draw:
        """Draw one value for every row, together with those of the row's other copies.

        Called in place of `draw` where `samples` is None.

        Args:
            distribution: as in `draw`, its rows being copies of fewer ones.
            batch_ndims: as in `draw`.
            layout: how the rows lie, `E · S · R` of them.
        """
        kind = type(self).__name__
        raise NotImplementedError(f"{kind} has samples=None, but no draw_among()")

    def plain(self, distribution: Distribution) -> Tensor:
        """One value per row, for use outside any graph, and where gradients are off."""
        return distribution.sample()

    def __repr__(self) -> str:
        shown = shown_settings(self)
        if self.baseline is not None:
            shown = [f"baseline={self.baseline!r}", *shown]
        return f"{type(self).__name__}({', '.join(shown)})"


def shown_settings(estimator: Estimator) -> list[str]:
    """What an estimator was made with, as in `samples=4`, without its baseline."""
    return [
        f"{name}={value!r}"
        for name, value in vars(estimator).items()
        if not name.startswith("_") and name not in ("baseline", "order")
    ]


def check_estimator(what: str, value: object) -> None:
    """Refuse what is not an estimator.

    Args:
        what: whose estimator it is, for errors.
        value: what was given as one.

    Raises:
        TypeError: it is a class, a baseline or anything else.
    """
    if not isinstance(value, Estimator):
        raise TypeError(
            f"the estimator of {what} is {describe(value)}: give an object such as ScoreFunction() "
            f"or Enumerate(){_advice(value)}"
        )


def _advice(value: object) -> str:
    """What may have been meant by something that is not an estimator."""
    if isinstance(value, type) and issubclass(value, Estimator):
        return f"; call the class, {value.__name__}()"
    if isinstance(value, Baseline):
        return f"; a baseline belongs in it, ScoreFunction({type(value).__name__}(…))"
    if isinstance(value, str):
        return f"; a name is given as name={value!r}"
    if isinstance(value, Distribution):
        return "; a distribution is given at each draw"
    return ""
