"""Comparing estimators: the figures on known gradients, and what must come out of real ones."""

import io
import math
import os
import signal
from dataclasses import replace
from functools import partial

import pytest
import torch
from PIL import Image
from rich.console import Console

import applications.memory.compare as comparison
from applications.kit.errors import RunError
from applications.kit.run import METRICS, read_metrics
from applications.memory import study, training
from applications.memory.compare import (
    CASES,
    Outcome,
    Spread,
    case,
    cost,
    fit,
    gradients,
    half_train,
    reached,
    spread,
    table,
)
from applications.memory.config import Config
from applications.memory.study import Result
from applications.memory.training import Trainer

LUCKY = Config(units=8, first=10, last=10, strict=False, slack=0.0)
"""Ten letters of which many are guessed: a cost that all runs have in common."""
SMALL = Config(units=4, batch=16, updates=3)
Z = 4.8
"""Standard errors: by chance so far off in one direction 1 of 10⁶ times."""


def line(update, level, error=0.5):
    return {"update": update, "level": level, "error": error}


# ---------------------------------------------------------------- the figures


def test_the_variance_is_unbiased_and_its_error_that_of_a_mean():
    torch.manual_seed(0)
    found = torch.randn(7, 5) + torch.arange(5.0)
    assert spread(found).variance == pytest.approx(found.var(0).sum().item())
    squares = torch.tensor([1.0, 1.0, 9.0, 9.0]) * 4 / 3  # of 1, −1, 3, −3, whose mean is 0
    wanted = Spread(squares.mean().item(), squares.std().item() / 2)
    assert spread(torch.tensor([[1.0], [-1.0], [3.0], [-3.0]])) == pytest.approx(wanted)


def test_a_level_is_reached_once_or_never():
    course = [line(50, 3), line(100, 7), line(150, 10), line(200, 10)]
    assert [reached(course, level) for level in (3, 4, 10)] == [50, 100, 150]
    assert reached(course[:2], 10) == reached([], 3) == math.inf


def test_the_table_tells_seeds_solved_and_medians():
    quick, slow = [line(50, 3), line(100, 10)], [line(50, 3), line(300, 10)]
    good, fair, bad = (Result(0, near, [], 60.0 * near) for near in (1.0, 0.99, 0.9899))
    found = {
        "none": Outcome(Spread(0.5, 0.1), [good, bad, bad], [quick, [], []]),
        "leave-one-out 8": Outcome(Spread(0.125, 0.01), [good, fair, bad], [slow, quick, quick]),
    }
    output = io.StringIO()
    Console(file=output, width=120).print(table(Config(task="reverse"), found))
    rows = [" ".join(row.split()) for row in output.getvalue().splitlines()]
    assert "none 256 × 1 0.5 ± 0.1 1 1 of 3 1.0 never" in rows
    assert "leave-one-out 8 32 × 8 0.12 ± 0.01 0.25 2 of 3 1.0 100" in rows


# ---------------------------------------------------------------- the gradients


def test_every_case_makes_as_many_evaluations():
    for name in CASES:
        config = case(Config(), name, seed=3)
        problems, _ = Trainer(config).draw_problems()
        runs = config.samples + (name == "self-critical")
        assert len(problems.tape) * runs == Config.batch, name
        assert (config.seed, config.baseline) == (3, name.rstrip(" 12468"))


@pytest.mark.training
def test_baselines_take_away_what_costs_have_in_common(monkeypatch):
    monkeypatch.setattr(comparison, "FITTING", 60)
    program = Trainer(LUCKY)

    def measured(name, seed=1):
        return spread(gradients(case(LUCKY, name, seed), program, 48))

    def less(found):
        """How much less than without a baseline, in standard errors."""
        return (plain.variance - found.variance) / math.hypot(plain.error, found.error)

    plain = measured("none")
    for name in ("learned", "leave-one-out 8"):
        assert less(measured(name)) > Z, name
    assert abs(less(measured("none", seed=2))) < Z  # the same estimator is no better


