"""Draws that do not follow the log-probability they are scored by: the mean score tells.

All checks run at the default error rate of 1e-6 and a fixed seed.
"""

from types import MappingProxyType

import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    LKJCholesky,
    MixtureSameFamily,
    Normal,
    Pareto,
    TransformedDistribution,
    Uniform,
    constraints,
)

import sfgrad as sf


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


class Clipped(Normal):
    """Draws that are clipped, and scored as if they were not."""

    def sample(self, sample_shape=()):
        return super().sample(sample_shape).clamp(max=0.5)


class Exploring(Categorical):
    """Draws of which some are uniform."""

    def sample(self, sample_shape=()):
        usual = super().sample(sample_shape)
        uniform = torch.randint(0, 3, usual.shape)
        return torch.where(torch.rand(usual.shape) < 0.3, uniform, usual)


class Shapeless(Normal):
    """A class of the user's own, whose `sample` takes no shape."""

    def sample(self):
        return torch.normal(self.loc.detach(), self.scale.detach())


class Listed(Categorical):
    """Can be enumerated and scored, and not drawn from."""

    def sample(self, sample_shape=()):
        raise NotImplementedError


def cost(distribution, estimator=None, name="z"):
    value = sf.sample(distribution, estimator or sf.ScoreFunction(), name=name)
    return value.reshape(len(value), -1).sum(1).double() ** 2


