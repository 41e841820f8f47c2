"""A teacher is imitated before the policy goes on by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from applications.kit.errors import RunError
from applications.kit.run import METRICS, read_metrics
from applications.pong.config import Config, stages
from applications.pong.frames import Frames
from applications.pong.learner import Learner
from tests.applications.pong.lights import QUICK, VIEW, by_product, collector, opinionated, train

STUDENT = replace(QUICK, imitation_steps=1280, steps=256, learning_rate=3e-4, seed=5)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The folder of a run that learned where the light is."""
    folder = tmp_path_factory.mktemp("lights") / "teacher"
    train(folder, QUICK)
    return folder


def test_the_loss_is_how_unlikely_the_teachers_moves_are():
    torch.manual_seed(0)
    learner = Learner(replace(QUICK, value_coefficient=0.7), 2, VIEW.scale)
    steps = collector(4, 16).collect(opinionated(learner.model))
    torch.nn.init.normal_(learner.model.heads.weight)
    frames, moves, old = (
        Frames.of(*steps.changes, 1.0),
        *map(torch.flatten, (steps.moves.double(), steps.log_probs)),
    )
    target = torch.randn(64, dtype=torch.float64)
    dist, value = by_product(learner.model, frames.dense(learner.model.size))
    unlikely = -dist.log_prob(moves).mean()
    wanted = unlikely + 0.7 * (value - target).square().mean(), dist.entropy().mean()
    loss, entropy, divergence, _ = learner.imitate(frames, moves, old, target, target)
    torch.testing.assert_close(loss, wanted[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(entropy, wanted[1], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(divergence, old.mean() + unlikely, rtol=1e-9, atol=1e-12)


@pytest.mark.training
def test_a_student_plays_as_its_teacher_did(teacher, tmp_path):
    train(tmp_path / "run", replace(STUDENT, teacher=str(teacher)))
    taught = read_metrics(tmp_path / "run" / METRICS)
    lessons = STUDENT.imitation_steps // 128
    assert len(taught) == lessons + 2
    assert all(line["returns"] == [] for line in taught[:lessons])  # they are the teacher's
    assert taught[lessons - 1]["episodes"] == 0
    assert taught[0]["won"] > 120
    assert taught[lessons - 1]["kl"] < taught[0]["kl"] / 3
    assert taught[lessons]["won"] > 110  # its first own moves
    assert np.mean(taught[-1]["returns"]) > 8

    train(tmp_path / "alone", replace(STUDENT, imitation_steps=0))
    assert read_metrics(tmp_path / "alone" / METRICS)[0]["won"] < 90


@pytest.mark.training
def test_the_stages_follow_each_other():
    parts = stages(Config(imitation_steps=100, steps=1000, sticky_steps=500))
    assert [(part.begin, part.end) for part in parts] == [(0, 100), (100, 1100), (1100, 1600)]
    assert [part.imitation for part in parts] == [True, False, False]
    assert [part.sticky for part in parts] == [0.0, 0.0, 0.25]
    rates = [part.learning_rate for part in parts]
    assert rates == pytest.approx([2.5e-3, 3e-4, 0.6 * 3e-4])
    assert Config().learning_rate == 2.5e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": "difference"}, "the teacher was trained with frames pair, and this policy has"),
        ({"game": "breakout"}, "the teacher was trained with game pong"),
        ({"rest": False}, "the teacher was trained with rest True, and this policy has False"),
        ({"teacher": "nowhere"}, "there is no nowhere"),
    ],
)
def test_another_kind_of_teacher_is_refused(options, message, teacher, tmp_path):
    config = replace(STUDENT, **{"teacher": str(teacher), **options})
    with pytest.raises(RunError, match=message):
        train(tmp_path / "run", config)
