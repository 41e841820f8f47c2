"""The draws of a model under test: along a script, or with other estimators."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from sfgrad.ancestry import Ancestry, Members
from sfgrad.boundary import has_moving_support
from sfgrad.draws import Live
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.pathwise import Pathwise
from sfgrad.estimators.score_function import ScoreFunction
from sfgrad.graph import StochasticGraph
from sfgrad.masks import Masked
from sfgrad.site import Site
from sfgrad.verify.outcomes import Gaussian, JoinedError, Outcomes, Pick


class Script(NamedTuple):
    """Which of its finitely many outcomes every draw takes."""

    outcomes: Outcomes
    pick: Pick
    joint: bool = False
    """Whether every row, and every element of ragged rows, gets its own pick; otherwise all rows
    take the same outcomes."""


class Substitution(NamedTuple):
    """Estimators that replace the model's own.

    Args:
        rest: the estimator of every node but one.
        kept: the node that keeps its own; None for no node.
    """

    rest: Estimator
    kept: str | None


class Trial(Live):
    """The source of draws of one run, which may follow a script or use other estimators.

    Baselines do not learn from it.

    Args:
        script: the outcomes that draws take; None leaves them random.
        substitution: replaces estimators; None keeps all of them.
        keeps_copies: whether nodes whose estimators are replaced make as many copies as before,
            since a cost joins them.
    """

    learns = False

    def __init__(
        self, script: Script | None, substitution: Substitution | None, keeps_copies: bool = False
    ):
        self.script, self.substitution = script, substitution
        self.keeps_copies = keeps_copies
        self.log_mass: list[tuple[str, Tensor]] = []
        """For every scripted draw, the node and the log-mass `[draws · R]`, nats."""
        self.unscorable: set[str] = set()
        """Nodes that remained pathwise, because their support moves."""
        self.joins = substitution is None or substitution.kept is not None
        self._own: Estimator | None = None  # of the node that is being drawn

    def estimator(self, name: str, estimator: Estimator) -> Estimator:
        """The estimator of a node, or its substitute."""
        self._own = estimator
        if self.substitution is None or self.substitution.kept == name:
            return estimator
        rest, kept = self.substitution
        samples = estimator.samples or 1
        needed = self.keeps_copies or kept is not None  # by a cost, or by the kept node
        return ScoreFunction(samples=samples) if needed and samples > 1 else rest

    def joins_copies(self, cost: str) -> bool:
        """As in `Live`; refused unless every copy has draws of its own."""
        if self.script is not None and not self.script.joint:
            raise JoinedError(cost)
        return True

    def draw(self, site: Site, estimator: Estimator) -> Draw:
        """The estimator's draw, along the script if there is one."""
        # A substitute ignores masks, so that a wrong one cannot bias it.
        substituted = self.substitution is not None and self.substitution.kept != site.name
        if substituted and isinstance(site.distribution, Masked):
            site = replace(site, distribution=site.distribution.original, counted=None)

        # No score is right if the support moves, so a pathwise node remains pathwise.
        if (
            substituted
            and isinstance(self._own, Pathwise)
            and has_moving_support(site.distribution)
        ):
            estimator = self._own
            self.unscorable.add(site.name)
        if self.script is not None:
            site = replace(site, distribution=self._scripted(site, self.script))
        return super().draw(site, estimator)

    def _scripted(self, site: Site, script: Script) -> Distribution:
        """A copy of the distribution whose `sample` and `rsample` follow the script.

        Masked draws have their probability too, since the truth knows of no mask.
        """
        masked = site.distribution
        distribution = masked.original if isinstance(masked, Masked) else masked
        n = site.batch_ndims
        values, log_mass = script.outcomes.support(site.name, distribution, n)
        size, rows = log_mass.shape
        values = values.flatten(1, n) if n else values.unsqueeze(1)  # [M, R, ...]

        def draw(sample_shape: Sequence[int] = ()) -> Tensor:
            row = torch.arange(rows, device=values.device).repeat(math.prod(sample_shape))
            if site.index is None or script.joint:
                index = script.pick(site.name, size, len(row)).to(values.device)
                mass = log_mass[index, row]
            else:
                index, absent = _pick_ragged(site, script.pick, size)
                mass = site.fold(log_mass[index, row], 1)
                mass = mass - math.log(size) * absent.to(log_mass.dtype)
            self.log_mass.append((site.name, mass))
            shape = (*sample_shape, *distribution.batch_shape, *distribution.event_shape)
            return values[index, row].reshape(shape)

        scripted = _following(distribution, draw)
        return Masked(scripted, masked.mask) if isinstance(masked, Masked) else scripted


def _following(distribution: Distribution, draw: Callable[[Sequence[int]], Tensor]) -> Distribution:
    """A copy that draws by `draw`.

    A finite distribution keeps its own `rsample`: a straight-through one adds its path to the
    result of `sample`.
    """
    result = copy.copy(distribution)
    if isinstance(result, Independent):
        result.base_dist = _following(result.base_dist, draw)
        return result
    result.sample = lambda sample_shape=(): draw(sample_shape).detach()
    if isinstance(distribution, Gaussian):
        result.rsample = lambda sample_shape=(): draw(sample_shape)
    return result


def _pick_ragged(site: Site, pick: Pick, size: int) -> tuple[Tensor, Tensor]:
    """One pick for the first element of every row, one for the second, and so on.

    Returns:
        The pick of every element `[N]`, and the number of picks for which a row has no element,
        `[R]`: all values of such a pick stand for the same outcome.
    """
    assert site.index is not None
    counts = site.index.bincount(minlength=site.rows)
    order = site.index.argsort(stable=True)
    starts = counts.cumsum(0) - counts
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device) - starts[site.index[order]]

    longest = int(counts.max()) if len(order) else 0
    picks = [pick(site.name, size, site.rows).to(order.device) for _ in range(longest)]
    index = torch.stack(picks)[rank, site.index] if picks else order
    return index, longest - counts


def start_trial(batch_ndims: int, source: Live) -> StochasticGraph:
    """A graph whose draws come from the source."""
    graph = StochasticGraph(batch_ndims)
    graph.tape.source = source
    return graph


def credit_everything(graph: StochasticGraph, kept: str | None) -> None:
    """Credit every node but one with every cost, which is unbiased for any recording order.

    Args:
        graph: recorded, before its loss.
        kept: the node that keeps the costs it is credited with; None for no node.
    """
    tape = graph.tape
    others = sum(1 << node.position for name, node in tape.nodes.items() if name != kept)
    for name, cost in tape.costs.items():
        bits = others | tape.ancestry.bits(cost.ancestors)
        tape.costs[name] = cost._replace(ancestors=Members(bits))
    tape.ancestry = Ancestry()
    tape.ancestry.events = [Members(others)] * len(tape.nodes)
