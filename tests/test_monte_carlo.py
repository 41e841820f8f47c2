"""What chance explains: quantiles, rare events, open verdicts, and what could not be seen.

The rate at which right programs are called biased is measured by `benchmarks/false_alarms.py`.
"""

import math
from statistics import NormalDist

import pytest
import torch
from torch.distributions import Bernoulli, Normal

import sfgrad as sf
from sfgrad.verify.bias import distances
from sfgrad.verify.report import Comparison
from sfgrad.verify.statistics import Moments, t_quantile, t_tail


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def rare(logits):
    """Right, and nearly always the same."""
    return lambda: (sf.sample(Bernoulli(logits=logits), name="z") - 0.3) ** 2


# ---------------------------------------------------------------- quantiles and moments


@pytest.mark.parametrize("tail", [0.4, 0.025, 1e-3, 5e-7, 5e-11])
def test_quantiles_of_student_t(tail):
    """Closed forms for 1, 2 and 4 degrees of freedom; for very many the normal distribution's."""
    a = 2 * tail * (2 - 2 * tail)
    assert t_quantile(tail, 1) == pytest.approx(1 / math.tan(math.pi * tail), rel=1e-9)
    assert t_quantile(tail, 2) == pytest.approx((1 - 2 * tail) * math.sqrt(2 / a), rel=1e-9)
    q = math.cos(math.acos(math.sqrt(a)) / 3) / math.sqrt(a)
    assert t_quantile(tail, 4) == pytest.approx(2 * math.sqrt(q - 1), rel=1e-8)
    normal = NormalDist().inv_cdf(1 - tail)
    assert t_quantile(tail, 10**8) == pytest.approx(normal, rel=1e-6)


def test_quantiles_and_tails_are_inverse_and_known():
    """Source: NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2."""
    assert t_quantile(0.025, 10) == pytest.approx(2.228, abs=5e-4)
    assert t_quantile(0.001, 29) == pytest.approx(3.396, abs=5e-4)
    for degrees in (3, 29, 999, 15_999):
        for tail in (0.3, 1e-4, 1e-8, 1e-12):
            assert t_tail(t_quantile(tail, degrees), degrees) == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize("at_once", [1, 7, 50])
