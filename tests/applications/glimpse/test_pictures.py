"""The subcommand, maps and curves: what is drawn, where it was said to be; the files."""

import json
import os
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

from applications.glimpse import data, paths, pictures, weights
from applications.glimpse.config import Config
from applications.glimpse.looks import Looks, look_at
from applications.glimpse.model import make_model
from applications.glimpse.outcomes import held_out_scenes
from applications.glimpse.tasks import DIGIT, TASKS
from applications.glimpse.training import train
from applications.kit import figures as style
from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, METRICS, Run
from applications.kit.sources import run_of
from tests.applications.glimpse.digits import generated_digits

IMAGES = generated_digits(20, 120, seed=0)
SMALL = Config(hidden=16, features=16, glimpses=2)
EPOCHS = [
    {"seconds": 30.0, "images": 900, "error": 0.4, "baseline_fit": -0.1, "locator_snr": 0.2},
    {"seconds": 60.0, "images": 1800, "error": 0.02, "baseline_fit": 0.1, "locator_snr": -0.1},
]


def trained(folder, config, metrics=()):
    """A run folder with a network as it was initialized."""
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    weights.save_best(folder, make_model(config), config, {})
    (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in metrics))
    return folder


def plot(**options):
    """Run the subcommand."""
    pictures.plot(pictures.Options(**options))


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "ensure", lambda name, folder: IMAGES)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")


# ---------------------------------------------------------------- maps and curves


def test_maps_are_around_the_digit_where_it_moves():
    locations = torch.tensor([[[0.0, 0.0], [1.0, -1.0]]]).expand(50, 2, 2)
    looks = Looks(locations, torch.zeros(50, 2, 1, 2, 2), torch.zeros(50, 2, 10), torch.ones(50))
    looks = looks._replace(made=torch.full((50,), 2))
    centres, digits = torch.tensor([[45.0, 15.0]]).expand(50, 2), IMAGES.test_images[:50]
    moving = pictures.plot_where(looks, centres, digits, 60).axes
    peaks = []
    for axes in moving:
        shown = axes.images[0].get_array()
        row, column = np.unravel_index(shown.argmax(), shown.shape)
        left, right, _, high = axes.images[0].get_extent()
        width = (right - left) / pictures.MAP_FIELDS
        peaks.append((left + (column + 0.5) * width, high + (row + 0.5) * width))
    half = 30 / pictures.MAP_FIELDS  # a field's half side
    for peak, wanted in zip(peaks, [(30, 30), (60, 0), (-15, 15), (15, -15)], strict=True):
        assert peak == pytest.approx(wanted, abs=half + 1e-6)
    assert len(pictures.plot_where(looks, centres, digits, DIGIT).axes) == 2


def test_curves_are_of_the_network_and_of_those_that_are_shipped():
    torch.manual_seed(0)
    scenes, labels = held_out_scenes(TASKS["mnist28"], IMAGES)
    model = make_model(SMALL)
    alone = pictures.curves(model, SMALL, "mnist28", scenes, labels)
    assert list(alone) == ["learned locations, drawn", "learned locations, their mean"]
    weights.SHIPPED.mkdir()
    for policy in ("random", "conv"):
        folder = trained(Path(policy), replace(SMALL, policy=policy))
        shutil.copy(folder / weights.BEST, weights.shipped("mnist28", policy))
    found = pictures.curves(model, SMALL, "mnist28", scenes, labels)
    assert [len(errors) for errors in found.values()] == [2, 2, 2, 1]
    assert all(errors.min() >= 0 and errors.max() <= 1 for errors in found.values())
    random = replace(SMALL, policy="random")
    assert list(pictures.curves(model, random, "mnist28", scenes, labels)) == ["random locations"]


def test_the_standard_error_of_a_share():
    low, middle, high = pictures.standard_errors(torch.tensor([0.2, 0.0]), 400)
    assert (low[0], middle[0], high[0]) == pytest.approx((0.18, 0.2, 0.22))
    assert low[1] == middle[1] == high[1] == 0.5 / 400