BROKEN = {
    "clipped": lambda theta: Clipped(theta, 1.0),
    "exploring": lambda theta: Exploring(logits=5 * theta * torch.arange(3).unsqueeze(0)),
    "LKJ, whose sampler is torch's own": lambda theta: LKJCholesky(3, theta.exp()),
    "support that moves and cannot be read": lambda theta: TransformedDistribution(
        Uniform(torch.zeros(1).double(), 1.0), AffineTransform(0.0, theta.exp())
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_draws_that_do_not_follow_their_density_are_named(name):
    theta = leaf(0.4)

    def fn():
        healthy = cost(Normal(theta, 1.0), name="healthy")
        return healthy + cost(BROKEN[name](theta), name="at fault")

    report = sf.check_unbiased(fn, wrt=[theta], seed=0, repeats=30)
    assert report.verdict == "BIASED"
    assert set(report.nodes) == {"at fault"}
    assert "node 'at fault': its draws do not follow its log_prob: the mean of its sc" in str(
        report
    )
    assert not report.scores["healthy"].biased


def test_exact_mode_sees_it_too_and_leaves_the_generator_alone():
    theta = leaf(0.4)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    reports = [
        sf.check_unbiased(
            lambda: cost(distribution(theta)), wrt=[theta], mode="exact", quadrature=4, repeats=30
        )
        for distribution in (BROKEN["exploring"], BROKEN["clipped"], lambda t: Normal(t, 1.0))
    ]
    assert [report.verdict for report in reports] == ["BIASED", "BIASED", "unbiased"]
    assert all(not c.biased for report in reports for c in report.comparisons)  # by script
    assert torch.equal(before, torch.get_rng_state())
    assert reports[2].scores["z"].bias < 0.1
    again = sf.check_unbiased(
        lambda: cost(Normal(theta, 1.0)), wrt=[theta], mode="exact", quadrature=4, repeats=30
    )
    assert again.scores == reports[2].scores


def test_whatever_the_estimator_draws_are_the_distributions_own():
    theta = leaf(0.4)
    report = sf.check_unbiased(
        lambda: cost(BROKEN["exploring"](theta), sf.Enumerate()), wrt=[theta], repeats=30
    )
    assert report.mode == "exact"
    assert set(report.nodes) == {"z"}


def test_at_least_two_thousand_draws_of_a_node():
    theta, counts = leaf(0.4, 0.1), []

    class Counted(Bernoulli):
        def sample(self, sample_shape=()):
            value = super().sample(sample_shape)
            counts.append(value.numel())
            return value

    assert sf.check_unbiased(lambda: cost(Counted(logits=theta)), wrt=[theta], repeats=30)
    assert sum(counts) >= 2000
    assert len(counts) == 30


def test_masked_and_pathwise_values_are_left_out():
    theta = leaf(0.4, 0.1)
    mask = torch.tensor([True, False])

    class HalfClipped(Normal):
        """Clipped in the masked row only."""

        def sample(self, sample_shape=()):
            value = super().sample(sample_shape)
            return torch.where(mask, value, value.clamp(max=-1))

    def fn():
        z = sf.sample(HalfClipped(theta, 1.0), mask=mask, name="masked")
        w = sf.sample(Clipped(theta, 1.0), sf.Pathwise(), name="pathwise")
        return z.where(mask, 0) ** 2 + w**2

    report = sf.check_unbiased(fn, wrt=[theta], seed=0, repeats=30)
    assert report, report
    assert list(report.scores) == ["masked"]


def test_what_cannot_be_drawn_from_is_left_out_and_named():
    theta = leaf(0.4)
    logits = torch.arange(3).unsqueeze(0)
    report = sf.check_unbiased(
        lambda: cost(Listed(logits=theta * logits), sf.Enumerate()), wrt=[theta], repeats=30
    )
    assert report, report
    assert report.scores == {}
    assert "node 'z': Listed cannot be sampled" in str(report)


def test_a_sample_without_a_shape_is_called_again_and_again():
    theta = leaf(0.4)
    report = sf.check_unbiased(
        lambda: cost(Shapeless(theta, 1.0)), wrt=[theta], mode="exact", quadrature=4, repeats=30
    )
    assert report, report


def test_of_draws_that_repeat_the_one_at_fault_is_named():
    theta = leaf(0.4)

    def fn():
        total = cost(Normal(theta, 1.0))
        for step in range(3):
            total = total + cost((Clipped if step == 1 else Normal)(theta, 1.0))
        return total

    report = sf.check_unbiased(fn, wrt=[theta], seed=0, repeats=30)
    assert set(report.nodes) == {"z.2"}


def test_the_score_of_a_node_that_a_run_does_not_reach_is_0():
    """The score of a logit is ½ at the draw 1; the node is drawn in half of the runs."""

    class Stuck(Bernoulli):
        def sample(self, sample_shape=()):
            return torch.ones_like(super().sample(sample_shape))

    logits = leaf(0.0)

    def fn():
        z = sf.sample(Bernoulli(logits=logits))
        return sf.sample(Stuck(logits=logits), name="stuck") if z.item() else z

    report = sf.check_unbiased(fn, wrt=[logits], repeats=1000)
    assert set(report.nodes) == {"stuck"}
    assert report.scores["stuck"].found == pytest.approx(0.25, abs=0.05)  # 6 standard errors


def test_rare_values_are_no_fault():
    """A score that never varied where chances are small says nothing."""
    logits = leaf(-14.0, 0.3, 40.0)
    report = sf.check_unbiased(
        lambda: cost(Independent(Bernoulli(logits=logits.unsqueeze(0)), 1)),
        wrt=[logits],
        mode="exact",
        repeats=30,
    )
    assert report, report


# ---------------------------------------------------------------- supports that move


class OwnSupport(Distribution):
    """Of the user's own, a uniform distribution whose support cannot be read."""

    arg_constraints = MappingProxyType({})

    def __init__(self, top):
        self.top = top
        super().__init__(top.shape, validate_args=False)

    def sample(self, sample_shape=()):
        return torch.rand(torch.Size(sample_shape) + self.batch_shape).double() * self.top.detach()

    def log_prob(self, value):
        return -self.top.log().expand(value.shape)


MOVING = {
    "Uniform": lambda top: Uniform(0.0, top),
    "Pareto": lambda top: Pareto(top, 3.0),
    "Independent": lambda top: Independent(Uniform(torch.zeros(1), top), 1),
    "a mixture": lambda top: MixtureSameFamily(
        Categorical(torch.ones(len(top), 2)), Uniform(0.0, top.unsqueeze(-1).expand(-1, 2))
    ),
}


@pytest.mark.parametrize("name", MOVING)
def test_a_support_that_moves_is_refused(name):
    top = torch.full((1, 1) if name == "Independent" else (1,), 1.7, requires_grad=True)
    model = sf.expectation(lambda: cost(MOVING[name](top)))
    with pytest.raises(ValueError, match=r"node 'z': the bounds of the support .*sf\.Pathwise\(\)"):
        model()
    with torch.no_grad():
        model()  # nothing is scored
    top.requires_grad_(False)
    model()


def test_wrapped_and_listed_bounds_are_read():
    top = leaf(1.7)

    class Stacked(OwnSupport):
        @constraints.dependent_property
        def support(self):
            return constraints.cat([constraints.unit_interval, constraints.interval(0, self.top)])

    with pytest.raises(ValueError, match="the bounds of the support of Stacked require a gradient"):
        sf.expectation(lambda: cost(Stacked(top)))()
    sf.expectation(lambda: cost(OwnSupport(top)))()  # cannot be read
    assert not sf.check_unbiased(lambda: cost(OwnSupport(top)), wrt=[top], seed=0, repeats=30)


def test_a_pathwise_node_whose_support_moves_is_right_and_called_so():
    top = leaf(1.7)
    report = sf.check_unbiased(
        lambda: cost(Uniform(0.0, top), sf.Pathwise()), wrt=[top], seed=0, repeats=400
    )
    assert report, report
    assert "ScoreFunction() at every node but z (support moves)" in str(report)
    gradient = report.comparisons[1]
    assert gradient.found == pytest.approx(2 * 1.7 / 3, abs=gradient.allowed)
