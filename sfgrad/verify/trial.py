"""All outcomes of all draws of a model, the walk over them, and who draws along it."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, Normal

from sfgrad.ancestry import Ancestry, Members
from sfgrad.draws import Live
from sfgrad.estimators.base import Draw, Estimator, row_log_prob
from sfgrad.estimators.enumerate import product_support
from sfgrad.estimators.score_function import ScoreFunction
from sfgrad.graph import StochasticGraph
from sfgrad.masks import Masked, base_distribution
from sfgrad.site import Site

Gaussian = Normal | MultivariateNormal
Quadrature = int | dict[str, int] | None
Pick = Callable[[str, int, int], Tensor]
"""Of the node's name, M and R: which of its M values each of R draws takes, `[R]`."""

HIDDEN_RANDOMNESS = (
    "two replays with the same draws differ: the graph does not know of some randomness: dropout "
    "(use eval()), a draw outside of sample(), or an estimator's own (use mode='monte_carlo')"
)


class IntractableError(ValueError):
    """There are too many outcomes, or infinitely many."""


class Outcomes:
    """An odometer over a tree of finite choices; later choices may depend on earlier ones.

    Iterate over it, and call `choose` inside the loop: every pass takes another path of choices,
    until all were taken.

    Args:
        limit: refuse more paths than this.
        quadrature: Gauss–Hermite order per element, for all Gaussian nodes or by name.
    """

    def __init__(self, limit: int, quadrature: Quadrature = None):
        self.limit, self.quadrature = limit, quadrature
        self._path: list[tuple[str, int, int]] = []  # name, size, choice
        self._position = 0

    def __iter__(self) -> Iterator[int]:
        """Yield the number of the pass until every path was taken."""
        for count in range(self.limit):
            self.rewind()
            yield count
            if self._position != len(self._path):
                raise ValueError(HIDDEN_RANDOMNESS)
            while self._path and self._path[-1][2] == self._path[-1][1] - 1:
                self._path.pop()
            if not self._path:
                return
            name, size, choice = self._path.pop()
            self._path.append((name, size, choice + 1))
        self._refuse(f"more than {self.limit}")

    def rewind(self) -> None:
        """Take the same path once more."""
        self._position = 0

    def choose(self, name: str, size: int) -> int:
        """The present choice, below `size`, of the node `name`."""
        if self._position == len(self._path):
            self._path.append((name, size, 0))
            paths = math.prod(size for _, size, _ in self._path)
            if paths > self.limit and not any(choice for _, _, choice in self._path):
                self._refuse(f"about {paths}")
        _, known, choice = self._path[self._position]
        self._position += 1
        if known != size:
            raise ValueError(HIDDEN_RANDOMNESS)
        return choice

    def same_for_all(self, name: str, size: int, rows: int) -> Tensor:
        """One choice that all rows take: `[rows]`."""
        return torch.full((rows,), self.choose(name, size))

    def one_for_each(self, name: str, size: int, rows: int) -> Tensor:
        """A choice for every row: `[rows]`."""
        return torch.tensor([self.choose(name, size) for _ in range(rows)])

    def support(
        self, name: str, distribution: Distribution, batch_ndims: int
    ) -> tuple[Tensor, Tensor]:
        """Values and log-masses with `E[f] = Σ_i exp(log_mass[i]) · f(value[i])`, row by row.

        Returns:
            values `[M, *batch_shape, *event_shape]` (Gaussian ones reparametrised), and log-masses
            `[M, R]`, whose derivative is the score.

        Raises:
            IntractableError: the support is infinite and there is no quadrature order for it.
        """
        order = self.quadrature.get(name) if isinstance(self.quadrature, dict) else self.quadrature
        base = base_distribution(distribution)
        if not isinstance(base, Gaussian):
            try:
                values = product_support(distribution, batch_ndims, self.limit)
            except ValueError as error:
                raise IntractableError(f"node {name!r}: {error}") from error
            return values, row_log_prob(distribution, values, batch_ndims + 1).reshape(
                len(values), -1
            )
        if order is None:
            raise IntractableError(
                f"node {name!r} is continuous ({type(base).__name__}): give it an order, "
                f"quadrature={{{name!r}: 8}}"
            )
        values, log_weights = _gauss_hermite(base, batch_ndims, order)
        score = row_log_prob(distribution, values.detach(), batch_ndims + 1).reshape(
            len(values), -1
        )
        return values, score - score.detach() + log_weights.unsqueeze(1)

    def _refuse(self, count: str) -> None:
        sizes = ", ".join(f"node {name!r}: {size}" for name, size, _ in self._path[:8])
        raise IntractableError(
            f"there are {count} trajectories ({sizes}, …) but the limit is {self.limit}: use fewer "
            "rows, steps or values, or raise the limit"
        )


