"""All outcomes of all draws of a model, and the iteration over them."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import Binomial, Distribution, MultivariateNormal, Normal

from sfgrad.boundary import interior
from sfgrad.estimators.enumerate import combinations, product_support
from sfgrad.estimators.log_prob import row_log_prob
from sfgrad.masks import base_distribution

Gaussian = Normal | MultivariateNormal
Quadrature = int | dict[str, int] | None
Pick = Callable[[str, int, int], Tensor]
"""Maps a node's name, M and R to the one of its M values that each of R draws takes, `[R]`."""

CPU = torch.device("cpu")
"""Where picks are made, whatever the default device is."""


class IntractableError(ValueError):
    """There are too many outcomes, or infinitely many."""


class JoinedError(ValueError):
    """Copies of a row share a cost, so that the draws of all of them have to be enumerated."""

    def __init__(self, cost: str):
        super().__init__(f"cost {cost!r} is shared by the copies of a row")


class HiddenRandomnessError(ValueError):
    """Two replays with the same draws differ."""

    def __init__(self, advice: str = ""):
        super().__init__(
            "two replays with the same draws differ: either the graph does not know of some "
            "randomness (a draw that is not made by sf.sample(), which then has no gradient; "
            "dropout: use eval(); noise of an estimator's own), or the model carries state from "
            f"one call to the next (a counter, a hidden state: reset it in forward()){advice}"
        )


class Outcomes:
    """An odometer over a tree of finite choices; later choices may depend on earlier ones.

    Iterate over it and call `choose` inside the loop: every pass takes a different path of choices,
    until all paths are taken.

    Args:
        limit: the largest number of paths.
        quadrature: Gauss–Hermite order per element, for all Gaussian nodes or by name.
    """

    def __init__(self, limit: int, quadrature: Quadrature = None):
        self.limit, self.quadrature = limit, quadrature
        self.integrated: set[str] = set()
        """The names of the Gaussian nodes so far."""
        self._path: list[tuple[str, int, int]] = []  # name, size, choice
        self._position = 0

    def __iter__(self) -> Iterator[int]:
        """Yield the number of the pass, until every path is taken."""
        for count in range(self.limit):
            self.rewind()
            yield count
            if self._position != len(self._path):
                raise HiddenRandomnessError
            while self._path and self._path[-1][2] == self._path[-1][1] - 1:
                self._path.pop()
            if not self._path:
                return
            name, size, choice = self._path.pop()
            self._path.append((name, size, choice + 1))
        self._refuse(f"more than {self.limit}")

    def rewind(self) -> None:
        """Start the same path again."""
        self._position = 0

    def choose(self, name: str, size: int) -> int:
        """The current choice, below `size`, at the node `name`."""
        if self._position == len(self._path):
            self._path.append((name, size, 0))
            paths = math.prod(size for _, size, _ in self._path)
            if paths > self.limit and not any(choice for _, _, choice in self._path):
                self._refuse(f"about {paths}")
        _, known, choice = self._path[self._position]
        self._position += 1
        if known != size:
            raise HiddenRandomnessError
        return choice

    def same_for_all(self, name: str, size: int, rows: int) -> Tensor:
        """One choice that all rows take: `[rows]`."""
        return torch.full((rows,), self.choose(name, size), device=CPU)

    def one_for_each(self, name: str, size: int, rows: int) -> Tensor:
        """A choice for every row: `[rows]`."""
        choices = [self.choose(name, size) for _ in range(rows)]
        return torch.tensor(choices, dtype=torch.int64, device=CPU)

    def support(
        self, name: str, distribution: Distribution, batch_ndims: int
    ) -> tuple[Tensor, Tensor]:
        """Values and log-masses such that `E[f] = Σ_i exp(log_mass[i]) · f(value[i])`, row by row.

        Returns:
            Values `[M, *batch_shape, *event_shape]` (Gaussian ones reparametrised), and log-masses
            `[M, R]`, whose derivative is the score. If rows have supports of different sizes, M is
            the largest, and the surplus has mass 0. Values of mass 0 are replaced by possible ones.

        Raises:
            IntractableError: the support is infinite or too large, and has no quadrature order.
        """
        base = base_distribution(distribution)
        if not isinstance(base, Gaussian):
            try:
                values, log_mass = _finite_support(distribution, batch_ndims, self.limit)
                return _possible(values, log_mass, batch_ndims), log_mass
            except ValueError as error:
                raise IntractableError(f"node {name!r}: {error}") from error

        order = self.quadrature.get(name) if isinstance(self.quadrature, dict) else self.quadrature
        if order is None:
            raise IntractableError(
                f"node {name!r} is continuous ({type(base).__name__}): give it an order of "
                f"quadrature, quadrature={{{name!r}: 8}}"
            )
        self.integrated.add(name)
        values, log_weights = _gauss_hermite(base, batch_ndims, order)
        score = _log_mass(distribution, values.detach(), batch_ndims)
        return values, score - score.detach() + log_weights.unsqueeze(1)

    def _refuse(self, count: str) -> None:
        sizes = ", ".join(f"node {name!r}: {size}" for name, size, _ in self._path[:8])
        raise IntractableError(
            f"there are {count} trajectories ({sizes}, …) but the limit is {self.limit}: use fewer "
            "rows, steps or values, or raise max_trajectories= (of a check, max_outcomes=)"
        )