def test_the_error_has_a_band_and_a_line_where_all_is_seen_at_once():
    found = {"glimpses": torch.tensor([0.5, 0.1, 0.0]), "at once": torch.tensor([0.02])}
    figure = pictures.plot_error(found, 100, "mnist28")
    axes, legend = figure.axes[0], figure.legends[0]
    glimpses, at_once = axes.lines
    assert glimpses.get_xydata().flatten().tolist() == pytest.approx([1, 0.5, 2, 0.1, 3, 0.005])
    assert at_once.get_xydata().flatten().tolist() == pytest.approx([1, 0.02, 3, 0.02])
    assert axes.get_yscale() == "log"
    assert axes.get_ylim() == pytest.approx((0.002, 1))
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(0.55)
    assert [text.get_text() for text in legend.texts] == list(found)


@pytest.mark.parametrize(
    ("errors", "limits"),
    [
        ([0.012, 0.013], (0.01, 0.02)),
        ([0.1, 0.1], (0.05, 0.2)),
        ([0.0, 0.0], (1e-5, 2e-5)),
        ([1.0, 1.0], (0.5, 1.0)),
    ],
)
def test_a_logarithmic_axis_begins_and_ends_at_a_tick(errors, limits):
    lines = [{"seconds": 1.0, "images": 10, "error": error} for error in errors]
    figure = pictures.plot_learning(lines, SMALL)
    figure.draw_without_rendering()
    assert figure.axes[0].get_ylim() == pytest.approx(limits)
    inside = [tick for tick in figure.axes[0].get_yticks() if limits[0] <= tick <= limits[1]]
    assert len(inside) >= 2


def test_the_course_shows_what_was_recorded():
    def titles(names):
        lines = [{name: line[name] for name in names} for line in EPOCHS]
        axes = pictures.plot_learning(lines, SMALL).axes
        return [one.get_title(loc="left") for one in axes if one.axison]

    always = ["seconds", "images", "error"]
    assert titles(always) == ["validation error"] * 2
    assert titles([*always, "locator_snr"])[2:] == [
        "signal-to-noise ratio of the locator's gradient"
    ]
    assert len(titles([*always, "baseline_fit", "locator_snr"])) == 4
    minutes, thousands = pictures.plot_learning(EPOCHS, SMALL).axes[:2]
    assert minutes.lines[0].get_xydata().tolist() == [[0.5, 0.4], [1, 0.02]]
    assert thousands.lines[0].get_xdata().tolist() == [0.9, 1.8]


# ---------------------------------------------------------------- the files


def check_picture(path, most=300_000):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert 300 < max(picture.size) <= style.LONGEST
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 10
    assert path.stat().st_size < most


@pytest.mark.parametrize("task", ["mnist28", "cluttered60"])
def test_a_run_is_drawn_into_its_folder(task, capsys, monkeypatch):
    monkeypatch.setattr(paths, "STEPS", 2)  # the film is what takes time
    folder = trained(Path("run"), replace(SMALL, task=task), EPOCHS)
    plot(run_dir=folder)
    names = ["paths.png", "looking.gif", "where.png", "error.png", "learning.png"]
    assert capsys.readouterr().out.split() == [str(folder / name) for name in names]
    for name in names:
        if name.endswith("png"):
            check_picture(folder / name)
    with Image.open(folder / "looking.gif") as film:
        assert film.info["loop"] == 0
        assert film.n_frames == len(paths.moments(2))
        assert max(film.size) <= 900
        times, frames = [], []
        for number in range(film.n_frames):
            film.seek(number)
            times.append(film.info["duration"])
            frames.append(np.asarray(film.convert("RGB")).astype(int))
    assert times == [time for *_, time in paths.moments(2)]
    assert all((one != other).any() for one, other in pairwise(frames))
    answers = np.array([to_rgb(colour) for colour in (style.BLUE, style.RED)]) * 255
    distance = np.abs(frames[-1][:, :, None] - answers).max(-1)
    assert (distance < 12).sum() > 100  # the palette has kept the colours of right and wrong
    assert (folder / "looking.gif").stat().st_size < 400_000


def test_the_seed_fixes_the_paths(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures,
        "plot_glimpses",
        lambda one, *_: drawn.append(look_at(one.model, IMAGES.test_images).locations),
    )
    folder = trained(Path("run"), SMALL)
    for seed in (1, 1, 2):
        torch.rand(seed)
        plot(run_dir=folder, seed=seed)
    one, same, other = drawn
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_other_formats(ending, start, capsys):
    found = {"glimpses": torch.tensor([0.5, 0.1])}
    files = [Path(f"{name}.{ending}") for name in ("one", "two")]
    for path in files:
        style.save(pictures.plot_error(found, 100, "mnist28"), path)
    one, two = (path.read_bytes() for path in files)
    assert one.startswith(start)
    assert one == two  # no date


