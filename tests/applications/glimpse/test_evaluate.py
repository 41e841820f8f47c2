"""The errors: exactly, on answers that are known; and the subcommand, on small networks."""

import json
import shutil
import zlib
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import sfgrad as sf
from applications.glimpse import data, evaluate, outcomes, weights
from applications.glimpse.config import Config
from applications.glimpse.evaluate import count_weights
from applications.glimpse.model import ConvNet, Glimpse, make_model
from applications.glimpse.outcomes import (
    BATCH,
    Outcome,
    by_glimpses,
    by_price,
    errors,
    held_out_scenes,
    lead,
)
from applications.glimpse.retina import integral
from applications.glimpse.tasks import TASKS
from applications.kit.errors import RunError
from tests.applications.glimpse.digits import generated_digits

IMAGES = generated_digits(2000, 300, seed=0)
SMALL = Config(
    hidden=32,
    features=32,
    patch=8,
    glimpses=3,
    noise_end=0.5,
    batch=100,
    learning_rate=5e-3,
    precision="float32",
)


# ---------------------------------------------------------------- the test scenes


@pytest.mark.parametrize("task", TASKS)
def test_the_scenes_are_always_the_same(task):
    many = generated_digits(10, BATCH + 500, seed=1)
    torch.manual_seed(0)
    scenes, labels = held_out_scenes(TASKS[task], many)
    assert scenes.shape == (BATCH + 500, TASKS[task].canvas, TASKS[task].canvas)
    assert scenes.dtype == torch.uint8
    assert torch.equal(labels, many.test_labels)
    drawn = torch.rand(())
    torch.manual_seed(0)
    assert torch.rand(()) == drawn  # the generator that draws the paths is left alone
    for count in (7, BATCH, BATCH + 1):
        fewer, their_labels = held_out_scenes(TASKS[task], many, count)
        assert torch.equal(fewer, scenes[:count])
        assert torch.equal(their_labels, labels[:count])


def test_the_scenes_are_those_that_the_published_errors_are_of():
    digits = (torch.arange(300 * 28 * 28) % 251).to(torch.uint8).view(300, 28, 28)
    images = replace(IMAGES, test_images=digits, test_labels=torch.arange(300) % 10)
    scenes, _ = held_out_scenes(TASKS["cluttered60"], images)
    assert zlib.crc32(scenes.numpy()) == 854760814


def test_digits_and_clutter_are_test_digits():
    faint, bright = torch.ones(300, 28, 28).to(torch.uint8), torch.full((9, 28, 28), 255)
    images = replace(IMAGES, train_images=bright.to(torch.uint8), test_images=faint)
    scenes, _ = held_out_scenes(TASKS["cluttered60"], images)
    assert (scenes.long().sum((1, 2)) == 28 * 28 + 4 * 8 * 8).all()


# ---------------------------------------------------------------- outcomes, by hand


class Told:
    """Gives the answers `[P, T, N]` that it was told, to images whose first pixel is their row."""

    def __init__(self, answers, looking=None, stop_price=None):
        self.answers = torch.tensor(answers)
        self.looking = torch.ones(self.answers.shape[1:]) if looking is None else looking
        self.stop_price, self.calls, self.asked = stop_price, 0, []

    def look(self, table, *, price=None, mean=False):
        assert not torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        self.asked.append((price, mean))
        rows, path = table[:, 1, 1].long(), self.calls % len(self.answers)
        self.calls += 1
        for answers, looking in zip(self.answers[path], self.looking, strict=True):
            logits = F.one_hot(answers[rows], 10).float() - 3
            known = {"logits": logits, "looking": looking[rows]}
            yield Glimpse(**dict.fromkeys(Glimpse._fields) | known)


def numbered(count):
    """Scenes `[N, 28, 28]` that a `Told` knows apart."""
    scenes = torch.zeros(count, 28, 28, dtype=torch.uint8)
    scenes[:, 0, 0] = torch.arange(count)
    return scenes


def test_one_path_per_image():
    labels = torch.tensor([0, 1, 2, 2, 9])
    told = Told([[[0, 0, 0, 0, 0], [0, 1, 2, 5, 8]]])
    outcome = errors(told, numbered(5), labels)
    assert outcome.answers.tolist() == told.answers.tolist()
    assert outcome.error == pytest.approx(2 / 5, rel=1e-12)
    assert outcome.standard_error == pytest.approx((0.4 * 0.6 / 5) ** 0.5, rel=1e-12)
    assert outcome.by_glimpses.tolist() == pytest.approx([4 / 5, 2 / 5], rel=1e-12)
    assert torch.equal(by_glimpses(told, numbered(5), labels), outcome.by_glimpses)
    assert outcome.mean_glimpses == 2
    confusion = torch.zeros(10, 10, dtype=torch.int64)
    confusion[[0, 1, 2, 2, 9], [0, 1, 2, 5, 8]] = 1
    assert torch.equal(outcome.confusion, confusion)


