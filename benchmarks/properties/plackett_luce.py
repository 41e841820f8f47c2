"""PlackettLuce: the expected gain of a ranking whose logits are learned from drawn orders."""

import itertools

import torch
from torch import Tensor

import sfgrad as sf
from benchmarks.properties.curves import Curves

RUNS, UPDATES, ORDERS = 200, 150, 8
RATE = 1.5
RELEVANCE = torch.tensor([0.0, 1.0, 0.0, 3.0, 2.0, 0.0], dtype=torch.float64)
DISCOUNT = 1 / torch.arange(2.0, 5.0, dtype=torch.float64).log2()


def gain(order: Tensor) -> Tensor:
    """The discounted gain of the first three of six items, over that of the best three, `[...]`."""
    best = RELEVANCE.sort(descending=True).values[:3] @ DISCOUNT
    return RELEVANCE[order] @ DISCOUNT / best


def expected_gain(logits: Tensor) -> Tensor:
    """Over all 120 orders, exact: `[R]` for logits `[R, 6]`."""
    orders = torch.tensor(list(itertools.permutations(range(6), 3)))
    distribution = sf.PlackettLuce(logits.unsqueeze(1), k=3)
    return distribution.log_prob(orders.expand(len(logits), -1, -1)).exp() @ gain(orders)


def learn(baseline: sf.Baseline | None, runs: int = RUNS, updates: int = UPDATES) -> Tensor:
    """Expected gains of independent runs before and after every update, `[updates + 1, runs]`."""
    estimator = sf.ScoreFunction(baseline)

    def model(logits: Tensor) -> Tensor:
        return -gain(sf.sample(sf.PlackettLuce(logits, k=3), estimator))

    objective = sf.expectation(model, samples=ORDERS)
    logits = torch.zeros(runs, 6, dtype=torch.float64)
    course = [expected_gain(logits)]
    for _ in range(updates):
        logits.requires_grad_()
        (gradient,) = torch.autograd.grad(runs * objective(logits), logits)
        logits = logits.detach() - RATE * gradient
        course.append(expected_gain(logits))
    return torch.stack(course)


def curves() -> Curves:
    """Means, and the middle four fifths, of all runs."""
    result = Curves(
        x=[float(update) for update in range(0, UPDATES + 1, 5)],
        lines={},
        axes={
            "xlabel": f"updates, of {ORDERS} orders each",
            "ylabel": "expected gain, of the best",
        },
    )
    for label, baseline in {
        "plackett-luce, leave-one-out": sf.LeaveOneOut(),
        "no baseline": None,
    }.items():
        course = learn(baseline)[::5]
        low, high = course.quantile(torch.tensor([0.1, 0.9], dtype=torch.float64), dim=1)
        result.lines[label] = course.mean(1).tolist()
        result.bands[label] = (low.tolist(), high.tolist())
    return result
