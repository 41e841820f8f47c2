"""Where a draw is made: the distribution, which rows and elements count, what is known there."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.baselines import Baseline, check_baseline
from sfgrad.estimators.base import Estimator, Layout
from sfgrad.masks import Masked, element_mask
from sfgrad.rows import Rows, copied_index, row_index, sum_rows
from sfgrad.settings import accepts, describe

Parents = Iterable[str | Tensor] | None


@dataclass(slots=True)
class Request:
    """What a model asks for at a node besides a value: arguments of `sample`."""

    mask: Tensor | None = None
    index: Tensor | None = None
    context: Tensor | None = None
    parents: Parents = None


@dataclass(slots=True)
class Site:
    """Where a draw is made.

    Args:
        name: of the node.
        distribution: over R rows; `Masked` where some elements do not count.
        batch_ndims: leading dimensions of it that are rows.
        index: int64 `[N]`, where rows are ragged: to which row each of the N first entries
            belongs. Logarithms of the entries are then summed into rows.
        rows: R, the rows of the graph.
        counted: boolean `[R]`, the rows that count; None for all.
        layout: how the rows lie, for an estimator that takes the copies there are.
    """

    name: str
    distribution: Distribution
    batch_ndims: int
    index: Tensor | None
    rows: int
    counted: Tensor | None
    layout: Layout | None = None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The dimensions of the distribution that are rows, or entries of ragged ones."""
        return self.distribution.batch_shape[: self.batch_ndims]

    def fold(self, logarithm: Tensor, copies: int) -> Tensor:
        """Sum the logarithms of ragged rows: `[copies · N]` to `[copies · R]`."""
        if self.index is None:
            return logarithm
        index = copied_index(self.index, copies, self.rows)
        return sum_rows(logarithm, index, copies * self.rows)


def make_site(
    name: str, distribution: Distribution, estimator: Estimator, request: Request, rows: Rows
) -> Site:
    """The site of a node; fixes the rows, or checks that they fit.

    Raises:
        ValueError: the rows, the index or the mask do not fit the graph, the distribution or the
            estimator.
        TypeError: the context is meant as something else.
    """
    what = f"node {name!r}"
    if request.context is not None:
        _check_context(what, request.context, estimator)
    n, shape = rows.batch_ndims, distribution.batch_shape
    if len(shape) < n:
        kind = f"batch shape {list(shape)}" if shape else "no batch shape"
        raise ValueError(
            f"{what} has {kind}: give one entry per row or batch_ndims=0 (rows are the first {n} "
            "dimension(s))"
        )
    index = None
    if request.index is None:
        rows.check(what, shape[:n])
    else:
        index = row_index(what, request.index, shape[0] if shape else 1, rows)
    if request.mask is None:
        return Site(name, distribution, n, index, rows.count, None)

    # The mask of ragged rows may be that of one copy, as their index is. It is kept as a copy.
    mask = request.mask.clone() if torch.is_tensor(request.mask) else request.mask
    if index is not None and torch.is_tensor(mask) and mask.shape[:1] != shape[:1]:
        mask = mask.repeat(rows.copies, *[1] * (mask.dim() - 1))
    single = index is not None or not torch.is_tensor(mask) or mask.shape != shape[:n]
    mask = element_mask(name, mask, distribution, tuple(shape[:n]))
    if single and not estimator.takes_masks:
        advice = ""
        if not type(estimator).__module__.startswith("sfgrad."):
            advice = (
                ", or set its takes_masks where all its logarithms are of the distribution that "
                "draw() gets"
            )
        raise ValueError(
            f"{what}: {type(estimator).__name__} does not take a mask of single elements: give one "
            f"boolean per row{advice}"
        )
    counted = _counted_rows(mask, index, rows.count)
    return Site(name, Masked(distribution, mask), n, index, rows.count, counted)


def _check_context(what: str, context: object, estimator: Estimator) -> None:
    """Refuse a context that must be meant as an estimator or as a mask."""
    if isinstance(context, Estimator):
        raise TypeError(
            f"{what}: the context is {describe(context)}: an estimator is given where the node is "
            "made, StochasticNode(estimator)"
        )
    if torch.is_tensor(context) and context.dtype == torch.bool and estimator.baseline is None:
        raise TypeError(
            f"{what}: the context is a tensor of booleans, and there is no baseline to look at it: "
            "give a mask as mask="
        )