def _gauss_hermite(base: Gaussian, batch_ndims: int, order: int) -> tuple[Tensor, Tensor]:
    """Product rule for a Gaussian: values `[M, *batch, *event]` and log-weights `[M]`.

    The rule's points are the eigenvalues of the Jacobi matrix of the Hermite polynomials, its
    weights the squared first components of the eigenvectors (Golub & Welsch 1969).
    """
    shape = base.batch_shape + base.event_shape
    off_diagonal = torch.arange(1, order, dtype=torch.float64).sqrt()
    points, vectors = torch.linalg.eigh(off_diagonal.diag(1) + off_diagonal.diag(-1))
    elements = shape[batch_ndims:].numel()
    digits = torch.cartesian_prod(*[torch.arange(order)] * elements).reshape(-1, elements)
    noise = points[digits].reshape(-1, *[1] * batch_ndims, *shape[batch_ndims:]).to(base.mean)
    log_weights = vectors[0].square().log()[digits].sum(1).to(base.mean)
    if isinstance(base, Normal):
        return base.loc + base.scale * noise, log_weights
    return base.loc + (base.scale_tril @ noise.unsqueeze(-1)).squeeze(-1), log_weights


class Script(NamedTuple):
    """Which of the finite outcomes every draw takes."""

    outcomes: Outcomes
    pick: Pick
    joint: bool = False
    """Whether it picks for all rows, and all elements of ragged rows, one by one; else all rows
    take the same outcomes."""


class Substitution(NamedTuple):
    """Estimators that take the place of the model's own.

    Args:
        rest: the estimator of every node but one.
        kept: the node that keeps its own; None for no node.
    """

    rest: Estimator
    kept: str | None


class Trial(Live):
    """The source of draws of one run: they may be scripted, and estimators substituted.

    Baselines do not learn from it.

    Args:
        script: the outcomes that draws take; None leaves them random.
        substitution: what is put in the place of estimators; None leaves all in place.
    """

    learns = False

    def __init__(self, script: Script | None, substitution: Substitution | None):
        self.script, self.substitution = script, substitution
        self.log_mass: list[Tensor] = []
        """Of every scripted draw, `[draws · R]`, nats."""

    def estimator(self, name: str, estimator: Estimator) -> Estimator:
        """The estimator of a node, or the one in its place."""
        if self.substitution is None or self.substitution.kept == name:
            return estimator
        rest, kept = self.substitution
        compared = kept is not None and estimator.samples > 1  # by the node that is kept
        return ScoreFunction(samples=estimator.samples) if compared else rest

    def draw(self, site: Site, estimator: Estimator) -> Draw:
        """The estimator's draw, from outcomes that are picked for it where there is a script."""
        # In the place of the model's estimators come plain ones, which no mask leads astray.
        substituted = self.substitution is not None and self.substitution.kept != site.name
        if substituted and isinstance(site.distribution, Masked):
            site = replace(site, distribution=site.distribution.original, counted=None)
        if self.script is not None:
            site = replace(site, distribution=self._scripted(site, self.script))
        return super().draw(site, estimator)

    def _scripted(self, site: Site, script: Script) -> Distribution:
        """A copy of the distribution whose `sample` and `rsample` follow the script.

        Draws that are masked have their probability as well: the truth knows of no mask.
        """
        masked = site.distribution
        distribution = masked.original if isinstance(masked, Masked) else masked
        n = site.batch_ndims
        values, log_mass = script.outcomes.support(site.name, distribution, n)
        size, rows = log_mass.shape
        values = values.flatten(1, n) if n else values.unsqueeze(1)  # [M, R, ...]

        def rsample(sample_shape: Sequence[int] = ()) -> Tensor:
            row = torch.arange(rows, device=values.device).repeat(math.prod(sample_shape))
            if site.index is None or script.joint:
                index = script.pick(site.name, size, len(row)).to(values.device)
                self.log_mass.append(log_mass[index, row])
            else:
                index, absent = _pick_ragged(site, script.pick, size)
                self.log_mass.append(
                    site.fold(log_mass[index, row], 1) - math.log(size) * absent.to(log_mass.dtype)
                )
            shape = (*sample_shape, *distribution.batch_shape, *distribution.event_shape)
            return values[index, row].reshape(shape)

        scripted = copy.copy(distribution)
        scripted.rsample = rsample
        scripted.sample = lambda sample_shape=(): rsample(sample_shape).detach()
        return Masked(scripted, masked.mask) if isinstance(masked, Masked) else scripted


def _pick_ragged(site: Site, pick: Pick, size: int) -> tuple[Tensor, Tensor]:
    """One pick for the first element of every row, one for the second, and so on.

    Returns:
        The pick of every element `[N]`, and how many picks every row has no element for `[R]`:
        all of their values stand for the same outcome.
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


def start_trial(batch_ndims: int, trial: Trial) -> StochasticGraph:
    """A graph whose draws come from the trial."""
    graph = StochasticGraph(batch_ndims)
    graph.tape.source = trial
    return graph


def credit_everything(graph: StochasticGraph, kept: str | None) -> None:
    """Credit every node but one with every cost: unbiased whatever the order of recording.

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
