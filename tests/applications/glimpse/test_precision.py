"""The precision of the matrix products: whichever is faster, told, kept."""

import json

import pytest

from applications.glimpse import data, precision, training
from applications.glimpse.__main__ import main
from applications.glimpse.config import Config
from applications.glimpse.precision import BFLOAT16, FLOAT32, PRECISIONS, faster_precision
from applications.glimpse.training import Trainer, choose_precision
from tests.applications.glimpse.digits import generated_digits


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({FLOAT32: 1.0, BFLOAT16: 60.0}, FLOAT32),  # emulated
        ({FLOAT32: 1.0, BFLOAT16: 0.95}, FLOAT32),  # not worth its rounding
        ({FLOAT32: 1.0, BFLOAT16: 0.6}, BFLOAT16),  # native
    ],
)
def test_the_faster_one_is_taken(monkeypatch, seconds, chosen):
    monkeypatch.setattr(precision, "_time", lambda step, name: seconds[name])
    assert faster_precision() == chosen


def test_one_slow_moment_does_not_decide(monkeypatch):
    pauses = iter([50.0] + [0.0] * 100)
    usual = {FLOAT32: 1.0, BFLOAT16: 0.5}
    monkeypatch.setattr(precision, "_time", lambda step, name: usual[name] + next(pauses))
    assert faster_precision() == BFLOAT16


def test_both_are_really_timed():
    assert faster_precision(rows=4, units=8, rounds=1) in PRECISIONS


def test_a_precision_that_is_named_is_kept(monkeypatch):
    monkeypatch.setattr(training, "faster_precision", lambda rows: pytest.fail("it is named"))
    for name in PRECISIONS:
        assert choose_precision(Config(precision=name)).precision == name


def test_a_trainer_needs_one():
    with pytest.raises(ValueError, match=r"precision is None: let choose_precision\(\) fill it in"):
        Trainer(Config(), generated_digits(100, 10, seed=0))


def test_a_run_tells_its_precision_and_keeps_it_when_resumed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data, "ensure", lambda name, folder: generated_digits(280, 10, seed=0))
    folder = tmp_path / "run"
    small = ["--hidden", "16", "--features", "16", "--batch", "32"]
    train = ["train", "--run-dir", str(folder)]

    def chosen():
        return json.loads((folder / "config.json").read_text())["precision"]

    monkeypatch.setattr(training, "faster_precision", lambda rows: BFLOAT16)
    assert main([*train, *small, "--epochs", "2", "--seconds", "0"]) == 0
    assert chosen() == BFLOAT16
    assert "in bfloat16" in capsys.readouterr().out

    # The processor that goes on may be another one: the run stays what it was.
    monkeypatch.setattr(training, "faster_precision", lambda rows: FLOAT32)
    assert main([*train, "--resume"]) == 0
    assert chosen() == BFLOAT16
    assert "in bfloat16" in capsys.readouterr().out
