"""Control variates from discrete Stein operators, with a learned function of the cost's slopes."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from sfgrad.control_variates.elements import Elements, check_device, observe_elements
from sfgrad.control_variates.taylor import Model, model_costs
from sfgrad.control_variates.units import Units
from sfgrad.controls import Control, Evidence
from sfgrad.settings import whole_number


class Rodeo(Control):
    """Leave-one-out, of the cost minus a learned model of it that is summed over single moves.

    The model of copy k's cost is made of the other copies j, their costs to go f_j and slopes:

    `H_k(y) = mean_{j≠k} (η(f_j, ∇f_jᵀ(y − x_j)) − η(f_j, ∇f_jᵀ(μ − x_j)))`

    with η a small network beside a linear term, which takes f_j as its distance from the mean of
    all j ≠ k. The discrete Stein operator draws single elements again,
    `A H(x) = Σ_i (E[H(x with x_i drawn again)] − H(x))`, and has expectation 0. So

    `h_k = mean_{j≠k}(f_j + β·A H_j(x_j)) + H_k(x_k)`

    and k_k is the same but for H_k(x_k), whose place takes its expectation over single elements,
    with the derivative `Σ_i Σ_v ∂p_i(v)·H_k(x_k with x_i = v)`.

    The network, the linear term and β minimise the variance of the gradient with respect to the
    logits, by the same `loss.backward()`; they start as leave-one-out. Units are those of past
    costs and slopes, never of the present ones. For a cost without a derivative, and for
    `Categorical`, it is leave-one-out. For S copies of D elements η is evaluated
    `S·(S − 1)·(D + 2)` times a row to read, and again to learn; the slope is one more backward
    pass. Processes take their units from their own rows.

    Args:
        width: hidden units of the network, at least 1.

    Raises:
        TypeError: the width is not a whole number.
        ValueError: it is below 1; at the draw, if there is only one copy, if the graph has groups,
            or if the distribution is of neither bits nor categories.

    Unbiased: yes, to any order.

    Source: Shi et al. (2022), Gradient Estimation with Discrete Stein Operators, section 4; here
    each element of the gradient has the operator of its own element.
    """

    compares = True
    takes_groups = False
    uses_slope = True

    def __init__(self, width: int = 16):
        super().__init__()
        self.width = whole_number("width", width)
        self.hidden, self.output = nn.Linear(2, self.width), nn.Linear(self.width, 1, bias=False)
        nn.init.zeros_(self.output.weight)
        self.linear, self.others = (nn.Parameter(torch.zeros(())) for _ in range(2))
        self.units = Units("cost", "slope", "gradient")

    def extra_repr(self) -> str:
        """The width."""
        return f"width={self.width}"

    def observe(self, distribution: Distribution, value: Tensor, batch_ndims: int) -> Any:
        """How the elements deviate from their means."""
        return observe_elements(type(self).__name__, distribution, value, batch_ndims)

    def pair(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """Leave-one-out of what the model leaves, and the model."""
        others = evidence.others(evidence.cost_to_go)
        if evidence.slope is None or evidence.observation is None:
            return others, others
        check_device("Rodeo", self.units.mass, evidence.cost_to_go)
        elements, slope = _laid_out(evidence)
        with torch.no_grad():
            model = self._model(evidence.cost_to_go, slope, elements)
            own = others + self._steins(model, elements) + model.at_draw

        # The derivative of the expectation over the first draw's change, then over the second's,
        # the weight of the first having changed, and so on: right to any order.
        change = elements.score - elements.deviation
        expected = (elements.weights_before() * change * model.slope).sum(-1)
        return own + expected, own

    def learn(self, evidence: Evidence, mask: Tensor | None) -> Tensor | None:
        """The variance of the gradient with respect to the logits, in units of leave-one-out's."""
        if evidence.slope is None or evidence.observation is None:
            return None
        elements, slope = _laid_out(evidence)
        elements = elements._replace(deviation=elements.score)
        model = self._model(evidence.cost_to_go, slope, elements)
        steins = self._steins(model, elements)
        costs = evidence.cost_to_go - evidence.others(evidence.cost_to_go)
        rest = costs - steins - model.at_draw

        # The gradients by the logits: of leave-one-out, and of what the model leaves of it.
        plain = costs.unsqueeze(-1) * elements.score
        left = rest.unsqueeze(-1) * elements.score + elements.by_logits(model.slope)
        error = _square(self.units.scaled("gradient", left), mask)
        reach = (evidence.others(slope) * elements.score).sum(-1)
        self.units.learn(
            cost=_mean_square(costs, mask),
            slope=_mean_square(reach, mask),
            gradient=_square(plain, mask),
        )
        return error

    def _model(self, costs: Tensor, slope: Tensor, elements: Elements) -> Model:
        """The model of every copy's cost."""
        return model_costs(self._eta, costs, slope, elements)

    def _steins(self, model: Model, elements: Elements) -> Tensor:
        """`mean_{j≠k} β·A H_j(x_j)`, `[E, S, R]`."""
        steins = (elements.chances * model.gain).sum(-1)
        compared = steins.sum(1, keepdim=True) - steins  # with its gradient by the parameters
        return self.others * compared / (steins.shape[1] - 1)

    def _eta(self, costs: Tensor, predicted: Tensor) -> Tensor:
        """η: what the cost of another copy and its slope tell, in the unit of the cost."""
        inputs = [self.units.scaled("cost", costs), self.units.scaled("slope", predicted)]
        scaled = torch.stack(inputs, -1).to(self.hidden.weight.dtype)
        curved = self.output(nn.functional.silu(self.hidden(scaled))).squeeze(-1)
        result = self.linear * scaled[..., 1] + curved
        return result.to(costs.dtype) * self.units.of("cost").to(costs.dtype)


def _laid_out(evidence: Evidence) -> tuple[Elements, Tensor]:
    """The elements and the slopes, `[E, S, R, D]`; a slope that is not finite counts as 0."""
    assert evidence.slope is not None
    elements: Elements = evidence.observation.shaped(evidence.cost_to_go.shape)
    return elements, evidence.slope.nan_to_num(0, 0, 0)


def _mean_square(values: Tensor, mask: Tensor | None) -> Tensor:
    """Of what is known of every draw, `[E, S, R]`, that counts; NaN where none does."""
    if mask is None:
        return values.square().mean()
    return values.where(mask, 0).square().sum() / mask.sum()


def _square(gradient: Tensor, mask: Tensor | None) -> Tensor:
    """The mean square over rows `[E, S, R, D]` of the mean over the copies that count, `[]`."""
    if mask is not None:
        gradient = gradient.where(mask.unsqueeze(-1), 0)
    return gradient.mean(1).square().sum(-1).mean()
