"""SelfCritical: the variance while a policy becomes sure of the right words."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent

import sfgrad as sf
from benchmarks.properties.curves import Curves, variance

INPUTS, WORDS, VOCABULARY = 20, 5, 5
REPEATS = 200
"""Estimates for every input."""
READINGS = [0, 2, 4, 7, 10, 15, 20, 30, 40, 60, 100, 200]
"""Updates after which the variance is measured."""


class Captions:
    """Inputs with five words each; the reward is the share of right words, plus the input's own.

    Some captions are easy and some hard: what an input adds to its reward, whatever the words, has
    the deviation 1.
    """

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        shape = (INPUTS, WORDS, VOCABULARY)
        self.targets = torch.randint(VOCABULARY, shape[:2], generator=generator)
        self.ease = torch.randn(INPUTS, generator=generator, dtype=torch.float64)
        self.logits = 0.1 * torch.randn(shape, generator=generator, dtype=torch.float64)

    def right(self) -> Tensor:
        """The probability of every right word, `[20, 5]`."""
        return self.logits.softmax(2).gather(2, self.targets.unsqueeze(2)).squeeze(2)

    def learn(self) -> None:
        """One step along the exact gradient of the reward."""
        wanted = nn.functional.one_hot(self.targets, VOCABULARY) - self.logits.softmax(2)
        self.logits = self.logits + 2 * self.right().unsqueeze(2) * wanted / WORDS

    def gradients(self, estimator: sf.Estimator, copies: int, repeats: int) -> Tensor:
        """Independent estimates by the logits of every input, `[repeats, 20, 5, 5]`."""

        def model(logits: Tensor, targets: Tensor, ease: Tensor) -> Tensor:
            words = sf.sample(Independent(Categorical(logits=logits), 1), estimator)
            return -(words == targets).double().mean(1) - ease

        inputs = self.logits.repeat(repeats, 1, 1).requires_grad_()
        targets, ease = self.targets.repeat(repeats, 1), self.ease.repeat(repeats)
        sf.expectation(model, samples=copies)(inputs, targets, ease).backward()
        assert inputs.grad is not None
        return (len(inputs) * inputs.grad).unflatten(0, (repeats, INPUTS))

    def variance(self, baseline: sf.Baseline | None, copies: int) -> float:
        """Of the gradient by the logits of an input, summed over these; mean over the inputs."""
        estimator = sf.ScoreFunction(baseline)
        if isinstance(baseline, sf.MovingAverage):
            for _ in range(50):
                self.gradients(estimator, copies, 10)
            baseline.eval()
        return variance(self.gradients(estimator, copies, REPEATS)) / INPUTS


CASES: dict[str, tuple[Callable[[], sf.Baseline | None], int]] = {
    "no baseline": (lambda: None, 1),
    "moving average": (sf.MovingAverage, 1),
    "self-critical, 1 draw and a greedy run": (sf.SelfCritical, 1),
    "leave-one-out, 2 draws": (sf.LeaveOneOut, 2),
}
"""By label: makes the baseline, and how many draws there are."""


def curves() -> Curves:
    """Variances of one gradient, against how sure the policy is."""
    captions = Captions()
    x: list[float] = []
    lines: dict[str, list[float]] = {label: [] for label in CASES}
    for update in range(READINGS[-1] + 1):
        if update in READINGS:
            x.append(float(captions.right().mean()))
            for label, (make, copies) in CASES.items():
                lines[label].append(captions.variance(make(), copies))
        captions.learn()
    axes = {
        "xlabel": "mean probability of the right word, as training goes on",
        "ylabel": "variance of the gradient",
        "yscale": "log",
    }
    return Curves(x, lines, axes)
