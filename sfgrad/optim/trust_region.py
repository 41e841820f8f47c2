"""Trust regions: a step is only as long as the policy's distribution may move."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sfgrad.tensors import check_tensor


@dataclass(frozen=True)
class StepReport:
    """What a `TrustRegion.step` did."""

    moved: bool
    """Whether the parameters changed."""
    surrogate: float
    """The surrogate before the step."""
    gain: float
    """By how much the step lowered it; 0 if nothing moved."""
    kl: float
    """The divergence after the step, nats: never above the bound."""
    halvings: int
    """How often the first proposal was halved."""


class TrustRegion:
    """Steps down a surrogate, each within a KL divergence from the policy that made the draws.

    A proposal is halved until it is within the bound, as measured, and lowers the surrogate. If
    none does, the parameters are left as they were, bit for bit.

    Along the gradient (`natural=False`) the first proposal is twice as long as the step last
    accepted; only values of the divergence are needed. Along the natural gradient
    `d = (H + damping·I)⁻¹ g`, with H the Hessian of the divergence, it is as long as makes the
    quadratic `½ sᵀ(H + damping·I)s` equal to the bound; d is found by conjugate gradients, and the
    divergence must be twice differentiable.

    Args:
        parameters: those that move. Frozen ones (`requires_grad` is False at a step) stay as they
            are and count for nothing, as in the optimizers of torch.
        bound: largest divergence, nats, above 0.
        natural: follow the natural gradient.
        damping: added to the diagonal of H, at least 0.
        iterations: of conjugate gradients.
        halvings: how often a proposal is halved before the step is given up.

    Attributes:
        length: Euclidean norm of the step last accepted; 1 at first.

    Raises:
        TypeError: a parameter is not a tensor.
        ValueError: there are no parameters, or a number is not as above.

    Unbiased: the direction as far as the surrogate's gradient is; the length depends on the draws.

    Source: Schulman et al. (2015), Trust Region Policy Optimization, section 6 and appendix C;
    Kakade (2002), A Natural Policy Gradient.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        bound: float = 0.01,
        natural: bool = False,
        damping: float = 1e-2,
        iterations: int = 10,
        halvings: int = 20,
    ):
        self.parameters = [] if isinstance(parameters, Tensor) else list(parameters)
        if not self.parameters:
            raise ValueError("there are no parameters to move: give a list of tensors")
        for parameter in self.parameters:
            check_tensor("a parameter", parameter)
        if not bound > 0:
            raise ValueError(f"bound is {bound}: it must be above 0 nats")
        if damping < 0:
            raise ValueError(f"damping is {damping}: it must be at least 0")
        if min(iterations, halvings) < 1:
            counts = f"iterations is {iterations} and halvings is {halvings}"
            raise ValueError(f"{counts}: both must be at least 1")
        self.bound, self.natural, self.damping = bound, natural, damping
        self.iterations, self.halvings = iterations, halvings
        self.length = 1.0

    def step(self, surrogate: Callable[[], Tensor], kl: Callable[[], Tensor]) -> StepReport:
        """Make one step.

        Args:
            surrogate: returns `[]`, to be minimised, at the present parameters and for the same
                draws each time: `−mean(ratio · advantage)`, say.
            kl: returns `[]`, nats: the divergence of the policy that made the draws from that of
                the present parameters, exact given the states; 0 at the parameters of the draws.

        Raises:
            ValueError: all parameters are frozen, or surrogate or divergence has no gradient;
                surrogate or gradient is not finite; the divergence is above the bound before the
                step; or it has no positive curvature (natural only).
        """
        if not self._moving():
            raise ValueError(
                "all parameters are frozen (requires_grad is False), so there is nothing to move: "
                "call requires_grad_() on those that are to move"
            )
        value = surrogate()
        _check_gradient("surrogate", value)
        gradient = self._gradient(value)
        start, divergence = value.item(), kl().item()
        if not (value.isfinite() and gradient.isfinite().all()):
            raise ValueError(
                f"the surrogate is {start}, and it or its gradient is not finite: check the "
                "advantages and log-probabilities that it is made of"
            )
        if not divergence <= self.bound:
            raise ValueError(
                f"the divergence is {divergence:.3g} before the step, and the bound {self.bound}: "
                "compare with the policy that made these draws"
            )
        if not gradient.any():
            return StepReport(False, start, 0.0, divergence, 0)
        proposal = -(self._natural(gradient, kl) if self.natural else self._remembered(gradient))
        return self._search(proposal, surrogate, kl, start, divergence)

    def _search(
        self,
        proposal: Tensor,
        surrogate: Callable[[], Tensor],
        kl: Callable[[], Tensor],
        start: float,
        divergence: float,
    ) -> StepReport:
        """Halve the proposal until it is good; parameters are put back if it never is."""
        before = [parameter.detach().clone() for parameter in self._moving()]
        moved = False
        try:
            for halvings in range(self.halvings + 1):
                self._place(before, proposal / 2**halvings)
                with torch.no_grad():
                    gain, reached = start - surrogate().item(), kl().item()
                moved = gain > 0 and reached <= self.bound
                if moved:
                    self.length = proposal.norm().item() / 2**halvings
                    return StepReport(True, start, gain, reached, halvings)
        finally:
            if not moved:
                self._place(before)
        return StepReport(False, start, 0.0, divergence, self.halvings)

    @torch.no_grad()
    def _place(self, before: list[Tensor], step: Tensor | None = None) -> None:
        """Set the parameters that move to what they were, plus a step `[D]`."""
        sizes = [parameter.numel() for parameter in before]
        parts = before if step is None else step.split(sizes)
        for parameter, old, part in zip(self._moving(), before, parts, strict=True):
            parameter.copy_(old if step is None else old + part.view_as(old))

    def _moving(self) -> list[Tensor]:
        """The parameters that are not frozen."""
        return [parameter for parameter in self.parameters if parameter.requires_grad]

    def _gradient(self, value: Tensor, retain: bool | None = None, create: bool = False) -> Tensor:
        """Of a value with respect to all parameters that move, `[D]`."""
        parts = torch.autograd.grad(
            value, self._moving(), retain_graph=retain, create_graph=create, materialize_grads=True
        )
        return torch.cat([part.flatten() for part in parts])

    def _remembered(self, gradient: Tensor) -> Tensor:
        """The gradient at twice the length of the last step."""
        return gradient * (2 * self.length / gradient.norm())

    def _natural(self, gradient: Tensor, kl: Callable[[], Tensor]) -> Tensor:
        """The natural gradient at the length that the quadratic divergence allows.

        Conjugate gradients keep dᵀ(H + damping·I)d = dᵀg, converged or not.
        """
        divergence = kl()
        _check_gradient("divergence", divergence)
        slope = self._gradient(divergence, create=True)
        _check_gradient("slope of the divergence", slope)

        def product(vector: Tensor) -> Tensor:
            return self._gradient(slope @ vector, retain=True) + self.damping * vector

        direction = conjugate_gradient(product, gradient, self.iterations)
        quadratic = direction @ gradient
        if not quadratic > 0:
            raise ValueError(
                "the divergence has no positive curvature along the gradient: is it "
                "differentiable, and 0 at the policy that made the draws? or raise damping"
            )
        return direction * (2 * self.bound / quadratic).sqrt()

    def state_dict(self) -> dict[str, Any]:
        """What is remembered between steps."""
        return {"length": self.length}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.length = state["length"]


def _check_gradient(what: str, value: Tensor) -> None:
    """Refuse what does not depend on the parameters, as far as autograd knows."""
    if not value.requires_grad:
        raise ValueError(
            f"the {what} has no gradient: compute it from the parameters that are not frozen, "
            "with gradients on, without detach() and item()"
        )


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], target: Tensor, iterations: int
) -> Tensor:
    """Approximately solve `A x = target` for a symmetric positive A given by its products.

    Args:
        product: maps `[D]` to A times it.
        target: `[D]`.
        iterations: at most; fewer where the residual is down to rounding.

    Returns:
        `[D]`, x.
    """
    x, residual, direction = torch.zeros_like(target), target, target
    squared = target @ target
    enough = squared * torch.finfo(target.dtype).eps ** 2
    for _ in range(iterations):
        if squared <= enough:
            break
        image = product(direction)
        size = squared / (direction @ image)
        x, residual = x + size * direction, residual - size * image
        last, squared = squared, residual @ residual
        direction = residual + squared / last * direction
    return x
