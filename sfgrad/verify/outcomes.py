"""All outcomes of all draws of a model: supports, quadrature points, and the walk over them."""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from sfgrad.estimators.base import row_log_prob
from sfgrad.estimators.enumerate import product_support

Quadrature = int | dict[str, int] | None

HIDDEN_RANDOMNESS = (
    "two replays with the same draws differ: the model is random in a way the graph does not know "
    "of, such as dropout (use eval()), a draw that did not go through sample(), or an estimator "
    "with noise of its own (then mode='monte_carlo')"
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
        self.limit = limit
        self.quadrature = quadrature
        self._path: list[tuple[str, int, int]] = []  # name, size, choice
        self._position = 0

    def __iter__(self) -> Iterator[int]:
        """Yield the number of the pass until every path was taken."""
        for count in itertools.count():
            if count >= self.limit:
                self._refuse(f"more than {self.limit}")
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

    def rewind(self) -> None:
        """Take the same path once more."""
        self._position = 0

    def choose(self, name: str, size: int) -> int:
        """The present choice, below `size`, of the node `name`."""
        if self._position == len(self._path):
            self._path.append((name, size, 0))
            paths = math.prod(size for _, size, _ in self._path)
            if paths > self.limit and not any(choice for _, _, choice in self._path):
                self._refuse(f"at least {paths}")
        known, choice = self._path[self._position][1:]
        self._position += 1
        if known != size:
            raise ValueError(HIDDEN_RANDOMNESS)
        return choice

    def support(self, name: str, dist: Distribution, batch_ndims: int) -> tuple[Tensor, Tensor]:
        """Values and log-masses with `E[f] = Σ_i exp(log_mass[i]) · f(value[i])`, row by row.

        Returns:
            values `[M, *batch_shape, *event_shape]` (Gaussian ones reparametrised), and log-masses
            `[M, R]`, whose derivative is the score.

        Raises:
            IntractableError: the support is infinite and there is no quadrature order for it.
        """
        order = self.quadrature
        if isinstance(order, dict):
            order = order.get(name)
        base = dist
        while isinstance(base, Independent):
            base = base.base_dist
        gaussian = isinstance(base, Normal | MultivariateNormal)
        if gaussian and order is None:
            raise IntractableError(
                f"node {name!r} is continuous ({type(base).__name__}): give it an order, "
                f"quadrature={{{name!r}: 8}}"
            )
        if gaussian and order is not None:
            values, log_weights = _gauss_hermite(base, batch_ndims, order)
        else:
            try:
                values, log_weights = product_support(dist, batch_ndims, self.limit), None
            except ValueError as error:
                raise IntractableError(f"node {name!r} cannot be enumerated: {error}") from error
        log_mass = row_log_prob(dist, values.detach(), batch_ndims + 1).reshape(len(values), -1)
        if log_weights is not None:
            log_mass = log_mass - log_mass.detach() + log_weights.unsqueeze(1)
        return values, log_mass

    def _refuse(self, count: str) -> None:
        sizes = [f"node {name!r}: {size}" for name, size, _ in self._path]
        raise IntractableError(
            f"there are {count} trajectories but the limit is {self.limit} "
            f"({', '.join(sizes[:8])}{', …' if len(sizes) > 8 else ''}): use fewer rows, steps or "
            "values, or raise the limit"
        )


def _gauss_hermite(
    base: Normal | MultivariateNormal, batch_ndims: int, order: int
) -> tuple[Tensor, Tensor]:
    """Product rule for a Gaussian: values `[M, *batch, *event]` and log-weights `[M]`.

    The rule's points are the eigenvalues of the Jacobi matrix of the Hermite polynomials, its
    weights the squared first components of the eigenvectors (Golub & Welsch 1969).
    """
    shape = base.batch_shape + base.event_shape
    off_diagonal = torch.arange(1, order, dtype=torch.float64).sqrt()
    points, vectors = torch.linalg.eigh(off_diagonal.diag(1) + off_diagonal.diag(-1))
    elements = shape[batch_ndims:].numel()
    digits = torch.cartesian_prod(*[torch.arange(order)] * elements).reshape(-1, elements)
    noise = points[digits].reshape(-1, *[1] * batch_ndims, *shape[batch_ndims:])
    noise = noise.to(base.mean).expand(-1, *shape)
    log_weights = vectors[0].square().log()[digits].sum(1).to(base.mean)
    if isinstance(base, Normal):
        return base.loc + base.scale * noise, log_weights
    return base.loc + (base.scale_tril @ noise.unsqueeze(-1)).squeeze(-1), log_weights
