"""Training on generated digits: it learns, it resumes bit for bit, it refuses what does not fit."""

import dataclasses
import json
import signal
from pathlib import Path

import pytest
import torch

from applications.glimpse import data, pictures, weights
from applications.glimpse.__main__ import main
from applications.glimpse.config import Config
from applications.glimpse.outcomes import errors
from applications.glimpse.training import Scenes, Trainer, average, train
from applications.kit.errors import RunError
from applications.kit.files import load_state, save_state
from applications.kit.run import CHECKPOINT, METRICS, Run, read_metrics
from tests.applications.glimpse.digits import generated_digits

TINY = Config(glimpses=3, hidden=32, features=32, batch=32, epochs=2, precision="float32", warp=0.5)


@pytest.fixture(scope="module")
def images():
    return generated_digits(280, 10, seed=0)


def run(folder, config, images, resume=False):
    with Run(folder, config, resume) as folder_of_run:
        return train(config, folder_of_run, images)


def weights_of(folder):
    state = load_state(folder / CHECKPOINT)
    return {name: state[name] for name in ("model", "averaged", "optimizer", "rng", "scenes")}


def flat(state):
    if isinstance(state, dict):
        return [leaf for key in sorted(state, key=str) for leaf in flat(state[key])]
    return [leaf for item in state for leaf in flat(item)] if isinstance(state, list) else [state]


def same(one, other):
    pairs = list(zip(flat(one), flat(other), strict=True))
    assert any(isinstance(a, torch.Tensor) and a.numel() > 100 for a, _ in pairs)
    return all(a.equal(b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"baseline": "both", "samples": 2},
        {"stop_price": 0.1},
        {"policy": "conv"},
        {"task": "cluttered60", "policy": "random", "precision": "bfloat16"},
    ],
    ids=str,
)
@pytest.mark.training
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, images, monkeypatch, change):
    config = dataclasses.replace(TINY, **change)
    assert run(tmp_path / "whole", config, images)
    step = Trainer.step

    def step_and_stop(self):
        step(self)
        if self.tally.update in (5, 13):  # in the middle of the first epoch and of the second
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "step", step_and_stop)
    complete = [run(tmp_path / "parts", config, images, resume) for resume in (False, True, True)]
    assert complete == [False, False, True]
    assert same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts"))
    timeless = [
        [
            {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
            for line in read_metrics(tmp_path / name / METRICS)
        ]
        for name in ("whole", "parts")
    ]
    assert timeless[0] == timeless[1]
    assert len(timeless[0]) == config.epochs
    monkeypatch.setattr(Trainer, "step", step)
    assert run(tmp_path / "other", dataclasses.replace(config, seed=1), images)
    assert not same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "other"))


@pytest.mark.training
def test_learns_to_see_and_keeps_the_best(tmp_path):
    config = Config(
        glimpses=3, hidden=64, features=64, batch=64, epochs=8, precision="float32", warp=0.5
    )
    images = generated_digits(5000, 10, seed=1)
    assert run(tmp_path, config, images)
    lines = read_metrics(tmp_path / METRICS)
    errors = [line["error"] for line in lines]
    assert errors[0] > 0.3
    assert errors[-1] < 0.1
    assert [line["best_error"] for line in lines] == [
        min(errors[: n + 1]) for n in range(len(errors))
    ]
    assert lines[-1]["baseline_fit"] > 0.1
    _, loaded, rest = weights.load(tmp_path / weights.BEST)
    assert loaded == config
    assert rest["metrics"]["error"] == min(errors)


@pytest.mark.training
def test_early_stop(tmp_path, images):
    config = dataclasses.replace(TINY, epochs=50, learning_rate=0.0, patience=2)
    assert run(tmp_path, config, images)
    lines = read_metrics(tmp_path / METRICS)
    best = min(range(len(lines)), key=lambda n: lines[n]["error"])
    assert len(lines) == best + 3
    assert len(lines) < 50


def test_a_limit_on_seconds_can_be_lifted(tmp_path, images):
    assert run(tmp_path, dataclasses.replace(TINY, seconds=0), images)
    assert read_metrics(tmp_path / METRICS) == []
    assert run(tmp_path, TINY, images, resume=True)
    assert len(read_metrics(tmp_path / METRICS)) == TINY.epochs


def test_every_epoch_sees_every_digit_once():
    images = generated_digits(128, 10, seed=0)
    tagged = torch.arange(128).view(-1, 1, 1).expand(-1, 28, 28).to(torch.uint8)
    scenes = Scenes(dataclasses.replace(TINY, warp=0), tagged, images.train_labels, seed=0)
    epochs = []
    for epoch in range(2):
        seen = [scenes.batch(epoch * scenes.per_epoch + index) for index in range(scenes.per_epoch)]
        tags = torch.cat([batch.flatten(1).amax(1) for batch, _ in seen]).long()
        assert torch.cat([labels for _, labels in seen]).equal(images.train_labels[tags])
        assert sorted(tags.tolist()) == list(range(128))
        epochs.append(tags.tolist())
    assert epochs[0] != epochs[1]


def test_the_average_starts_at_once_and_slows_down():
    averaged, present = [torch.zeros(2)], [torch.ones(2)]
    average(averaged, present, torch.tensor(0))
    torch.testing.assert_close(averaged[0], torch.full((2,), 0.9))
    averaged = [torch.zeros(2)]
    average(averaged, present, torch.tensor(10**6))
    torch.testing.assert_close(averaged[0], torch.full((2,), 0.001))


