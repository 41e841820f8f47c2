"""Variance of the gradient estimators on a wide smooth cost, at four evaluations of the cost.

python -m benchmarks.estimators
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent

import sfgrad as sf

BITS = 60
EVALUATIONS = 4
ROWS = 4000
UPDATES = 150


class WideCost(nn.Module):
    """`cost(b) = Σ_u log cosh(w_uᵀ b + c_u)` of 60 bits by 30 units: smooth, and curved.

    Weights, offsets and logits are of variance 1, from a seed of their own.
    """

    logits: Tensor
    weights: Tensor
    offsets: Tensor

    def __init__(self, bits: int = BITS, units: int = 30, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("weights", torch.randn(units, bits, generator=generator))
        self.register_buffer("offsets", torch.randn(units, generator=generator))
        self.register_buffer("logits", torch.randn(bits, generator=generator))

    def forward(self, b: Tensor) -> Tensor:
        """The cost of bits `[R, bits]`: `[R]`."""
        units = b @ self.weights.T + self.offsets
        return (units.abs() + nn.functional.softplus(-2 * units.abs())).sum(1)


def gradients(estimator: sf.Estimator, cost: WideCost, copies: int, rows: int) -> Tensor:
    """Independent estimates of the gradient by the logits, `[rows, bits]`; baselines learn.

    Args:
        estimator: draws once in every copy, or makes its own if `copies` is 1.
        cost: of the bits.
        copies: made by `expectation`.
        rows: how many estimates.
    """
    logits = cost.logits.repeat(rows, 1).requires_grad_()

    def model(logits: Tensor) -> Tensor:
        return cost(sf.sample(Independent(Bernoulli(logits=logits), 1), estimator))

    loss = sf.expectation(model, samples=copies)(logits)
    loss.backward()
    assert logits.grad is not None
    return rows * logits.grad


def train(estimator: sf.Estimator, cost: WideCost, copies: int, updates: int = UPDATES) -> None:
    """Let a baseline learn: 50 rows an update, its parameters by Adam at .01."""
    baseline = estimator.baseline
    assert baseline is not None
    parameters = list(baseline.parameters())
    optimizer = torch.optim.Adam(parameters, lr=0.01) if parameters else None
    for _ in range(updates):
        baseline.zero_grad()
        gradients(estimator, cost, copies, 50)
        if optimizer is not None:
            optimizer.step()
    baseline.eval()


def variance(estimator: sf.Estimator, cost: WideCost, copies: int, rows: int = ROWS) -> float:
    """The variance of one estimate, summed over the bits."""
    return float(gradients(estimator, cost, copies, rows).var(0).sum())


Case = tuple[Callable[[], sf.Estimator], int]
"""Makes an estimator, and tells how many copies `expectation` makes for it."""

CASES: dict[str, Case] = {
    "LeaveOneOut": (lambda: sf.ScoreFunction(sf.LeaveOneOut()), EVALUATIONS),
    "DisARM": (sf.DisARM, EVALUATIONS),
    "ARMS": (sf.ARMS, EVALUATIONS),
    "DoubleCV": (lambda: sf.ScoreFunction(sf.DoubleCV()), EVALUATIONS),
    "Rodeo": (lambda: sf.ScoreFunction(sf.Rodeo()), EVALUATIONS),
}


def main() -> None:
    """Print the variance of every case over that of leave-one-out."""
    torch.manual_seed(0)
    cost = WideCost()
    usual = variance(sf.ScoreFunction(sf.LeaveOneOut()), cost, EVALUATIONS)
    print(f"{BITS} bits, {EVALUATIONS} evaluations; variance over that of leave-one-out")
    for name, (make, copies) in CASES.items():
        estimator = make()
        if estimator.baseline is not None:
            train(estimator, cost, copies)
        print(f"{name:12} {variance(estimator, cost, copies) / usual:.3f}", flush=True)


if __name__ == "__main__":
    main()
