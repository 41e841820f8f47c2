import json
import math
import re
import subprocess
import sys
from statistics import NormalDist

import pytest
import torch
from PIL import Image

import sfgrad as sf
from applications.gaussian.__main__ import COMPARED, PANELS, main
from applications.gaussian.comparison import estimate, exact
from applications.gaussian.config import Config
from applications.gaussian.gaussian import (
    BASELINES,
    START,
    Gaussian,
    expected_reward,
    make_baseline,
    make_couplings,
    make_objective,
    scores,
    update,
)
from applications.gaussian.rewards import LIMIT, Reward, find_reward
from applications.gaussian.training import course
from applications.kit.errors import RunError
from applications.kit.run import read_metrics

TILTED = Gaussian(
    torch.tensor([0.4, -0.3], dtype=torch.float64),
    torch.tensor([[0.8, 0.0], [0.5, 0.6]], dtype=torch.float64),
)
FAMILY = 1e-6  # error rate of each test below that draws at random, over all its comparisons


def threshold(comparisons):
    return NormalDist().inv_cdf(1 - FAMILY / (2 * comparisons))


@pytest.fixture(scope="module")
def regions():
    return find_reward(None)


@pytest.fixture(scope="module")
def truth(regions):
    return exact(START, regions, cells=1200)


# ---------------------------------------------------------------- the gradient


