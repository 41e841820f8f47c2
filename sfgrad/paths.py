"""Whether a cost depends on the values through which gradients are to flow."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from sfgrad.records import Cost, Node
from sfgrad.tracing import is_readable
from sfgrad.warn import warn_user

ROUNDINGS = ("Ceil", "Floor", "Round", "Sign", "Trunc")
FLAT = frozenset(f"{name}Backward{number}" for name in ROUNDINGS for number in (0, 1))
"""Steps of autograd whose derivative is 0 wherever there is one."""


def warn_of_cut_paths(nodes: dict[str, Node], costs: Iterable[Cost]) -> None:
    """Warn of draws that have no weight, and of whose value no cost is a differentiable function.

    Their parameters get no gradient: a cost passed through numpy, say, or was rounded. A draw of
    which no row counts is left out.

    Args:
        nodes: those of a graph, by name.
        costs: all of the graph, of this loss or not.
    """
    paths = {name: node.path for name, node in nodes.items() if node.path is not None}
    paths = {name: path for name, path in paths.items() if _counts(nodes[name])}
    if not paths:
        return
    ends = [cost.value for cost in costs]
    for node in nodes.values():  # a later draw may depend on the value by its parameters
        ends += [part for part in (node.draw.log_prob, node.draw.factor) if part is not None]
    cut = _unreached(ends, set(paths.values()))
    if names := [name for name, path in paths.items() if path in cut]:
        others = "" if len(names) == 1 else f" (and {len(names) - 1} more)"
        warn_user(
            f"no cost is a differentiable function of the value of node {names[0]!r}{others}, "
            "through which its gradient would flow, so its parameters get none: leave out what "
            "cuts the gradient on the way to the cost (item(), detach(), numpy, a comparison, "
            "round()), or draw by ScoreFunction(), which needs no derivative of the cost"
        )


def _counts(node: Node) -> bool:
    """Whether any of its rows does."""
    return node.counted is None or not is_readable(node.counted) or bool(node.counted.any())


def _unreached(ends: list[Tensor], wanted: set[Any]) -> set[Any]:
    """Which of the steps of autograd do not lead to any of the tensors with a derivative."""
    steps: list[Any] = [end.grad_fn for end in ends]
    visited: set[Any] = {None}
    while steps and wanted:
        step = steps.pop()
        if step in visited:
            continue
        visited.add(step)
        wanted.discard(step)
        if step.name() not in FLAT:
            steps.extend(before for before, _ in step.next_functions)
    return wanted