def test_moments_of_a_stream(at_once):
    torch.manual_seed(0)
    estimates = 1e6 + torch.randn(50, 3, dtype=torch.float64)
    moments = Moments()
    for several in estimates.split(at_once):
        if at_once == 1:
            moments.add(several[0])
        else:
            moments.add_all(several)
    assert moments.count == 50
    torch.testing.assert_close(moments.mean, estimates.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(moments.square_error, estimates.var(0) / 50, rtol=1e-8, atol=0)
    torch.testing.assert_close(moments.magnitude, estimates.abs().mean(0), rtol=1e-14, atol=0)
    assert torch.equal(moments.low, estimates.amin(0))
    assert torch.equal(moments.high, estimates.amax(0))


# ---------------------------------------------------------------- verdicts


def test_runs_that_all_agree_on_another_value_are_inconclusive():
    logits = leaf(-5.0)
    reports = [
        sf.check_unbiased(rare(logits), wrt=[logits], mode="monte_carlo", repeats=100, seed=seed)
        for seed in range(20)
    ]
    verdicts = [report.verdict for report in reports]
    assert "BIASED" not in verdicts
    assert verdicts.count("inconclusive") == sum(not report for report in reports) > 5
    report = reports[verdicts.index("inconclusive")]
    assert str(report).startswith("inconclusive (monte_carlo mode")
    assert "BIASED" not in str(report)
    assert "(never varied)" in str(report)
    assert "raise repeats" in str(report)


def test_a_coordinate_that_never_varies_passes_where_it_is_right():
    theta = leaf(0.3)

    def fn():
        z = sf.sample(Bernoulli(logits=theta.detach()), name="z")
        return theta**3 + 0 * z

    report = sf.check_unbiased(fn, wrt=[theta], mode="monte_carlo", repeats=30, seed=0)
    assert report, report
    assert all(not comparison.varied for comparison in report.comparisons)


def test_a_coordinate_that_varied_is_shown_before_a_worse_one_that_never_did():
    found, wanted = torch.tensor([0.0, 3.0, 9.0]), torch.zeros(3)
    allowed, varied = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([True, True, False])
    worst = Comparison.worst("theta", found, wanted, allowed, varied)
    assert (worst.found, worst.biased, worst.inconclusive) == (3.0, True, False)

    # Where all that varied is right, the other is what is wrong.
    worst = Comparison.worst("theta", found, wanted, 3 * allowed, varied)
    assert (worst.found, worst.biased, worst.inconclusive) == (9.0, False, True)


def test_a_bias_outranks_what_is_inconclusive():
    logits, loc = leaf(-12.0), leaf(0.4)

    class Halved(sf.Estimator):
        def draw(self, distribution, batch_ndims):
            draw = sf.ScoreFunction().draw(distribution, batch_ndims)
            return draw._replace(log_prob=draw.log_prob / 2, log_density=draw.log_density / 2)

    def fn():
        sf.add_cost(rare(logits)(), parents=["z"])
        value = sf.sample(Bernoulli(logits=loc), Halved(), parents=[], name="halved")
        sf.add_cost(value, parents=["halved"])

    report = sf.check_unbiased(fn, wrt=[logits, loc], mode="monte_carlo", repeats=1000, seed=0)
    assert report.verdict == "BIASED"
    assert any(comparison.inconclusive for comparison in report.comparisons)
    assert set(report.nodes) == {"halved"}


def test_a_weak_alarm_counts_only_if_fresh_draws_repeat_it():
    """By Student's t alone a right program is called biased, where values are rare."""
    logits = leaf(math.log(0.0067))
    seeds = range(30)
    alarms = 0
    for seed in seeds:
        torch.manual_seed(seed)
        z = Bernoulli(logits=logits.detach()).sample((1000,))
        mean, error = z.mean(), z.std() / 1000**0.5
        alarms += bool((mean - 0.0067).abs() > t_quantile(5e-3, 999) * error) and bool(z.any())
    assert alarms > 0  # by Student's t alone
    for seed in seeds:
        report = sf.check_unbiased(
            rare(logits), wrt=[logits], mode="monte_carlo", repeats=100, seed=seed, error_rate=0.01
        )
        assert report.verdict != "BIASED", report


@pytest.mark.parametrize(("count", "is_weak"), [(30, True), (99, True), (100, False)])
def test_of_few_runs_even_a_far_alarm_has_to_be_repeated(count, is_weak):
    """z² of 30 Gaussian draws is called biased at 20 standard errors 3e-5 of the time."""
    moments = Moments()
    signs = torch.tensor([-1.0, 1.0]).repeat(count)[:count].double()
    moments.add_all(1 + 0.1 * signs.unsqueeze(1))  # about 0, and some 55 to 100 errors off
    zero = torch.zeros(1, dtype=torch.float64)
    result = distances(moments, zero, zero, 1e-6, zero)
    assert result.alarms().all()
    assert result.weak_alarms().all() == is_weak


def test_few_repeats_are_refused():
    with pytest.raises(ValueError, match="repeats is 29: it must be at least 30"):
        sf.check_unbiased(rare(leaf(0.0)), repeats=29)


# ---------------------------------------------------------------- what was compared, and seen


def test_a_report_says_what_was_compared_with_what():
    loc = leaf(0.2)

    def fn():
        return sf.sample(Normal(loc, 1.0), name="z") ** 2

    exact = sf.check_unbiased(fn, wrt=[loc], quadrature=4, repeats=30)
    assert exact.basis == (
        "scripted draws and quadrature (of z) against the exact gradient; "
        "mean scores by 30 runs of real draws"
    )
    by_reference = sf.check_unbiased(fn, wrt=[loc], repeats=30, seed=0)
    assert by_reference.basis.startswith("real draws against ScoreFunction() at every node")
    against_exact = sf.check_unbiased(
        fn, wrt=[loc], quadrature=4, repeats=30, seed=0, mode="monte_carlo"
    )
    assert against_exact.basis.startswith("real draws against the exact gradient")
    other = sf.check_unbiased(fn, wrt=[loc], repeats=30, seed=0, reference=sf.Pathwise())
    assert exact.basis in str(exact)
    assert "Pathwise() at every node" in other.basis


def test_a_report_of_a_gradient_that_is_zero_gives_no_share_of_it():
    loc = leaf(0.2)
    report = sf.check_unbiased(
        lambda: 1 + 0 * sf.sample(Bernoulli(logits=loc)),
        wrt=[loc],
        repeats=30,
        seed=0,
        mode="monte_carlo",
    )
    assert report, report
    assert report.power.gradient == 0
    assert str(report.power).endswith("in wrt[0] could not have been seen")


def test_a_report_says_how_large_a_bias_it_could_have_seen():
    loc = leaf(0.2)
    report = sf.check_unbiased(
        lambda: sf.sample(Normal(loc, 1.0)) ** 2,
        wrt=[loc],
        repeats=100,
        seed=0,
        quadrature=4,
        mode="monte_carlo",
    )
    gradient = report.comparisons[1]
    assert report.power.bias == gradient.allowed
    assert report.power.gradient == pytest.approx(0.4)
    assert report.power.bias > report.power.gradient  # 100 repeats see next to nothing
    share = f"{report.power.bias / 0.4:.0%} of its gradient"
    assert share in str(report)
    assert f"takes repeats={report.power.needed}" in str(report)

    enough = sf.check_unbiased(
        lambda: sf.sample(Normal(loc.expand(2000), 1.0)) ** 2,
        wrt=[loc],
        quadrature=4,
        repeats=-(-report.power.needed // 2000),
        seed=0,
        mode="monte_carlo",
    )
    assert enough.power.bias / enough.power.gradient == pytest.approx(0.1, rel=0.5)
    assert sf.check_unbiased(rare(leaf(0.0)), wrt=[loc], mode="exact", repeats=30).power is None


def test_a_seed_is_for_the_check_alone():
    logits = leaf(0.2)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = sf.check_unbiased(rare(logits), wrt=[logits], mode="monte_carlo", repeats=30, seed=1)
    again = sf.check_unbiased(rare(logits), wrt=[logits], mode="monte_carlo", repeats=30, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert str(first) == str(again)
    sf.check_unbiased(rare(logits), wrt=[logits], mode="monte_carlo", repeats=30)
    assert not torch.equal(before, torch.get_rng_state())
