"""The rows of a graph: how many there are, how copies fold into them, and what belongs to which.

The first `batch_ndims` dimensions of everything that is recorded are its rows. Copies fold into the
first of them, newest outermost: `[copies · B, T, ...]`. Flattened, rows are `[copies · B · T]`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sfgrad.settings import describe
from sfgrad.tensors import single


class Branch(NamedTuple):
    """A place where every row became several."""

    first: int
    """The first dimension before it."""
    copies: int
    independent: bool
    """Whether draws of the copies may be compared."""
    nodes: int
    """How many nodes were recorded before it."""


class Rows:
    """The present rows.

    Args:
        batch_ndims: leading dimensions that are rows; 0 for a single row.
    """

    def __init__(self, batch_ndims: int):
        self.batch_ndims = batch_ndims
        self.first: int | None = None if batch_ndims else 1
        """Length of the first dimension, copies included; None until the first record."""
        self.rest: tuple[int, ...] | None = None if batch_ndims > 1 else ()
        """The other dimensions of the rows; None until the first record."""
        self.count = 0 if batch_ndims else 1
        """Number of rows, copies included; 0 until the first record."""
        self.shape: tuple[int, ...] = (-1,) * batch_ndims
        """The dimensions of the rows, copies included, what is flattened to `[count]`; −1 until
        all are known."""
        self.branches: list[Branch] = []
        self.copies = 1
        """How many rows every original row has become."""
        self.guessed = False
        """Whether only `branch` has said how many rows there are."""
        self.repeated = False
        """Whether `expectation(samples=)` has repeated the inputs."""

    def check(self, what: str, shape: tuple[int, ...]) -> None:
        """Refuse other rows than the present ones; the first record fixes them.

        Args:
            what: the record, for errors.
            shape: the dimensions of its rows.
        """
        if not self.batch_ndims:
            return
        if self.first is None or self.rest is None:
            self._fix(what, shape)
        if shape[0] == self.first and shape[1:] == (self.rest or ())[: len(shape) - 1]:
            return
        if self.batch_ndims == 1:
            raise ValueError(
                f"{what} has {shape[0]} rows but the graph has {self.first}: rows come first, "
                "none are broadcast, and align() repeats what is older"
            )
        raise ValueError(
            f"{what} has rows {list(shape)} but the graph has {list(self.shape)}: rows are the "
            f"first {self.batch_ndims} dimensions, none are broadcast, and align() repeats what is "
            "older"
        )

    def _fix(self, what: str, shape: tuple[int, ...]) -> None:
        """Take what the first records say of the rows."""
        if 0 in shape:
            raise ValueError(f"{what} has no rows: the batch is empty, so leave it out")
        self.first = shape[0] if self.first is None else self.first
        if self.rest is None and len(shape) == self.batch_ndims:
            self.rest = shape[1:]
        self._measure()

    def _measure(self) -> None:
        """Shape and number of the rows that are known."""
        if self.first is not None and self.rest is not None and self.batch_ndims:
            self.shape = (self.first, *self.rest)
            self.count = math.prod(self.shape)

    def branch(self, what: str, copies: int, independent: bool, nodes: int) -> None:
        """Let every row be `copies` rows from here on, after so many nodes."""
        if copies == 1:
            return
        if not self.batch_ndims:
            raise ValueError(
                f"{what} makes {copies} copies but batch_ndims=0 means a single row: use "
                "batch_ndims=1 with a batch of one"
            )
        first = self.first or 0
        self.branches.append(Branch(first, copies, independent, nodes))
        self.first, self.copies = first * copies, self.copies * copies
        self._measure()

    def align(self, tensor: Tensor, index: Tensor | None = None) -> Tensor:
        """Repeat an older tensor along its first dimension to the present rows, or elements."""
        if index is not None:
            _check_numbers("align()", index)
        if not self.batch_ndims or not self.first:
            return tensor
        length = tensor.shape[0] if tensor.dim() else 1
        earlier = [branch.first for branch in reversed(self.branches)]
        if index is not None:
            earlier = [first * self.copies // self.first * len(index) for first in earlier]
        present = self.first if index is None else self.copies * len(index)
        if length not in (present, *earlier):
            counts = ", ".join(map(str, earlier)) or "no other number"
            raise ValueError(
                f"align() got {length} rows: the graph has {present} and had {counts}; elements of "
                "ragged rows need index="
            )
        copies = present // length if length else 1
        return tensor if copies == 1 else tensor.repeat(copies, *[1] * (tensor.dim() - 1))

    def tile(self, rows: Tensor) -> Tensor:
        """Repeat what was recorded before a branch, `[rows]`, to the present number of rows."""
        return rows if len(rows) == self.count else rows.repeat(self.count // len(rows))

    def layout(self) -> tuple[int, int, int]:
        """The present rows, split at the nearest branch into independent draws.

        Returns:
            `(E, S, R)`: copies that are not independent, independent draws, rows before them.
        """
        for branch in reversed(self.branches):
            if branch.independent:
                before = branch.first * math.prod(self.rest or ())
                return self.count // (branch.copies * before), branch.copies, before
        return 1, 1, self.count


def row_index(what: str, index: Tensor, elements: int, rows: Rows) -> Tensor:
    """The row of every element, copies included; the first record fixes the number of rows.

    Args:
        what: the record, for errors.
        index: int64 `[N]`, of one copy: the row of each of its elements.
        elements: how many the record has, `copies · N`.
        rows: the graph's.

    Returns:
        int64 `[copies · N]`.

    Raises:
        ValueError: the index has another shape or type, or names a row that the graph has not.
    """
    _check_index(what, index, rows)

    # The elements of a copy are laid out like its rows: one copy after the other.
    copies = rows.copies
    if elements != copies * len(index):
        each = f" for each of {copies} copies" if copies > 1 else ""
        raise ValueError(
            f"{what} has {elements} elements but its index names {len(index)}{each}: give the row "
            "of every element of one copy"
        )

    if not len(index) and rows.first is None:
        raise ValueError(
            f"{what} has an empty index as the first record, which does not say how many rows "
            "there are: record a cost of every row first, or leave the batch out if it has no rows"
        )
    low, high = (int(index.min()), int(index.max())) if len(index) else (0, -1)
    if rows.first is None:
        rows.check(what, (high + 1,))
    count = (rows.first or 0) // copies
    if rows.guessed and high + 1 != count:
        raise ValueError(
            f"{what}: its index names {high + 1} rows, but branch() was given {count}: branch "
            "elements by branch(elements, copies, index=index)"
        )
    if low < 0 or high >= count:
        raise ValueError(
            f"{what}: its index names row {low if low < 0 else high}, but the graph has {count} "
            "rows, numbered from 0: the first record fixes how many (record a cost of every "
            "row first where the last rows have no element)"
        )
    return copied_index(index, copies, count)


def copied_index(index: Tensor, copies: int, rows: int) -> Tensor:
    """The rows of the elements of all copies, `[copies · N]`, each copy having `rows` rows."""
    if copies == 1:
        return index
    offsets = rows * torch.arange(copies, device=index.device)
    return (offsets.unsqueeze(1) + index).flatten()


def _check_index(what: str, index: Tensor, rows: Rows) -> None:
    """Refuse an index of another shape or type, or where rows cannot be ragged."""
    if rows.repeated:
        raise ValueError(
            f"{what} has index= under expectation(samples=): the elements of ragged rows cannot be "
            "repeated like rows; use branch() in the model, or samples= of the node"
        )
    if rows.batch_ndims != 1:
        raise ValueError(
            f"{what} has an index, but the graph has batch_ndims={rows.batch_ndims}: ragged rows "
            "need batch_ndims=1"
        )
    _check_numbers(what, index)


def _check_numbers(what: str, index: Tensor) -> None:
    """Refuse an index that does not hold numbers of rows."""
    if not torch.is_tensor(index) or index.dtype != torch.int64 or index.dim() != 1:
        is_tensor = torch.is_tensor(index)
        kind = f"{index.dtype} {list(index.shape)}" if is_tensor else describe(index)
        raise ValueError(f"{what}: the index is {kind}: give int64 [N], the row of each element")


def sum_rows(elements: Tensor, index: Tensor, rows: int) -> Tensor:
    """Sum elements `[N]` into rows `[R]`, in single precision at least."""
    elements = single(elements)
    return elements.new_zeros(rows).index_add(0, index, elements)


class Groups:
    """Rows that are independent draws from the same start.

    Args:
        groups: int64 `[R]` (with several dimensions of rows: of the first one); equal numbers are
            a group, in any order.

    Raises:
        ValueError: it has another shape or type.
    """

    def __init__(self, groups: Tensor):
        if not torch.is_tensor(groups) or groups.dtype != torch.int64 or groups.dim() != 1:
            is_tensor = torch.is_tensor(groups)
            kind = f"{groups.dtype} {list(groups.shape)}" if is_tensor else describe(groups)
            raise ValueError(
                f"groups= must be int64 [R], the group of each row, but it is {kind}: rows of "
                "equal number are compared"
            )
        self.labels = groups
        _, self.ids, self.sizes = groups.unique(return_inverse=True, return_counts=True)

    def check_comparable(self, name: str) -> None:
        """Refuse groups of one row, which leave nothing to compare."""
        alone = (self.sizes[self.ids] == 1).nonzero().flatten().tolist()
        if alone:
            label = int(self.labels[alone[0]])
            raise ValueError(
                f"node {name!r}: row {alone[0]} is alone in group {label}, so leave-one-out has "
                f"nothing to compare it with: give every group two rows or more ({len(alone)} are "
                "alone)"
            )
