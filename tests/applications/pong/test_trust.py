"""A bound on the divergence of Pong's policy: one step a roll-out, no longer than it may be."""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.distributions import kl_divergence

from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, METRICS, read_metrics
from applications.pong import fast
from applications.pong.__main__ import main
from applications.pong.config import stages
from applications.pong.frames import Frames, Pairs
from applications.pong.games import Settings, make_emulators
from applications.pong.ranks import Ranks
from applications.pong.rollout import Collector, groups
from applications.pong.trust import TrustLearner
from tests.applications.pong.lights import ACTIONS, QUICK, VIEW, train

BOUND = 0.02
TRUST = pytest.mark.parametrize("trust", ["line", "natural"])


def asked(trust, **options):
    return replace(QUICK, trust=trust, network=None, max_kl=BOUND, **options)


@pytest.fixture(scope="module")
def pong():
    """Two roll-outs of Pong, 256 steps each, and the learner that the first was played by."""
    config = asked("line", entropy_coefficient=0.0)
    learner = TrustLearner(config, 2, VIEW.scale)
    torch.nn.init.normal_(learner.model.heads.weight)
    make = partial(make_emulators, Settings("pong", 0.0), view=VIEW)
    games = groups(make, 4, partial(Pairs, VIEW), ACTIONS, seed=0)
    collector = Collector(games, 64, VIEW.scale)
    return learner, [collector.collect(learner.model) for _ in range(2)]


@TRUST
@pytest.mark.training
def test_a_step_on_real_games_is_within_the_bound_and_uses_it(trust, pong):
    first, rollouts = pong
    learner = TrustLearner(asked(trust, entropy_coefficient=0.0), 2, VIEW.scale)
    learner.model.load_state_dict(first.model.state_dict())
    stage = stages(learner.config)[1]
    for steps in rollouts:
        frames = Frames.of(*steps.changes, 1.0)
        before = deepcopy(learner.model)
        metrics = learner.learn(steps, stage, left=1.0)
        with torch.no_grad():
            old, new = before.choose(frames), learner.model.choose(frames)
        divergence = kl_divergence(old, new).mean().item()
        assert metrics["kl"] == pytest.approx(divergence, rel=1e-3)
        assert BOUND / 20 < divergence <= BOUND
        moves, advantage = steps.moves.flatten(), learner.judge(steps)[0].flatten()
        drawn = steps.log_probs.flatten()
        gains = [((d.log_prob(moves) - drawn).exp() * advantage).mean() for d in (old, new)]
        assert gains[1] > gains[0] + 1e-3


def test_an_unbounded_step_would_leave_it(pong):
    learner, rollouts = pong
    wide = TrustLearner(replace(learner.config, max_kl=1e9), 2, VIEW.scale)
    wide.model.load_state_dict(learner.model.state_dict())
    assert wide.learn(rollouts[0], stages(wide.config)[1], left=1.0)["kl"] > 2 * BOUND


def test_what_it_expects_is_learned_apart(pong):
    """The fit moves the critic alone, and the step of the policy nothing of the critic's."""
    _, (steps, _) = pong
    learner = TrustLearner(asked("line"), 2, VIEW.scale)
    before = deepcopy(learner.model.state_dict())
    stage, (advantage, target) = stages(learner.config)[1], learner.judge(steps)
    learner.follow(steps, advantage.flatten(), 1.0)
    followed = deepcopy(learner.model.state_dict())
    changed = {name for name in before if not torch.equal(before[name], followed[name])}
    assert changed == {"w1", "b1", "heads.weight", "heads.bias"}

    def error():
        with torch.no_grad():
            value = learner.model(Frames.of(*steps.changes, 1.0))[1]
        return (value - target.flatten()).square().mean().item()

    was = error()
    learner.fit(steps, target.flatten(), stage, 1.0)
    fitted = learner.model.state_dict()
    moved = {name for name in before if not torch.equal(followed[name], fitted[name])}
    assert {name.split(".")[0] for name in moved} == {"critic"}
    assert error() < 0.8 * was


def test_entropy_is_rewarded_less_and_less(pong):
    _, (steps, _) = pong
    learner, kept = TrustLearner(asked("line", entropy_coefficient=0.5), 2, VIEW.scale), []
    torch.nn.init.normal_(learner.model.heads.weight)

    def note(surrogate, divergence):
        kept.append(surrogate().item())
        return learner_step(surrogate, divergence)

    learner_step, learner.region.step = learner.region.step, note
    dist = deepcopy(learner.model).choose(Frames.of(*steps.changes, 1.0))
    advantage = learner.judge(steps)[0].flatten()
    ratio = (dist.log_prob(steps.moves.flatten()) - steps.log_probs.flatten()).exp()
    gain, entropy = (ratio * advantage).mean().item(), dist.entropy().mean().item()
    learner.follow(steps, advantage, left=0.4)
    assert kept == [pytest.approx(-gain - 0.5 * 0.4 * entropy, rel=1e-5)]
    assert entropy > 0.1


@TRUST
@pytest.mark.training
def test_it_learns_where_the_light_is(trust, tmp_path):
    config = asked(trust, steps=3840, hidden=16)
    train(tmp_path / "run", replace(config, max_kl=0.1))
    metrics = read_metrics(tmp_path / "run" / METRICS)
    assert abs(metrics[0]["mean_return"]) < 6
    assert np.mean(metrics[-1]["returns"]) > 10
    assert max(line["kl"] for line in metrics) <= 0.1
    state = load_state(tmp_path / "run" / CHECKPOINT)
    length = state["region"]["length"]
    other = TrustLearner(config, 3, VIEW.scale)
    assert other.region.length != length
    other.load_state_dict(state)
    assert other.region.length == length


def test_refusals(tmp_path, capsys, monkeypatch):
    told = ["train", "--trust", "line", "--run-dir", str(tmp_path / "run")]
    assert main([*told, "--network", "conv"]) == 2
    assert "in the network conv it shares its units: use --network apart" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match="--trust line learns in one process"):
        TrustLearner(asked("line"), 2, VIEW.scale, Ranks())
    assert fast.Config(trust="natural").network == "apart"
    assert fast.Config().network == "dense"
