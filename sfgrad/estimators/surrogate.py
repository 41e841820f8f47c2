"""The control variate of RELAX and LAX: a module, trained to make the gradient vary less."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    LowRankMultivariateNormal,
    MultivariateNormal,
)
from torch.nn.functional import one_hot

from sfgrad.baselines import Baseline
from sfgrad.controls import Control, Evidence
from sfgrad.estimators.conditional import bounded_logits, given_value, squash, with_logits
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.estimators.relaxation import with_gradient_of
from sfgrad.settings import describe
from sfgrad.tensors import single, trailing_sum


class Knowledge(NamedTuple):
    """What is known of R draws. Parameters are those of the distribution, P numbers in each row.

    Args:
        prediction: `[R]`, of the cost; it trains the module.
        slope: `[R, P]`, the slope of the control variate in the parameters; trains it too.
        score: `[R, P]`, that of the log-probability.
        path: `[R]`, 0, with the derivative `slope` by the parameters; does not train the module.
    """

    prediction: Tensor
    slope: Tensor
    score: Tensor
    path: Tensor


class Surrogate(Control):
    """A module that predicts the cost of a draw from what the draw was made of.

    Args:
        module: maps `[R, D]` to `[R]` or `[R, 1]`, in the unit of the cost.
    """

    def __init__(self, module: Any):
        super().__init__()
        if isinstance(module, type | Baseline) or not isinstance(module, nn.Module):
            raise TypeError(
                f"the module of Relax is {describe(module)}: give a network that maps the relaxed "
                "value of a row to a number, an object such as nn.Linear(8, 1)"
            )
        self.module = module

    @property
    def title(self) -> str:
        """The user made a `Relax`, and never sees this class."""
        return "Relax control variate"

    def pair(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """`h` is the prediction, and `k` the same with the derivative of the path."""
        if evidence.observation is None:  # a replay of values alone
            return torch.zeros_like(evidence.cost_to_go), torch.zeros_like(evidence.cost_to_go)
        shape, knowledge = evidence.cost_to_go.shape, evidence.observation
        prediction = knowledge.prediction.detach().reshape(shape)
        return prediction + knowledge.path.reshape(shape), prediction

    def learn(self, evidence: Evidence, mask: Tensor | None) -> Tensor | None:
        """The mean square of the gradient by the parameters, over the rows that count."""
        if evidence.observation is None:
            return None
        prediction, slope, score, _ = evidence.observation
        difference = evidence.cost_to_go.reshape(-1) - prediction
        gradient = difference.unsqueeze(1) * score + slope
        square = gradient.square().sum(1)
        if mask is None:
            return square.mean()
        return torch.where(mask.reshape(-1), square, 0).sum() / mask.sum().clamp(min=1)

    def predict(self, value: Tensor, batch_ndims: int) -> Tensor:
        """What the module says to the values `[*rows, ...]`: `[R]`."""
        rows = value.shape[:batch_ndims].numel()
        weights = [part for part in self.module.parameters() if part.is_floating_point()]
        flat = value.reshape(rows, -1).to(weights[0].dtype if weights else value.dtype)
        try:
            result = self.module(flat)
        except Exception as error:
            if type(error) not in (RuntimeError, TypeError, IndexError):  # out of memory, say
                raise
            raise MisfitError(
                f"the {type(self.module).__name__} of Relax fails on {flat.dtype} "
                f"{list(flat.shape)} on {flat.device}, the rows' relaxed values: give a module "
                f"that takes them ({error})"
            ) from error
        shape = list(result.shape) if torch.is_tensor(result) else None
        if shape not in ([rows], [rows, 1]):
            returned = describe(result) if shape is None else f"shape {shape}"
            raise MisfitError(
                f"the {type(self.module).__name__} of Relax returned {returned} for {rows} rows: "
                "return one number per row, a tensor [R] or [R, 1]"
            )
        return result.reshape(-1).to(value.dtype)

    def discrete(self, base: Any, value: Tensor, batch_ndims: int) -> Knowledge:
        """Of bits and categories: RELAX."""
        logits = bounded_logits(base)
        leaf = logits.detach().requires_grad_()
        hard = one_hot(value, logits.shape[-1]) if isinstance(base, Categorical) else value
        given = given_value(base, hard, leaf)
        free = with_gradient_of(leaf, given)
        predictions = [self.predict(squash(base, y, 1.0), batch_ndims) for y in (free, given)]
        twin = with_logits(base, leaf)
        log_prob = single(twin.log_prob(value))
        slopes = _slopes(predictions[0] - predictions[1], [leaf])
        return _knowledge(predictions[1], slopes, log_prob, [logits], [leaf], batch_ndims)

    def continuous(self, base: Distribution, batch_ndims: int) -> tuple[Tensor, Knowledge]:
        """A reparametrised draw, and what is known of it: LAX."""
        names = ["loc", "scale_tril"]
        if not isinstance(base, MultivariateNormal):
            names = list(base.arg_constraints)
        try:
            given = [getattr(base, name) for name in names]
            leaves = [parameter.detach().requires_grad_() for parameter in given]
            twin = type(base)(**dict(zip(names, leaves, strict=True)), validate_args=False)
            path = twin.rsample()
        except (TypeError, ValueError, NotImplementedError, AttributeError) as error:
            raise MisfitError(
                f"Relax does not draw from {type(base).__name__}: it takes bits, categories, and "
                "distributions of torch.distributions that have an rsample and are made of their "
                "parameters; use ScoreFunction()"
            ) from error
        value = path.detach()
        log_prob = single(twin.log_prob(value))
        if isinstance(base, MultivariateNormal | LowRankMultivariateNormal):  # linear in the noise
            control = self.predict(path, batch_ndims)
            slopes = _slopes(control, leaves)
        else:
            control, slopes = self._along(path, leaves, batch_ndims, len(base.event_shape))
        return value, _knowledge(control, slopes, log_prob, given, leaves, batch_ndims)

    def _along(
        self, path: Tensor, leaves: list[Tensor], batch_ndims: int, event_ndims: int
    ) -> tuple[Tensor, list[Tensor]]:
        """The prediction at the end of a path, and its derivatives by what the path begins with.

        The derivatives of the path are numbers: those of a Gamma cannot be differentiated again,
        and the module is trained by the others.
        """
        end = path.detach().requires_grad_()
        control = self.predict(end, batch_ndims)
        (slope,) = _slopes(control, [end])

        # Elements depend on their own parameters alone, but those of an event on all of it.
        slopes = [torch.zeros_like(leaf) for leaf in leaves]
        places = range(path.shape[-1]) if event_ndims else [...]
        for place in places:
            parts = torch.autograd.grad(path[..., place].sum(), leaves, retain_graph=True, **UNUSED)
            factor = slope[..., place].unsqueeze(-1) if event_ndims else slope
            slopes = [total + factor * part for total, part in zip(slopes, parts, strict=True)]
        return control, slopes


def refuse_transforms() -> None:
    """Refuse torch.func, under which there is no backward pass of one's own."""
    try:
        torch.zeros(()).requires_grad_()
    except RuntimeError as error:
        raise MisfitError(
            "Relax takes the slope of its module by a backward pass of its own, which torch.func "
            "does not allow: use loss.backward() or torch.autograd.grad(), or ScoreFunction() here"
        ) from error


UNUSED: Any = {"allow_unused": True, "materialize_grads": True}


def _slopes(control: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """The derivatives of a control variate, which train the module."""
    total = control.sum() + sum((0 * leaf).sum() for leaf in leaves)  # also if none is used
    return list(torch.autograd.grad(total, leaves, create_graph=True, **UNUSED))


def _knowledge(
    prediction: Tensor,
    slopes: list[Tensor],
    log_prob: Tensor,
    parameters: list[Tensor],
    leaves: list[Tensor],
    batch_ndims: int,
) -> Knowledge:
    """Derivatives by the parameters, through leaves in their place: training ends there."""
    scores = torch.autograd.grad(log_prob.sum(), leaves, **UNUSED)
    rows = len(prediction)
    slope, score = (
        torch.cat([part.reshape(rows, -1) for part in parts], 1) for parts in (slopes, scores)
    )
    path = torch.zeros_like(prediction.detach())
    for parameter, part in zip(parameters, slopes, strict=True):
        moved = part.detach() * (parameter - parameter.detach())
        path = path + trailing_sum(moved, batch_ndims)
    return Knowledge(prediction, slope, score, path)
