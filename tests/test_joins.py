"""Costs that the copies of a row share: the importance-weighted bound and its gradient."""

import itertools
import math
import re

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal

import sfgrad as sf

LATENT = 2


class Autoencoder(nn.Module):
    """Log-weights of a tiny variational autoencoder with Bernoulli latents."""

    def __init__(self, estimator=None):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(3, LATENT, dtype=torch.float64)
        self.decoder = nn.Linear(LATENT, 3, dtype=torch.float64)
        self.z = sf.StochasticNode(estimator or sf.ScoreFunction())

    def forward(self, x):
        posterior = Independent(Bernoulli(logits=self.encoder(x)), 1)
        z = self.z(posterior)
        likelihood = Independent(Bernoulli(logits=self.decoder(z)), 1).log_prob(sf.align(x))
        prior = Independent(Bernoulli(logits=torch.zeros_like(z)), 1).log_prob(z)
        return likelihood + prior - posterior.log_prob(z)


X = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)


def bound(model, copies):
    """Minus the expected bound, by a sum over the draws of all copies; no library involved."""
    logits = model.encoder(X)
    log_weights, log_probs = [], []
    for bits in torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * LATENT):
        posterior = Independent(Bernoulli(logits=logits), 1).log_prob(bits)
        likelihood = Independent(Bernoulli(logits=model.decoder(bits)), 1).log_prob(X)
        log_weights.append(likelihood + LATENT * math.log(0.5) - posterior)
        log_probs.append(posterior)
    total = 0.0
    for choice in itertools.product(range(4), repeat=copies):
        weights = torch.stack([log_weights[i] for i in choice])
        mass = torch.stack([log_probs[i] for i in choice]).sum(0).exp()
        total = total + mass * (math.log(copies) - weights.logsumexp(0))
    return total.squeeze()


@pytest.mark.parametrize("copies", [2, 3])
def test_the_oracle_and_the_estimator_have_the_expected_bound(copies):
    model = Autoencoder()
    objective = sf.expectation(model, samples=copies, join=sf.VIMCO())
    wanted = bound(model, copies)
    gradients = torch.autograd.grad(wanted, list(model.parameters()))
    value, found = sf.exact_gradient(objective, X)
    torch.testing.assert_close(value, wanted.detach(), rtol=1e-9, atol=1e-9)
    for one, other in zip(found, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)

    report = sf.check_unbiased(objective, X, mode="exact", repeats=30)
    assert report, report


def test_own_copies_are_joined_by_add_cost():
    class Joining(Autoencoder):
        def forward(self, x):
            sf.add_cost(super().forward(x), join=sf.VIMCO())

    model = Joining(sf.ScoreFunction(samples=2))
    assert sf.check_unbiased(model, X, mode="exact", repeats=30)


def test_negative_control_a_baseline_with_the_own_weight_is_found():
    class Leaky(sf.VIMCO):
        def join(self, log_weights):
            cost, baseline = super().join(log_weights)
            return cost, baseline + 0.1 * log_weights.detach()

    objective = sf.expectation(Autoencoder(), samples=2, join=Leaky())
    report = sf.check_unbiased(objective, X, mode="exact", repeats=30)
    assert not report
    assert list(report.nodes) == ["z"]


def test_a_draw_before_the_copies_follows_the_whole_bound():
    scale = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    logits = torch.tensor([-0.4], dtype=torch.float64, requires_grad=True)

    def model():
        gate = sf.sample(Bernoulli(logits=scale), sf.ScoreFunction(sf.MovingAverage()), name="gate")
        gate = sf.branch(gate, 3)
        z = sf.sample(Bernoulli(logits=sf.align(logits) + gate), name="z")
        sf.add_cost(torch.log(0.2 + z * (1 + gate)) - logits * z, join=sf.VIMCO())
        sf.add_cost(z * gate)

    for mode in ("exact", "monte_carlo"):
        report = sf.check_unbiased(model, wrt=[scale, logits], mode=mode, seed=0)
        assert report, report


