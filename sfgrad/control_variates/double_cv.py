"""Double control variates: leave-one-out, with a linear model of the cost of each other draw."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.buffers import Precise
from sfgrad.control_variates.elements import Elements, check_device, observe_elements
from sfgrad.controls import Control, Evidence
from sfgrad.settings import describe, is_number


class DoubleCV(Precise, Control):
    """Leave-one-out, of the cost minus a linear model of it, whose expectation is known.

    `b_k(x) = ḡ_kᵀ(x − μ)`, ḡ_k the mean slope of the cost at the draws of the other copies, and μ
    the mean of the distribution. With f the cost to go and α the scale,

    `h_k = mean_{j≠k}(f_j − α·b_k(x_j)) + α·b_k(x_k)`,
    `k_k = mean_{j≠k}(f_j − α·b_k(x_j)) + α·E[b_k]`, where E[b_k] is 0, and its derivative `ḡ_kᵀ ∂μ`

    The slope is the derivative of the cost to go with respect to the drawn value, which therefore
    requires grad. It takes one more backward pass through what comes after the node. For a cost
    without a derivative, and for `Categorical`, whose values are numbers of categories, the
    baseline is leave-one-out.

    Compares the copies of the nearest branch, or the rows of a group, as `LeaveOneOut` does. The
    value of the loss is the mean cost minus α times the mean of b, and so differs from the mean
    cost by a term of expectation 0.

    The scale that minimises the variance of the gradient with respect to the logits is learned by
    a running regression of the leave-one-out gradient on that of b. It is updated after each loss,
    so it never depends on the present draws. Each process learns its own, which leaves every
    gradient unbiased.

    Args:
        scale: α, 1 where the cost is linear; None learns it, from 0.

    Raises:
        TypeError: the scale is not a number.
        ValueError: at the draw, if there is only one copy, or the distribution is neither of bits
            nor of categories.

    Unbiased: yes, to any order.

    Source: Titsias & Shi (2022), Double Control Variates for Gradient Estimation in Discrete Latent
    Variable Models, section 3.
    """

    products: Tensor
    squares: Tensor
    compares = True
    uses_slope = True
    decay = 0.99
    """The weight of the past in the regression, at each update."""

    def __init__(self, scale: float | None = None):
        super().__init__()
        if scale is not None and not is_number(scale):
            raise TypeError(
                f"scale of DoubleCV is {describe(scale)}: it must be a number, 1 where the cost is "
                "linear, or None to be learned"
            )
        self.scale = scale
        self.register_buffer("products", torch.zeros(()))
        self.register_buffer("squares", torch.zeros(()))

    def extra_repr(self) -> str:
        """The scale."""
        return f"scale={self.scale}"

    @property
    def has_state(self) -> bool:
        """Whether the scale is learned."""
        return self.scale is None

    def observe(self, distribution: Distribution, value: Tensor, batch_ndims: int) -> Any:
        """How the elements deviate from their means."""
        return observe_elements(type(self).__name__, distribution, value, batch_ndims)

    def pair(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """Leave-one-out of what the linear model leaves, and the model."""
        others = evidence.others(evidence.cost_to_go)
        if evidence.slope is None or evidence.observation is None:
            return others, others
        scale = self.current_scale(evidence.cost_to_go)
        slope, deviation = _linear(evidence)
        own = (slope * deviation).sum(-1)
        model = (slope * evidence.others(deviation)).sum(-1)

        # Its value is 0 in expectation, and exactly so where nothing is differentiated.
        expected = own.detach() - own
        return others + scale * (expected - model), others + scale * (own - model)

    def current_scale(self, like: Tensor) -> Tensor:
        """The scale α, `[]`: that of the past, 0 when there is none."""
        if self.scale is not None:
            return like.new_tensor(self.scale)
        check_device("DoubleCV", self.squares, like)
        return torch.where(self.squares > 0, self.products / self.squares, 0).to(like.dtype)

    @torch.no_grad()
    def learn(self, evidence: Evidence, mask: Tensor | None) -> Tensor | None:
        """Take the present products and squares into the regression."""
        if self.scale is not None or evidence.slope is None or evidence.observation is None:
            return None
        slope, score = _linear(evidence)
        gain = (slope * (score - evidence.others(score))).sum(-1, keepdim=True)
        elements: Elements = evidence.observation.shaped(evidence.cost_to_go.shape)
        expected = elements.by_logits(slope)

        # The gradients with respect to the logits: of leave-one-out, and of the linear model.
        costs = evidence.cost_to_go - evidence.others(evidence.cost_to_go)
        plain, linear = costs.unsqueeze(-1) * score, gain * score - expected
        if mask is not None:
            plain = plain.where(mask.unsqueeze(-1), 0)
            linear = linear.where(mask.unsqueeze(-1), 0)
        plain, linear = evidence.sums(plain), evidence.sums(linear)
        products = (plain * linear).sum(-1).mean().to(self.products)
        squares = linear.square().sum(-1).mean().to(self.squares)

        # Nothing is learned where no row counts, or where something overflows.
        useful = (squares > 0) & squares.isfinite() & products.isfinite()
        share = torch.where(useful, 1 - self.decay, 0.0).to(self.squares)
        self.products.lerp_(products.where(useful, 0), share)
        self.squares.lerp_(squares.where(useful, 0), share)
        return None


def _linear(evidence: Evidence) -> tuple[Tensor, Tensor]:
    """The mean slope at the other draws, and the deviations of the draws: `[E, S, R, D]` each."""
    assert evidence.slope is not None
    slope = evidence.others(evidence.slope.nan_to_num(0, 0, 0))
    return slope, evidence.observation.shaped(evidence.cost_to_go.shape).deviation