def test_every_path_answers_for_itself():
    labels = torch.tensor([4, 4, 7, 7])
    told = Told([[[4, 4, 7, 0]], [[4, 4, 7, 0]], [[1, 4, 7, 0]]])
    outcome = errors(told, numbered(4), labels, paths=3)
    assert outcome.wrong.tolist() == pytest.approx([1 / 3, 0, 0, 1], rel=1e-12)  # no majority
    assert outcome.error == pytest.approx(1 / 3, rel=1e-12)
    # images are independent, the paths of an image are not
    assert outcome.standard_error == pytest.approx((2 / 3 / 4) ** 0.5 / 2, rel=1e-12)
    assert outcome.confusion[4].tolist() == [0, 1, 0, 0, 5, 0, 0, 0, 0, 0]
    assert outcome.confusion[7].tolist() == [3, 0, 0, 0, 0, 0, 0, 3, 0, 0]


def test_batches_keep_images_and_paths_apart(monkeypatch):
    answers = torch.randint(10, (2, 3, 50))
    whole = errors(Told(answers.tolist()), numbered(50), answers[0, -1], paths=2)
    monkeypatch.setattr(outcomes, "BATCH", 16)
    parts = errors(Told(answers.tolist()), numbered(50), answers[0, -1], paths=2)
    assert torch.equal(whole.answers, answers)
    assert torch.equal(parts.answers, answers)
    assert torch.equal(parts.made, torch.full((2, 50), 3.0))


def test_an_answer_stays_where_looking_has_stopped():
    looking = torch.tensor([[1.0, 1, 1], [1, 0, 1], [1, 0, 0]])
    told = Told([[[1, 1, 1], [2, 2, 2], [3, 3, 3]]], looking, stop_price=0.5)
    outcome = errors(told, numbered(3), torch.tensor([3, 1, 3]), mean=True)
    assert outcome.answers[0].tolist() == [[1, 1, 1], [2, 1, 2], [3, 1, 2]]
    assert outcome.made.tolist() == [[3, 1, 2]]
    assert outcome.mean_glimpses == 2
    assert outcome.by_glimpses.tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3], rel=1e-12)
    errors(told, numbered(3), torch.tensor([3, 1, 3]), price=0.25)
    (highest, mean), (given, drawn) = told.asked
    assert highest is None  # the model's own
    assert given == 0.25
    assert (mean, drawn) == (True, False)


def test_a_convolutional_network_answers_once():
    torch.manual_seed(0)
    model = ConvNet(28)
    outcome = errors(model, IMAGES.test_images, IMAGES.test_labels)
    assert torch.equal(outcome.answers[0, 0], model(IMAGES.test_images).argmax(1))
    assert outcome.answers.shape == (1, 1, 300)
    assert outcome.mean_glimpses == 1


def test_lead_compares_image_by_image():
    def outcome(*wrong):
        labels = torch.zeros(len(wrong), dtype=torch.int64)
        return Outcome(labels, torch.tensor([[wrong]]), torch.ones(1, len(wrong)))

    one, other = outcome(0, 0, 0, 1), outcome(1, 1, 0, 1)
    assert lead(one, other) == pytest.approx(2.0, rel=1e-12)  # differences 1, 1, 0, 0
    assert lead(other, one) == pytest.approx(-2.0, rel=1e-12)
    assert lead(one, one) == 0
    assert lead(outcome(0, 0), outcome(1, 1)) > 1e6


# ---------------------------------------------------------------- networks


