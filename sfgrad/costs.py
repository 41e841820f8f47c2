"""A cost as a graph keeps it: a copy, summed by row, in at least single precision."""

import torch
from torch import Tensor

from sfgrad.rows import Rows, sum_rows
from sfgrad.tensors import check_tensor, single, trailing_sum
from sfgrad.tracing import is_readable

KEPT_AS_THEY_ARE = (torch.float32, torch.float64)


def cost_by_row(name: str, value: Tensor, index: Tensor | None, rows: Rows) -> Tensor:
    """A copy of a cost, summed over everything after its rows.

    Whole numbers are summed as integers, then converted to the default floating type, but at least
    to single precision.

    Args:
        name: of the cost, for errors.
        value: `[R, ...]`, or `[N, ...]` where rows are ragged.
        index: int64 `[N]`, the row of each entry along the first dimension; None if the entries are
            the rows.
        rows: the graph's.

    Returns:
        `[R]`.

    Raises:
        ValueError: it is complex, or the floating type cannot hold one of its whole numbers.
        TypeError: it is not a tensor.
    """
    entries = rows.count if index is None else len(index)
    if value.shape == (entries,) and value.dtype in KEPT_AS_THEY_ARE:
        return value.clone() if index is None else sum_rows(value, index, rows.count)
    check_tensor(f"cost {name!r}", value)

    # Whole numbers of at most two bytes are exact in single precision; larger ones, and sums, may
    # not be.
    n, is_whole = rows.batch_ndims, not value.is_floating_point()
    dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
    if is_whole and value.dtype.itemsize <= 2 and value.dim() == n and index is None:
        return value.to(dtype).reshape(-1)
    wide = value.long() if is_whole else single(value)
    result = trailing_sum(wide if value.dim() > n else wide.clone(), n)
    if index is not None:
        result = sum_rows(result, index, rows.count)
    return _exact(name, result, dtype) if is_whole else result


def _exact(name: str, whole: Tensor, dtype: torch.dtype) -> Tensor:
    """Whole numbers in a floating type; refused if it cannot hold them exactly."""
    result = whole.to(dtype)
    if is_readable(whole) and not torch.equal(result.to(whole.dtype), whole):
        wrong = whole[result.to(whole.dtype) != whole][0].item()
        raise ValueError(
            f"cost {name!r} has the whole number {wrong}, which {dtype} cannot hold exactly: give "
            "the cost in double precision, as value.double()"
        )
    return result
