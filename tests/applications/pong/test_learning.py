from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from applications.kit.run import METRICS, Run, read_metrics
from applications.pong import blog
from applications.pong.games import Settings, make_emulators, view_and_actions
from applications.pong.policy import Policy
from applications.pong.rollout import Rollout
from tests.applications.pong.lights import Lights

CONFIG = blog.Config()


@pytest.fixture(scope="module")
def recorded():
    """A policy in float64 and an episode it played on the real emulator."""
    torch.manual_seed(0)
    view, actions = view_and_actions("pong")
    policy, episodes = Policy().double(), []
    settings = Settings("pong", 0.25)
    rollout = Rollout(lambda games: make_emulators(settings, games, view), 2, view, actions, 0)
    while not episodes:
        episodes += rollout.step(policy)
    episode = episodes[0]
    exact = replace(
        episode, moves=episode.moves.astype(float), rewards=episode.rewards.astype(float)
    )
    assert set(np.unique(exact.rewards)) <= {-1, 0, 1}
    assert max(exact.rewards.clip(0).sum(), -exact.rewards.clip(None, 0).sum()) == 21
    return policy, exact, view


def gradient(policy, episode, view):
    policy.zero_grad()
    blog.add_gradient(policy, episode, view, CONFIG)
    return policy.w1.grad.clone(), policy.w2.grad.clone()


def by_hand(policy, episode, view):
    """The gradient of the cost by backpropagation written out."""
    x = episode.frames(view, 0, len(episode.moves)).dense().double().numpy()
    w1, w2 = policy.w1.detach().numpy(), policy.w2.detach().numpy()
    h = np.maximum(x @ w1, 0)
    up = 1 / (1 + np.exp(-(h @ w2)[:, 0]))
    good, total = np.zeros(len(x)), 0.0
    for t in reversed(range(len(x))):
        if episode.rewards[t] != 0:
            total = 0.0
        good[t] = total = episode.rewards[t] + 0.99 * total
    good = (good - good.mean()) / good.std()
    d_logit = ((up - episode.moves) * good)[:, None]  # of −good · log p(move)
    d_h = (d_logit @ w2.T) * (h > 0)
    return x.T @ d_h, h.T @ d_logit


def assert_same(got, wanted, tolerance):
    for a, b in zip(got, wanted, strict=True):
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def test_gradient_is_hand_written_backpropagation(recorded):
    got, wanted = gradient(*recorded), by_hand(*recorded)
    assert_same([g.numpy() for g in got], wanted, 1e-7)
    assert np.abs(wanted[0]).max() > 0.1  # the sum over decisions, not their mean


def test_gradient_does_not_depend_on_the_chunks(recorded, monkeypatch):
    whole = gradient(*recorded)
    monkeypatch.setattr(blog, "CHUNK_STEPS", 97)
    assert_same(gradient(*recorded), whole, 1e-12)


def test_alternative_view_sampled_moves_as_labels(recorded):
    """The text: supervised learning with the sampled move as a fake label, times the advantage."""
    policy, episode, view = recorded
    got = gradient(*recorded)
    advantage = blog.advantages(episode, CONFIG)
    policy.zero_grad()
    logits = policy(episode.frames(view, 0, len(episode.moves))).logits
    labels = torch.from_numpy(episode.moves)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    (advantage * cross_entropy).sum().backward()
    assert_same([policy.w1.grad, policy.w2.grad], got, 1e-7)


def test_returns_restart_at_points_and_are_standardised(recorded):
    _, episode, _ = recorded
    advantage = blog.advantages(episode, CONFIG)
    assert advantage.mean().abs() < 1e-9
    assert advantage.square().mean() == pytest.approx(1, rel=1e-6)
    short = replace(episode, rewards=np.array([0.0, 1, 0, -1, 0]))
    raw = np.array([0.99, 1, -0.99, -1, 0])
    np.testing.assert_allclose(
        blog.advantages(short, CONFIG), (raw - raw.mean()) / raw.std(), rtol=1e-7
    )
    other = blog.advantages(short, replace(CONFIG, game="breakout", discount=0.5))
    raw = np.array([0.375, 0.75, -0.5, -1, 0])
    np.testing.assert_allclose(other, (raw - raw.mean()) / raw.std(), rtol=1e-7)
    assert blog.advantages(replace(episode, rewards=np.array([1.0])), CONFIG).tolist() == [0]


