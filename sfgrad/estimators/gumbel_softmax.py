"""The Gumbel-softmax, also called the concrete distribution."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.estimators.base import Draw
from sfgrad.estimators.relaxation import Relaxation, with_gradient_of


class GumbelSoftmax(Relaxation):
    """Draw `softmax((log p + g) / temperature)`, g Gumbel noise, and let the gradient flow through.

    As the temperature falls the values approach one-hot vectors, whose probabilities are p. With
    `hard=True` the value is exactly such a vector, the largest category, and only the derivative is
    that of the softmax. For `Bernoulli` (as two categories) and `OneHotCategorical`, also in an
    `Independent`. Outside a graph the value is of the same kind and has the same gradient.

    The category comes from `distribution.sample()` and the noise is drawn given that. So the check
    cannot enumerate the noise, and compares by Monte Carlo.

    Args:
        temperature: above 0; may be assigned later, to lower it during training.
        hard: whether values are exactly one-hot, or bits. Otherwise the cost must take what lies
            in between, and so must everything that the node influences.

    Raises:
        ValueError: the temperature is not above 0; or the distribution is another one.
        TypeError: the temperature is not a number, or `hard` not a bool.

    Unbiased: no. Of soft values not even the value of the loss is, and `order` is −1: their cost is
    that of other values. With `hard=True` the value is unbiased, and `order` is 0.

    Source: Jang et al. (2017), Categorical Reparameterization with Gumbel-Softmax; Maddison et al.
    (2017), The Concrete Distribution. The noise given the category: Maddison et al. (2014), A*
    Sampling.
    """

    temperature: float
    hard: bool

    def __init__(self, temperature: float = 1.0, hard: bool = False):
        self.temperature = temperature
        self.hard = hard

    @property
    def order(self) -> float:  # type: ignore[override]
        """Hard values have a biased gradient, 0; soft ones a biased value too, −1."""
        return 0 if self.hard else -1

    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw one value for every row; one that is soft cannot be replayed."""
        draw = super().draw(distribution, batch_ndims)
        if self.hard:
            return draw
        rows = distribution.batch_shape[:batch_ndims].numel()
        return draw._replace(recorded=draw.value.new_full((rows,), torch.nan))

    def plain(self, distribution: Distribution) -> Tensor:
        """One value per row, hard or soft."""
        value, path = self.relaxed(distribution)
        # The user may write to a copy; the softmax itself is needed for its derivative.
        return with_gradient_of(path, value) if self.hard else path.clone()

    def path(self, log_probs: Tensor, one_hot: Tensor) -> Tensor:
        """The softmax of perturbed logits, of which the drawn category's is the largest."""
        perturbed = perturbed_logits(log_probs.detach(), one_hot)
        return (with_gradient_of(log_probs, perturbed) / self.temperature).softmax(-1)


def perturbed_logits(log_probs: Tensor, one_hot: Tensor) -> Tensor:
    """`log_probs + g`, g standard Gumbel noise, given which of them is the largest.

    The largest of all is itself Gumbel, `−log E`, E exponential; each of the others is Gumbel
    below that: `−log(E_i / p_i + E)`.

    Args:
        log_probs: `[..., K]`, nats, normalised.
        one_hot: `[..., K]`, the largest.
    """
    uniform = torch.rand_like(log_probs)  # [0, 1)
    tiny = torch.finfo(log_probs.dtype).tiny
    log_noise = (-torch.log1p(-uniform)).clamp(min=tiny).log()
    largest = (log_noise * one_hot).sum(-1, keepdim=True)
    others = torch.logaddexp(log_noise - log_probs, largest)
    return -torch.where(one_hot > 0, largest, others)
