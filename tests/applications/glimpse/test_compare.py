"""Comparing estimators: the figures on known gradients, and what must come out of real ones."""

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch.distributions import Independent, Normal

import sfgrad as sf
from applications.glimpse import compare, data, gradients, weights
from applications.glimpse.compare import CASES, case, choose, train_for
from applications.glimpse.config import Config
from applications.glimpse.gradients import Spread, batches_of, measure, moments, spread
from applications.glimpse.model import GlimpseModel, make_model
from applications.kit.errors import RunError
from applications.kit.gradients import fit_baseline
from sfgrad import expectation
from tests.applications.glimpse.digits import generated_digits

SMALL = Config(glimpses=3, hidden=16, features=16, batch=64, precision="float32")


@pytest.fixture(scope="module")
def images():
    return generated_digits(280, 10, seed=0)


def quiet(doing):
    pass


def products(gradients):
    flat = gradients.flatten(0, 1)
    return (flat @ flat.T).view(2 * gradients.shape[:2])


# ---------------------------------------------------------------- the figures


def test_signal_and_variances_are_unbiased():
    """Over all outcomes of two batches, g = mean ± images ± draws, all signs independent."""
    mean, images, draws = torch.tensor([[2.0, 1.0], [0.5, 1.5], [3.0, 0.0]]).double()
    found = torch.zeros(3).double()
    signs = list(itertools.product((-1.0, 1.0), repeat=6))
    for outcome in signs:
        by_batch, by_draw = torch.tensor(outcome).double().split((2, 4))
        gradients = mean + by_batch[:, None, None] * images + by_draw.view(2, 2, 1) * draws
        found += torch.stack(moments(products(gradients))) / len(signs)
    signal, of_images, of_draws = (part.square().sum() for part in (mean, images, draws))
    wanted = torch.stack([signal, of_images + of_draws, of_draws])
    torch.testing.assert_close(found, wanted)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    torch.manual_seed(0)
    gradients = torch.randn(10, 2, 5).double()
    found = spread(gradients, gradients)
    by_batch = (gradients[:, 0] - gradients[:, 1]).square().sum(1) / 2
    assert found["draw_variance"] == pytest.approx(by_batch.mean().item())
    error = by_batch.std().item() / 10**0.5
    assert found["draw_variance_standard_error"] == pytest.approx(error)


def test_the_ratio_is_taken_batch_by_batch():
    torch.manual_seed(0)
    gradients = torch.randn(10, 2, 5).double()
    found = spread(3 * gradients, gradients)
    assert found["variance_ratio"] == pytest.approx(9)
    assert found["draw_variance_ratio"] == pytest.approx(9)
    assert found["variance_ratio_standard_error"] == pytest.approx(0, abs=1e-9)
    assert found["signal_to_noise"] == pytest.approx(found["signal"] / found["variance"])


# ---------------------------------------------------------------- what is measured


def test_every_case_makes_as_many_evaluations_on_the_same_images(images):
    everything = next(batches_of(case(SMALL, "none"), images, seed=3))
    for name in CASES:
        config = case(SMALL, name)
        assert config.batch * config.samples == SMALL.batch
        others = {"pathwise": "pathwise", "antithetic 4": "antithetic"}
        assert config.estimator == others.get(name, "score-function")
        for whole, part in zip(everything, next(batches_of(config, images, seed=3)), strict=True):
            assert torch.equal(part, whole[: config.batch])


@pytest.mark.training
def test_baselines_take_away_what_all_costs_have_in_common(images, monkeypatch):
    """Untrained, every glimpse costs about ln 10 wherever it looks."""
    monkeypatch.setattr(gradients, "FITTING", 40)
    torch.manual_seed(0)
    snapshot = GlimpseModel(SMALL)
    torch.nn.init.normal_(snapshot.locate[-1].weight, std=0.1)
    before = {name: weight.clone() for name, weight in snapshot.state_dict().items()}
    plain = measure(case(SMALL, "none"), snapshot, images, 16, quiet)
    most = {"average": 0.5, "learned": 0.01, "leave-one-out 8": 0.01, "both 4": 0.01}
    for name, ratio in most.items():
        found = spread(measure(case(SMALL, name), snapshot, images, 16, quiet), plain)
        for key in ("variance_ratio", "draw_variance_ratio"):
            assert found[key] + 5 * found[f"{key}_standard_error"] < ratio, name
    assert all(torch.equal(before[n], weight) for n, weight in snapshot.state_dict().items())