def test_a_network_that_sees_all_at_once_has_no_glimpses_to_draw(capsys):
    folder = trained(Path("run"), replace(SMALL, policy="conv"), EPOCHS)
    plot(run_dir=folder)
    assert capsys.readouterr().out.split() == [str(folder / "learning.png")]


def test_which_network_is_drawn(capsys):
    def chosen(**options):
        return run_of(pictures.Options(**options), pictures.RUNS)

    assert chosen() is None
    for number, name in enumerate(("mnist28-2", "mnist28-10", "mnist28-1")):
        folder = trained(pictures.RUNS / name, replace(SMALL, policy="conv"), EPOCHS)
        (folder / CHECKPOINT).touch()
        os.utime(folder / CHECKPOINT, (number, number))
    (pictures.RUNS / "stopped-early").mkdir()
    assert chosen(latest=True) == pictures.RUNS / "mnist28-1"
    assert chosen() is chosen(task="mnist28") is None
    assert chosen(run_dir=Path("x")) == chosen(run_dir=Path("x"), task="mnist28") == Path("x")
    plot(latest=True)
    assert capsys.readouterr().out.split() == ["runs/glimpse/mnist28-1/learning.png"]


def test_a_run_stopped_before_its_first_epoch_shows_its_own_network(monkeypatch):
    drawn, folder = [], pictures.RUNS / "mnist28-1"
    config = replace(SMALL, batch=4, seconds=0.0, precision="float32")
    monkeypatch.setattr(pictures, "plot_glimpses", lambda one, *_: drawn.append(one))
    weights.SHIPPED.mkdir()
    shutil.copy(trained(Path("other"), SMALL) / weights.BEST, weights.shipped("mnist28"))
    with Run(folder, config, resume=False) as run:
        assert train(config, run, IMAGES)
    plot(latest=True)
    plot(run_dir=folder)
    for one in drawn:
        assert one.whose == f"{folder}, update 0, before its first epoch"
        own = load_state(folder / CHECKPOINT)["averaged"]["module.where.weight"]
        assert torch.equal(one.model.where.weight, own)
    plot()
    assert drawn[2].whose == "shipped: mnist28-learned, commit unknown"


def test_the_caption_says_whose_picture_it_is():
    figure = pictures.plot_error({"glimpses": torch.tensor([0.5, 0.1])}, 100, "mnist28")
    style.save(figure, Path("error.png"), "runs/glimpse/mnist28-1, update 7")
    assert figure.get_supxlabel() == "runs/glimpse/mnist28-1, update 7"


def test_what_is_shipped_is_drawn_among_the_pictures(monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "plot_glimpses", lambda *passed: drawn.append(passed[1:]))
    weights.SHIPPED.mkdir()
    for task in ("mnist28", "translated60"):
        folder = trained(Path(task), replace(SMALL, task=task))
        shutil.copy(folder / weights.BEST, weights.shipped(task))
    plot()
    plot(task="translated60", output=Path("there"), format="svg")
    assert drawn == [
        ("mnist28", IMAGES, Path("pictures/glimpse"), "png"),
        ("translated60", IMAGES, Path("there"), "svg"),
    ]


def test_what_cannot_be_read_or_written_is_told():
    with pytest.raises(
        RunError, match=r"no weights are shipped yet \(cluttered60-learned\.safetensors\)"
    ):
        plot(task="cluttered60")
    with pytest.raises(RunError, match=r"nowhere holds no run: there is no nowhere/config\.json"):
        plot(run_dir=Path("nowhere"))
    folder = trained(Path("run"), replace(SMALL, policy="conv"), EPOCHS)
    Path("file").write_text("")
    told = r"file/learning\.png cannot be written \(.+\): name another folder by --output"
    with pytest.raises(RunError, match=told):
        plot(run_dir=folder, output=Path("file"))
    (folder / "learning.png").mkdir()
    with pytest.raises(RunError, match=r"run/learning\.png cannot be written \(Is a directory\)"):
        plot(run_dir=folder)
