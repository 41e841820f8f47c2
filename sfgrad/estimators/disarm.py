"""Rao-Blackwellised scores of coupled binary and categorical draws."""

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, OneHotCategorical

from sfgrad.estimators.base import Draw
from sfgrad.estimators.copula import bernoulli_ratio, category_ratios, random_order, uniforms
from sfgrad.estimators.coupling import Coupling, averaged
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.estimators.quantiles import quantile
from sfgrad.estimators.siblings import Copies, check_siblings
from sfgrad.masks import Masked, base_distribution
from sfgrad.tensors import one_hot, single, trailing_sum

Discrete = Bernoulli | Categorical | OneHotCategorical


class ARMS(Coupling):
    """Couple all copies of a row, and average their scores over what the coupling leaves open.

    Copies of a binary or categorical element are drawn against each other, by a Dirichlet copula.
    Two copies k, j with draws of joint probability P stand for two independent ones with the ratio
    `r = p(z_k) p(z_j) / P(z_k, z_j)`, so that the estimate is

        mean over k ≠ j of  ½ · r · (f(z_k) − f(z_j)) · (∇ log p(z_k) − ∇ log p(z_j))

    element by element: nothing is random where the draws agree. It needs no baseline. The order of
    categories is drawn at random for every element, and P is the mean over these orders; that takes
    C² operations for C categories.

    Args:
        samples: how many copies the node makes of every row, at least 2; None to take those that
            the nearest branch or `expectation(samples=)` made, if they are equal before the node.

    Raises:
        ValueError: `samples` is below 2; there are no copies; they differ before the node; or the
            distribution is neither Bernoulli nor of categories.
        TypeError: `samples` is not a whole number.

    Unbiased: yes, to the first order.

    Source: Dimitriev & Zhou (2021), ARMS: Antithetic-REINFORCE-Multi-Sample Gradient for Binary
    Variables, section 4; random orders of categories: here.
    """

    order = 1

    def __init__(self, samples: int | None = None):
        super().__init__(None, samples)

    def group(self, copies: int) -> int:
        """How many copies are drawn against each other: all."""
        return copies

    def couple(self, distribution: Distribution, batch_ndims: int, copies: Copies) -> Draw:
        """One value for every copy, and what has the derivative of the averaged score."""
        base = base_distribution(distribution)
        if not isinstance(base, Discrete):
            raise MisfitError(
                f"{type(self).__name__} couples Bernoulli and categories, not "
                f"{type(base).__name__}: use Antithetic() or ScoreFunction()"
            )
        if copies.outer is not None:
            check_siblings(self, distribution, (copies.outer, copies.number, 0))

        size = self.group(copies.number)
        noise = uniforms(copies.shape(base.batch_shape), size, base.logits.device)
        if isinstance(base, Bernoulli):
            value, averages = self._bits(base, noise, copies, size)
            with torch.no_grad():
                log_probs = single(base.log_prob(value))
        else:
            value, ratios = self._categories(base, noise, copies, size)
            log_probs = single(base.log_prob(value))
            averages = copies.merge(averaged(copies.split(log_probs), ratios, size))
        if isinstance(distribution, Masked):
            log_probs = log_probs.where(distribution.mask, 0)
            averages = averages.where(distribution.mask, 0)
        ndims = batch_ndims + (copies.outer is None)
        log_prob = trailing_sum(averages, ndims)
        recorded = trailing_sum(log_probs.detach(), ndims)
        record = copies.rows_first(value, batch_ndims)
        return Draw(record.clone(), log_prob, log_prob, record=record, recorded=recorded)

    def _bits(
        self, base: Bernoulli, noise: Tensor, copies: Copies, size: int
    ) -> tuple[Tensor, Tensor]:
        """As `averaged`, by the log-odds η: `log p(z_k) − log p(z_j) = (z_k − z_j)·η`."""
        logits = single(base.logits)
        one = logits.detach() if copies.outer is None else copies.split(logits.detach())[0]
        ratio, flipped = bernoulli_ratio(one, size)
        if flipped is not None:
            noise = torch.where(flipped, 1 - noise, noise)
        value = quantile(base, copies.merge(noise))

        groups = copies.split(value.to(logits.dtype)).unflatten(0, (-1, size))
        slopes = ratio * (size * groups - groups.sum(1, keepdim=True)) / (size - 1)
        return value, copies.merge(slopes.flatten(0, 1)).to(logits.dtype) * logits

    def _categories(
        self, base: Categorical | OneHotCategorical, noise: Tensor, copies: Copies, size: int
    ) -> tuple[Tensor, Tensor]:
        """Values, and the ratios of all pairs, `[groups, size, size, ...]`."""
        probs: Tensor = base.probs.detach().double()
        if copies.outer is not None:
            probs = copies.split(probs)[0]
        order = random_order(probs)  # one for all copies of an element
        sorted_probs = probs.gather(-1, order)
        place = quantile(Categorical(sorted_probs, validate_args=False), noise)
        number = order.expand(*place.shape, -1).gather(-1, place.unsqueeze(-1)).squeeze(-1)
        ratios = category_ratios(probs, number.unflatten(0, (-1, size)), size)

        number = copies.merge(number)
        if isinstance(base, Categorical):
            return number, ratios
        return one_hot(number, probs.shape[-1]).to(base.logits.dtype), ratios


class DisARM(ARMS):
    """Draw the copies of a row in antithetic pairs, and average their scores.

    As `ARMS`, with pairs of copies; for one pair of Bernoulli draws

        ½ · (f(z) − f(z̃)) · (z − z̃) · σ(|η|),    η the logit,

    whose variance is at most that of leave-one-out with two copies.

    Args:
        samples: an even number of copies that the node makes of every row; None to take those that
            the nearest branch or `expectation(samples=)` made, if they are equal before the node.

    Raises:
        ValueError: `samples` is odd; there are no copies; they differ before the node; or the
            distribution is neither Bernoulli nor of categories.
        TypeError: `samples` is not a whole number.

    Unbiased: yes, to the first order.

    Source: Dong, Mnih & Tucker (2020), DisARM: An Antithetic Gradient Estimator for Binary Latent
    Variables, eq. 6; also found by Yin et al. (2020), Probabilistic Best Subset Selection.
    """

    even = True

    def group(self, copies: int) -> int:
        """How many copies are drawn against each other: two."""
        return 2