def test_rows_and_steps_are_kept_apart():
    logits = torch.tensor([[0.3, -0.2], [0.1, 0.9]], dtype=torch.float64, requires_grad=True)

    def model():
        z = sf.sample(Bernoulli(logits=logits), sf.ScoreFunction(samples=2), name="z")
        sf.add_cost((z * torch.tensor([1.0, 2.0])).sum(1) - 0.3 * z.prod(1), join=sf.VIMCO())

    with sf.StochasticGraph() as graph:
        model()
    assert graph.costs["cost"].value.shape == (4,)
    assert torch.equal(graph.costs["cost"].value[:2], graph.costs["cost"].value[2:])
    assert sf.check_unbiased(model, wrt=[logits], mode="exact", repeats=30)


def test_pathwise_copies_have_the_gradient_of_the_bound_and_no_other():
    loc = torch.tensor([0.2], dtype=torch.float64, requires_grad=True)

    def log_weight(z):
        return -((z - 1) ** 2) + 0.5 * (z - loc) ** 2

    with sf.StochasticGraph() as graph:
        noise = torch.tensor([0.3, -1.1, 0.8], dtype=torch.float64)
        z = sf.branch(loc, 3) + noise
        sf.add_cost(log_weight(z), join=sf.VIMCO())
        later = sf.sample(Normal(sf.align(loc), 1.0), sf.Pathwise())
        sf.add_cost(0 * later)
        loss = graph.loss()
    wanted = math.log(3) - log_weight(loc + noise).logsumexp(0)
    torch.testing.assert_close(loss, wanted)
    (found,) = torch.autograd.grad(loss, loc, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(wanted, loc)[0])


def test_more_copies_raise_the_bound():
    model = Autoencoder()
    one, two, three = (bound(model, copies).item() for copies in (1, 2, 3))
    assert one > two > three


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda x: sf.add_cost(x, join=sf.VIMCO()), "no copies were made before it: set samples="),
        (
            lambda x: sf.add_cost(sf.sample(Bernoulli(logits=x), sf.Enumerate()), join=sf.VIMCO()),
            "copies that are enumerated or weighted come before it",
        ),
        (
            lambda x: sf.add_cost(
                sf.sample(Bernoulli(logits=x), sf.ScoreFunction(sf.LeaveOneOut(), samples=2)),
                join=sf.VIMCO(),
            ),
            "a baseline of its own, but VIMCO compares the copies itself",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(model, message):
    x = torch.zeros(2, requires_grad=True)
    with sf.StochasticGraph(), pytest.raises(ValueError, match=re.escape(message)):
        model(x)


def test_what_is_no_join_is_refused():
    with pytest.raises(TypeError, match=r"call the class, VIMCO\(\)"):
        sf.add_cost(torch.zeros(2), join=sf.VIMCO)
    with pytest.raises(ValueError, match="joins the copies of a row, but samples=1"):
        sf.expectation(Autoencoder(), join=sf.VIMCO())


def test_the_settings_are_shown():
    shown = repr(sf.expectation(Autoencoder(), samples=2, join=sf.VIMCO()))
    assert "join=VIMCO()" in shown


def test_an_impossible_copy_leaves_the_baselines_of_the_others_finite():
    """The mean of log-weights of which one is −∞ is −∞: its weight counts as 0."""
    log_weights = torch.tensor([[0.5], [-torch.inf], [1.0]], dtype=torch.float64)
    cost, baseline = sf.VIMCO().join(log_weights)
    torch.testing.assert_close(cost, math.log(3) - log_weights.logsumexp(0))
    without = [[-torch.inf, -torch.inf, 1.0], [0.5, 0.75, 1.0], [0.5, -torch.inf, -torch.inf]]
    wanted = torch.tensor(without, dtype=torch.float64)
    torch.testing.assert_close(baseline[:, 0], math.log(3) - wanted.logsumexp(1))


def test_a_copy_beside_impossible_ones_alone_has_no_baseline():
    log_weights = torch.tensor([[0.5], [-torch.inf], [-torch.inf]])
    assert sf.VIMCO().join(log_weights)[1][0] == 0
