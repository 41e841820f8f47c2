"""The copies of a row, as estimators see them that draw them together."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.estimators.log_prob import MisfitError
from sfgrad.masks import Masked
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


def check_equal(kind: str, parameter: Tensor, distribution: Distribution, copies: Copies) -> None:
    """Refuse copies that differ before the node, but for rounding.

    Args:
        kind: the estimator, for errors.
        parameter: `[copies · R, ...]`, of the distribution inside of any `Independent`.
        distribution: that of the node, which may be masked.
        copies: where they are.

    Raises:
        MisfitError: their parameters or their masks differ.
    """
    if copies.outer is None or not is_readable(parameter):
        return
    parameter = parameter.detach()
    if isinstance(distribution, Masked):
        mask = distribution.mask
        if not (copies.split(mask) == copies.split(mask)[:1]).all():
            raise MisfitError(
                f"{kind} couples equal copies of a row, but their masks differ: set samples= of "
                "the estimator, so that the node makes its own copies"
            )
        mask = mask.view(*mask.shape, *[1] * (parameter.dim() - mask.dim()))
        parameter = parameter.where(mask, 0)
    parts = copies.split(parameter)
    near = torch.finfo(parts.dtype).eps ** 0.5
    if not torch.allclose(parts, parts[:1], near, near):
        raise MisfitError(
            f"{kind} couples equal copies of a row, but they differ before the node (by an earlier "
            "draw, or dropout): set samples= of the estimator, so that the node makes its own "
            "copies"
        )
