"""The benchmark of the autoencoder, shortened: runs that go on, variances, and the table.

The figures themselves are made by `python -m benchmarks.vae`.
"""

import json

import pytest
import torch

from benchmarks import vae


@pytest.fixture(scope="module")
def images():
    return torch.rand(200, 784, generator=torch.Generator().manual_seed(0))


def curve(folder, name):
    return json.loads((folder / f"{name}.json").read_text())["curve"]


def test_a_run_goes_on_where_it_ended(images, tmp_path):
    vae.train("disarm", images, 0.02, tmp_path)
    before = curve(tmp_path, "disarm")
    vae.train("disarm", images, 0.02, tmp_path)
    assert curve(tmp_path, "disarm") == before  # it had finished

    saved = torch.load(tmp_path / "disarm.pt")
    vae.train("disarm", images, before[-1][1] + 0.02, tmp_path)
    after = curve(tmp_path, "disarm")
    assert after[: len(before)] == before
    assert after[-1][0] > before[-1][0] == 4 * saved["updates"]
    assert after[-1][1] >= before[-1][1] + 0.02


def test_an_interrupted_run_keeps_its_readings_and_begins_again(images, tmp_path):
    run = vae.readings("arms", images, 10.0, tmp_path, {})
    assert next(run)[:2] == (0, 0.0)
    run.close()

    (tmp_path / "arms.json").write_text(json.dumps({"copies": 4, "curve": [[0, 0.0, -1.0]]}))
    assert vae.collect(tmp_path)["runs"]["arms"]["curve"] == [[0, 0.0, -1.0]]
    vae.train("arms", images, 0.01, tmp_path)
    assert curve(tmp_path, "arms")[0][2] < -500


def test_readings_after_the_saved_state_are_dropped(images, tmp_path):
    vae.train("disarm", images, 0.01, tmp_path)
    before = curve(tmp_path, "disarm")
    longer = {"copies": 4, "curve": [*before, [10**6, 100.0, 0.0]]}
    (tmp_path / "disarm.json").write_text(json.dumps(longer))
    vae.train("disarm", images, before[-1][1] + 0.01, tmp_path)
    assert max(evaluations for evaluations, *_ in curve(tmp_path, "disarm")) < 10**6


@pytest.mark.parametrize("name", vae.METHODS)
def test_every_method_has_a_variance_where_the_trajectory_was_kept(
    name, images, tmp_path, monkeypatch
):
    monkeypatch.setattr(vae, "TRAJECTORY", (1, 10**6))
    monkeypatch.setattr(vae, "UPDATES", 2)
    vae.train("leave-one-out", images, 0.001, tmp_path)
    variances = vae.variances(name, images, tmp_path, draws=3)
    assert list(variances) == [1]
    assert variances[1] > 0


def test_a_variance_is_that_of_the_gradients(images):
    model, objective = vae.autoencoder("leave-one-out")
    x = images[:20].round()
    torch.manual_seed(5)
    measured = vae.variance(model, objective, x, draws=4)

    torch.manual_seed(5)
    gradients = []
    for _ in range(4):
        grads = torch.autograd.grad(objective(x), list(model.encoder.parameters()))
        gradients.append(torch.cat([grad.flatten() for grad in grads]).double())
    assert measured == pytest.approx(float(torch.stack(gradients).var(0).sum()), rel=1e-6)


def test_bounds_are_read_at_what_every_run_has_spent(tmp_path, capsys):
    curves = {
        "leave-one-out": [[0, 0.0, -500.0], [400, 10.0, -300.0], [800, 20.0, -200.0]],
        "disarm": [[0, 0.0, -500.0], [600, 20.0, -260.0]],
        "rodeo": [[0, 0.0, -500.0], [200, 20.0, -350.0]],
    }
    for name, points in curves.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"copies": 4, "curve": points}))
    (tmp_path / "variance.json").write_text(
        json.dumps({"leave-one-out": {"100": 4.0}, "disarm": {"100": 3.0}})
    )
    results = vae.collect(tmp_path)
    assert list(results["at"].values()) == [200, 600, 20.0]
    assert list(results["bounds"]["leave-one-out"].values()) == [-400.0, -250.0, -200.0]
    assert list(results["bounds"]["disarm"].values()) == [-420.0, -260.0, -260.0]
    assert results["bounds"]["rodeo"] == {"evaluations, all": -350.0, "seconds": -350.0}

    vae.show(results)
    assert "0.750" in capsys.readouterr().out
    vae.plot(results, tmp_path / "vae.png")
    assert (tmp_path / "vae.png").stat().st_size > 10_000
