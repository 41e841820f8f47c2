"""How the tests compare the library with a known truth: exactly, or by standard errors."""

from statistics import NormalDist

import torch

import sfgrad as sf
from tests.enumeration import Script

TOLERANCE = 1e-9

THRESHOLD = NormalDist().inv_cdf(1 - 1e-6 / (2 * 20))
"""Standard errors: a false alarm of 1e-6 in up to 20 comparisons together (Bonferroni)."""


def constant(*values):
    """`[n]` in double precision, from the very numbers."""
    return torch.tensor(values, dtype=torch.float64)


def leaf(*values):
    """The same, to differentiate by."""
    return constant(*values).requires_grad_()


def flat(*parts):
    """Numbers and tensors in one row, such as a value and its gradients: `[P]`."""
    return torch.cat([torch.as_tensor(part, dtype=torch.float64).reshape(-1) for part in parts])


def is_close(result, truth):
    """Whether they are the same but for rounding."""
    return torch.allclose(result, truth, rtol=TOLERANCE, atol=TOLERANCE)


def value_and_gradient(loss, wrt):
    """`[1 + P]`."""
    return flat(loss.detach(), *torch.autograd.grad(loss, wrt, retain_graph=True))


def oracle(model, wrt):
    """Value and gradient of a model that takes a script, by `exact_gradient`: `[1 + P]`."""
    value, gradients = sf.exact_gradient(lambda: model(Script()), wrt=wrt)
    return flat(value, *gradients)


def mean_loss(model, wrt):
    """Mean of the loss and of its gradient, over all outcomes of the model's draws: `[1 + P]`."""
    script = Script()

    def once():
        return value_and_gradient(sf.expectation(lambda: model(script))(), wrt)

    return script.mean(once)


def assert_known(model, wrt, truth):
    """Refuse a model of which the oracle, or the mean loss, is not the truth `[1 + P]`."""
    for result in (oracle(model, wrt), mean_loss(model, wrt)):
        torch.testing.assert_close(result, truth, rtol=TOLERANCE, atol=TOLERANCE)


def standard_errors(row_loss, wrt, truth):
    """By how many standard errors value and gradients are off: `[1 + P]`.

    Args:
        row_loss: `[R]`, the surrogate of every row.
        wrt: a tensor `[R]` for each parameter, so that every row estimates the gradient by itself.
        truth: `[1 + P]`.
    """
    gradients = torch.autograd.grad(row_loss.sum(), wrt)
    estimates = torch.stack([row_loss.detach(), *gradients])
    return (estimates.mean(1) - truth) / (estimates.var(1) / len(row_loss)).sqrt()


class WrongScore(sf.Estimator):
    """A control, biased: the score is that of p to the power of a factor, such as −1."""

    def __init__(self, factor):
        self.factor = factor

    def draw(self, distribution, batch_ndims):
        draw = sf.ScoreFunction().draw(distribution, batch_ndims)
        log_prob = self.factor * draw.log_prob
        return draw._replace(log_prob=log_prob, log_density=log_prob)