def _log_mass(distribution: Distribution, values: Tensor, batch_ndims: int) -> Tensor:
    """Log-probability of values `[M, *batch_shape, *event_shape]` by row, `[M, R]`."""
    log_mass = row_log_prob(distribution, values, batch_ndims + 1)
    return log_mass.reshape(len(values), -1)


def _finite_support(
    distribution: Distribution, batch_ndims: int, limit: int
) -> tuple[Tensor, Tensor]:
    """Values and log-masses of a finite support."""
    distribution = interior(distribution)
    base = base_distribution(distribution)
    sizes = base.total_count if isinstance(base, Binomial) else None
    if sizes is None or (sizes == sizes.reshape(-1)[0]).all():
        values = product_support(distribution, batch_ndims, limit)
        return values, _log_mass(distribution, values, batch_ndims)

    # Every element counts up to the largest size; beyond its own size it repeats, with mass 0.
    widest = Binomial(sizes.max().expand(sizes.shape), logits=torch.zeros_like(sizes))
    counts = product_support(widest, batch_ndims, limit)
    values = torch.minimum(counts, sizes)
    absent = (counts > sizes).reshape(*counts.shape[: batch_ndims + 1], -1).any(-1)
    log_mass = _log_mass(distribution, values, batch_ndims)
    return values, log_mass.masked_fill(absent.reshape(log_mass.shape), -torch.inf)


def _possible(values: Tensor, log_mass: Tensor, batch_ndims: int) -> Tensor:
    """The values, with those of mass 0, never drawn, replaced by the row's likeliest."""
    impossible = log_mass.detach() == -torch.inf
    if not impossible.any():
        return values
    rows = torch.arange(impossible.shape[1], device=values.device)
    by_rows = values.reshape(len(values), len(rows), -1)
    likeliest = by_rows[log_mass.argmax(0), rows]
    return torch.where(impossible.unsqueeze(-1), likeliest, by_rows).reshape(values.shape)


def _gauss_hermite(base: Gaussian, batch_ndims: int, order: int) -> tuple[Tensor, Tensor]:
    """Product rule for a Gaussian: values `[M, *batch, *event]` and log-weights `[M]`.

    The rule's points are the eigenvalues of the Jacobi matrix of the Hermite polynomials, its
    weights the squared first components of the eigenvectors (Golub & Welsch 1969).
    """
    shape = base.batch_shape + base.event_shape
    off_diagonal = torch.arange(1, order, dtype=torch.float64, device=CPU).sqrt()
    points, vectors = torch.linalg.eigh(off_diagonal.diag(1) + off_diagonal.diag(-1))
    elements = shape[batch_ndims:].numel()
    digits = combinations(order, elements, CPU)
    noise = points[digits].reshape(len(digits), *[1] * batch_ndims, *shape[batch_ndims:])
    noise = noise.to(base.mean)
    log_weights = vectors[0].square().log()[digits].sum(1).to(base.mean)
    if isinstance(base, Normal):
        return base.loc + base.scale * noise, log_weights
    return base.loc + (base.scale_tril @ noise.unsqueeze(-1)).squeeze(-1), log_weights
