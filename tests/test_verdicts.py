"""Random models, right and broken on purpose: no wrong verdict, no crash, no wrong name.

Some hundreds here; `python -m tests.verdicts --programs 2000` tries many more.
"""

from dataclasses import replace

import pytest
import torch

from tests.breaks import RIGHT, random_break
from tests.models import brute_force, outcomes, random_model
from tests.verdicts import check, mean_of_estimator, verdicts, wrong_monte_carlo

FEW = 4
"""Joint draws of a model at most, so that many take seconds."""


def models(first, count, few=FEW):
    """So many models of few draws."""
    result, seed = [], first
    while len(result) < count:
        model = random_model(seed)
        if outcomes(model) <= few:
            result.append(model)
        seed += 1
    return result


@pytest.mark.parametrize("block", range(8))
def test_verdicts_of_random_models(block):
    """Each of them right, refused, and broken in some way."""
    for model in models(10_000 * (block + 1), 8):
        wrong = {what: problem for what, problem in verdicts(model).items() if problem}
        assert not wrong, f"seed {model.seed}: {wrong}"


def test_verdicts_by_monte_carlo():
    for model in models(200_000, 4, few=64):
        wrong = {what: problem for what, problem in wrong_monte_carlo(model).items() if problem}
        assert not wrong, f"seed {model.seed}: {wrong}"


def test_estimators_of_right_models_have_the_mean_that_brute_force_has():
    for model in models(300_000, 20, few=16):
        torch.testing.assert_close(
            mean_of_estimator(model), brute_force(model), rtol=1e-9, atol=1e-9
        )


# ---------------------------------------------------------------- negative controls


def sees_own_draw(model):
    """Whether the baseline of its first node does, once it is broken."""
    broken = random_break(model)
    return broken and broken.kind == "sees its own draw" and broken.at_fault == {"z0"}


def lying(verdict):
    """Reports of right models where broken ones were asked for, or the other way round."""

    def checked(model, broken=RIGHT, *settings, **more):
        if verdict == "always unbiased":
            return check(model)
        report = check(model, broken)
        if verdict == "always BIASED":
            worst = [replace(c, allowed=-1.0) for c in report.comparisons]
            return replace(report, comparisons=worst)
        if verdict == "another name":
            return replace(report, nodes={f"{name}0": 1.0 for name in report.nodes})
        raise RuntimeError("a crash")

    return checked


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        ("always unbiased", "unbiased, not BIASED"),
        ("always BIASED", "BIASED, not unbiased"),
        ("another name", "names ['z00'], not ['z0']"),
        ("a crash", "RuntimeError: a crash"),
    ],
)
def test_negative_control_a_wrong_report_is_noticed(verdict, message):
    model = next(m for m in models(0, 300) if sees_own_draw(m))
    problems = verdicts(model, checked=lying(verdict))
    assert message in problems.values()
    assert not problems["oracle"]
