"""The pathwise estimator, also called the reparametrisation trick."""

from torch import Tensor
from torch.distributions import Distribution

from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.masks import base_distribution


class Pathwise(Estimator):
    """Draw `z = g(ε, θ)` and let the gradient flow through z: `∇ E[f(z)] = E[∇z · f′(z)]`.

    Raises:
        ValueError: the distribution cannot be reparametrised (it has no `rsample`).

    Unbiased: yes, if the cost is continuous in z and differentiable but at a few points. To order n
    if the same holds of its n − 1 first derivatives: for f(z) = |z| the gradient is unbiased, and
    every second derivative is 0, which is wrong.

    Source: Kingma & Welling (2014), Auto-Encoding Variational Bayes, section 2.4.
    """

    takes_masks = True

    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw one reparametrised value for every row."""
        return Draw(self.plain(distribution))

    def plain(self, distribution: Distribution) -> Tensor:
        """One reparametrised value per row."""
        if not getattr(distribution, "has_rsample", False):
            name = type(base_distribution(distribution)).__name__
            raise MisfitError(f"{name} has no rsample: use ScoreFunction() or Enumerate()")
        return distribution.rsample()