@pytest.mark.parametrize(
    ("credit", "game", "wanted"),
    [
        ("game", "pong", [1, 1, -1, -1, -1, -1, 0]),  # nobody has won the last one yet
        ("episode", "pong", [-1] * 7),
        ("game", "breakout", [-1] * 7),
    ],
)
def test_moves_of_a_game_share_its_outcome(recorded, credit, game, wanted):
    rewards = np.array([0.0, 1, 0, 0, -1, -1, 0])
    short = replace(recorded[1], rewards=rewards)
    assert blog.advantages(short, replace(CONFIG, credit=credit, game=game)).tolist() == wanted


def test_an_update_is_rmsprop_on_the_gradients_of_every_episode_once(tmp_path, monkeypatch):
    finished, learned, batch, courses = [], [], [], []
    play, add = Rollout.step, blog.add_gradient

    def playing(rollout, policy):
        episodes = play(rollout, policy)
        finished.extend(episodes)
        return episodes

    def adding(policy, episode, *told):
        learned.append(episode)
        batch.append((policy, episode, *told))
        return add(policy, episode, *told)

    class Noting(torch.optim.RMSprop):
        def step(self):
            policy = batch[0][0]
            fresh = deepcopy(policy)
            fresh.zero_grad()
            for _, *told in batch:
                add(fresh, *told)
            assert torch.equal(fresh.w1.grad, policy.w1.grad)  # of this batch, and no other
            before = policy.w1.detach().clone()
            super().step()
            courses.append((policy.w1.grad.clone(), before, policy.w1.detach().clone()))
            batch.clear()

    monkeypatch.setattr(blog, "make_emulators", lambda settings, games, view: Lights(games))
    monkeypatch.setattr(Rollout, "step", playing)
    monkeypatch.setattr(blog, "add_gradient", adding)
    monkeypatch.setattr(blog, "RMSprop", Noting)
    config = blog.Config(
        environments=8, batch_episodes=3, episodes=30, learning_rate=2e-3, decay=0.9
    )
    with Run(tmp_path / "run", config, resume=False) as run:
        assert blog.train(config, run)
    assert len(learned) == 30
    assert all(got is ended for got, ended in zip(learned, finished, strict=False))
    cache = torch.zeros(())
    for got, before, after in courses:
        cache = 0.9 * cache + 0.1 * got**2
        wanted = before - 2e-3 * got / (cache.sqrt() + 1e-5)
        torch.testing.assert_close(after, wanted, rtol=1e-5, atol=1e-7)
    assert max((after - before).abs().max() for _, before, after in courses) > 1e-3


@pytest.mark.training
def test_the_recipe_learns_where_the_light_is(tmp_path, monkeypatch):
    monkeypatch.setattr(blog, "make_emulators", lambda settings, games, view: Lights(games))
    config = blog.Config(environments=8, episodes=400, learning_rate=1e-3)
    with Run(tmp_path / "run", config, resume=False) as run:
        assert blog.train(config, run)
    metrics = read_metrics(tmp_path / "run" / METRICS)
    assert [line["update"] for line in metrics] == list(range(1, 41))
    assert metrics[0]["mean_return"] < 4  # before the first update: 0 ± 1.1
    assert metrics[-1]["mean_return_100"] > 9  # 11 is perfect
    assert metrics[-1]["entropy"] < metrics[0]["entropy"] / 2


@pytest.mark.training
def test_nothing_is_learned_from_the_credit_of_other_moves(tmp_path, monkeypatch):
    credited = blog.advantages
    monkeypatch.setattr(blog, "make_emulators", lambda settings, games, view: Lights(games))
    monkeypatch.setattr(blog, "advantages", lambda *told: credited(*told).roll(1))
    config = blog.Config(environments=8, episodes=400, learning_rate=1e-3)
    with Run(tmp_path / "run", config, resume=False) as run:
        assert blog.train(config, run)
    assert abs(read_metrics(tmp_path / "run" / METRICS)[-1]["mean_return_100"]) < 5


@pytest.mark.training
def test_a_seed_fixes_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(blog, "make_emulators", lambda settings, games, view: Lights(games))
    courses = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        config = blog.Config(environments=4, episodes=50, seed=seed)
        with Run(tmp_path / name, config, resume=False) as run:
            blog.train(config, run)
        lines = read_metrics(tmp_path / name / METRICS)
        courses.append([(line["returns"], line["entropy"]) for line in lines])
    assert courses[0] == courses[1] != courses[2]
