"""What is kept of a draw and of a cost."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sfgrad.ancestry import Ancestors, Ancestry, Members
from sfgrad.baselines import Baseline
from sfgrad.boundary import refuse_boundary
from sfgrad.controls import Control
from sfgrad.draws import density
from sfgrad.estimators.base import Draw
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.joins import Join
from sfgrad.rows import Rows
from sfgrad.site import Site
from sfgrad.tracing import is_readable

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
    coupled: bool = False
    """Whether the draws of a row's copies depend on each other."""
    leaf: Tensor | None = None
    """The drawn value, by which a cost is differentiated, where its control variate asks for it."""
    observation: Any = None
    """What its control variate keeps of the draw."""
    path: Any = None
    """The step of autograd that its value comes from, where the gradient flows through that."""


class Joined(NamedTuple):
    """How the copies of a row share a cost."""

    nodes: int
    """How many nodes were recorded before the copies were made."""
    copies: int
    rows: int
    """Before the copies."""
    baseline: Tensor
    """`[copies, rows]`: what the draws of each copy are compared with."""


class Cost(NamedTuple):
    """A recorded cost: `value` is `[rows]`, a copy."""

    value: Tensor
    ancestors: Ancestors
    joined: Joined | None = None
    """None if every row has its own."""


def joined(
    name: str, cost: Cost, join: Join, rows: Rows, ancestry: Ancestry, nodes: list[Node]
) -> Cost:
    """The cost that the copies made by the nearest branch have together.

    Args:
        name: of the cost, for errors.
        cost: what every copy adds, `[copies · R]`.
        join: how it becomes one cost of every row.
        rows: the graph's.
        ancestry: that of the nodes.
        nodes: in the order of recording.

    Raises:
        ValueError: there is nothing to join; or a draw after the branch has a baseline of its own,
            or copies that depend on each other.
    """
    kind = type(join).__name__
    if not rows.branches or not rows.branches[-1].independent:
        why = (
            "copies that are enumerated or weighted come"
            if rows.branches
            else "no copies were made"
        )
        raise ValueError(
            f"cost {name!r}: {kind} joins the independent copies that the nearest branch made, but "
            f"{why} before it: set samples= in expectation(), or call branch()"
        )
    branch = rows.branches[-1]
    for position in Members(ancestry.bits(cost.ancestors)).positions():
        node = nodes[position]
        if position < branch.nodes or node.draw.log_prob is None:
            continue
        if node.baseline is not None or node.coupled or node.draw.factor is not None:
            has = "a baseline of its own" if node.baseline is not None else "coupled copies"
            raise ValueError(
                f"cost {name!r}: a node after the branch has {has}, but {kind} compares the copies "
                "itself: draw by ScoreFunction() or Pathwise() there"
            )

    count = rows.count // branch.copies
    value, baseline = join.join(cost.value.view(branch.copies, count))
    shared = Joined(branch.nodes, branch.copies, count, baseline.detach())
    return Cost(value.repeat(branch.copies), cost.ancestors, shared)


def make_node(
    site: Site, draw: Draw, position: int, ancestors: Ancestors, coupled: bool = False
) -> Node:
    """What is kept of a draw: a copy, since the user may write to what they get."""
    log_prob, log_density = draw.log_prob, draw.log_density
    if log_prob is not None and not torch.compiler.is_compiling():
        _refuse_checkpoint(site.name)
        refuse_boundary(site.name, site.distribution)
    record = draw.value.detach().clone() if draw.record is None else draw.record
    return Node(
        position,
        Draw(record, log_prob, log_density, draw.copies, factor=draw.factor),
        draw.value,
        _recorded(site, draw),
        ancestors,
        None if site.counted is None else site.counted.repeat(draw.copies),
        coupled=coupled,
        observation=draw.observation,
        path=draw.value.grad_fn if log_prob is None and is_readable(draw.value) else None,
    )


def observe(node: Node, control: Control, site: Site, reruns: bool) -> Node:
    """The node, and what its control variate keeps of the draw.

    Args:
        node: as recorded.
        control: its control variate.
        site: of the draw.
        reruns: whether the model is run again where a control variate asks for it.
    """
    if control.uses_greedy and not reruns:
        raise ValueError(
            f"node {site.name!r}: {type(control).__name__} compares with a run of the model whose "
            "draws are the likeliest values, which a bare StochasticGraph cannot make: call the "
            "model through expectation(model)"
        )
    if node.observation is None:
        try:
            observation = control.observe(site.distribution, node.handed, site.batch_ndims)
        except MisfitError as error:
            raise ValueError(f"node {site.name!r}: {error}") from error
    elif site.index is None:
        observation = node.observation
    else:
        raise ValueError(
            f"node {site.name!r}: its estimator does not take index=: what it compares costs with "
            "is known row by row, so give every row the same number of elements"
        )
    if not control.uses_slope or not node.handed.is_floating_point():
        return node._replace(observation=observation)
    if site.index is not None:
        raise ValueError(
            f"node {site.name!r}: {type(control).__name__} does not take index=: it differentiates "
            "the costs row by row, so give every row the same number of elements"
        )

    # What is handed out may be written to, which a leaf that requires grad may not.
    try:
        leaf = node.handed.detach().clone().requires_grad_()
    except RuntimeError as error:
        raise ValueError(
            f"node {site.name!r}: {type(control).__name__} takes the slope of the costs by a "
            "backward pass of its own, which torch.func does not allow: use loss.backward() or "
            "torch.autograd.grad(), or LeaveOneOut() here"
        ) from error
    return node._replace(observation=observation, leaf=leaf, handed=leaf.clone())


def check_takes_groups(name: str, baseline: Baseline) -> None:
    """Refuse a control variate that does not compare the rows of groups."""
    if isinstance(baseline, Control) and not baseline.takes_groups:
        raise ValueError(
            f"node {name!r}: {type(baseline).__name__} compares copies, not the rows of groups=: "
            "use DoubleCV() or LeaveOneOut() here"
        )


def _recorded(site: Site, draw: Draw) -> Tensor:
    """By which log-probability a replay weighs the draw, `[rows]`, nats."""
    if draw.recorded is not None:
        return draw.recorded
    return density(site, draw) if draw.log_density is None else draw.log_density


def _refuse_checkpoint(name: str) -> None:
    """Refuse a scored draw inside `torch.utils.checkpoint`, which would draw it again."""
    hooks = None if INNERMOST_HOOKS is None else INNERMOST_HOOKS(True)
    if hooks is not None and hooks[0].__module__ == "torch.utils.checkpoint":
        raise ValueError(
            f"node {name!r} is drawn inside checkpoint(), which would draw it again in the "
            "backward pass, and differently: draw outside it"
        )
