"""The benchmarks of single properties: what they measure is what the pages say.

The pictures themselves are made by `python -m benchmarks.estimator_properties`.
"""

import itertools
import json
import math

import pytest
import torch

import sfgrad as sf
from benchmarks import estimator_properties
from benchmarks.properties import enumerate as enumerated
from benchmarks.properties import (
    group_normalized,
    parameter_noise,
    pathwise,
    plackett_luce,
    relax,
    self_critical,
    vimco,
)
from benchmarks.properties.curves import Curves, square_errors
from benchmarks.properties.groups import group_gradients, groups
from benchmarks.timing import RESULTS
from tests.comparison import THRESHOLD


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def standard_errors(samples, truth):
    """By how many the mean of samples `[rows, ...]` is off."""
    return (samples.mean(0) - truth) / (samples.var(0) / len(samples)).sqrt()


def same(one, other):
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- all groups of draws


def test_groups_are_all_ordered_draws_summed():
    logits = torch.tensor([0.4, -0.3, 0.1], dtype=torch.float64)
    probs, costs = logits.softmax(0), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    ordered = torch.tensor(list(itertools.product(range(3), repeat=4)))
    draws, masses = groups(probs, 4)
    assert (len(draws), len(ordered)) == (15, 81)
    same(masses.sum(), torch.ones_like(masses.sum()))

    def moments(draws, masses):
        estimator = sf.ScoreFunction(sf.GroupNormalized())
        found = group_gradients(lambda _, z: costs[z], logits, draws, estimator)
        return masses @ found, masses @ found.square()

    for one, other in zip(
        moments(draws, masses), moments(ordered, probs[ordered].prod(1)), strict=True
    ):
        same(one, other)


# ---------------------------------------------------------------- enumerate


def moments_by_hand(size, copies):
    """Mean squared error of leave-one-out with so many copies, a U-statistic; 1: of none."""
    costs, scores = enumerated.COSTS[:size], torch.eye(size, dtype=torch.float64) - 1 / size
    truth = enumerated.truth(size)
    if copies == 1:
        return square_errors(costs.unsqueeze(1) * scores, truth).mean()
    difference = (costs.unsqueeze(1) - costs).unsqueeze(2)
    pairs = 0.5 * difference * (scores.unsqueeze(1) - scores)
    first = square_errors(pairs.mean(1), truth).mean()
    second = square_errors(pairs.flatten(0, 1), truth).mean()
    return (4 * (copies - 2) * first + 2 * second) / (copies * (copies - 1))


@pytest.mark.parametrize(("baseline", "copies"), [(None, 1), (sf.LeaveOneOut(), 8)])
def test_errors_are_those_of_closed_form(baseline, copies):
    found = enumerated.gradients(8, sf.ScoreFunction(baseline), copies)
    errors = square_errors(found, enumerated.truth(8))
    assert standard_errors(errors, moments_by_hand(8, copies)).abs() < THRESHOLD
    assert standard_errors(errors, moments_by_hand(8, copies + 1)).abs() > THRESHOLD  # control


def test_enumeration_is_exact_and_leave_one_out_is_off_by_the_length_of_the_gradient():
    for size in enumerated.SIZES:
        found = enumerated.gradients(size, sf.Enumerate(), 1)[:3]
        same(found, enumerated.truth(size).expand(3, -1))
        ratio = (moments_by_hand(size, size) / enumerated.truth(size).square().sum()).sqrt()
        assert 0.9 < ratio < 1.01


# ---------------------------------------------------------------- group-normalized


def test_leave_one_out_points_along_the_gradient():
    same(group_normalized.mean_gradients(sf.LeaveOneOut(), 5), group_normalized.truth())


def test_a_start_alone_is_right_in_large_groups_and_two_never_are():
    curves = group_normalized.curves()
    both, first, usual = curves.lines.values()
    assert max(usual) < 1e-6
    assert first == sorted(first, reverse=True)
    assert first[0] > 40
    assert first[-1] < 2

    # In the limit each start is divided by the deviation of its costs.
    probs, truth = group_normalized.LOGITS.softmax(0), group_normalized.truth()
    costs = group_normalized.COSTS
    deviations = (costs.square() @ probs - (costs @ probs).square()).sqrt()
    limit = group_normalized.angle((truth / deviations.unsqueeze(1)).sum(0), truth.sum(0))
    assert both == sorted(both, reverse=True)
    assert both[-1] - 1 < limit < both[-1]
    assert limit > 30


