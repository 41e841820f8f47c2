"""Tensors that users give: of which kind they are, and in which precision they are summed."""

from typing import Any

import torch
from torch import Tensor


def check_tensor(name: str, value: Any) -> None:
    """Refuse what is no tensor, and complex numbers.

    Args:
        name: the argument, for errors.
        value: what was given for it.

    Raises:
        TypeError: it is no tensor.
        ValueError: it is complex.
    """
    if not torch.is_tensor(value):
        raise TypeError(
            f"{name} is of type {type(value).__name__}: give a tensor, as torch.as_tensor() makes "
            "of arrays, lists and numbers"
        )
    if value.is_complex():
        raise ValueError(
            f"{name} is of complex numbers ({value.dtype}), which cannot be minimised or compared: "
            "give real ones, such as value.real or value.abs()"
        )


def check_dim(tensor: Tensor, dim: Any, what: str = "dim") -> None:
    """Refuse a dimension that a tensor has not.

    Raises:
        ValueError: it is out of range.
        TypeError: it is no whole number.
    """
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise TypeError(f"{what} is of type {type(dim).__name__}: give a whole number")
    if not -tensor.dim() <= dim < tensor.dim():
        raise ValueError(
            f"{what} is {dim}: a tensor of shape {list(tensor.shape)} has the dimensions 0 to "
            f"{tensor.dim() - 1}, or −1 for the last"
        )


def floating_type(tensor: Tensor) -> torch.dtype:
    """The type of what a floating-point function makes of it: the default one of whole numbers."""
    return tensor.dtype if tensor.is_floating_point() else torch.get_default_dtype()


def single(tensor: Tensor) -> Tensor:
    """The tensor in single precision at least: half types have too few digits for a sum."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def trailing_sum(tensor: Tensor, ndims: int) -> Tensor:
    """The sum over everything after the first `ndims` dimensions, which are flattened to one.

    Args:
        tensor: `[R, ...]`; sums of half types are wanted of `single` of it.
        ndims: leading dimensions to keep.

    Returns:
        `[R]`, or `[1]` when `ndims` is 0.
    """
    if tensor.dim() > ndims:
        tensor = tensor.flatten(ndims).sum(ndims)
    return tensor if tensor.dim() == 1 else tensor.reshape(-1)
