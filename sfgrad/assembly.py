"""From what was recorded to the terms of the formula: costs, weights, credit, baselines."""

import math

import torch
from torch import Tensor

from sfgrad.credit import Credit
from sfgrad.learning import Learning, Terms
from sfgrad.objective import Pairs, Weights, row_loss
from sfgrad.records import Cost, Node
from sfgrad.tape import Tape
from sfgrad.tensors import single
from sfgrad.tracing import is_readable


def row_total(tape: Tape, chosen: dict[str, Cost]) -> tuple[Tensor, Learning | None]:
    """J by rows, and the baselines that are to learn from its costs.

    Args:
        tape: what was recorded.
        chosen: the costs of the loss.

    Returns:
        `[R]`, and the baselines; None where there are none.
    """
    costs: Tensor = tape.stacked_costs(chosen)
    scored = [node for node in tape.nodes.values() if node.draw.log_prob is not None]
    if not scored:
        return costs.sum(0), None

    weights = _weights(tape, scored)
    of_costs = [cost.ancestors for cost in chosen.values()]
    weighted = [node.draw.log_prob is not None for node in tape.nodes.values()]
    credit = Credit(tape.ancestry.events, of_costs, weighted)

    pairs = None
    if any(cost.joined is not None for cost in chosen.values()):
        costs, pairs = _share(tape, chosen, scored, costs, weights)
    if all(node.baseline is None for node in scored):
        return row_loss(costs, weights, credit, pairs), None

    reached = tape.ancestry.reached(of_costs)
    credited = [has for has, is_weighted in zip(reached, weighted, strict=True) if is_weighted]
    terms = _terms(scored, credit, weights, costs)
    if tape.greedy is not None:
        terms = terms._replace(greedy=_greedy_costs(tape, tape.greedy, chosen))
    learning = Learning(tape, scored, credited, terms)
    pairs = learning.pairs if pairs is None else learning.pairs.plus(pairs)
    return row_loss(costs, weights, credit, pairs), learning


def _share(
    tape: Tape, chosen: dict[str, Cost], scored: list[Node], costs: Tensor, weights: Weights
) -> tuple[Tensor, Pairs]:
    """Let every copy's draws have the costs that copies share.

    A shared cost has the weights of all copies. A row multiplies it by its own, so here it is
    multiplied by those of the row's other copies.

    Returns:
        The costs `[C, R]`; and what the draws are compared with, times the number of copies, since
        the mean over rows counts a shared cost once for each.
    """
    logs = weights.logs
    rows, baselines = list(costs.unbind()), torch.zeros_like(logs)
    for number, cost in enumerate(chosen.values()):
        if cost.joined is None:
            continue
        start, copies, count, baseline = cost.joined
        bits = tape.ancestry.bits(cost.ancestors)
        places = [
            place
            for place, node in enumerate(scored)
            if node.position >= start and bits >> node.position & 1
        ]
        if not places:
            continue
        own = logs[places].sum(0).view(-1, copies, count)
        others = (own.sum(1, keepdim=True) - own).reshape(-1)
        rows[number] = rows[number] * others.exp()
        if tape.source.joins:
            tiled = tape.rows.tile(baseline.reshape(-1)).to(baselines.dtype)
            baselines[places] += copies * tiled
    return torch.stack(rows), Pairs(baselines, baselines)


def _terms(scored: list[Node], credit: Credit, weights: Weights, costs: Tensor) -> Terms:
    """What baselines see of every node."""
    values = weights.values()
    alive = None
    if weights.factors is not None and not (values != 0).all():
        alive = credit.factor_products((values != 0).to(values.dtype))[1] != 0

    has_slopes = any(node.leaf is not None for node in scored)
    to_go = credit.costs_to_go(values, costs if has_slopes else costs.detach())
    slopes = None
    if has_slopes:
        slopes = [_slope(node, to_go[place]) for place, node in enumerate(scored)]
    return Terms(to_go.detach(), values, slopes, alive=alive)


def _slope(node: Node, cost_to_go: Tensor) -> Tensor | None:
    """The derivative of a cost to go `[R]` by the drawn value: `[E, S, R, D]`, 0 without one."""
    leaf = node.leaf
    if leaf is None:
        return None
    slope = None
    if cost_to_go.requires_grad:
        total = cost_to_go.sum()
        (slope,) = torch.autograd.grad(total, leaf, retain_graph=True, allow_unused=True)
    slope = torch.zeros_like(leaf) if slope is None else slope

    # The copies of a row made later share this draw, and their mean is its cost to go.
    rows = math.prod(node.layout)
    return slope.reshape(*node.layout, -1) * (rows / len(cost_to_go))


def _greedy_costs(tape: Tape, greedy: Tape, chosen: dict[str, Cost]) -> Tensor:
    """The costs to go that nodes of the same names have in the likeliest run, `[W, R]`.

    Args:
        tape: of the usual run.
        greedy: of the likeliest one.
        chosen: the costs of the loss.
    """
    names = [name for name, node in tape.nodes.items() if node.draw.log_prob is not None]
    costs = {name: greedy.costs[name] for name in chosen if name in greedy.costs}
    none = single(tape.stacked_costs(chosen)).new_zeros(tape.rows.count)
    if not costs or not greedy.nodes:
        return none.expand(len(names), -1)

    weighted = [True] * len(greedy.nodes)
    of_costs = [cost.ancestors for cost in costs.values()]
    credit = Credit(greedy.ancestry.events, of_costs, weighted)
    stacked = greedy.stacked_costs(costs)
    to_go = credit.costs_to_go(torch.ones_like(stacked[:1]).expand(len(weighted), -1), stacked)
    by_name = dict(zip(greedy.nodes, to_go, strict=True))
    return torch.stack([by_name.get(name, none) for name in names])


def _weights(tape: Tape, scored: list[Node]) -> Weights:
    """The weights of the nodes that have one, in every present row."""
    log_prob = log_density = single(tape.stacked(node.draw.log_prob for node in scored))
    if any(node.draw.log_density is not node.draw.log_prob for node in scored):
        log_density = single(tape.stacked(node.draw.log_density for node in scored))
        if is_readable(log_density) and log_density.isposinf().any():
            _refuse_infinite_density(tape)

    factors = [node.draw.factor for node in scored]
    if all(factor is None for factor in factors):
        return Weights(log_prob - log_density.detach())
    ones = log_prob.new_ones(tape.rows.count)
    stacked = tape.stacked(ones if factor is None else factor for factor in factors)
    return Weights(log_prob - log_density.detach(), stacked.to(log_prob.dtype))


def _refuse_infinite_density(tape: Tape) -> None:
    """Name the draw whose weight would be 0 whatever its probability is."""
    for name, node in tape.nodes.items():
        log_density = node.draw.log_density
        if log_density is not None and log_density.isposinf().any():
            raise ValueError(
                f"node {name!r}: the log-density that it was drawn at is +inf, so its weight "
                "would be 0: give the logarithm of the density that it was drawn from"
            )
