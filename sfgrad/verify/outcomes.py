"""All outcomes of all draws of a model: supports, quadrature nodes, and the walk over them."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from sfgrad.estimators.base import row_log_prob
from sfgrad.estimators.enumerate import product_support, support_size

__all__ = ["HIDDEN_RANDOMNESS", "IntractableError", "Outcomes", "Quadrature", "support"]

Quadrature = int | dict[str, int] | None


class IntractableError(ValueError):
    """There are too many outcomes, or infinitely many."""


class Outcomes:
    """An odometer over a tree of finite choices; later choices may depend on earlier ones.

    Iterate over it, and call `choose` inside the loop: every pass takes another path of choices,
    until all were taken.

    Args:
        limit: refuse more paths than this.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._digits: list[int] = []
        self._sizes: list[int] = []
        self._names: list[str] = []
        self._position = 0

    def __iter__(self) -> Iterator[int]:
        """Yield the number of the pass until every path was taken."""
        count = 0
        while True:
            if count >= self.limit:
                self._refuse(f"more than {self.limit}")
            self._position = 0
            yield count
            count += 1
            if self._position != len(self._digits):
                raise ValueError(HIDDEN_RANDOMNESS)
            while self._digits and self._digits[-1] == self._sizes[-1] - 1:
                for stack in (self._digits, self._sizes, self._names):
                    stack.pop()
            if not self._digits:
                return
            self._digits[-1] += 1

    def choose(self, name: str, size: int) -> int:
        """The present choice, below `size`, of the node `name`."""
        position, self._position = self._position, self._position + 1
        if position == len(self._digits):
            self._digits.append(0)
            self._sizes.append(size)
            self._names.append(name)
            if not any(self._digits) and math.prod(self._sizes) > self.limit:
                self._refuse(f"at least {math.prod(self._sizes)}")
        elif self._sizes[position] != size:
            raise ValueError(HIDDEN_RANDOMNESS)
        return self._digits[position]

    def _refuse(self, count: str) -> None:
        sizes: dict[str, int] = {}
        for name, size in zip(self._names, self._sizes, strict=True):
            sizes[name] = sizes.get(name, 1) * size
        listed = ", ".join(f"node {name!r}: {size}" for name, size in list(sizes.items())[:8])
        raise IntractableError(
            f"there are {count} trajectories but the limit is {self.limit} ({listed}"
            f"{', …' if len(sizes) > 8 else ''}): use fewer rows, steps or values, or raise it"
        )


HIDDEN_RANDOMNESS = (
    "two replays with the same draws differ: the model is random in a way the graph does not know "
    "of, such as dropout (use eval()) or a draw that did not go through sample()"
)


def support(
    name: str, distribution: Distribution, batch_ndims: int, quadrature: Quadrature
) -> tuple[Tensor, Tensor]:
    """Values and log-masses with `E[f] = Σ_i exp(log_mass[i]) · f(value[i])`, row by row.

    Args:
        name: the node, for errors and for its order of quadrature.
        distribution: over R rows; of finite support, or Gaussian with an order given for it.
        batch_ndims: leading dimensions that are rows.
        quadrature: Gauss–Hermite order per element, for all Gaussian nodes or by name.

    Returns:
        values `[M, *batch_shape, *event_shape]` (Gaussian ones reparametrised), and log-masses
        `[M, R]`, whose derivative is the score.

    Raises:
        IntractableError: the support is infinite and no quadrature order is given.
    """
    order = quadrature.get(name) if isinstance(quadrature, dict) else quadrature
    base = distribution
    while isinstance(base, Independent):
        base = base.base_dist
    if isinstance(base, (Normal, MultivariateNormal)):
        if order is None:
            raise IntractableError(
                f"node {name!r} is continuous ({type(base).__name__}): give it an order, "
                f"quadrature={{{name!r}: 8}}"
            )
        values, log_mass = _gauss_hermite(base, batch_ndims, order)
        log_prob = _row_log_probs(distribution, values.detach(), batch_ndims)
        return values, log_mass.unsqueeze(1) + log_prob - log_prob.detach()
    try:
        support_size(distribution, batch_ndims)
    except ValueError as error:
        raise IntractableError(f"node {name!r} cannot be enumerated: {error}") from error
    values = product_support(distribution, batch_ndims)
    return values, _row_log_probs(distribution, values, batch_ndims)


def _row_log_probs(distribution: Distribution, values: Tensor, batch_ndims: int) -> Tensor:
    """`[M, R]`, nats."""
    return row_log_prob(distribution, values, batch_ndims + 1).reshape(len(values), -1)


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
    log_mass = vectors[0].square().log()[digits].sum(1)
    noise = points[digits].reshape(-1, *[1] * batch_ndims, *shape[batch_ndims:])
    noise = noise.to(base.mean).expand(-1, *shape)
    if isinstance(base, Normal):
        return base.loc + base.scale * noise, log_mass.to(base.mean)
    values = base.loc + (base.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
    return values, log_mass.to(base.mean)