def test_begins_from_trained_weights_with_a_new_head(tmp_path, images):
    assert run(tmp_path / "first", TINY, images)
    start = str(tmp_path / "first" / weights.BEST)
    config = dataclasses.replace(TINY, start=start, stop_price=0.1)
    model = Trainer(config, images).model
    trained, _, _ = weights.load(tmp_path / "first" / weights.BEST)
    assert model.core.linear.weight.equal(trained.core.linear.weight)
    with pytest.raises(
        RunError, match="(?s)mnist28, policy learned: it does not fit .*size mismatch"
    ):
        Trainer(dataclasses.replace(config, hidden=16), images)
    with pytest.raises(RunError, match="does not fit what is asked for: plan, locate"):
        Trainer(dataclasses.replace(config, policy="random"), images)
    with pytest.raises(RunError, match="there is no"):
        Trainer(dataclasses.replace(config, start=str(tmp_path / "none")), images)


@pytest.mark.training
def test_a_price_too_high_is_paid_once():
    """With glimpses dearer than any answer is worth, the model learns to look once."""
    images = generated_digits(2000, 10, seed=2)
    config = dataclasses.replace(
        TINY,
        policy="centre",
        stop_price=100.0,
        earlier_weight=0.0,
        epochs=15,
        learning_rate=5e-3,
        warp=0,
    )
    trainer = Trainer(config, images)
    before = errors(trainer.model, *trainer.validation).mean_glimpses
    while trainer.tally.update < trainer.updates:
        trainer.step()
    after = errors(trainer.model, *trainer.validation).mean_glimpses
    assert before > 2
    assert after < 1.1


@pytest.mark.parametrize(("every", "looks"), [(None, 3.0), (1.0, 1.0)])
@pytest.mark.training
def test_a_low_price_is_paid(every, looks):
    """Looking on tells more and costs next to nothing; counting every answer makes it dear."""
    images = generated_digits(1500, 10, seed=2)
    config = Config(glimpses=3, hidden=32, features=32, batch=32, precision="float32", warp=0)
    config = dataclasses.replace(
        config, policy="random", stop_price=1e-3, earlier_weight=every, epochs=6, learning_rate=5e-3
    )
    trainer = Trainer(config, images)
    while trainer.tally.update < trainer.updates:
        trainer.step()
    assert errors(trainer.model, *trainer.validation).mean_glimpses == pytest.approx(looks, abs=0.3)


def test_a_price_is_the_highest_unless_told(images):
    model = Trainer(dataclasses.replace(TINY, stop_price=0.25), images).model
    assert model.prices(3).tolist() == [0.25] * 3
    assert model.prices(3, 0.125).tolist() == [0.125] * 3
    assert model.prices(2, torch.tensor([0.5, 0.75])).tolist() == [0.5, 0.75]
    assert Trainer(TINY, images).model.prices(3, 0.1) is None


def test_the_command_line(tmp_path, images, monkeypatch, capsys):
    monkeypatch.setattr(data, "ensure", lambda name, folder: images)
    drawn, folder = [], tmp_path / "run"
    monkeypatch.setattr(pictures, "plot", drawn.append)
    small = ["--glimpses", "2", "--hidden", "16", "--batch", "32", "--epochs", "1"]
    told = ["train", "--run-dir", str(folder), "--folder", "images", "--plot"]
    assert main([*told, *small]) == 0
    assert "the run is in" in capsys.readouterr().out
    assert drawn == [pictures.Options(run_dir=folder, folder=Path("images"))]
    assert main(["train", "--run-dir", str(folder), *small]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main(["train", "--run-dir", str(folder), "--resume", "--seed", "5"]) == 2
    assert "has seed = 0, not 5" in capsys.readouterr().err
    assert main(["export", "--run-dir", str(folder), "--output", str(tmp_path / "w")]) == 0
    assert (tmp_path / "w").stat().st_size < (folder / weights.BEST).stat().st_size * 0.7
    model, config, rest = weights.load(tmp_path / "w")
    best, same_config, _ = weights.load(folder / weights.BEST)
    assert config == same_config
    assert (
        rest["origin"]["commit"]
        == json.loads((folder / "config.json").read_text())["origin"]["commit"]
    )
    for (name, one), other in zip(model.named_parameters(), best.parameters(), strict=True):
        if not name.startswith(weights.BASELINES):
            assert (one - other).abs().max() <= other.abs().max() / 2000 + 1e-7
    assert main(["export"]) == 2
    assert "name it by --run-dir" in capsys.readouterr().err


def test_a_damaged_file_is_refused_by_name(tmp_path, images):
    assert run(tmp_path, TINY, images)
    path = tmp_path / weights.BEST
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"best\.safetensors is damaged"):
        weights.load(path)


def test_another_version_of_the_network_is_refused_by_name(tmp_path, images):
    assert run(tmp_path, TINY, images)
    state = load_state(tmp_path / weights.BEST)
    for change in ({"core.linear.weight": None}, {"core.linear.weight": torch.zeros(3)}):
        kept = {name: value for name, value in state["weights"].items() if name not in change}
        kept |= {name: value for name, value in change.items() if value is not None}
        save_state(tmp_path / "w", {**state, "weights": kept})
        with pytest.raises(
            RunError, match=r"(?s)w is of another version of the network.*core\.linear"
        ):
            weights.load(tmp_path / "w")