def trained(config, steps=150):
    torch.manual_seed(0)
    model = make_model(config)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    objective = sf.expectation(model)
    for _ in range(steps):
        rows = torch.randint(len(IMAGES.train_images), (config.batch,))
        digits, labels = IMAGES.train_images[rows], IMAGES.train_labels[rows]
        if isinstance(model, ConvNet):
            loss = F.cross_entropy(model(digits), labels)
        else:
            loss = (objective if model.draws else model.plain_loss)(integral(digits), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def write(path, model, config):
    """The file of a network."""
    path.parent.mkdir(exist_ok=True)
    weights.save_best(path.parent, model, config, {})
    (path.parent / weights.BEST).rename(path)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A folder with a file for each policy, all but the learned one hardly trained."""
    folder = tmp_path_factory.mktemp("weights")
    for policy, steps in {"learned": 150, "random": 20, "centre": 5, "conv": 30}.items():
        config = replace(SMALL, policy=policy)
        write(folder / f"mnist28-{policy}.safetensors", trained(config, steps), config)
    return folder


@pytest.fixture
def shipped(networks, tmp_path, monkeypatch):
    """The same, to be changed; and the generated digits in place of the real ones."""
    folder = shutil.copytree(networks, tmp_path / "weights")
    monkeypatch.setattr(weights, "SHIPPED", folder)
    monkeypatch.setattr(data, "ensure", lambda name, folder: replace(IMAGES, name=name))
    return folder


def options(**asked):
    return evaluate.Options(**asked)


@pytest.fixture
def score(shipped, capsys):
    """The JSON object that the subcommand prints, which must be all that it prints."""

    def run(**asked):
        evaluate.evaluate(options(json=True, **asked))
        printed = capsys.readouterr()
        assert printed.out.count("\n") == 1
        assert printed.err == ""
        return json.loads(printed.out)

    return run


@pytest.fixture
def report(shipped, capsys):
    """The lines that the subcommand prints, without frames, one space between words."""

    def run(**asked):
        evaluate.evaluate(options(**asked))
        lines = capsys.readouterr().out.splitlines()
        return [" ".join(line.replace("│", " ").split()) for line in lines]

    return run


NOTHING = "has learned nothing about where to look"


# ---------------------------------------------------------------- the JSON object


@pytest.mark.training
def test_json_holds_the_errors_as_fractions(score, shipped):
    met = score()
    assert list(met)[:4] == ["error", "standard_error", "random_glimpses_error", "images"]
    expected = {}
    for policy in ("learned", "random", "centre", "conv"):
        model, _, _ = weights.load(shipped / f"mnist28-{policy}.safetensors")
        torch.manual_seed(0)
        expected[policy] = errors(model, IMAGES.test_images, IMAGES.test_labels)
    learned = expected["learned"]
    assert met == {
        "error": learned.error,
        "standard_error": learned.standard_error,
        "random_glimpses_error": expected["random"].error,
        "images": 300,
        "mean_location_error": met["mean_location_error"],
        "centre_error": expected["centre"].error,
        "conv_error": expected["conv"].error,
        "task": "mnist28",
        "glimpses": 3,
        "errors_by_glimpses": learned.by_glimpses.tolist(),
    }
    assert met["error"] < 0.5
    assert met["mean_location_error"] < 0.5
    assert met["standard_error"] == pytest.approx(
        (met["error"] * (1 - met["error"]) / 300) ** 0.5, rel=1e-9
    )
    assert len({outcome.error for outcome in expected.values()}) == 4


def test_what_is_not_shipped_is_null(score, shipped):
    every = score()
    for policy in ("centre", "conv"):
        (shipped / f"mnist28-{policy}.safetensors").unlink()
    assert score() == {**every, "centre_error": None, "conv_error": None}
    (shipped / "mnist28-random.safetensors").unlink()
    assert score()["random_glimpses_error"] is None


@torch.no_grad()
def answers_by_side():
    """A network that answers 0 if its last look was right of the middle and 1 if it was left.

    The last mean location is near the middle, a location's standard deviation 0.5, and what is
    seen does not matter: paths differ whatever rounding does.
    """
    model = make_model(SMALL)
    for part in (model.what, model.where, model.join, model.core.linear, model.classify):
        part.weight.zero_()
        part.bias.zero_()
    units, features = SMALL.hidden, SMALL.features
    model.plan.zero_()
    for side, sign in enumerate((1.0, -1.0)):
        model.where.weight[side, 0] = sign
        model.join.weight[side, features + side] = 1
        model.core.linear.weight[units + side, side] = 1
        model.classify.weight[side, side] = 10
    model.core.linear.bias[:units] = 20  # the gate forgets all but the last glimpse
    return model


def test_seed_draws_the_paths_and_nothing_else(score, shipped):
    write(shipped / "mnist28-learned.safetensors", answers_by_side(), SMALL)
    first, second = score(seed=1), score(seed=2)
    assert score(seed=1) == first
    assert second["error"] != first["error"]
    for name in ("mean_location_error", "centre_error", "conv_error"):
        assert second[name] == first[name]
    assert second["errors_by_glimpses"][0] == first["errors_by_glimpses"][0]  # at the centre


@pytest.mark.training
def test_paths_and_images(score, shipped):
    write(shipped / "mnist28-learned.safetensors", answers_by_side(), SMALL)
    met = score(images=100, paths=4)
    model, _, _ = weights.load(shipped / "mnist28-learned.safetensors")
    torch.manual_seed(0)
    outcome = errors(model, IMAGES.test_images[:100], IMAGES.test_labels[:100], paths=4)
    assert outcome.wrong.unique().numel() > 2  # the paths differ
    assert (met["error"], met["standard_error"]) == (outcome.error, outcome.standard_error)
    assert met["errors_by_glimpses"] == outcome.by_glimpses.tolist()
    assert met["images"] == 100


@pytest.mark.training
def test_fewer_and_more_glimpses(score, shipped):
    # images of one batch: the first three glimpses are the same draws
    usual, one, five = (score(images=BATCH, glimpses=glimpses) for glimpses in (None, 1, 5))
    assert (one["glimpses"], five["glimpses"]) == (1, 5)
    assert one["errors_by_glimpses"] == usual["errors_by_glimpses"][:1]
    assert five["errors_by_glimpses"][:3] == usual["errors_by_glimpses"]
    assert len(five["errors_by_glimpses"]) == 5
    random, _, _ = weights.load(shipped / "mnist28-random.safetensors")
    random.glimpses = 5
    torch.manual_seed(0)
    its = errors(random, IMAGES.test_images[:BATCH], IMAGES.test_labels[:BATCH])
    assert five["random_glimpses_error"] == its.error  # looks as often


# ---------------------------------------------------------------- the report


def test_report_tells_every_error(report, score, shipped):
    (shipped / "mnist28-centre.safetensors").unlink()
    lines, met = report(), score()
    model, _, _ = weights.load(shipped / "mnist28-learned.safetensors")
    sizes = {
        policy: f"{count_weights(weights.load(weights.shipped('mnist28', policy))[0]):,}"
        for policy in ("learned", "random", "conv")
    }
    assert lines[0] == "mnist28: 300 test images, 3 glimpses, 1 path per image"
    rows = {
        f"this one, drawn locations {sizes['learned']}": met["error"],
        f"this one, mean location {sizes['learned']}": met["mean_location_error"],
        f"trained on random glimpses {sizes['random']}": met["random_glimpses_error"],
        f"convolutional, of equal size {sizes['conv']}": met["conv_error"],
    }
    for row, error in rows.items():
        assert f"{row} {error:.2%} ± {(error * (1 - error) / 300) ** 0.5:.2%}" in lines
    assert "trained on the centre alone not shipped" in lines
    for count, error in enumerate(met["errors_by_glimpses"], 1):
        assert f"{count} {error:.2%}" in lines
    torch.manual_seed(0)
    confusion = errors(model, IMAGES.test_images, IMAGES.test_labels).confusion
    for true, counts in enumerate(confusion.tolist()):
        assert " ".join([f"{true}", *(f"{count}" if count else "·" for count in counts)]) in lines


def test_weights_are_counted_without_the_baselines():
    learned, random = (
        make_model(replace(SMALL, policy=policy)) for policy in ("learned", "random")
    )
    head = sum(weight.numel() for weight in learned.locate.parameters())
    assert count_weights(learned) == count_weights(random) + head + learned.plan.numel()
    assert count_weights(random) == sum(weight.numel() for weight in random.parameters())


@pytest.mark.training
def test_report_says_when_nothing_was_learned(report, shipped):
    learned, random = (weights.shipped("mnist28", policy) for policy in ("learned", "random"))
    assert NOTHING not in " ".join(report())
    config = replace(SMALL, policy="learned")
    write(learned, trained(config, 0), config)
    assert f"This model {NOTHING}" in " ".join(report())
    random.unlink()
    assert NOTHING not in " ".join(report())  # nobody knows


@pytest.mark.parametrize(("ahead", "nothing"), [(-5.0, True), (2.99, True), (3.01, False)])
def test_clearly_better_is_three_standard_errors(report, monkeypatch, ahead, nothing):
    monkeypatch.setattr(evaluate, "lead", lambda one, other: ahead)
    told = " ".join(report())
    assert (NOTHING in told) == nothing
    assert (f"({ahead:.1f} standard errors; 3 would be)" in told) == nothing


# ---------------------------------------------------------------- runs, and what they are beside


def run_folder(folder, config, steps=0, model=None):
    write(folder / weights.BEST, model or trained(config, steps), config)
    return folder


def test_a_run_is_compared_with_its_like(score, tmp_path):
    assert score(run_dir=run_folder(tmp_path / "same", SMALL))["random_glimpses_error"] is not None
    for name, config in {
        "data": replace(SMALL, data="fashion-mnist"),
        "hidden": replace(SMALL, hidden=16),
        "patch": replace(SMALL, patch=6),
        "scales": replace(SMALL, scales=2),
    }.items():
        met = score(run_dir=run_folder(tmp_path / name, config))
        assert met["random_glimpses_error"] is met["centre_error"] is None
        assert (met["conv_error"] is None) == (name == "data")


def test_a_run_has_its_own_task_unless_told(score, tmp_path):
    run = run_folder(tmp_path / "run", replace(SMALL, task="translated60", scales=1))
    assert score(run_dir=run)["task"] == "translated60"
    met = score(run_dir=run, task="mnist28")
    assert met["task"] == "mnist28"
    assert met["random_glimpses_error"] is not None


def test_a_run_of_another_policy(score, tmp_path, shipped):
    for policy, glimpses in {"random": 3, "conv": 1}.items():
        folder = tmp_path / policy
        folder.mkdir()
        shutil.copy(weights.shipped("mnist28", policy), folder / weights.BEST)
        met = score(run_dir=folder)
        assert (
            met["error"] == met[{"random": "random_glimpses_error", "conv": "conv_error"}[policy]]
        )
        assert met["glimpses"] == glimpses


@pytest.fixture
def thrifty():
    """A network that looks on while glimpses are cheap, and never where they are dear."""
    config = replace(SMALL, stop_price=0.1)
    model = trained(config, 0)
    first, _, last = model.weary
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.zero_()
            layer.bias.zero_()
        first.weight[0, -1], first.bias[0] = 1, -torch.tensor(0.1 * 1e-3**0.55).log()
        last.weight[0, 0], last.bias[0] = 1e3, -100
    return model, config


@pytest.mark.training
def test_a_price_buys_errors_for_glimpses(thrifty):
    model, _ = thrifty
    curve = by_price(model, IMAGES.test_images, IMAGES.test_labels)
    prices = [price for price, _ in curve]
    assert prices == pytest.approx([0.1 * 1e-3 ** (step / 8) for step in range(9)], rel=1e-9)
    assert [outcome.mean_glimpses for _, outcome in curve] == [1.0] * 5 + [3.0] * 4
    for _, outcome in curve[:5]:
        assert outcome.error == outcome.by_glimpses[0]


def test_report_draws_the_curve_of_a_network_that_may_stop(report, thrifty, tmp_path):
    model, config = thrifty
    lines = report(run_dir=run_folder(tmp_path / "run", config, model=model))
    heading = (
        "mnist28: 300 test images, 1.00 of 3 glimpses at a price of 0.1 nats, 1 path per image"
    )
    assert heading in " ".join(lines[:2])
    first, last = (
        next(line.split() for line in lines if line.startswith(f"{p} ")) for p in ("0.1", "0.0001")
    )
    assert (first[1], last[1]) == ("1.00", "3.00")
    assert "price" not in " ".join(report())


# ---------------------------------------------------------------- refusals


def test_missing_weights_are_told(shipped):
    with pytest.raises(
        RunError,
        match=r"no weights are shipped yet \(cluttered60-learned\.safetensors\): name a run by",
    ):
        evaluate.evaluate(options(task="cluttered60"))
    with pytest.raises(
        RunError, match=rf"{shipped} holds no run: there is no {shipped}/config.json"
    ):
        evaluate.evaluate(options(run_dir=shipped))


@pytest.mark.parametrize("policy", ["learned", "random", "centre", "conv"])
def test_a_damaged_file_is_refused_by_name(shipped, policy):
    path = shipped / f"mnist28-{policy}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=rf"{path} is damaged \(its checksum is wrong\)"):
        evaluate.evaluate(options())


def test_what_a_network_cannot_do_is_refused(shipped, tmp_path):
    once = run_folder(tmp_path / "once", replace(SMALL, glimpses=1))
    with pytest.raises(RunError, match="once/best.* was trained for one glimpse: it does not know"):
        evaluate.evaluate(options(run_dir=once, glimpses=2))
    conv = run_folder(tmp_path / "conv", replace(SMALL, policy="conv"))
    with pytest.raises(RunError, match="takes no glimpses: leave out --glimpses"):
        evaluate.evaluate(options(run_dir=conv, glimpses=2))
    with pytest.raises(RunError, match="network for mnist28 cannot see translated60"):
        evaluate.evaluate(options(run_dir=conv, task="translated60"))
