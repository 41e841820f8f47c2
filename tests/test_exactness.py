"""Value, gradient and Hessian of the loss against brute force, without any randomness."""

import itertools
from functools import partial

import pytest
import torch
from torch.autograd.functional import hessian

import sfgrad as sf
from tests.enumeration import Script, ScriptedBernoulli, ScriptedNormal, brute_force

RTOL = 1e-9

KINDS = {
    "score function": ("bernoulli", sf.ScoreFunction),
    "leave-one-out": ("bernoulli", lambda: sf.ScoreFunction(sf.LeaveOneOut(), samples=2)),
    "constant": ("bernoulli", lambda: sf.ScoreFunction(sf.Constant(0.7))),
    "enumerate": ("bernoulli", sf.Enumerate),
    "pathwise": ("normal", sf.Pathwise),
    "score function, Gaussian": ("normal", sf.ScoreFunction),
}


def cost(z1, z2, theta):
    """Degree 3 in each draw, depends on the parameters directly, needs both draws together."""
    return (z1 - 0.45) ** 2 * (1 + theta[4] * z2) + theta[0] * z2**2 + torch.sin(theta[4])


def distribution(kind, script, location, scale):
    if kind == "bernoulli":
        return ScriptedBernoulli(script, location)
    return ScriptedNormal(script, location, scale.exp().expand(location.shape))


def mean_loss(theta, first, second, derivative):
    """Exact mean over all outcomes of the loss's `derivative` at theta."""
    (kind1, make1), (kind2, make2) = KINDS[first], KINDS[second]
    # a logit that is Gaussian makes probabilities that are no polynomial of it: more points
    script = Script(order=20 if (kind1, kind2) == ("normal", "bernoulli") else 8)

    def loss(theta):
        with sf.StochasticGraph() as graph:
            rows = theta[:1]
            z1 = sf.sample(distribution(kind1, script, rows, theta[1]), make1(), name="z1")
            sf.add_cost((z1 - 0.45) ** 2, name="early")
            location = theta[2] + theta[3] * z1
            z2 = sf.sample(distribution(kind2, script, location, theta[1]), make2(), name="z2")
            z1 = sf.align(z1)
            sf.add_cost(cost(z1, z2, theta) - (z1 - 0.45) ** 2, name="late")
            return graph.loss()

    return script.mean(lambda: derivative(loss, theta))


def value(fn, theta):
    return fn(theta).detach()


def gradient(fn, theta):
    theta = theta.clone().requires_grad_()
    return torch.autograd.grad(fn(theta), theta)[0]


@pytest.mark.parametrize(("first", "second"), list(itertools.product(KINDS, KINDS)))
def test_value_gradient_and_hessian_equal_brute_force(first, second):
    theta = torch.tensor([0.3, -0.8, 0.2, -0.6, 0.5], dtype=torch.float64)
    kinds = KINDS[first][0], KINDS[second][0]

    def truth(theta):
        return brute_force(theta, kinds, cost)

    orders = {"value": value, "gradient": gradient, "Hessian": partial(hessian, vectorize=True)}
    for name, derivative in orders.items():
        found, wanted = mean_loss(theta, first, second, derivative), derivative(truth, theta)
        torch.testing.assert_close(found, wanted, rtol=RTOL, atol=RTOL, msg=lambda m, n=name: n + m)


def test_negative_control_a_wrong_cost_is_seen():
    theta = torch.tensor([0.3, -0.8, 0.2, -0.6, 0.5], dtype=torch.float64)
    found = mean_loss(theta, "score function", "enumerate", gradient)
    wrong = gradient(
        lambda t: brute_force(t, ("bernoulli", "bernoulli"), lambda a, b, t: cost(a, 1 - b, t)),
        theta,
    )
    assert not torch.allclose(found, wrong, rtol=RTOL, atol=RTOL)


TABLE = [  # t, η, gradient, variance of the score function, of leave-one-out with two copies
    (0.45, 0.0, 0.025, 0.015939, 6.25e-4),
    (0.49, 0.0, 0.005, 0.015638, 2.5e-5),
    (0.499, 0.0, 5e-4, 0.015625, 2.5e-7),
    (0.499, 1.0, 3.93224e-4, 0.012243, 2.386e-7),
]


@pytest.mark.parametrize(("t", "eta", "wanted", "var_score", "var_leave_one_out"), TABLE)
def test_table_of_means_and_variances(t, eta, wanted, var_score, var_leave_one_out):
    """E[(b − t)²]: one row per estimate, so that one backward gives them all.

    Means: |z| < 6, a false alarm below 2e-9 each. Variances within 3 %, ten of its standard errors.
    """
    torch.manual_seed(0)
    rows = 400_000
    for estimator, variance in (
        (sf.ScoreFunction(), var_score),
        (sf.ScoreFunction(sf.LeaveOneOut(), samples=2), var_leave_one_out),
    ):
        logits = torch.full((rows,), eta, dtype=torch.float64, requires_grad=True)
        with sf.StochasticGraph() as graph:
            b = sf.sample(torch.distributions.Bernoulli(logits=logits), estimator)
            sf.add_cost((b - t) ** 2)
        graph.loss().backward()
        estimates = logits.grad * rows
        z = (estimates.mean() - wanted) / (estimates.var() / rows).sqrt()
        assert abs(z) < 6
        assert estimates.var().item() == pytest.approx(variance, rel=0.03)