def _counted_rows(mask: Tensor, index: Tensor | None, rows: int) -> Tensor:
    """The rows of which an element counts, boolean `[R]`."""
    if index is None:
        return mask.reshape(rows, -1).any(1)
    counted = mask.flatten(1).any(1) if mask.dim() > 1 else mask
    numbers = counted.new_zeros(rows, dtype=torch.int64).index_add(0, index, counted.long())
    return numbers > 0


def predict(
    site: Site, baseline: Baseline, context: Tensor | None, comparable: int
) -> Tensor | None:
    """What a baseline says at the draw, `[R]`, or None.

    Args:
        site: of the draw.
        baseline: of its estimator.
        context: `[R, ...]`, what the user gave it to look at.
        comparable: how many independent draws there are to compare.

    Raises:
        ValueError: the baseline takes no mask where there is one, or its prediction or the context
            has other rows; and what the baseline refuses.
        TypeError: the baseline is something else, or its class is written otherwise.
    """
    kind = type(baseline).__name__
    row_shape = site.row_shape if site.index is None else (site.rows,)
    if site.counted is not None:
        check_baseline(f"node {site.name!r}", baseline)
        if not takes_mask(baseline):
            raise ValueError(
                f"node {site.name!r} has a mask, but {kind}.update takes none: let it take "
                "mask=None as a third argument, the rows that count"
            )
    if site.counted is not None and torch.is_tensor(context):
        # What stands in rows that do not count must not reach the module, not even as 0 · NaN.
        seen = site.counted.view(*row_shape, *[1] * (context.dim() - len(row_shape)))
        context = (
            context.where(seen, 0) if context.shape[: len(row_shape)] == row_shape else context
        )
    prediction = _prediction(site, baseline, context, comparable)
    if baseline.compares and comparable < 2:
        raise ValueError(
            f"node {site.name!r}: {kind} has nothing to compare, every row is drawn once: set "
            "samples=2 in expectation() or in the node, call branch(), or give groups="
        )
    if prediction is None:
        return None

    count = math.prod(row_shape)
    if prediction.shape in (row_shape, (*row_shape, 1), (count,), (count, 1)):
        return prediction.reshape(-1)
    if context is not None and context.shape[: len(row_shape)] != row_shape:
        raise ValueError(
            f"node {site.name!r} has {_rows(context.shape, row_shape)} rows of context but "
            f"{_rows(row_shape, row_shape)} of its distribution: pass the context through align()"
        )
    raise ValueError(
        f"node {site.name!r}: {kind} returned shape {list(prediction.shape)} for {count} rows of "
        "context: return one number per row, [R] or [R, 1]"
    )


def _prediction(
    site: Site, baseline: Baseline, context: Tensor | None, comparable: int
) -> Tensor | None:
    """What `at_draw` returns, which must be a tensor or None."""
    try:
        prediction = baseline.at_draw(site.name, context, comparable)
    except (AttributeError, TypeError) as error:
        check_baseline(f"node {site.name!r}", baseline)
        if accepts(baseline.at_draw, site.name, context, comparable):
            raise
        raise TypeError(
            f"node {site.name!r}: {type(baseline).__name__}.at_draw takes other arguments than the "
            "three that it is given: define it as at_draw(self, name, context, samples)"
        ) from error
    if prediction is not None and not torch.is_tensor(prediction):
        raise TypeError(
            f"node {site.name!r}: {type(baseline).__name__}.at_draw returned "
            f"{describe(prediction)}: return a tensor, one number for each row, or None"
        )
    return prediction


def _rows(shape: tuple[int, ...], row_shape: tuple[int, ...]) -> str:
    """The rows among the dimensions of a tensor, as errors tell them."""
    rows = list(shape[: len(row_shape)])
    return str(rows[0] if len(rows) == 1 else rows)


def takes_mask(baseline: Baseline) -> bool:
    """Whether its `update` has a third argument."""
    return accepts(baseline.update, None, None, None)
