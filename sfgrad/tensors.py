"""Tensors that users give: their type, and the precision of their sums."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def check_tensor(name: str, value: Any) -> None:
    """Refuse anything but a real tensor.

    Args:
        name: the argument's name, for errors.
        value: the argument.

    Raises:
        TypeError: it is not a tensor.
        ValueError: it is complex.
    """
    if not torch.is_tensor(value):
        raise TypeError(
            f"{name} is of type {type(value).__name__}: give a tensor, as torch.as_tensor() makes "
            "of arrays, lists and numbers"
        )
    if value.is_complex():
        raise ValueError(
            f"{name} is complex ({value.dtype}), and complex numbers cannot be minimised or "
            "compared: give real ones, such as value.real or value.abs()"
        )


def check_dim(tensor: Tensor, dim: Any, what: str = "dim") -> None:
    """Refuse a dimension that a tensor does not have.

    Raises:
        ValueError: it is out of range.
        TypeError: it is not a whole number.
    """
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise TypeError(f"{what} is of type {type(dim).__name__}: give a whole number")
    if not -tensor.dim() <= dim < tensor.dim():
        raise ValueError(
            f"{what} is {dim}: a tensor of shape {list(tensor.shape)} has the dimensions 0 to "
            f"{tensor.dim() - 1}, or -1 for the last"
        )


def floating_type(tensor: Tensor) -> torch.dtype:
    """The floating type of a function of it: its own, or the default for whole numbers."""
    return tensor.dtype if tensor.is_floating_point() else torch.get_default_dtype()


def single(tensor: Tensor) -> Tensor:
    """The tensor in at least single precision: half types have too few digits for a sum."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def one_hot(numbers: Tensor, count: int) -> Tensor:
    """Boolean `[..., count]`; torch's own looks at the values, which `vmap` does not allow."""
    return numbers.unsqueeze(-1) == torch.arange(count, device=numbers.device)


def stacked(rows: Sequence[Tensor]) -> Tensor:
    """`[N, R]` of N rows; of a single one, as most graphs have, without a copy."""
    return rows[0].unsqueeze(0) if len(rows) == 1 else torch.stack(list(rows))


def summed(rows: Tensor) -> Tensor:
    """The sum of rows `[N, R]`, `[R]`; of a single one, without a copy."""
    return rows.squeeze(0) if len(rows) == 1 else rows.sum(0)


def trailing_sum(tensor: Tensor, ndims: int) -> Tensor:
    """The sum over everything after the first `ndims` dimensions, which are flattened to one.

    Args:
        tensor: `[R, ...]`; pass a half type through `single` first.
        ndims: leading dimensions to keep.

    Returns:
        `[R]`, or `[1]` when `ndims` is 0.
    """
    if tensor.dim() > ndims:
        tensor = tensor.flatten(ndims).sum(ndims)
    return tensor if tensor.dim() == 1 else tensor.reshape(-1)
