"""Classic control: environments in tensors, each method against what is known, a whole run."""

import json
from dataclasses import replace
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch.nn.utils import vector_to_parameters

from applications.control import __main__ as control
from applications.control import cross_entropy, deterministic, pictures, rollout
from applications.control.config import Config
from applications.control.cross_entropy import CrossEntropy
from applications.control.deterministic import Deterministic, Memory
from applications.control.environments import TASKS, Environments, Step, play
from applications.control.evaluate import load_policy
from applications.control.policies import Policy
from applications.control.rollout import Player, episode_returns
from applications.control.score_function import ScoreFunction
from applications.control.training import LEARNERS, Trainer
from applications.control.trust_region import TrustRegionStep
from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import read_metrics

CARTPOLE, PENDULUM = TASKS["CartPole-v1"], TASKS["Pendulum-v1"]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------- environments


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_tasks_are_what_gymnasium_says(task):
    env = gymnasium.make(task.name)
    assert env.observation_space.shape == (task.observation,)
    assert env.spec.max_episode_steps == task.horizon
    if task.discrete:
        assert env.action_space.n == task.actions
    else:
        assert env.action_space.shape == (task.actions,)
        assert env.action_space.high.tolist() == [task.largest] * task.actions


@torch.no_grad()
def alone(task, seed, act):
    """An episode in gymnasium's own environment: its observations and rewards."""
    env = gymnasium.make(task.name)
    seen, rewards, done = [torch.from_numpy(env.reset(seed=seed)[0])], [], False
    while not done:
        observation, reward, terminated, truncated, _ = env.step(act(seen[-1][None])[0].numpy())
        seen.append(torch.from_numpy(observation))
        rewards.append(float(reward))
        done = terminated or truncated
    return seen, rewards


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_playing_side_by_side_is_playing_alone(task):
    act = Policy(task, 4).best
    rng = torch.get_rng_state()
    played = play(Environments(task, 3), act)
    torch.set_rng_state(rng)
    seed = int(torch.randint(2**31 - 3, ()))
    rewards = [alone(task, seed + index, act)[1] for index in range(3)]
    assert played.returns.tolist() == pytest.approx([sum(own) for own in rewards], rel=1e-5)
    assert played.steps == sum(map(len, rewards))


def push_left(observation):
    return torch.zeros(len(observation), dtype=torch.long)


def test_where_an_episode_ends_its_last_observation_is_told_and_the_next_begins():
    environments = Environments(CARTPOLE, 1)
    rng = torch.get_rng_state()
    environments.reset()
    torch.set_rng_state(rng)
    seen, _ = alone(CARTPOLE, int(torch.randint(2**31 - 1, ())), push_left)
    steps = [environments.step(push_left(seen[0][None])) for _ in seen[1:]]
    for step, wanted in zip(steps, seen[1:], strict=True):
        torch.testing.assert_close(step.following[0], wanted)
    assert [bool(step.terminated) for step in steps] == [False] * (len(steps) - 1) + [True]
    assert not any(step.truncated for step in steps)
    assert steps[-1].observation.abs().max() <= 0.05  # where CartPole begins
    assert steps[-1].following.abs().max() > 0.2


def test_time_that_is_up_is_no_failure():
    environments = Environments(PENDULUM, 2)
    environments.reset()
    steps = [environments.step(torch.zeros(2, 1)) for _ in range(PENDULUM.horizon)]
    assert steps[-1].truncated.all()
    assert not any(step.truncated.any() for step in steps[:-1])
    assert not any(step.terminated.any() for step in steps)


# ---------------------------------------------------------------- policies and rollouts


def test_the_best_action_is_the_likeliest():
    observation = torch.randn(20, 4)
    policy = Policy(CARTPOLE, 8)
    assert torch.equal(policy.best(observation), policy(observation).probs.argmax(-1))
    policy, observation = Policy(PENDULUM, 8), 100 * torch.randn(20, 3)
    torch.testing.assert_close(policy.best(observation), policy(observation).mean)
    assert policy.best(observation).abs().max() <= 2
    assert policy(observation).log_prob(torch.zeros(20, 1)).shape == (20,)


