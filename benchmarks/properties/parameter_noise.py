"""ParameterNoise: the error of two evaluations against the scale, with and without mirroring."""

import torch
from torch import Tensor, nn
from torch.distributions import Normal

import sfgrad as sf
from benchmarks.properties.curves import ROWS, Curves, relative_error

SCALES = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
CHUNK = 50
"""Estimates at a time."""


class Classifier(nn.Module):
    """A linear classifier of twenty points, half learned; its cost has no derivative."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.points = torch.randn(20, 4, generator=generator, dtype=torch.float64)
        self.classes = self.points @ torch.tensor([1.0, -2.0, 0.5, 1.0]).double() > 0
        self.linear = nn.Linear(4, 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([0.5, -0.2, -0.5, 0.3]))

    def forward(self, points: Tensor) -> Tensor:
        """The share of the points that are misclassified, `[R]` for `[R, 20, 4]`."""
        wrong = (self.linear(points).squeeze(2) > 0) != self.classes
        return wrong.double().mean(1)

    def truth(self, scale: float) -> Tensor:
        """The gradient of the expected cost by the weight, `[1, 4]`, in closed form."""
        weight = self.linear.weight.detach().clone().requires_grad_()
        margins = (self.points @ weight[0]) / (scale * self.points.norm(dim=1))
        positive = Normal(0.0, 1.0).cdf(margins)
        cost = torch.where(self.classes, 1 - positive, positive).mean()
        return torch.autograd.grad(cost, weight)[0]


def gradients(
    module: Classifier, scale: float, estimator: sf.Estimator | None, rows: int = ROWS
) -> Tensor:
    """Independent estimates by the weight from two copies each, `[rows, 1, 4]`."""
    noise = sf.ParameterNoise(module, scale, estimator)
    objective = sf.expectation(noise, samples=2, reduction="none")
    points = module.points.expand(CHUNK, -1, -1)

    # One backward pass for each row of the batch: the mean of its two copies.
    copies = torch.eye(CHUNK, dtype=torch.float64).repeat(1, 2) / 2
    found: list[Tensor] = []
    for _ in range(rows // CHUNK):
        loss = objective(points)
        found += torch.autograd.grad(loss, module.linear.weight, copies, is_grads_batched=True)
    return torch.cat(found)


def curves() -> Curves:
    """Mean squared errors over the squared length of the gradient."""
    module = Classifier()
    cases: dict[str, sf.Estimator | None] = {
        "score function, 2 copies": sf.ScoreFunction(),
        "leave-one-out, 2 copies": sf.ScoreFunction(sf.LeaveOneOut()),
        "parameter-noise, a mirrored pair": None,
    }
    lines = {
        label: [
            relative_error(gradients(module, scale, estimator), module.truth(scale))
            for scale in SCALES
        ]
        for label, estimator in cases.items()
    }
    axes = {
        "xlabel": "scale of the noise",
        "ylabel": "squared error of 2 evaluations,\nover the squared gradient",
        "yscale": "log",
    }
    return Curves(SCALES, lines, axes, marked=True)
