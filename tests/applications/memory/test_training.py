"""Training and what is done with its result: it learns, resumes bit for bit, refuses, evaluates.

Tests that draw at random have a family-wise error rate of 1e-6 each and a fixed seed.
"""

import json
import signal
from dataclasses import replace
from statistics import NormalDist
from types import SimpleNamespace

import pytest
import torch
from torch import Generator

from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.parsing import seeds
from applications.kit.run import CHECKPOINT, CONFIG, METRICS, Run, read_config, read_metrics
from applications.memory import evaluate, study, training, weights
from applications.memory.__main__ import main
from applications.memory.config import Config
from applications.memory.evaluate import PATIENCE, SPARE, solve
from applications.memory.model import MemoryModel, Step
from applications.memory.training import (
    ANY_LENGTH_SHARE,
    CURRICULUM_DECAY,
    ENTROPY_SHARE,
    PASS_THRESHOLD,
    SHORTER_SHARE,
    Trainer,
    train,
)

FAMILY = 1e-6
TINY = Config(updates=8, batch=16, samples=4, units=8, last=4)
TINY_OPTIONS = ["--updates", "6", "--batch", "16", "--units", "8", "--last", "4"]
LEARNS = Config(updates=80, batch=128, last=5)


def run(folder, config, resume=False):
    with Run(folder, config, resume) as folder_of_run:
        return train(config, folder_of_run)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The folder of a run that learned to copy."""
    folder = tmp_path_factory.mktemp("memory") / "run"
    assert run(folder, LEARNS)
    return folder


def damage(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


# ---------------------------------------------------------------- learning


def worst(model, last=LEARNS.last):
    """The share of letters right at the worst length of training."""
    return min(solve(model, length, Generator().manual_seed(1))[0] for length in range(1, last + 1))


@pytest.mark.training
def test_copying_is_learned_in_80_updates(learned):
    model, _ = weights.choose(learned, None, None)
    assert worst(model) >= 0.99
    assert end(learned)["level"] == LEARNS.last
    assert end(learned)["average"] > 0.7


def shuffled(run):
    """Every row gets the reward of another."""

    def steps(self, machine, limit, greedy=False):
        for step in run(self, machine, limit, greedy):
            order = torch.arange(len(limit)) if greedy else torch.randperm(len(limit))
            yield step._replace(right=step.right[order])

    return steps


@pytest.mark.training
def test_with_shuffled_rewards_it_is_not(monkeypatch):
    """By what is drawn: the likeliest action of a program that knows nothing may happen to copy."""
    monkeypatch.setattr(MemoryModel, "run", shuffled(MemoryModel.run))
    trainer = Trainer(LEARNS)
    for _ in range(LEARNS.updates):
        trainer.step()
    assert trainer.tally.level == LEARNS.first
    assert trainer.tally.average < 0.5


# ---------------------------------------------------------------- stop and go on


def flat(state):
    if isinstance(state, dict):
        return [leaf for key in sorted(state, key=str) for leaf in flat(state[key])]
    return [leaf for item in state for leaf in flat(item)] if isinstance(state, list) else [state]


def same(one, other):
    """Whether two states are the same, bit for bit, but for the time they took."""
    pairs = list(zip(*[flat(state | {"seconds": 0}) for state in (one, other)], strict=True))
    assert any(isinstance(a, torch.Tensor) and a.numel() > 100 for a, _ in pairs)
    return all(a.equal(b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)


def end(folder):
    return load_state(folder / CHECKPOINT)


def timeless(folder):
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "steps_per_second")}
        for line in read_metrics(folder / METRICS)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"baseline": "learned", "task": "repeat-copy", "mode": "address"},
        {"baseline": "average", "controller": "recurrent", "task": "duplicated-input"},
        {"baseline": "none", "controller": "feed-forward", "mode": "soft", "strict": False},
    ],
    ids=str,
)
@pytest.mark.training
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, monkeypatch, change):
    monkeypatch.setattr(training, "METRICS_INTERVAL", 4)
    monkeypatch.setattr(training, "PASS_THRESHOLD", -1)  # a level an update
    config = replace(TINY, first=1, last=6, **change)
    assert run(tmp_path / "whole", config)
    step = Trainer.step

    def step_and_stop(self):
        step(self)
        if self.tally.update in (3, 4):  # between two lines of metrics, and at one
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "step", step_and_stop)
    complete = [run(tmp_path / "parts", config, resume) for resume in (False, True, True)]
    assert complete == [False, False, True]
    assert same(end(tmp_path / "whole"), end(tmp_path / "parts"))
    assert timeless(tmp_path / "whole") == timeless(tmp_path / "parts")
    assert [line["update"] for line in timeless(tmp_path / "parts")] == [4, 8]
    assert end(tmp_path / "whole")["level"] == 6
    monkeypatch.setattr(Trainer, "step", step)
    assert run(tmp_path / "other", replace(config, seed=1))
    assert not same(end(tmp_path / "whole"), end(tmp_path / "other"))


def test_a_limit_on_seconds_can_be_lifted(tmp_path):
    assert run(tmp_path, replace(TINY, seconds=0))
    assert end(tmp_path)["update"] == 0
    assert run(tmp_path, TINY, resume=True)
    assert end(tmp_path)["update"] == TINY.updates


# ---------------------------------------------------------------- curriculum, loss, metrics


def test_lengths_are_drawn_as_stated():
    trainer, count = Trainer(replace(TINY, last=6)), 20_000
    assert trainer.tally.level == 3
    chance = torch.zeros(7, dtype=torch.float64)
    most = {3: 1 / 2, 4: 1 / 4, 5: 1 / 8, 6: 1 / 8}  # as often one more, or else no more
    for longest, share in most.items():
        chance[longest] += (1 - ANY_LENGTH_SHARE - SHORTER_SHARE) * share
        chance[1 : longest + 1] += SHORTER_SHARE * share / longest
    chance[1:] += ANY_LENGTH_SHARE / 6
    counts = trainer.draw_lengths(count).bincount(minlength=7)
    assert chance.sum().item() == pytest.approx(1)
    assert counts[0] == 0
    assert len(counts) == 7
    z = (counts - count * chance)[1:] / (count * chance * (1 - chance))[1:].sqrt()
    assert z.abs().max() < NormalDist().inv_cdf(1 - FAMILY / (2 * 6))


def test_a_level_is_passed_by_an_average_share():
    trainer = Trainer(replace(TINY, first=2, last=3))
    tally, average, updates = trainer.tally, 0.0, 0
    while tally.level == 2:
        assert tally.average == pytest.approx(average)
        trainer.pass_level(torch.tensor([0.9, 1.0]))
        average, updates = CURRICULUM_DECAY * average + (1 - CURRICULUM_DECAY) * 0.95, updates + 1
    assert average > PASS_THRESHOLD > (average - (1 - CURRICULUM_DECAY) * 0.95) / CURRICULUM_DECAY
    assert tally.level == 3
    assert tally.average < PASS_THRESHOLD
    before = tally.average
    trainer.pass_level(torch.tensor([]))  # no problem was of that level
    assert tally.average == before
    for _ in range(30):
        trainer.pass_level(torch.ones(3))
    assert tally.level == 3  # the last


@pytest.mark.parametrize("mode", ["moves", "address"])
def test_the_steps_that_may_be_spent(mode):
    trainer = Trainer(replace(TINY, mode=mode, batch=4000, slack=0.5))
    problems, limit = trainer.draw_problems()
    least = problems.enough if mode == "moves" else problems.streamed
    assert len(limit) == 1000
    assert (limit >= least + 2).all()
    assert (limit <= 1.5 * least + 2).all()
    assert (limit > least + 2).any()
    assert (limit > 1.4 * least + 1).any()


@pytest.mark.parametrize(("update", "left"), [(0, 1), (40, 0.5), (80, 0), (90, 0)])
def test_entropy_earns_less_and_less(update, left):
    assert ENTROPY_SHARE == 0.8
    losses = []
    for entropy in (0.0, 0.3):
        trainer = Trainer(replace(TINY, updates=100, entropy_coefficient=entropy))
        trainer.tally.update = update
        loss, nats, right = trainer.loss(*trainer.draw_problems())
        losses.append(loss.item())
    assert losses[0] - losses[1] == pytest.approx(0.3 * left * nats.mean().item(), abs=1e-5)
    assert losses[0] == pytest.approx(-right.mean().item(), abs=1e-5)
    assert nats.mean() > 1


def test_the_signal_to_noise_ratio_is_without_bias(monkeypatch):
    """Of gradients that are told: mean (3, 4), each of two entries with variance 2."""
    trainer = Trainer(TINY)
    weight = torch.nn.Parameter(torch.zeros(2))
    trainer.model.controller.parameters = lambda: iter([weight])
    told = iter(torch.tensor([[3.0, 2.0], [3.0, 6.0], [1.0, 4.0], [5.0, 4.0]]))
    monkeypatch.setattr(trainer, "loss", lambda *_: (weight @ next(told), None, None))
    noise = 2 * 8 / 3
    assert trainer.signal_to_noise() == pytest.approx((25 - noise / 4) / noise, rel=1e-6)


def test_measuring_leaves_the_training_alone():
    states, line = [], {}
    for measures in (False, True):
        trainer = Trainer(replace(TINY, baseline="average"))
        trainer.step()
        if measures:
            line = trainer.metrics()
        trainer.step()
        states.append(trainer.state_dict())
    assert same(*states)
    assert line["update"] == 1
    assert line["problems"] == TINY.batch
    assert line["steps"] >= TINY.batch
    assert 0 <= line["perfect"] <= 1 - line["error"] <= 1


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 30}, "batch is 30, which 4 samples of each problem do not divide"),
        ({"samples": 1}, "leave-one-out has nothing to compare with 1 sample"),
        ({"first": 5}, "first level has 5 letters, the last 4"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(RunError, match=message):
        replace(TINY, **options)
    assert replace(TINY, samples=1, baseline="learned").samples == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--task", "cpoy"], "invalid choice 'cpoy'"),
        (["train", "--samples", "3"], "batch is 256, which 3 samples"),
        (["train", "--updates", "0"], "--updates: 0 is not allowed: it must be at least 1"),
        (["train", "--cells", "1"], "--cells: 1 is not allowed: it must be at least 2"),
        (["evaluate", "--lengths", "3,x"], "'3,x' is not a list of lengths, e.g. 10,100"),
        (["evaluate", "--lengths", "0"], "'0' is not a list of lengths"),
        (["study", "--seeds", "a-b"], "'a-b' is not FIRST-LAST, e.g. 0-9"),
        (["study", "--seeds", "3-1"], "'3-1' ends before it begins"),
        (["export"], "export needs to know which run: name it by --run-dir"),
    ],
)
def test_wrong_options_are_told_and_end_with_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err


# ---------------------------------------------------------------- the command line


def test_train_and_resume(tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = ["train", "--run-dir", str(folder), *TINY_OPTIONS]
    assert main([*arguments, "--no-strict", "--mode", "address"]) == 0
    assert f"the run is in {folder}" in capsys.readouterr().out
    had = read_config(folder)
    assert (had["strict"], had["mode"], had["last"], had["task"]) == (False, "address", 4, "copy")
    assert main(arguments) == 2
    assert "holds a run already" in capsys.readouterr().err
    resume = ["train", "--run-dir", str(folder), "--resume"]
    assert main([*resume, "--task", "reverse"]) == 2
    assert "has task = copy, not reverse" in capsys.readouterr().err
    before = (folder / CONFIG).read_text()
    assert main([*resume, "--seconds", "9"]) == 2
    assert "has made 6 of 6 updates: nothing is left to train" in capsys.readouterr().err
    assert (folder / CONFIG).read_text() == before
    damage(folder / CHECKPOINT)
    assert main(resume) == 2
    assert f"{folder / CHECKPOINT} is damaged" in capsys.readouterr().err


def test_a_stop_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    step = Trainer.step

    def step_and_stop(self):
        step(self)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Trainer, "step", step_and_stop)
    folder = tmp_path / "run"
    assert main(["train", "--run-dir", str(folder), *TINY_OPTIONS]) == 0
    assert f"-m applications.memory train --resume --run-dir {folder}\n" in (
        capsys.readouterr().out
    )
    assert end(folder)["update"] == 1
    assert main(["study", "--run-dir", str(tmp_path / "s"), "--seeds", "2", *TINY_OPTIONS]) == 2
    assert f"stopped; the same command continues from {tmp_path / 's' / '2'}" in (
        capsys.readouterr().err
    )


# ---------------------------------------------------------------- evaluate


class Told:
    """A program that gets right what it is told to, `[T, B]`."""

    config = SimpleNamespace(task="copy")

    def __init__(self, right):
        self.right = torch.tensor(right)

    def enough(self, problems):
        return problems.enough

    def machine(self, problems):
        return problems

    def run(self, problems, limit, greedy):
        assert greedy
        assert not torch.is_grad_enabled()
        assert torch.equal(limit, PATIENCE * problems.enough + SPARE)
        for right in self.right:
            yield Step(right.long(), right, right, right > 0)


def test_letters_and_problems_are_counted():
    told = Told([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0]])
    found = solve(told, 3, Generator(), problems=4)
    assert found == pytest.approx(((1 + 2 / 3 + 0 + 1 / 3) / 4, 1 / 4))


def test_evaluate_says_what_is_right(learned, capsys):
    asked = ["evaluate", "--run-dir", str(learned), "--lengths", "1,5", "--problems", "20"]
    assert main(asked) == 0
    title, about, head, *rows = capsys.readouterr().out.splitlines()
    assert title == f"copy by moves, direct controller, {learned}, update 80"
    assert about == "20 problems a length; trained on up to 5 letters"
    assert head.split() == ["letters", "right", "all", "right"]
    assert [row.split() for row in rows] == [[n, "100.00%", "100.0%"] for n in ("1", "5")]
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"accuracy": {"1": 1.0, "5": 1.0}}


def test_a_numbered_memory_ends_somewhere(tmp_path, capsys):
    assert run(tmp_path, replace(TINY, mode="absolute", cells=5, updates=1))
    asked = ["evaluate", "--run-dir", str(tmp_path), "--problems", "2", "--lengths"]
    assert main([*asked, "5"]) == 0
    assert main([*asked, "6"]) == 2
    assert "addresses 5 cells by number" in capsys.readouterr().err


# ---------------------------------------------------------------- files of weights


@pytest.mark.training
def test_what_is_shipped_is_what_was_learned(learned, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    with pytest.raises(RunError, match=r"no trained program for copy-moves is shipped .*none"):
        weights.choose(None, None, None)
    assert main(["export", "--run-dir", str(learned)]) == 0
    path = tmp_path / "shipped" / "copy-moves.safetensors"
    assert f"{path}: {path.stat().st_size:,} bytes" in capsys.readouterr().out
    shipped, provenance = weights.choose(None, "copy", "moves")
    own, told = weights.choose(learned, "copy", "moves")
    assert told == f"{learned}, update 80"
    assert read_config(learned)["origin"]["commit"][:7] in provenance
    assert shipped.config == own.config == LEARNS
    assert not shipped.training
    for mine, theirs in zip(own.parameters(), shipped.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with pytest.raises(RunError, match=r"program for reverse-moves .*there are: copy-moves"):
        weights.choose(None, "reverse", None)
    with pytest.raises(RunError, match="has mode moves, not address"):
        weights.choose(learned, None, "address")
    with pytest.raises(RunError, match="has task copy, not reverse"):
        weights.choose(learned, "reverse", None)
    damage(path)
    with pytest.raises(RunError, match=r"copy-moves\.safetensors is damaged"):
        weights.choose(None, None, None)


def test_a_baseline_is_not_exported(tmp_path):
    config = replace(TINY, baseline="learned", updates=1)
    assert run(tmp_path / "run", config)
    output = tmp_path / "program"
    assert main(["export", "--run-dir", str(tmp_path / "run"), "--output", str(output)]) == 0
    state = load_state(output)
    assert all(name.startswith("controller.") for name in state["weights"])
    model = weights.build(state["config"], state["weights"], output)
    assert model.config == config
    assert solve(model, 3, Generator())[0] >= 0


def test_another_version_of_the_program_is_refused_by_name(learned):
    path = learned / CHECKPOINT
    had, state = read_config(learned), load_state(path)["model"]
    name = "controller.out.bias"
    fewer = {key: value for key, value in state.items() if key != name}
    for other in (fewer, state | {"controller.more": state[name]}, state | {name: torch.ones(3)}):
        with pytest.raises(
            RunError,
            match=r"(?s)checkpoint\.safetensors is of another version .*controller\.(out\.b|more)",
        ):
            weights.build(had, other, path)


# ---------------------------------------------------------------- studies


def test_seeds_and_lengths_are_read():
    assert list(seeds("2-4")) == [2, 3, 4]
    assert list(seeds("7")) == [7]
    assert evaluate.lengths("10,100") == [10, 100]


def test_a_study_trains_each_seed_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "FAR", (6, 12))
    asked = ["study", "--run-dir", str(tmp_path), "--seeds", "3-4", *TINY_OPTIONS]
    assert main(asked) == 0
    printed = capsys.readouterr().out.splitlines()[-5:]
    title, head, *rows, verdict = printed
    assert title == "copy by moves"
    assert "1–4 letters" in head
    assert "12 letters" in head
    for seed, row in zip((3, 4), rows, strict=True):
        model, _ = weights.choose(tmp_path / str(seed), None, None)
        assert model.config.seed == seed
        found = min(solve(model, n, Generator().manual_seed(0))[0] for n in (1, 2, 3, 4))
        far = [solve(model, n, Generator().manual_seed(0))[0] for n in (6, 12)]
        assert row.split()[:4] == [str(seed), *(f"{share:.2%}" for share in (found, *far))]
    assert verdict == "0 of 2 seeds have 99% of letters right at every length"
    before = [end(tmp_path / seed)["seconds"] for seed in "34"]
    assert main(asked) == 0  # there is nothing left to train
    assert capsys.readouterr().out.splitlines()[-5:] == printed
    assert before == [end(tmp_path / seed)["seconds"] for seed in "34"]


@pytest.mark.training
def test_a_seed_that_learned_it_is_counted(learned):
    result = study.judge(LEARNS, learned)
    assert result.seed == 0
    assert result.near >= study.SOLVED
    assert result.seconds == end(learned)["seconds"]


@pytest.mark.parametrize(
    "path", sorted(weights.SHIPPED.glob("*.safetensors")), ids=lambda p: p.stem
)
def test_what_is_shipped_can_do_what_it_learned(path):
    state = load_state(path)
    model = weights.build(state["config"], state["weights"], path)
    assert path == weights.shipped(model.config.task, model.config.mode)
    if model.config.mode in ("moves", "address"):
        assert solve(model, model.config.last, Generator().manual_seed(1), 20)[0] > 0.99


def test_cells_that_cannot_hold_the_letters_are_refused():
    with pytest.raises(RunError, match=r"8 cells cannot hold 10 letters: ask for more --cells"):
        Config(mode="absolute", cells=8)
