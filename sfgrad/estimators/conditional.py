"""Continuous variables behind bits and categories, drawn given the discrete value.

A bit is the sign of a logistic variable, a category the largest of Gumbel variables. Here
it is drawn given the value, from noise v. Its derivative by the logits is taken with v held fixed,
or, where the value may move with the logits, with the noise of the variable itself held fixed.

Source: Tucker et al. (2017), REBAR, appendix B for bits, C for categories.
"""

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, OneHotCategorical
from torch.nn.functional import softplus

from sfgrad.tensors import single

Discrete = Bernoulli | Categorical | OneHotCategorical


def bounded_logits(base: Discrete) -> Tensor:
    """Log-odds of bits, log-probabilities of categories: finite, in single precision at least."""
    logits = single(base.logits)
    limit = torch.finfo(logits.dtype).max / 4
    return logits.clamp(-limit, limit)


def with_logits(base: Discrete, logits: Tensor) -> Discrete:
    """A distribution of the same kind over other logits, whatever arguments a subclass takes."""
    for kind in (Bernoulli, Categorical):
        if isinstance(base, kind):
            return kind(logits=logits, validate_args=False)
    return OneHotCategorical(logits=logits, validate_args=False)


def uniform(like: Tensor) -> Tensor:
    """Uniform noise above 0 and below 1, of a tensor's shape, in its type."""
    limits = torch.finfo(like.dtype)
    return torch.rand_like(like).clamp(limits.tiny, 1 - limits.eps / 2)


def given_value(base: Discrete, value: Tensor, logits: Tensor) -> Tensor:
    """Draw the variable behind a value, whose derivative is that for a fixed value.

    Args:
        base: the kind of distribution.
        value: `[*batch, *event]`, discrete; of categories, one-hot vectors.
        logits: of the same shape, as `bounded_logits` has them.
    """
    noise = uniform(logits)
    if isinstance(base, Bernoulli):
        # |z̃| = log(1 + v / (1 − v) / q), q the probability of the other value.
        sign = 2 * value.to(logits.dtype) - 1
        return sign * _softplus(noise.logit() + _softplus(sign * logits))

    # The largest is a Gumbel variable; each other one is cut off there.
    log_exponential = (-noise.log()).log()
    is_drawn = value > 0.5
    largest = torch.where(is_drawn, log_exponential, 0).sum(-1, keepdim=True)
    others = -torch.logaddexp(log_exponential - logits, largest)
    return torch.where(is_drawn, -largest, others)


def _softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))`, exact in double precision too."""
    return softplus(x, threshold=40)


def squash(base: Discrete, variable: Tensor, temperature: float) -> Tensor:
    """A relaxed value: of bits between 0 and 1, of categories positive with the sum 1."""
    if isinstance(base, Bernoulli):
        return (variable / temperature).sigmoid()
    return (variable / temperature).softmax(-1)