# ---------------------------------------------------------------- parameter-noise


def test_the_gradient_of_the_noise_is_that_of_closed_form():
    module, scale = parameter_noise.Classifier(), 0.4
    variances = []
    for estimator in (sf.ScoreFunction(), sf.ScoreFunction(sf.LeaveOneOut()), None):
        found = parameter_noise.gradients(module, scale, estimator, rows=600)
        assert (standard_errors(found, module.truth(scale)).abs() < THRESHOLD).all()
        assert (standard_errors(found, -module.truth(scale)).abs() > THRESHOLD).any()  # control
        variances.append(found.var(0).sum())
    assert max(variances[1:]) < variances[0] / 2


# ---------------------------------------------------------------- pathwise


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_errors_of_a_normal_draw_are_those_of_closed_form(scale):
    plain = square_errors(pathwise.gradients(scale, sf.ScoreFunction(), 1), pathwise.TRUTH)
    path = square_errors(pathwise.gradients(scale, sf.Pathwise(), 1), pathwise.TRUTH)
    assert standard_errors(plain, 1 / scale**2 + 14 + 15 * scale**2).abs() < THRESHOLD
    assert standard_errors(path, 4 * scale**2).abs() < THRESHOLD
    assert standard_errors(path, 8 * scale**2).abs() > THRESHOLD  # control


# ---------------------------------------------------------------- plackett-luce


def test_the_expected_gain_is_the_sum_over_orders():
    logits = torch.randn(2, 6, dtype=torch.float64)
    odds, best = logits.exp(), 3 + 2 / math.log2(3) + 0.5
    for row, value in zip(odds.tolist(), plackett_luce.expected_gain(logits), strict=True):
        total = 0.0
        for order in itertools.permutations(range(6), 3):
            mass, left = 1.0, sum(row)
            for item in order:
                mass, left = mass * row[item] / left, left - row[item]
            gains = [plackett_luce.RELEVANCE[item] for item in order]
            total += mass * (gains[0] + gains[1] / math.log2(3) + gains[2] / 2)
        same(value, total / best)


@pytest.mark.training
def test_leave_one_out_learns_to_rank_in_every_run_and_none_in_some():
    """Over twenty seeds means were at least .022 apart, and the ranges one to four at most."""
    compared = plackett_luce.learn(sf.LeaveOneOut(), 50, 40)[-1]
    plain = plackett_luce.learn(None, 50, 40)[-1]
    assert compared.mean() > plain.mean()
    tenths = torch.tensor([0.1, 0.9], dtype=torch.float64)
    assert compared.quantile(tenths).diff() < plain.quantile(tenths).diff() / 2


# ---------------------------------------------------------------- relax


@pytest.mark.training
def test_a_module_learns_to_vary_less_than_leave_one_out():
    """Over twenty seeds at most .6 of its variance after 150 updates, and six times before."""
    usual = relax.unlearned(sf.ScoreFunction(sf.LeaveOneOut()), 2)
    before, after = relax.learn(0, [0, 150])
    assert after < usual < before


# ---------------------------------------------------------------- self-critical


def mean_squares(captions, baselines):
    """Of the gradient of every input, `[20]`, by the sum over all 3,125 sequences."""
    words = torch.cartesian_prod(*[torch.arange(5)] * 5)
    log_probs = captions.logits.log_softmax(2)
    places = torch.arange(5)
    result = []
    for row, target, ease, baseline in zip(
        log_probs, captions.targets, captions.ease, baselines, strict=True
    ):
        mass = row[places, words].sum(1).exp()
        cost = -(words == target).double().mean(1) - ease
        score = torch.nn.functional.one_hot(words, 5) - row.exp()
        result.append(mass @ ((cost - baseline).square() * score.square().sum((1, 2))))
    return torch.stack(result)