def steps_of(reward, terminated, truncated):
    """Steps `[T]` of one environment; what follows step t is seen as 10 + t."""
    following = 10 + torch.arange(float(len(reward)))
    return [
        Step(
            torch.zeros(1, 3),
            x.expand(1, 3),
            torch.tensor([r]),
            torch.tensor([e]),
            torch.tensor([u]),
        )
        for x, r, e, u in zip(following, reward, terminated, truncated, strict=True)
    ]


def test_episode_returns_by_hand():
    steps = steps_of([1.0, 2.0, 4.0, 8.0], [False, True, False, False], [False] * 3 + [True])
    assert episode_returns(steps).tolist() == [3, 12]
    assert episode_returns(steps[:3]).tolist() == [3]


def test_advantages_know_failure_from_time_that_is_up():
    player = Player(Config(environment="Pendulum-v1", units=0))
    player.value = lambda observation: observation[..., 0]
    task = player.task = replace(player.task, scale=2.0, discount=0.5)
    reward, ends = [1.0, 2.0, 3.0, 4.0], [False, True, False, False]
    steps = steps_of(reward, ends, [False, False, True, False])
    value = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    found = player.advantage(steps, value)[:, 0].tolist()
    fourth = 2 * 4 + task.discount * 13 - 4
    third = 2 * 3 + task.discount * 12 - 3  # time was up: 12 was still to come
    second = 2 * 2 - 2  # failed: nothing was
    first = 2 * 1 + task.discount * 2 - 1 + task.discount * rollout.GAE_LAMBDA * second
    assert found == pytest.approx([first, second, third, fourth])


@pytest.mark.training
def test_the_critic_learns_what_to_expect():
    player = Player(Config(environment="Pendulum-v1", units=16))
    goal = torch.randn(2000, 3)
    played = rollout.Rollout(goal, None, None, goal.sum(1), None)
    before = player.learn_values(played)
    for _ in range(10):
        after = player.learn_values(played)
    assert before < 0.2
    assert after > 0.95


# ---------------------------------------------------------------- methods


def test_a_population_acts_as_its_members_would():
    learner = CrossEntropy(Config(units=5, population=6))
    vectors = torch.randn(6, sum(p.numel() for p in learner.policy.net.parameters()))
    observation = torch.randn(6, 4)
    found = torch.vmap(learner.respond)(learner.unflatten(vectors), observation)
    for vector, own, wanted in zip(vectors, observation, found, strict=True):
        vector_to_parameters(vector, learner.policy.net.parameters())
        torch.testing.assert_close(learner.policy.net(own), wanted)


def mean_return(learner, episodes=10):
    return play(Environments(learner.policy.task, episodes), learner.policy.best).returns.mean()


@pytest.mark.training
def test_cross_entropy_balances_the_pole():
    learner = CrossEntropy(Config())
    for _ in range(20):  # five to eight are usual
        learner.update()
        if mean_return(learner) >= 475:
            return
    pytest.fail("never solved")


@pytest.mark.training
def test_without_selection_it_does_not(monkeypatch):
    """Negative control: everything is elite."""
    monkeypatch.setattr(cross_entropy, "ELITE", 1.0)
    learner = CrossEntropy(Config())
    for _ in range(5):
        learner.update()
    assert mean_return(learner) < 300


@pytest.fixture
def few(monkeypatch):
    """Fewer environments, shorter rollouts."""
    monkeypatch.setattr(rollout, "ENVIRONMENTS", 4)
    monkeypatch.setattr(deterministic, "RANDOM_STEPS", 350)
    monkeypatch.setitem(TASKS, "CartPole-v1", replace(CARTPOLE, horizon=200))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("natural", [True, False])
@pytest.mark.training
def test_trust_region_learns_within_its_bound(natural):
    learner = TrustRegionStep(Config("trust-region", "CartPole-v1", max_kl=0.05, natural=natural))
    played = [learner.update() for _ in range(8)]
    assert all(0 <= one.figures["kl"] <= 0.05 for one in played)
    assert played[0].returns.mean() < 40
    assert played[-1].returns.mean() > 60


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.training
def test_score_function_learns_and_against_the_advantage_unlearns(sign):
    learner = ScoreFunction(Config("score-function", "CartPole-v1", learning_rate=0.03))
    honest = learner.player.play

    def seen_so():
        one = honest()
        return replace(one, advantage=sign * one.advantage)

    learner.player.play = seen_so
    last = [learner.update() for _ in range(8)][-1].returns.mean()
    assert last > 60 if sign > 0 else last < 15


