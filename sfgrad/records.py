"""What is kept of a draw and of a cost."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sfgrad.ancestry import Ancestors
from sfgrad.baselines import Baseline
from sfgrad.boundary import refuse_boundary
from sfgrad.draws import density
from sfgrad.estimators.base import Draw
from sfgrad.site import Site

_autograd: Any = getattr(torch._C, "_autograd", None)  # pyright: ignore
INNERMOST_HOOKS: Any = getattr(_autograd, "_top_saved_tensors_default_hooks", None)
"""Tells which hooks save tensors now, in versions of torch that can."""


class Node(NamedTuple):
    """A recorded draw."""

    position: int
    """How many nodes come before it."""
    draw: Draw
    """Its value is a copy, `[rows, ...]`."""
    handed: Tensor
    """What the user got: known by identity, never read."""
    log_density: Tensor
    """`[rows]`, nats: log q of the draw, for a replay; NaN where it has none."""
    ancestors: Ancestors
    """The nodes that may influence it."""
    counted: Tensor | None
    """Boolean `[rows]`, those that count; None for all."""
    baseline: Baseline | None = None
    """What its cost to go is compared with."""
    prediction: Tensor | None = None
    """`[rows before the draw]`: what its baseline said when it was drawn."""
    layout: tuple[int, int, int] = (1, 1, 1)
    """Of a node with a baseline, the rows as (copies that are not independent, independent draws,
    rows before them)."""


class Cost(NamedTuple):
    """A recorded cost: `value` is `[rows]`, a copy."""

    value: Tensor
    ancestors: Ancestors


def make_node(site: Site, draw: Draw, position: int, ancestors: Ancestors) -> Node:
    """What is kept of a draw: a copy, since the user may write to what they get."""
    log_prob, log_density = draw.log_prob, draw.log_density
    if log_prob is not None and not torch.compiler.is_compiling():
        _refuse_checkpoint(site.name)
        refuse_boundary(site.name, site.distribution)
    record = draw.value.detach().clone() if draw.record is None else draw.record
    return Node(
        position,
        Draw(record, log_prob, log_density, draw.copies),
        draw.value,
        density(site, draw) if log_density is None else log_density,
        ancestors,
        None if site.counted is None else site.counted.repeat(draw.copies),
    )


def _refuse_checkpoint(name: str) -> None:
    """Refuse a scored draw inside of `torch.utils.checkpoint`, which would draw it again."""
    hooks = None if INNERMOST_HOOKS is None else INNERMOST_HOOKS(True)
    if hooks is not None and hooks[0].__module__ == "torch.utils.checkpoint":
        raise ValueError(
            f"node {name!r} is drawn inside of checkpoint(), which would draw it again in the "
            "backward pass, and differently: draw outside of it"
        )
