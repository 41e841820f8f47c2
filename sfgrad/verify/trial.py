"""All outcomes of all draws of a model, the walk over them, and a graph that follows it."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from sfgrad.credit import Narrowed, Ordered
from sfgrad.estimators.base import Draw, Estimator, row_log_prob
from sfgrad.estimators.enumerate import product_support
from sfgrad.estimators.score_function import ScoreFunction
from sfgrad.graph import StochasticGraph
from sfgrad.record import Node

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

    def support(self, name: str, dist: Distribution, batch_ndims: int) -> tuple[Tensor, Tensor]:
        """Values and log-masses with `E[f] = Σ_i exp(log_mass[i]) · f(value[i])`, row by row.

        Returns:
            values `[M, *batch_shape, *event_shape]` (Gaussian ones reparametrised), and log-masses
            `[M, R]`, whose derivative is the score.

        Raises:
            IntractableError: the support is infinite and there is no quadrature order for it.
        """
        order = self.quadrature.get(name) if isinstance(self.quadrature, dict) else self.quadrature
        base = dist
        while isinstance(base, Independent):
            base = base.base_dist
        if not isinstance(base, Gaussian):
            try:
                values = product_support(dist, batch_ndims, self.limit)
            except ValueError as error:
                raise IntractableError(f"node {name!r}: {error}") from error
            return values, row_log_prob(dist, values, batch_ndims + 1).reshape(len(values), -1)
        if order is None:
            found = f"node {name!r} is continuous ({type(base).__name__})"
            raise IntractableError(f"{found}: give it an order, quadrature={{{name!r}: 8}}")
        values, log_weights = _gauss_hermite(base, batch_ndims, order)
        score = row_log_prob(dist, values.detach(), batch_ndims + 1).reshape(len(values), -1)
        return values, score - score.detach() + log_weights.unsqueeze(1)

    def _refuse(self, count: str) -> None:
        sizes = ", ".join(f"node {name!r}: {size}" for name, size, _ in self._path[:8])
        found = f"there are {count} trajectories ({sizes}, …) but the limit is {self.limit}"
        raise IntractableError(f"{found}: use fewer rows, steps or values, or raise the limit")


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


Script = tuple[Outcomes, Pick] | None


class Trial(StochasticGraph):
    """One run of the estimators: baselines do not learn, draws may be scripted.

    Args:
        batch_ndims: as in `StochasticGraph`.
        only: the one node that uses its own estimator and credit ("" for no node, None for all);
            all others are credited with every cost, unbiased whatever the order of recording.
        rest: the estimator of those others.
        script: the finite outcomes, and which of them every draw takes; None leaves draws random.
    """

    updates_baselines = False

    def __init__(self, batch_ndims: int, only: str | None, rest: Estimator, script: Script):
        super().__init__(batch_ndims)
        self.log_mass: list[Tensor] = []  # of every scripted draw, [draws · R], nats
        self._only, self._rest, self._script = only, rest, script

    def visit(self, name: str, dist: Distribution, estimator: Estimator) -> tuple[Estimator, Draw]:
        """Let the estimator, or the one that takes its place, draw what is chosen for it."""
        if self._only not in (None, name):
            copies = getattr(estimator, "samples", 1)
            keep = self._only and copies > 1  # the one node may compare them
            estimator = ScoreFunction(samples=copies) if keep else self._rest
        if self._script is not None:
            dist = self._steer(name, dist, *self._script)
        return super().visit(name, dist, estimator)

    def credit(self, nodes: list[Node]) -> Ordered | Narrowed:
        """Every node with every cost, except where the one node keeps its own credit."""
        if self._only is not None:
            others = [node.position for name, node in self.nodes.items() if name != self._only]
            nodes = [node._replace(ancestors=frozenset(others)) for node in nodes]
            for name, cost in self.costs.items():
                self.costs[name] = cost._replace(ancestors=frozenset([*others, *cost.ancestors]))
        return super().credit(nodes)

    def _steer(self, name: str, dist: Distribution, outcomes: Outcomes, pick: Pick) -> Distribution:
        """A copy of the distribution whose `sample` and `rsample` follow the script."""
        values, log_mass = outcomes.support(name, dist, self.batch_ndims)
        values = values if self.batch_ndims else values.unsqueeze(1)
        size, rows = log_mass.shape

        def rsample(sample_shape: Sequence[int] = ()) -> Tensor:
            row = torch.arange(rows, device=values.device).repeat(math.prod(sample_shape))
            index = pick(name, size, len(row)).to(values.device)
            self.log_mass.append(log_mass[index, row])
            return values[index, row].reshape(*sample_shape, *dist.batch_shape, *dist.event_shape)

        scripted = copy.copy(dist)
        scripted.rsample = rsample
        scripted.sample = lambda sample_shape=(): rsample(sample_shape).detach()
        return scripted