def test_memory_forgets_the_oldest():
    memory = Memory(3, 2)
    for index in range(5):
        memory.add(torch.full((2,), float(index)))
    assert set(memory.draw(200)[:, 0].tolist()) == {2, 3, 4}
    again = Memory(3, 2)
    again.load_state_dict(memory.state_dict())
    assert torch.equal(again.rows, memory.rows)
    again.add(torch.full((2,), 9.0))
    assert set(again.draw(200)[:, 0].tolist()) == {9, 3, 4}


def test_goals_of_the_critics_by_hand(monkeypatch):
    monkeypatch.setattr(deterministic, "TARGET_NOISE", 0.0)
    learner = Deterministic(Config("deterministic", "Pendulum-v1", units=8))
    with torch.no_grad():
        for parameter in learner.policy.parameters():
            parameter.zero_()  # the targets have their own
    following = torch.randn(4, 3)
    reward, more = torch.randn(4), torch.tensor([1.0, 0.0, 1.0, 0.0])
    policy, critics = learner.targets
    both = critics(following, policy.best(following))
    wanted = reward + more * 0.95 * torch.minimum(*both)
    torch.testing.assert_close(learner.goal(reward, more, following), wanted)


@pytest.mark.training
def test_deterministic_gradient_finds_the_best_action_of_a_bandit(monkeypatch):
    """Reward −(action − what is seen)², and every episode is one step."""
    monkeypatch.setattr(deterministic, "CAPACITY", 2000)
    monkeypatch.setattr(deterministic, "LEARNING_RATE", 5e-3)
    learner = Deterministic(Config("deterministic", "Pendulum-v1", units=32))
    seen, action = torch.rand(2000, 3) * 2 - 1, torch.rand(2000, 1) * 4 - 2
    reward, none = -(action - seen[:, :1]).square(), torch.zeros(2000, 1)
    learner.memory.rows = torch.cat([seen, action, reward, none, seen], 1)
    before = bandit_error(learner, seen)
    for learner.memory.count in range(2000, 2400):
        learner.learn()
    assert before > 0.3
    assert bandit_error(learner, seen) < 0.05


def bandit_error(learner, seen):
    return (learner.policy.best(seen) - seen[:, :1]).square().mean().item()


def test_targets_follow_slowly():
    learner = Deterministic(Config("deterministic", "Pendulum-v1", units=4))
    old = learner.targets[0].net[0].weight.clone()
    with torch.no_grad():
        learner.policy.net[0].weight.add_(1)
    learner.follow()
    moved = learner.targets[0].net[0].weight - old
    torch.testing.assert_close(moved, torch.full_like(moved, deterministic.TARGET_RATE))


# ---------------------------------------------------------------- runs and commands


ASKED = {
    "cross-entropy": ["--environment", "CartPole-v1", "--population", "5"],
    "trust-region": ["--environment", "CartPole-v1"],
    "score-function": ["--environment", "Pendulum-v1"],
    "deterministic": ["--environment", "Pendulum-v1", "--units", "8"],
}


def train(folder, method, *more):
    options = ["train", "--method", method, *ASKED[method], "--run-dir", str(folder), *more]
    return control.main(options)


TIMES = {"seconds", "cpu_seconds"}


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a.keys() - TIMES)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("method", LEARNERS)
@pytest.mark.training
def test_a_resumed_run_is_the_run_that_was_not_stopped(method, tmp_path):
    twice, straight = tmp_path / "twice", tmp_path / "straight"
    assert train(twice, method, "--steps", "201") == 0
    begun = read_metrics(twice / "metrics.jsonl")
    more = str(begun[-1]["agent_steps"] + 1)
    assert control.main(["train", "--resume", "--run-dir", str(twice), "--steps", more]) == 0
    assert train(straight, method, "--steps", more) == 0
    found, wanted = (read_metrics(run / "metrics.jsonl") for run in (twice, straight))
    assert len(found) == len(begun) + 1
    for line, other in zip(found, wanted, strict=True):
        assert same(line, other)
    states = [load_state(run / "checkpoint.safetensors") for run in (twice, straight)]
    assert same(*states)
    assert {"seconds", "update", "agent_steps", "episodes", "mean_return"} <= found[0].keys()