@pytest.mark.parametrize("name", ["average", "learned"])
@pytest.mark.training
def test_fitting_changes_the_baseline_alone(name, monkeypatch):
    monkeypatch.setattr(comparison, "FITTING", 2)
    trainer = Trainer(case(LUCKY, name, seed=0))
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    fit(trainer)
    for key, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[key]) is not key.startswith("act."), key


@pytest.mark.training
def test_training_by_half_ends_when_so_much_is_right_or_with_the_updates(monkeypatch):
    assert half_train(SMALL).tally.update == SMALL.updates
    monkeypatch.setattr(comparison, "HALF", 0.04)
    program = half_train(replace(SMALL, updates=1000))
    assert 0.04 <= program.tally.average < 0.1
    assert 1 < program.tally.update < 100


def test_gradients_are_those_of_the_program_as_it_is(monkeypatch):
    """At its level, with its weights, which stay; and with the baseline as it was fitted."""
    monkeypatch.setattr(comparison, "FITTING", 1)
    program, seen = half_train(SMALL), []
    program.tally.level = 4
    before = {key: value.clone() for key, value in program.model.state_dict().items()}

    def watched(trainer):
        seen.append((trainer.tally.level, trainer.model.state_dict()["act.baseline.mass"].item()))
        for key, value in trainer.model.controller.state_dict().items():
            assert torch.equal(value, before[f"controller.{key}"]), key
        return cost(trainer)

    monkeypatch.setattr(comparison, "cost", watched)
    found = gradients(case(SMALL, "average", seed=1), program, 2)
    assert found.shape == (2, sum(p.numel() for p in program.model.controller.parameters()))
    assert [level for level, _ in seen] == [4, 4, 4]
    masses = [mass for _, mass in seen]
    assert 0 == masses[0] < masses[1] == masses[2]
    assert all(torch.equal(before[k], value) for k, value in program.model.state_dict().items())


# ---------------------------------------------------------------- the command


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Options of a comparison that takes a second."""
    monkeypatch.setattr(comparison, "CASES", {n: CASES[n] for n in ("none", "leave-one-out 2")})
    monkeypatch.setattr(comparison, "TRAINED", "leave-one-out 2")
    monkeypatch.setattr(comparison, "Config", partial(Config, batch=16, updates=4, units=4, last=3))
    monkeypatch.setattr(training, "METRICS_INTERVAL", 2)
    monkeypatch.setattr(study, "FAR", ())
    return comparison.Options(seeds=range(2), batches=3, run_dir=tmp_path / "runs", output=tmp_path)


def test_the_command_trains_tells_and_draws(asked, capsys):
    comparison.compare(asked)
    output = capsys.readouterr().out
    assert "reverse by moves: 16 runs per update" in output
    for name, sizes in (("none", "16 × 1"), ("leave-one-out 2", "8 × 2")):
        (row,) = (row for row in output.splitlines() if row.startswith(name))
        assert sizes in row
        assert "0 of 2" in row
        for seed in "01":
            course = read_metrics(asked.run_dir / name.replace(" ", "-") / seed / METRICS)
            assert [line["update"] for line in course] == [2, 4]
    with Image.open(asked.output / "baselines.png") as picture:
        assert picture.width > 2 * picture.height > 600


def test_a_comparison_that_was_stopped_goes_on(asked, monkeypatch):
    steps, step = [], Trainer.step

    def interrupted(trainer):
        steps.append(trainer.config.seed)
        step(trainer)
        if len(steps) == 6:  # in the second seed
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(RunError, match="stopped; the same command continues from .*none/1"):
        comparison.compare(asked)
    assert steps == [0] * 4 + [1] * 2
    monkeypatch.setattr(comparison, "CASES", {"none": CASES["none"]})
    monkeypatch.setattr(comparison, "measure", lambda *_: {"none": Spread(1.0, 0.1)})
    comparison.compare(asked)
    assert steps == [0] * 4 + [1] * 4