def test_scores_are_the_closed_form():
    points = TILTED.sample(50)
    covariance = TILTED.factor @ TILTED.factor.T
    expected = torch.linalg.solve(covariance, (points - TILTED.mean).T).T
    torch.testing.assert_close(scores(TILTED, points), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("baseline", BASELINES)
def test_pulls_are_reward_minus_baseline_times_score(baseline, regions):
    torch.manual_seed(0)
    step = update(TILTED, make_objective(regions, make_baseline(baseline, regions), 6), 0.5)
    others = (step.rewards.sum() - step.rewards) / 5
    offset = {"none": 0.0, "constant": -1.0, "moving-average": 0.0, "leave-one-out": others}
    weight = (step.rewards - offset[baseline]).unsqueeze(1)
    torch.testing.assert_close(step.pulls, weight * scores(TILTED, step.points), rtol=1e-9, atol=0)


def test_the_step_of_the_mean_is_rate_times_covariance_times_mean_pull(regions):
    step = update(TILTED, make_objective(regions, sf.LeaveOneOut(), 40), 0.5)
    moved = 0.5 * TILTED.factor @ TILTED.factor.T @ step.pulls.mean(0)
    torch.testing.assert_close(step.after.mean - TILTED.mean, moved)


def test_the_factor_stays_a_factor_however_large_the_step(regions):
    gaussian = update(TILTED, make_objective(regions, None, 10), 20.0).after
    assert gaussian.factor[0, 1] == 0
    assert (gaussian.factor.diagonal() > 0).all()


def test_only_the_mean_moves_without_covariance(regions):
    step = update(START, make_objective(regions, None, 10), 1.0, covariance=False)
    assert torch.equal(step.after.factor, START.factor)
    assert not torch.equal(step.after.mean, START.mean)


def test_quadrature_of_a_step_function():
    """P(x₁ > c) and its derivative by μ₁, the density at c; nothing happens along μ₂."""
    step = Reward(lambda points: points[:, 0] > 1.0, "step")
    mean, deviation = TILTED.mean[0].item(), TILTED.factor[0, 0].item()
    normal = NormalDist(mean, deviation)
    found = exact(TILTED, step, cells=1200)
    assert found.expected_reward == pytest.approx(1 - normal.cdf(1.0), abs=3e-3)
    assert found.gradient[0].item() == pytest.approx(normal.pdf(1.0), abs=5e-3)
    assert abs(found.gradient[1].item()) < 1e-3


def test_quadrature_states_its_error(regions):
    coarse, fine = exact(START, regions, cells=400), exact(START, regions, cells=2400)
    assert (coarse.gradient - fine.gradient).abs().max() < 3 * coarse.error
    assert fine.error < 1e-3


class SeesItself(sf.Baseline):
    """The mean of all draws, the own one included: the bias that leave-one-out avoids."""

    def read(self, cost_to_go, prediction):
        return cost_to_go.mean(1, keepdim=True)


def off(baseline, reward, truth, replications=10_000):
    torch.manual_seed(1)
    found = estimate(START, reward, baseline, samples=4, replications=replications)
    return found.z(truth).abs().max().item()


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_leaves_the_gradient_unbiased(name, regions, truth):
    replications = 800 if name == "moving-average" else 10_000  # one at a time
    z = off(make_baseline(name, regions), regions, truth, replications)
    assert z < threshold(2 * len(BASELINES))


def test_the_test_above_catches_a_baseline_that_sees_its_own_draw(regions, truth):
    assert off(SeesItself(), regions, truth) > threshold(2 * len(BASELINES))


@pytest.mark.parametrize("name", ["constant", "leave-one-out"])
def test_baselines_lower_the_variance(name, regions):
    torch.manual_seed(2)
    found = {
        n: estimate(START, regions, make_baseline(n, regions), 8, 4000) for n in ("none", name)
    }
    (without, error), (variance, other) = (found[n].total_variance for n in ("none", name))
    assert (without - variance) / math.hypot(error, other) > threshold(2)


# ---------------------------------------------------------------- learning


@pytest.mark.training
def test_one_update_raises_the_expected_reward(regions):
    torch.manual_seed(0)
    step = update(START, make_objective(regions, None, 80), 3.0, covariance=False)
    (low, low_error), (high, high_error) = (
        expected_reward(gaussian, regions, 50_000) for gaussian in (step.before, step.after)
    )
    assert (high - low) / math.hypot(low_error, high_error) > threshold(1)


@pytest.mark.parametrize("baseline", ["none", "leave-one-out"])
@pytest.mark.training
def test_learning_ends_where_the_reward_is_high(baseline, regions):
    history = course(Config(baseline=baseline, learning_rate=0.2, updates=80), regions)
    assert history[0].expected_reward < -0.8
    assert history[-1].expected_reward > 0.8
    assert (history[-1].gaussian.factor.diagonal() > 0.03).all()


# ---------------------------------------------------------------- rewards


def test_an_image_is_bright_where_it_is_good(tmp_path):
    picture = Image.new("L", (4, 2), 0)
    picture.putpixel((3, 0), 255)  # top right
    picture.save(tmp_path / "image.png")
    reward = find_reward(str(tmp_path / "image.png"))
    points = torch.tensor([[0.9, 0.5], [0.9, -0.5], [-0.9, 0.5], [0.9, 1.1]], dtype=torch.float64)
    assert reward(points * LIMIT).tolist() == [1, -1, -1, -1]


def test_an_image_is_seen_as_a_browser_shows_it(tmp_path):
    """Upright, as its camera says, and black where it is transparent."""
    picture = Image.new("RGBA", (2, 1), (255, 255, 255, 255))
    picture.putpixel((0, 0), (255, 255, 255, 0))
    picture.save(tmp_path / "clear.png")
    points = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    assert find_reward(str(tmp_path / "clear.png"))(points).tolist() == [-1, 1]

    lying = Image.new("L", (2, 1), 0)
    lying.putpixel((1, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    lying.save(tmp_path / "turned.png", exif=exif)
    assert find_reward(str(tmp_path / "turned.png"))(points).tolist() == [1, -1]


OWN = """
import numpy as np
def right(points):
    return points[:, 0]
def array(points):
    return np.sign(points.numpy()[:, 0])
def boolean(points):
    return points[:, 0] > 0
def wide(points):
    return points
def undefined(points):
    return points[:, 0].log()
def failing(points):
    raise KeyError("missing")
def flat(points):
    return points[:, 0] * 0
number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_rewards.py").write_text(OWN)
    (tmp_path / "broken.png").write_bytes(b"not an image")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("own_rewards", None)


@pytest.mark.parametrize("name", ["right", "array", "boolean"])
def test_ones_own_reward_may_return_tensor_array_or_boolean(name, own):
    rewards = find_reward(f"own_rewards:{name}")(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    assert rewards.dtype == torch.float64
    assert rewards[0] > rewards[1]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_module:f", "'no_such_module' cannot be imported"),
        ("own_rewards:absent", "has no function 'absent'"),
        ("own_rewards:number", "is a int: name a function"),
        ("own_rewards:wide", r"returned shape \[\d+, 2\].*return one reward per point"),
        ("own_rewards:undefined", "is NaN or infinite at"),
        ("own_rewards:failing", "KeyError: 'missing'"),
        ("own_rewards:flat", "there is nothing to raise"),
        ("broken.png", "is no image that can be read"),
        ("absent.png", "there is no such image"),
    ],
)
def test_a_reward_that_does_not_work_is_refused(spec, message, own, capsys):
    with pytest.raises(RunError, match=message):
        find_reward(spec)
    assert main(["evaluate", "--reward", spec, "--json"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert re.search(message, err)


# ---------------------------------------------------------------- the command line


def test_plot_writes_every_picture(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "applications.gaussian", "plot"]
    small = ["--replications", "40", "--steps", "5", "--frames", "3", "--samples", "10"]
    done = subprocess.run(
        [*command, *small, "--output", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name in ("estimator", "baselines"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 500
        assert "</svg>" in (tmp_path / f"{name}.svg").read_text()
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "learning.gif") as film:
        assert film.n_frames == 3
    numbers = json.loads((tmp_path / "baselines.json").read_text())
    assert list(numbers["estimators"]) == list(BASELINES)
    assert numbers["samples"] == 10
    assert "expected reward" in done.stdout
    assert "animation" in done.stderr


def test_help_names_the_defaults_of_every_picture(capsys):
    with pytest.raises(SystemExit):
        main(["plot", "--help"])
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    of = (COMPARED, PANELS, vars(Config()))
    samples, learned = (
        [pick[name] for pick in of if name in pick] for name in ("samples", "baseline")
    )
    rates = PANELS["learning_rate"], Config.learning_rate
    assert "{} in the comparison, {} in the panels, {} in learning".format(*samples) in told
    assert "default: {} in the panels, {} in learning".format(*learned) in told
    assert "default: {} in the panels, {} in learning".format(*rates) in told
    assert f"(default: {COMPARED['replications']})" in told
    assert f"(default: {Config.updates})" in told
    assert {pick["seed"] for pick in of} == {0}


def test_evaluate_prints_one_json_object(own, capsys):
    options = ["--reward", "own_rewards:right", "--samples", "8", "--replications", "30", "--json"]
    assert main(["evaluate", *options]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["exact_gradient"] == pytest.approx([1, 0], abs=1e-6)
    assert numbers["expected_reward"] == pytest.approx(START.mean[0].item(), abs=1e-6)
    assert numbers["estimators"]["none"]["variance_ratio"] == 1


def test_evaluate_prints_a_table(capsys):
    assert main(["evaluate", "--samples", "2", "--replications", "2"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in (*BASELINES, "antithetic", "stratified"))


@pytest.mark.parametrize("name", ["antithetic", "stratified"])
def test_couplings_leave_the_gradient_unbiased(name, regions, truth):
    assert off(make_couplings(4)[name], regions, truth) < threshold(4)


def test_an_odd_number_of_samples_has_no_pairs():
    assert list(make_couplings(3)) == ["stratified"]
    assert list(make_couplings(1)) == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["plot", "--samples", "0"], "must be at least 1"),
        (["train", "--samples", "1"], "leave-one-out compares at least 2"),
        (["plot", "--samples", "1", "--output", "one"], "leave-one-out compares at least 2"),
        (["evaluate", "--samples", "1"], "leave-one-out compares at least 2"),
        (["train", "--learning-rate", "1e6", "--run-dir", "far"], "overflows: lower --learning"),
        (["plot", "--format", "png,bmp"], "no bmp"),
        (["plot", "--learning-rate", "fast"], "Error parsing --learning-rate"),
        (["plot", "--baseline", "perfect"], "invalid choice"),
        (["plot", "--output", "broken.png"], "cannot be made"),
        (["plot", "--run-dir", "absent"], "holds no run"),
        (["evaluate", "--run-dir", "absent"], "there is no absent"),
    ],
)
def test_mistakes_are_told_with_exit_status_2(command, message, own, capsys):
    try:
        status = main(command)
    except SystemExit as stop:  # argparse
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not (own / "runs").exists()
    assert not (own / "one").exists()


def test_a_training_goes_on_where_it_stopped(tmp_path, capsys):
    """A run of 4 updates, resumed to 8, is a run of 8; the table can start from it."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ["--samples", "20", "--baseline", "moving-average", "--seed", "3"]
    assert main(["train", "--run-dir", str(whole), "--steps", "8", *options]) == 0
    assert main(["train", "--run-dir", str(parts), "--steps", "4", *options]) == 0
    assert main(["train", "--run-dir", str(parts), "--steps", "8"]) == 2  # holds a run already
    assert main(["train", "--run-dir", str(parts), "--steps", "8", "--resume"]) == 0
    ours, theirs = (
        [line | {"seconds": 0} for line in read_metrics(folder / "metrics.jsonl")]
        for folder in (whole, parts)
    )
    assert [line["update"] for line in theirs] == list(range(9))
    assert ours == theirs
    capsys.readouterr()
    assert main(["evaluate", "--run-dir", str(parts), "--json", "--replications", "2"]) == 0
    there = json.loads(capsys.readouterr().out)
    last = ours[-1]
    assert abs(there["expected_reward"] - last["expected_reward"]) < 6 * last["standard_error"]


@pytest.mark.parametrize("command", ["evaluate", "plot"])
def test_a_run_of_another_version_is_refused(command, tmp_path, capsys):
    assert main(["train", "--run-dir", str(tmp_path / "run"), "--steps", "1"]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    del config["reward"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert main([command, "--run-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "config.json is damaged, or checkpoint.safetensors beside it is of another run" in error
    assert "reward is absent in the one" in error


def test_a_run_of_one_sample_an_update_can_be_plotted(tmp_path, capsys):
    """Only a baseline that compares samples needs two of them."""
    run = ["--run-dir", str(tmp_path / "run")]
    assert main(["train", *run, "--steps", "2", "--samples", "1", "--baseline", "none"]) == 0
    small = ["--replications", "2", "--frames", "1", "--format", "png"]
    assert main(["plot", *run, *small, "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "learning.gif").exists()
