"""Errors of the estimators of one categorical draw, times what they cost; a plot for each page.

A draw z of eight categories as a one-hot vector, with the cost `(z·c)² / 2 + z·d` for fixed c and
d. Logits range from all equal to nearly certain. For every estimator the mean squared error of the
gradient, times the number of evaluations of the cost, over that of the plain score function; the
truth is by enumeration. The other estimators' plots are made by `estimator_properties`.

    python -m benchmarks.estimator_errors
"""

import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.distributions import OneHotCategorical

import sfgrad as sf
from benchmarks.timing import keep

CATEGORIES = 8
ROWS = 4000
SCALES = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
PICTURES = Path(__file__).parents[1] / "docs" / "pictures" / "estimators"

MAKE: dict[str, tuple[Callable[[], sf.Estimator], int]] = {
    "score-function": (sf.ScoreFunction, 1),
    "leave-one-out": (lambda: sf.ScoreFunction(sf.LeaveOneOut()), 4),
    "antithetic": (sf.Antithetic, 4),
    "arms": (sf.ARMS, 4),
    "disarm": (sf.DisARM, 2),
    "double-cv": (lambda: sf.ScoreFunction(sf.DoubleCV()), 4),
    "gumbel-softmax": (lambda: sf.GumbelSoftmax(hard=True), 1),
    "measure-valued": (sf.MeasureValued, 1 + CATEGORIES),
    "rebar": (sf.Rebar, 3),
    "reinmax": (sf.ReinMax, 1),
    "rodeo": (lambda: sf.ScoreFunction(sf.Rodeo()), 4),
    "straight-through": (sf.StraightThrough, 1),
    "stratified": (sf.Stratified, 4),
    "sum-and-sample": (sf.SumAndSample, 4),
    "unordered-set": (sf.UnorderedSet, 4),
}
"""By page: makes the estimator, and how often it evaluates the cost."""


def cost(z: Tensor) -> Tensor:
    """Of one-hot vectors `[R, 8]`: `[R]`."""
    generator = torch.Generator().manual_seed(1)
    c, d = torch.randn(2, CATEGORIES, generator=generator, dtype=torch.float64)
    return (z @ c).square() / 2 + z @ d


def gradients(estimator: sf.Estimator, copies: int, logits: Tensor) -> Tensor:
    """Independent estimates `[rows, 8]` for logits `[rows, 8]`."""
    logits = logits.clone().requires_grad_()
    model = sf.expectation(
        lambda x: cost(sf.sample(OneHotCategorical(logits=x), estimator)), samples=copies
    )
    model(logits).backward()
    assert logits.grad is not None
    return logits.grad * len(logits)


def train(baseline: sf.Baseline, estimator: sf.Estimator, copies: int, logits: Tensor) -> None:
    """Let the estimator's baseline learn; its parameters by Adam at .01."""
    parameters = list(baseline.parameters())
    optimizer = torch.optim.Adam(parameters, lr=0.01) if parameters else None
    for _ in range(150 if parameters else 50):
        baseline.zero_grad()
        gradients(estimator, copies, logits[:500] if parameters else logits)
        if optimizer is not None:
            optimizer.step()
    baseline.eval()


def errors(page: str) -> list[float]:
    """Mean squared errors times evaluations, one for each scale of the logits."""
    make, copies = MAKE[page]
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(CATEGORIES, generator=generator, dtype=torch.float64)
    result: list[float] = []
    for scale in SCALES:
        logits = (scale * direction).repeat(ROWS, 1)
        truth = gradients(sf.Enumerate(), 1, logits[:1])
        estimator = make()
        if isinstance(estimator.baseline, sf.Baseline):
            train(estimator.baseline, estimator, copies, logits)
        estimates = gradients(estimator, copies, logits)
        square = (estimates - truth).square().sum(1).mean()
        result.append(copies * max(float(square), 1e-12))
    return result


def plot(page: str, ratios: dict[str, list[float]]) -> None:
    """One estimator among all others, in the page's picture."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2), dpi=100, layout="constrained")
    for other, values in ratios.items():
        if other != page:
            axes.plot(SCALES, values, color="0.82", linewidth=1)
    if page != "leave-one-out":
        label = "leave-one-out, 4 copies"
        axes.plot(SCALES, ratios["leave-one-out"], color="0.45", linewidth=1, label=label)
    axes.plot(SCALES, ratios[page], color="#00796b", linewidth=2.5, label=page)
    axes.set(
        xlabel="scale of the logits: 0, all alike; 3, nearly certain",
        ylabel="squared error × evaluations,\nover the plain score function's",
        yscale="log",
        ylim=(1e-4, 30),
    )
    axes.legend(frameon=False, loc="lower left")
    PICTURES.mkdir(exist_ok=True)
    figure.savefig(PICTURES / f"{page}.png")
    plt.close(figure)


def main() -> None:
    """Print a table, keep it, and plot a picture for each page."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    measured = {page: errors(page) for page in MAKE}
    ratios = {
        page: [a / b for a, b in zip(values, measured["score-function"], strict=True)]
        for page, values in measured.items()
    }
    for page, values in ratios.items():
        shown = "  ".join(f"{value:7.3g}" for value in values)
        print(f"{page:18}{MAKE[page][1]:3} evaluations  {shown}")
        assert all(map(math.isfinite, values))
    for page in ratios:
        plot(page, ratios)
    keep("estimator_errors", {"scales": SCALES, "ratios": ratios})


if __name__ == "__main__":
    main()