@pytest.mark.usefixtures("few")
@pytest.mark.training
def test_seeds_differ():
    played = [Trainer(Config("score-function", "Pendulum-v1", seed=seed)).step() for seed in (0, 1)]
    assert not torch.equal(played[0].returns, played[1].returns)


@pytest.mark.usefixtures("few")
def test_train_evaluate_plot(tmp_path, capsys):
    runs = []
    for method in ("score-function", "deterministic"):
        runs.append(str(tmp_path / method))
        assert train(runs[-1], method, "--steps", "400", "--seed", "3") == 0
    capsys.readouterr()
    assert control.main(["evaluate", "--run-dir", runs[0], "--episodes", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    policy, _ = load_policy(tmp_path / "score-function")
    torch.manual_seed(0)
    returns = play(Environments(PENDULUM, 3), policy.best).returns
    assert told["mean_return"] == returns.mean().item()
    assert told["least"] == returns.min().item()
    assert control.main(["evaluate", "--run-dir", runs[0], "--episodes", "3"]) == 0
    assert f"mean return {returns.mean():.1f}" in capsys.readouterr().out
    assert control.main(["plot", *runs, "--output", str(tmp_path)]) == 0
    assert str(tmp_path / "Pendulum-v1.png") in capsys.readouterr().out
    assert (tmp_path / "Pendulum-v1.png").stat().st_size > 10_000


def test_refusals(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="CartPole-v1 has discrete actions.*needs Pendulum-v1"):
        Config("deterministic", "CartPole-v1")
    assert control.main(["evaluate"]) == 2
    assert "evaluate needs to know which run: name it by --run-dir" in capsys.readouterr().err
    assert control.main(["plot"]) == 2
    assert "there is no run in runs/control to draw" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{}")
    assert control.main(["plot", str(tmp_path)]) == 2
    assert "metrics.jsonl has no lines: train longer" in capsys.readouterr().err


def test_a_point_of_the_picture_is_the_mean_of_enough_episodes(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MIN_EPISODES", 40)
    config = {"method": "deterministic", "environment": "Pendulum-v1"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    lines = [
        {"cpu_seconds": n / 2, "agent_steps": 200 * n, "episodes": n, "mean_return": -n}
        for n in range(1, 101)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    course = pictures.read_course(tmp_path)
    assert course.points["agent_steps"].tolist() == [8000, 16000, 20000]
    assert course.points["mean_return"].tolist() == [-20.5, -60.5, -90.5]
    figure = pictures.draw([course], "Pendulum-v1")
    lines = [axes.lines[0] for axes in figure.axes]
    assert lines[0].get_xdata().tolist() == [8000, 16000, 20000]
    assert lines[1].get_xdata().tolist() == [20, 40, 50]
    assert [line.get_ydata().tolist() for line in lines] == [[-20.5, -60.5, -90.5]] * 2


@pytest.mark.parametrize("last", [4_000, 30_000, 199_000, 600_000])
def test_numbers_on_an_axis_do_not_touch(last):
    points = {name: np.array([2_000.0, last]) for name in (*pictures.PANELS, "mean_return")}
    figure = pictures.draw([pictures.Course("trust-region", "CartPole-v1", points)], "CartPole-v1")
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        labels = [label for label in axes.get_xticklabels(which="both") if label.get_text()]
        boxes = sorted(label.get_window_extent().extents.tolist() for label in labels)
        inside = [box for box in boxes if axes.bbox.x0 <= (box[0] + box[2]) / 2 <= axes.bbox.x1]
        assert inside
        assert all(left[2] < right[0] for left, right in pairwise(inside))
