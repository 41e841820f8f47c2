"""Copies of a row that are drawn together: where they are, and whether they are equal."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.estimators.base import Estimator, Layout
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.masks import Masked, base_distribution
from sfgrad.tracing import is_readable


class Copies(NamedTuple):
    """Where the copies of a row are: in a new first dimension, or among the rows.

    Args:
        number: S, how many.
        outer: E, how many newer copies every row has; None where the copies are the node's own, a
            first dimension before the rows.
    """

    number: int
    outer: int | None = None

    def split(self, rows: Tensor) -> Tensor:
        """Copies first: `[S, ...]`."""
        if self.outer is None:
            return rows
        return rows.unflatten(0, (self.outer, self.number, -1)).movedim(1, 0)

    def merge(self, copies: Tensor) -> Tensor:
        """Where the copies belong: the inverse of `split`."""
        return copies if self.outer is None else copies.movedim(0, 1).flatten(0, 2)

    def rows_first(self, value: Tensor, batch_ndims: int) -> Tensor:
        """As a graph takes values: `[copies · R, ...]`."""
        return value.flatten(0, 1) if self.outer is None and batch_ndims else value

    def shape(self, element: torch.Size) -> tuple[int, ...]:
        """The shape of noise, copies first, for a distribution over these elements."""
        if self.outer is None:
            return (self.number, *element)
        return (self.number, self.outer, element[0] // (self.number * self.outer), *element[1:])


def own_layout(distribution: Distribution, batch_ndims: int) -> Layout:
    """The layout of rows that an estimator has not copied yet: (1, 1, R)."""
    return 1, 1, math.prod(distribution.batch_shape[:batch_ndims])


def copied_shape(shape: tuple[int, ...], copies: int) -> tuple[int, ...]:
    """A shape `[B, …]` whose first dimension has become `copies · B`; `[copies]` of no shape."""
    return (copies * shape[0], *shape[1:]) if shape else (copies,)


def check_siblings(estimator: Estimator, distribution: Distribution, layout: Layout) -> None:
    """Refuse copies that cannot be drawn together.

    Equal inputs may differ in the last digits after a matrix product, so half of the digits count.

    Args:
        estimator: that of the node, for errors.
        distribution: over E · S · R rows.
        layout: how they lie.

    Raises:
        ValueError: every row is there once; or a parameter differs among the copies of a row.
    """
    kind = type(estimator).__name__
    E, S, _ = layout
    if S == 1:
        raise MisfitError(
            f"{kind} draws the copies of a row together, but there is one of each row: set samples="
            " in the node or in expectation(), or call branch()"
        )
    if isinstance(distribution, Masked):
        _check_masks(kind, distribution.mask, layout)
    base = base_distribution(distribution)
    rows = base.batch_shape[:1]
    for name, parameter in parameters(base).items():
        if parameter.shape[:1] != rows or not is_readable(parameter):
            continue
        if not _are_equal(parameter.detach().reshape(E, S, -1)):
            raise MisfitError(
                f"{kind} draws the {S} copies of a row together, but {name} of "
                f"{type(base).__name__} differs among them, as it does after an earlier draw or "
                f"dropout: let the node make its own copies, samples={S}, or use ScoreFunction()"
            )


def _check_masks(kind: str, mask: Tensor, layout: Layout) -> None:
    """Refuse copies of which some count and others do not."""
    if is_readable(mask) and not _are_equal(mask.reshape(*layout[:2], -1)):
        raise MisfitError(
            f"{kind} draws the copies of a row together, but their masks differ: let the node make "
            f"its own copies, samples={layout[1]}, or use ScoreFunction()"
        )


def parameters(distribution: Distribution) -> dict[str, Tensor]:
    """The tensors of a distribution and of those that it is made of, by name."""
    result: dict[str, Tensor] = {}
    for name, part in vars(distribution).items():
        if isinstance(part, Distribution):
            result = parameters(part) | result
        elif torch.is_tensor(part) and name != "_param":  # another name of probs or logits
            result[name] = part
    return result


def _are_equal(copies: Tensor) -> bool:
    """Whether copies `[E, S, N]` are equal but for rounding."""
    copies = copies if copies.is_floating_point() else copies.double()
    first = copies[:, :1]
    if torch.equal(copies, first.expand_as(copies)):
        return True
    tolerance = torch.finfo(copies.dtype).eps ** 0.5
    near = (copies - first).abs() <= tolerance * (1 + first.abs())
    same = (copies == first) | (copies.isnan() & first.isnan())  # a masked element may be anything
    return bool((near | same).all())
