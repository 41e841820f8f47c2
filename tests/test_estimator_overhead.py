"""The benchmark of overhead: what is written by hand estimates what the library estimates.

The figures themselves are made by `python -m benchmarks.estimator_overhead`.
"""

import pytest
import torch

import sfgrad as sf
from benchmarks.estimator_overhead import CASES

ROWS = 20_000
Z = 5.6
"""Error rate 2e-8 for each of 24 figures: two moments of three elements in four cases."""


class Small:
    """Three bits whose cost is not linear; takes the place of the autoencoder."""

    code: sf.Estimator

    def encoder(self, x):
        return x

    def bound(self, x, logits, z):
        return (z @ z.new_tensor([1.0, -0.6, 0.3]) - 0.4) ** 2 + 0.1 * (logits * z).sum(1)

    def __call__(self, x):
        bits = torch.distributions.Bernoulli(logits=x)
        z = sf.sample(torch.distributions.Independent(bits, 1), self.code)
        return self.bound(x, x, z)


def estimates(objective, logits):
    """Independent estimates, one a row."""
    x = logits.repeat(ROWS, 1).requires_grad_()
    objective(x).backward()
    return ROWS * x.grad


@pytest.mark.parametrize("name", CASES)
def test_by_hand_and_by_the_library_have_the_same_mean_and_variance(name):
    torch.manual_seed(0)
    by_hand, estimator, samples = CASES[name]
    logits, model = torch.tensor([[0.3, -0.8, 1.1]]), Small()
    model.code = estimator
    first = estimates(lambda x: by_hand(model, x), logits)
    second = estimates(sf.expectation(model, samples=samples), logits)

    for moment in (lambda x: x, lambda x: (x - x.mean(0)).square()):
        mine, theirs = moment(first), moment(second)
        error = ((mine.var(0) + theirs.var(0)) / ROWS).sqrt()
        assert ((mine.mean(0) - theirs.mean(0)).abs() < Z * error).all()