def test_gradients_of_captions_have_the_moments_of_all_sequences():
    captions = self_critical.Captions()
    for _ in range(15):
        captions.learn()
    greedy = -(captions.logits.argmax(2) == captions.targets).double().mean(1) - captions.ease
    for baseline, number in ((None, torch.zeros(20)), (sf.SelfCritical(), greedy)):
        found = captions.gradients(sf.ScoreFunction(baseline), 1, 100).square().sum((2, 3))
        assert (standard_errors(found, mean_squares(captions, number)).abs() < THRESHOLD).all()
        wrong = mean_squares(captions, number - 1)
        assert (standard_errors(found, wrong).abs() > THRESHOLD).any()  # control


# ---------------------------------------------------------------- vimco


def test_all_baselines_have_the_gradient_of_the_bound():
    logits = vimco.LOGITS.clone().requires_grad_()
    total = torch.zeros(())
    for choice in itertools.product(range(4), repeat=3):
        z = torch.tensor(choice)
        log_probs = logits.log_softmax(0)[z]
        bound = (vimco.JOINT[z] - log_probs).logsumexp(0) - math.log(3)
        total = total - log_probs.sum().exp() * bound
    assert vimco.expected_cost(3) == pytest.approx(total.item(), rel=1e-9)
    (truth,) = torch.autograd.grad(total, logits)
    for join in (sf.VIMCO(), vimco.OneBaseline(0.7), vimco.OneBaseline()):
        found, probs = vimco.gradients(join, 3)
        same(probs @ found, truth)


def test_the_signal_stays_with_vimco_and_is_lost_without():
    sizes = (2, 4, 8, 16)
    own = [vimco.signal_to_noise(sf.VIMCO(), size) for size in sizes]
    shared = [
        vimco.signal_to_noise(vimco.OneBaseline(vimco.expected_cost(size)), size) for size in sizes
    ]
    plain = [vimco.signal_to_noise(vimco.OneBaseline(), size) for size in sizes]
    assert max(own) == own[2]
    assert all(a > b > c for a, b, c in zip(own, shared, plain, strict=True))
    assert shared[3] < shared[0] / 6
    assert plain[3] < plain[0] / 10
    assert own[3] > own[0]


# ---------------------------------------------------------------- what the pages say


def kept(page):
    """The lines of the page's picture, as last measured."""
    results = json.loads((RESULTS / "estimator_properties.json").read_text())
    return list(results[page]["lines"].values())


def ordered(*lines):
    """Whether each line is above the next, everywhere."""
    return all(
        a > b for one, other in itertools.pairwise(lines) for a, b in zip(one, other, strict=True)
    )


def test_lines_lie_as_the_pages_say():
    assert ordered(*kept("parameter-noise"))
    assert ordered(*kept("pathwise"))
    assert ordered(*kept("self-critical"))
    assert ordered(*kept("vimco"))


def test_figures_are_those_that_the_pages_give():
    plain, unpaired, path = kept("pathwise")
    assert plain[0] > plain[1] > plain[2]
    assert unpaired[0] == pytest.approx(2.7, abs=0.05)
    assert path[0] < 0.001

    compared, plain = kept("plackett-luce")
    assert (round(compared[-1], 2), round(plain[-1], 2)) == (0.98, 0.95)
    _, usual, learned = kept("relax")
    assert learned[4] > usual[4]  # after 40 updates
    assert all(a < b for a, b in zip(learned[5:], usual[5:], strict=True))
    _, average, greedy, _ = kept("self-critical")
    assert round(average[-1] / greedy[-1]) == 30
    assert max(greedy) == greedy[2]
    own, shared, plain = (line[-1] for line in kept("vimco"))
    assert (round(own / shared), round(own / plain)) == (18, 55)


# ---------------------------------------------------------------- pictures


def test_a_picture_is_plotted_with_its_bands(tmp_path, monkeypatch):
    monkeypatch.setattr(estimator_properties, "PICTURES", tmp_path)
    curves = Curves(
        x=[1.0, 2.0],
        lines={"relax": [1.0, 2.0], "no baseline": [2.0, 3.0]},
        axes={"xlabel": "x", "yscale": "log"},
        bands={"relax": ([0.5, 1.0], [2.0, 3.0])},
        marked=True,
    )
    estimator_properties.plot("relax", curves)
    assert (tmp_path / "relax.png").stat().st_size > 5_000
