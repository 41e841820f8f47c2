"""A score-function estimator with a relaxation as its control variate."""

from typing import Any

import torch
from torch.distributions import Bernoulli, Distribution, OneHotCategorical

from sfgrad.estimators.base import Draw, Layout
from sfgrad.estimators.conditional import bounded_logits, given_value, squash, with_logits
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.estimators.relaxation import with_gradient_of
from sfgrad.estimators.siblings import copied_shape
from sfgrad.estimators.weighted import Weighted
from sfgrad.masks import base_distribution
from sfgrad.settings import describe, is_number, positive_number, whole_number
from sfgrad.tensors import trailing_sum


class Rebar(Weighted):
    """Draw a value, its relaxation, and its relaxation given the value, in three copies.

    `∇ E[f(z)] = E[(f(z) − η·f(ζ̃))·∇log p(z) + η·∇f(ζ) − η·∇f(ζ̃)]`

    The first copy has the weight 1 and the hard value z. The second has the weight η and the
    relaxed value ζ, through which the gradient flows; the third the weight −η and ζ̃, which is ζ
    given z. Both are the same number, so that they cancel in the cost, and correlate with z.

    What comes after the node gets hard and relaxed values: bits between 0 and 1, categories as
    vectors of sum 1. It must take both, and be smooth in the relaxed ones.

    Args:
        temperature: τ, above 0, in `ζ = sigmoid(y / τ)` or softmax. May be assigned.
        scale: η, of the control variate. May be assigned.
        samples: how many copies the node makes, a multiple of 3; None to take those that the
            nearest branch made, which must be of equal parameters.

    Raises:
        ValueError: `temperature` is not above 0, or `samples` not a multiple of 3. At the draw: the
            distribution is neither Bernoulli nor OneHotCategorical, or copies differ before it.
        TypeError: an argument is not a number.

    Unbiased: yes, if the cost is differentiable in the relaxed values; to order n, if it is n
    times. Draws cannot be replayed.

    Source: Tucker et al. (2017), REBAR: Low-variance, unbiased gradient estimates for discrete
    latent variable models, eq. 4 and appendix B; coupled noise: section 3.1.
    """

    def __init__(self, temperature: float = 0.5, scale: float = 1.0, samples: int | None = None):
        self.temperature, self.scale, self.samples = temperature, scale, samples

    def __setattr__(self, attribute: str, value: Any) -> None:
        """Set an attribute; it must be such a number as it says."""
        if attribute == "temperature":
            value = positive_number("temperature", value)
        if attribute == "scale" and not is_number(value):
            raise TypeError(f"scale is {describe(value)}: it must be a number, 1 for all of it")
        if attribute == "samples" and value is not None:
            value = whole_number("samples", value)
            if value % 3:
                raise ValueError(
                    f"samples is {value}: Rebar needs three copies for each draw, one hard and two "
                    "relaxed, so give a multiple of 3"
                )
        super().__setattr__(attribute, value)

    def weigh(
        self, distribution: Distribution, batch_ndims: int, layout: Layout, own: int | None
    ) -> Draw:
        """One third of the copies hard, two thirds relaxed, and their weights."""
        if own is None and layout[1] % 3:
            raise MisfitError(
                f"Rebar needs three copies for each draw, one hard and two relaxed, but there are "
                f"{layout[1]} copies of every row: set samples= to a multiple of 3"
            )
        base = base_distribution(distribution)
        if not isinstance(base, Bernoulli | OneHotCategorical):
            raise MisfitError(
                f"Rebar does not draw from {type(base).__name__}, only from Bernoulli and "
                "OneHotCategorical, whose values can be relaxed: use Relax(module) or "
                "ScoreFunction()"
            )
        E, S, R = layout
        copies = own or S
        drawn = distribution.sample((copies // 3,) if own else ()).detach()
        elements = distribution.batch_shape[batch_ndims:] + distribution.event_shape
        count = copies // 3 if own else S
        hard = drawn.reshape(E, count, R, *elements)[:, : copies // 3]

        # The same variable twice: it moves with the logits, or within what gives the hard value.
        logits = bounded_logits(base).reshape(E, S, R, *elements)
        first, free, fixed = logits.expand(E, copies, R, *elements).chunk(3, 1)
        given = given_value(base, hard, fixed)
        pair = (with_gradient_of(free, given), given)
        relaxed = [squash(base, part, self.temperature).to(hard.dtype) for part in pair]

        shape = copied_shape(distribution.batch_shape, own or 1) + distribution.event_shape
        value = torch.cat([hard, *relaxed], 1).reshape(shape)
        scores = with_logits(base, first).log_prob(hard.to(first.dtype))
        score = trailing_sum(scores, 3).view(E, 1, -1)
        log_prob = torch.cat([score, score.detach(), score], 1).reshape(-1)  # free: its path alone
        signs = log_prob.new_tensor([3, 3 * self.scale, -3 * self.scale]).view(1, 3, 1)
        factor = signs.expand(E, 3, log_prob.numel() // (3 * E)).reshape(-1)
        unknown = torch.full_like(factor, torch.nan)
        return Draw(value, log_prob, log_prob, own or 1, factor=factor, recorded=unknown)