@pytest.mark.training
def test_fitting_changes_the_baseline_alone(images):
    config = case(SMALL, "learned")
    torch.manual_seed(0)
    model = GlimpseModel(config)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}

    def fit(count, seed):
        batches = itertools.islice(batches_of(config, images, seed), count)
        losses = (expectation(model)(*batch) for batch in batches)
        fit_baseline(model.place, losses, config.learning_rate)

    fit(30, seed=0)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]) is not name.startswith("place."), name
    model.place.baseline.take_fit()
    fit(1, seed=1)
    assert model.place.baseline.take_fit() > 0.3


def quick_clock(monkeypatch):
    """Each update takes a tenth of a second."""
    clock = itertools.count(step=0.1)
    monkeypatch.setattr(compare, "time", SimpleNamespace(monotonic=lambda: next(clock)))


def test_the_schedule_ends_with_the_time(images, monkeypatch):
    quick_clock(monkeypatch)
    trainer = train_for(replace(SMALL, noise=0.5, noise_end=0.1), images, 2.0, quiet)
    assert trainer.tally.update == 19
    assert trainer.model.noise == pytest.approx(0.5 - 0.4 * 1.9 / 2, abs=1e-6)


# ---------------------------------------------------------------- the command


def asked(folder, **options):
    defaults = {"folder": folder, "output": folder, "seconds": 1, "batches": 3}
    return compare.Options(**defaults | options)


def test_the_command_tells_draws_and_keeps(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "ensure", lambda name, folder: images)
    monkeypatch.setattr(gradients, "FITTING", 2)
    quick_clock(monkeypatch)
    compare.compare(asked(tmp_path, task="translated60"))
    output = capsys.readouterr().out
    kept = json.loads((tmp_path / "compare.json").read_text())
    assert kept["task"] == "translated60"
    assert kept["evaluations"] == Config.batch
    assert list(kept["estimators"]) == list(CASES)
    measured = [*Spread._fields, "validation_error"]
    fields = {*measured, *(f"{field}_standard_error" for field in measured)}
    for name, result in kept["estimators"].items():
        assert name in output
        assert set(result) == fields | {"images", "samples", "updates"}
        assert result["images"] * result["samples"] == Config.batch
        assert result["updates"] >= 1
        assert 0 <= result["validation_error"] <= 1
    with Image.open(tmp_path / "compare.png") as picture:
        assert picture.width > 2 * picture.height > 600


def save(folder, config):
    folder.mkdir()
    weights.save_best(folder, make_model(config), config, {})
    return folder


def test_a_run_is_compared_at_its_own_weights_and_settings(tmp_path):
    folder = save(tmp_path / "run", replace(SMALL, batch=10, samples=2, baseline="both", seed=7))
    snapshot, config = choose(asked(tmp_path, run_dir=folder, seed=1))
    assert isinstance(snapshot, GlimpseModel)
    assert config == replace(SMALL, batch=16, samples=2, baseline="both", seed=1)


@pytest.mark.parametrize(
    ("change", "task", "message"),
    [
        ({}, "cluttered60", "is of mnist28, not of cluttered60"),
        ({"policy": "random"}, None, "random locations and stop price None: compare needs"),
        ({"policy": "conv"}, None, "conv locations and stop price None: compare needs learned"),
        ({"stop_price": 0.1}, None, "learned locations and stop price 0.1: compare needs"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(tmp_path, change, task, message):
    folder = save(tmp_path / "run", replace(SMALL, **change))
    with pytest.raises(RunError, match=message):
        choose(asked(tmp_path, run_dir=folder, task=task))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 3}, "draws pairs of paths, but samples is 3: give an even number"),
        ({"samples": 4, "baseline": "leave-one-out"}, "compares the paths of an image"),
        ({"samples": 4, "baseline": "both"}, "baseline both compares the paths of an image"),
    ],
)
def test_mirrored_pairs_need_pairs_and_no_comparison(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, estimator="antithetic", **settings)


def test_paths_of_a_pair_are_mirrored():
    model = GlimpseModel(replace(SMALL, estimator="antithetic", samples=2, batch=4))
    mean = torch.zeros(4, 2, requires_grad=True)
    with sf.StochasticGraph() as graph:
        context = torch.zeros(8, SMALL.hidden + 2)
        place = Independent(Normal(sf.branch(mean, 2), 0.1), 1)
        drawn = model.place(place, context=context)
        sf.add_cost(drawn.sum(1))
    assert torch.allclose(drawn[:4], -drawn[4:], atol=1e-6)
    graph.loss()
