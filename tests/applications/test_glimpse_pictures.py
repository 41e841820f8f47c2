"""The pictures: what is shown, exactly; what is drawn, where it was said to be; the files."""

import argparse
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
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Generator

from applications.glimpse import data, evaluate, pictures, weights
from applications.glimpse.config import Config
from applications.glimpse.model import GlimpseModel, make_model
from applications.glimpse.pictures import Example, Looks
from applications.glimpse.retina import Retina, integral
from applications.glimpse.tasks import DIGIT, TASKS
from applications.runs import METRICS, RunError
from tests.applications.digits import generated_digits

IMAGES = generated_digits(20, 120, seed=0)
SMALL = Config(hidden=16, glimpses=2)
EPOCHS = [
    {"seconds": 30.0, "images": 900, "error": 0.4, "baseline_fit": -0.1, "locator_snr": 0.2},
    {"seconds": 60.0, "images": 1800, "error": 0.02, "baseline_fit": 0.1, "locator_snr": -0.1},
]


def looks_at(scene, locations, patch, scales, beliefs=None):
    """What a retina sees of a scene at those locations, believing in class 0 all the time."""
    locations = torch.tensor(locations).view(-1, 2)
    count = len(locations)
    seen = Retina(patch, scales)(integral(scene[None].expand(count, -1, -1)), locations)
    beliefs = torch.eye(10)[torch.zeros(count).long()] if beliefs is None else beliefs
    return Looks(locations, seen.view(count, scales, patch, patch), beliefs, torch.tensor(count))


def noise(side, seed=0):
    """An image of uniform noise."""
    generator = Generator().manual_seed(seed)
    return torch.randint(256, (side, side), generator=generator).to(torch.uint8)


def trained(folder, config, metrics=()):
    """A run folder with a network as it was initialized."""
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    weights.save_best(folder, make_model(config), config, {})
    (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in metrics))
    return folder


def plot(**options):
    """Run the subcommand."""
    absent = dict.fromkeys(("task", "run_dir", "output"))
    asked = {**absent, "folder": Path("data"), "seed": 0, "format": "png", **options}
    pictures.plot(argparse.Namespace(**asked))


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "ensure", lambda name, folder: IMAGES)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")


# ---------------------------------------------------------------- what is shown


def test_locations_are_pixels_from_the_upper_left_border():
    locations = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0], [0.1, -0.31]])
    pixels = pictures.to_pixels(locations, 60)
    assert pixels.tolist() == [[0, 0], [60, 0], [30, 60], [33, 21]]


def test_window_is_cut_off_at_the_border():
    assert pictures.window(6, 4, 12) == (slice(4, 8), slice(0, 4))
    assert pictures.window(0, 4, 12) == (slice(0, 2), slice(2, 4))
    assert pictures.window(12, 4, 12) == (slice(10, 12), slice(0, 2))
    for beyond in (-9, 30):
        on_canvas, _ = pictures.window(beyond, 4, 12)
        assert np.arange(12)[on_canvas].size == 0


def test_what_has_been_seen_of_known_glimpses():
    scene = noise(12)
    wanted = torch.full((12, 12), 2)
    nothing = looks_at(scene, [[0.0, 0.0]], 2, 2).until(0)
    assert torch.equal(pictures.sharpness(nothing, 12), wanted)
    wanted[4:8, 4:8], wanted[5:7, 5:7] = 1, 0
    middle = looks_at(scene, [[0.0, 0.0]], 2, 2)
    assert torch.equal(pictures.sharpness(middle, 12), wanted)
    wanted[10:12, 0:2], wanted[11:12, 0:1] = 1, 0  # x is −1: columns; y is 1: rows
    corner = looks_at(scene, [[0.0, 0.0], [-1.0, 1.0]], 2, 2)
    assert torch.equal(pictures.sharpness(corner, 12), wanted)
    wanted[4:8, 5:9] = wanted[4:8, 5:9].clamp(max=1)  # what is sharp stays sharp
    wanted[5:7, 6:8] = 0
    beside = looks_at(scene, [[0.0, 0.0], [-1.0, 1.0], [1 / 6, 0.0]], 2, 2)
    assert torch.equal(pictures.sharpness(beside, 12), wanted)


@pytest.mark.parametrize(("patch", "scales", "canvas"), [(8, 1, 28), (12, 3, 60), (4, 4, 21)])
def test_what_is_recalled_is_what_was_there(patch, scales, canvas):
    scene, generator = noise(canvas), Generator().manual_seed(1)
    locations = 2.4 * torch.rand(5, 2, generator=generator) - 1.2  # some beyond the border
    looks = looks_at(scene, locations.tolist(), patch, scales)
    found = pictures.sharpness(looks, canvas)
    picture = pictures.recalled(looks, canvas)
    sharp = found == 0
    assert sharp.any()
    torch.testing.assert_close(picture[sharp], scene[sharp] / 255, rtol=0, atol=1e-5)
    assert picture[found == scales].eq(0).all()
    beside = looks._replace(locations=looks.locations + 2 / canvas)  # a pixel away
    moved = pictures.recalled(beside, canvas)[pictures.sharpness(beside, canvas) == 0]
    there = scene[pictures.sharpness(beside, canvas) == 0] / 255
    assert not torch.allclose(moved, there, atol=0.1)


def test_coarse_boxes_are_recalled_as_their_means():
    scene = noise(16)
    picture = pictures.recalled(looks_at(scene, [[0.0, 0.0]], 2, 3), 16)
    means = scene[4:12, 4:12].view(2, 4, 2, 4).float().mean((1, 3)) / 255
    assert picture[4, 4] == picture[5, 5] == pytest.approx(means[0, 0].item(), abs=1e-5)
    assert picture[11, 4] == pytest.approx(means[1, 0].item(), abs=1e-5)
    assert picture[6, 6] == pytest.approx(scene[6:8, 6:8].float().mean().item() / 255, abs=1e-5)


def test_what_was_seen_is_bright_and_the_rest_dim():
    scene = torch.full((12, 12), 255, dtype=torch.uint8)
    looks = looks_at(scene, [[0.0, 0.0]], 2, 2)
    light = pictures.spotlight(scene, looks).mean(2)
    found = pictures.sharpness(looks, 12).numpy()
    fine, coarse, unseen = (np.unique(light[found == scale]) for scale in range(3))
    assert len(fine) == len(coarse) == len(unseen) == 1
    assert fine[0] == 1
    assert fine[0] > coarse[0] + 0.2 > unseen[0] + 0.4
    dark = pictures.spotlight(0 * scene, looks_at(0 * scene, [[0.0, 0.0]], 2, 2)).mean(2)
    assert dark[6, 6] > dark[4, 4] + 0.05 > dark[0, 0] + 0.1  # the ground tells it as well


def test_chooses_the_first_of_each_class_and_a_wrong_answer():
    labels = torch.tensor([7, 7, 2, 7, 1, 0, 1, 2])
    right = labels.clone()
    assert pictures.choose(labels, right, 3) == [0, 2, 4]
    assert pictures.choose(labels, right, 9) == [0, 2, 4, 5]
    wrong_among_them, wrong_later = right.clone(), right.clone()
    wrong_among_them[2] = 3
    wrong_later[[6, 7]] = 3
    assert pictures.choose(labels, wrong_among_them, 3) == [0, 2, 4]
    assert pictures.choose(labels, wrong_later, 3) == [0, 2, 6]
    assert pictures.choose(labels, wrong_later, 1) == [6]


@pytest.mark.parametrize("name", TASKS)
def test_finds_the_digits(name):
    task, count = TASKS[name], evaluate.BATCH + 50
    images = generated_digits(0, count, seed=1)
    scenes, _ = evaluate.test_scenes(task, images, count)
    centres = pictures.digit_centres(task, images, count)

    def holds(corners):
        """Where the scene has, from that corner on, the digit with at most something added."""
        x, y = corners.long().clamp(0, task.canvas - DIGIT).T
        steps = torch.arange(DIGIT)
        rows, columns = (y[:, None] + steps)[:, :, None], (x[:, None] + steps)[:, None]
        there = scenes[torch.arange(count)[:, None, None], rows, columns]
        return (there >= images.test_images).flatten(1).all(1)

    corners = centres - DIGIT / 2
    assert corners.min() >= 0
    assert holds(corners).all()
    if task.canvas > DIGIT:
        assert corners.min() == 0
        assert corners.max() == task.canvas - DIGIT
        beside = torch.where(corners < task.canvas - DIGIT, corners + 1, corners - 1)
        assert not holds(beside).any()


def test_density_counts_where_points_fall():
    points = torch.tensor([[5.5, 1.5]] * 8 + [[-9.0, 99.0]] * 4)
    shown = pictures.density(points, 0, 8, 8)
    assert shown[1, 5] == 1  # row y, column x
    assert shown[1, 4] == shown[0, 5] == 0.5
    assert shown[0, 4] == 0.25
    assert shown[7, 0] == 0.5  # beyond the border counts as on it
    assert shown[4].eq(0).all()
    assert pictures.density(points[:0], 0, 8, 8).eq(0).all()


def test_the_standard_error_of_a_share():
    low, middle, high = pictures.standard_errors(torch.tensor([0.2, 0.0]), 400)
    assert (low[0], middle[0], high[0]) == pytest.approx((0.18, 0.2, 0.22))
    assert low[1] == middle[1] == high[1] == 0.5 / 400


def test_the_film_rests_after_every_glimpse_and_longest_at_the_end():
    frames = pictures.moments(3)
    still = [(made, time) for made, way, time in frames if way == 0]
    pause, end = pictures.STILL, pictures.END
    assert still == [(0, pause), (1, pause), (2, pause), (3, end)]
    ways = [way for made, way, _ in frames if made == 2]
    assert ways == sorted(ways)
    assert ways[2] == pytest.approx(0.5)
    assert len(ways) == pictures.STEPS


def test_the_retina_goes_from_place_to_place():
    centres = torch.tensor([[0.0, 0.0], [8.0, 4.0]])
    assert pictures.between(centres, 1, 0.0).tolist() == [0, 0]
    assert pictures.between(centres, 1, 0.25).tolist() == [2, 1]
    assert pictures.between(centres, 2, 0.5).tolist() == [8, 4]
    assert pictures.between(centres, 5, 0.5).tolist() == [8, 4]  # it had stopped


def test_a_network_that_stops_shows_only_what_it_looked_at():
    torch.manual_seed(0)
    model = GlimpseModel(replace(SMALL, glimpses=6, stop_price=1.0))
    with torch.no_grad():
        model.weary[2].bias += 2  # goes on with probability 0.73
    looks = pictures.look_at(model, IMAGES.test_images)
    assert set(looks.made.tolist()) == set(range(1, 7))  # by another seed, but for 1 in 10⁴
    row = int((looks.made == 3).nonzero()[0])
    one = looks.of(row)
    assert [len(part) for part in one[:3]] == [3, 3, 3]
    rows = [row, int((looks.made == 6).nonzero()[0])]
    shown = [Example(IMAGES.test_images[row], 0, looks.of(row)) for row in rows]
    sheet, three, six = pictures.draw_paths(shown).axes
    assert sheet.texts[0].get_text() == "Up to 6 glimpses, then an answer"
    assert [len(outlines(axes)) for axes in (three, six)] == [3, 6]


def test_the_answer_is_what_was_believed_after_the_last_glimpse_made():
    beliefs = torch.eye(10)[torch.tensor([[1, 2, 3], [4, 5, 6]])]
    made = torch.tensor([2, 3])
    looks = Looks(torch.zeros(2, 3, 2), torch.zeros(2, 3, 1, 2, 2), beliefs, made)
    assert looks.answers.tolist() == [2, 6]
    assert [Example(noise(4), 0, looks.of(row)).answer for row in range(2)] == [2, 6]


def test_looks_are_what_the_retina_sees_there():
    torch.manual_seed(0)
    config = replace(SMALL, task="cluttered60", glimpses=4)
    scenes, _ = evaluate.test_scenes(TASKS["cluttered60"], IMAGES)
    looks = pictures.look_at(GlimpseModel(config), scenes)
    assert looks.seen.shape == (120, 4, 3, 12, 12)
    assert looks.made.eq(4).all()
    assert len(looks.locations.unique()) > 100
    for row in (0, 7):
        again = looks_at(scenes[row], looks.locations[row].tolist(), 12, 3)
        torch.testing.assert_close(looks.seen[row], again.seen, rtol=0, atol=1e-5)
    torch.testing.assert_close(looks.beliefs.sum(2), torch.ones(120, 4))


def test_curves_are_of_the_network_and_of_those_that_are_shipped():
    torch.manual_seed(0)
    scenes, labels = evaluate.test_scenes(TASKS["mnist28"], IMAGES)
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


# ---------------------------------------------------------------- what is drawn


def one_example(label, answer, patch=12, scales=3):
    """A path to the borders of an image of noise, with an answer that grows firmer."""
    beliefs = torch.full((3, 10), 0.05)
    beliefs[:, answer] = torch.tensor([0.55, 0.7, 0.9])
    locations = [[0.0, 0.0], [-1.0, 0.5], [1.0, 1.0]]
    return Example(noise(60), label, looks_at(noise(60), locations, patch, scales, beliefs))


def outlines(axes):
    """Left, top and width of each square."""
    squares = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [(*square.get_xy(), square.get_width()) for square in squares]


def test_the_path_goes_where_the_network_looked():
    figure = pictures.draw_paths([one_example(label=3, answer=8)])
    sheet, image = figure.axes
    path = image.lines[0].get_xydata()
    assert path.tolist() == [[30, 30], [0, 45], [60, 60]]
    assert outlines(image) == [(24, 24, 12), (-6, 39, 12), (54, 54, 12)]
    assert [text.get_text() for text in image.texts] == ["1", "2", "3"]
    assert image.get_xlim() == (0, 60)
    assert image.get_ylim() == (60, 0)
    colours = {patch.get_edgecolor() for patch in image.patches}
    assert len(colours) == 3
    told = [text.get_text() for text in sheet.texts]
    for wanted in ("3 glimpses, then an answer", "3", "✗ wrong", "8", "55 %", "90 %"):
        assert wanted in told
    seen = [shown.get_array() for shown in sheet.images]
    assert len(seen) == 3 * 3
    torch.testing.assert_close(torch.tensor(seen[1].data), one_example(3, 8).looks.seen[0, 1])


def test_a_right_answer_is_marked_as_such():
    sheet = pictures.draw_paths([one_example(label=8, answer=8, patch=8, scales=1)]).axes[0]
    told = [text.get_text() for text in sheet.texts]
    assert "✓ right" in told
    assert "✗ wrong" not in told
    assert any("8\xa0×\xa08 samples of the outlined square; below" in line for line in told)


def test_what_is_drawn_fits_on_the_sheet():
    for scales in (1, 2, 3, 4):
        sheet = pictures.draw_paths([one_example(1, 1, 4, scales)] * 2).axes[0]
        (left, right), (low, high) = sheet.get_xlim(), sheet.get_ylim()
        for shown in sheet.images:
            x0, x1, y1, y0 = shown.get_extent()
            assert left < x0 < x1 < right
            assert high < y0 < y1 < low
        extents = {tuple(shown.get_extent()) for shown in sheet.images}
        assert len(extents) == 2 * 3 * scales


def test_the_film_shows_the_squares_of_the_retina():
    example = one_example(1, 1)
    assert outlines(pictures.draw_moment([example], 0, 0.0).axes[0]) == []
    axes = pictures.draw_moment([example], 2, 0.0).axes[0]
    assert outlines(axes) == [(-6, 39, 12), (-12, 33, 24), (-24, 21, 48)]
    on_the_way = pictures.draw_moment([example], 1, 0.5).axes[0]
    assert outlines(on_the_way)[0] == (9, 31.5, 12)


@pytest.mark.parametrize(("answer", "colour"), [(4, pictures.BLUE), (5, pictures.RED)])
def test_the_bars_are_the_beliefs(answer, colour):
    example = one_example(4, answer)
    bars = pictures.draw_moment([example], 3, 0.0).axes[1]
    heights = torch.tensor([bar.get_height() for bar in bars.patches])
    torch.testing.assert_close(heights.float(), example.looks.beliefs[2])
    assert bars.patches[answer].get_facecolor()[:3] == to_rgb(colour)
    assert [tick.get_weight() for tick in bars.get_xticklabels()].index("bold") == 4


def test_before_the_first_glimpse_nothing_is_believed():
    bars = pictures.draw_moment([one_example(4, 4)], 0, 0.0).axes[1]
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.1] * 10)
    assert len({bar.get_facecolor() for bar in bars.patches}) == 1


def test_the_error_has_a_band_and_a_line_where_all_is_seen_at_once():
    found = {"glimpses": torch.tensor([0.5, 0.1, 0.0]), "at once": torch.tensor([0.02])}
    figure = pictures.draw_error(found, 100, "mnist28")
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
    figure = pictures.draw_learning(lines, SMALL)
    figure.draw_without_rendering()
    assert figure.axes[0].get_ylim() == pytest.approx(limits)
    inside = [tick for tick in figure.axes[0].get_yticks() if limits[0] <= tick <= limits[1]]
    assert len(inside) >= 2


def test_the_course_shows_what_was_recorded():
    def titles(names):
        lines = [{name: line[name] for name in names} for line in EPOCHS]
        axes = pictures.draw_learning(lines, SMALL).axes
        return [one.get_title(loc="left") for one in axes if one.axison]

    always = ["seconds", "images", "error"]
    assert titles(always) == ["validation error"] * 2
    assert titles([*always, "locator_snr"])[2:] == ["locator's gradient: signal to noise"]
    assert len(titles([*always, "baseline_fit", "locator_snr"])) == 4
    minutes, thousands = pictures.draw_learning(EPOCHS, SMALL).axes[:2]
    assert minutes.lines[0].get_xydata().tolist() == [[0.5, 0.4], [1, 0.02]]
    assert thousands.lines[0].get_xdata().tolist() == [0.9, 1.8]


def test_maps_are_around_the_digit_where_it_moves():
    locations = torch.tensor([[[0.0, 0.0], [1.0, -1.0]]]).expand(50, 2, 2)
    looks = Looks(locations, torch.zeros(50, 2, 1, 2, 2), torch.zeros(50, 2, 10), torch.ones(50))
    looks = looks._replace(made=torch.full((50,), 2))
    centres, digits = torch.tensor([[45.0, 15.0]]).expand(50, 2), IMAGES.test_images[:50]
    moving = pictures.draw_where(looks, centres, digits, 60).axes
    peaks = []
    for axes in moving:
        shown = axes.images[0].get_array()
        row, column = np.unravel_index(shown.argmax(), shown.shape)
        left, right, _, high = axes.images[0].get_extent()
        width = (right - left) / pictures.MAPPED
        peaks.append((left + (column + 0.5) * width, high + (row + 0.5) * width))
    half = 30 / pictures.MAPPED  # a field's half side
    for peak, wanted in zip(peaks, [(30, 30), (60, 0), (-15, 15), (15, -15)], strict=True):
        assert peak == pytest.approx(wanted, abs=half + 1e-6)
    assert len(pictures.draw_where(looks, centres, digits, DIGIT).axes) == 2


# ---------------------------------------------------------------- the files


def check_picture(path, most=300_000):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert 300 < max(picture.size) <= pictures.LONGEST
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 10
    assert path.stat().st_size < most


@pytest.mark.parametrize("task", ["mnist28", "cluttered60"])
def test_a_run_is_drawn_into_its_folder(task, capsys, monkeypatch):
    monkeypatch.setattr(pictures, "STEPS", 2)  # the film is what takes time
    folder = trained(Path("run"), replace(SMALL, task=task), EPOCHS)
    plot(run_dir=folder)
    names = ["paths.png", "looking.gif", "where.png", "error.png", "learning.png"]
    assert capsys.readouterr().out.split() == [str(folder / name) for name in names]
    for name in names:
        if name.endswith("png"):
            check_picture(folder / name)
    with Image.open(folder / "looking.gif") as film:
        assert film.info["loop"] == 0
        assert film.n_frames == len(pictures.moments(2))
        assert max(film.size) <= 900
        times, frames = [], []
        for number in range(film.n_frames):
            film.seek(number)
            times.append(film.info["duration"])
            frames.append(np.asarray(film.convert("RGB")).astype(int))
    assert times == [time for *_, time in pictures.moments(2)]
    assert all((one != other).any() for one, other in pairwise(frames))
    answers = np.array([to_rgb(colour) for colour in (pictures.BLUE, pictures.RED)]) * 255
    distance = np.abs(frames[-1][:, :, None] - answers).max(-1)
    assert (distance < 12).sum() > 100  # the palette has kept the colours of right and wrong
    assert (folder / "looking.gif").stat().st_size < 400_000


def test_the_seed_fixes_the_paths(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures,
        "plot_glimpses",
        lambda model, *_: drawn.append(pictures.look_at(model, IMAGES.test_images).locations),
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
    paths = [Path(f"{name}.{ending}") for name in ("one", "two")]
    for path in paths:
        pictures.save(pictures.draw_error(found, 100, "mnist28"), path)
    one, two = (path.read_bytes() for path in paths)
    assert one.startswith(start)
    assert one == two  # no date


def test_a_network_that_sees_all_at_once_has_no_glimpses_to_draw(capsys):
    folder = trained(Path("run"), replace(SMALL, policy="conv"), EPOCHS)
    plot(run_dir=folder)
    assert capsys.readouterr().out.split() == [str(folder / "learning.png")]


def test_which_network_is_drawn(capsys):
    def chosen(**options):
        return pictures.run_of(argparse.Namespace(**{"task": None, "run_dir": None, **options}))

    assert chosen() is None
    for number, name in enumerate(("mnist28-2", "mnist28-10", "mnist28-1")):
        folder = trained(pictures.RUNS / name, replace(SMALL, policy="conv"), EPOCHS)
        os.utime(folder / weights.BEST, (number, number))
    (pictures.RUNS / "stopped-early").mkdir()
    assert chosen() == pictures.RUNS / "mnist28-1"
    assert chosen(task="mnist28") is None
    assert chosen(run_dir=Path("x")) == chosen(run_dir=Path("x"), task="mnist28") == Path("x")
    plot()
    assert capsys.readouterr().out.split() == ["runs/glimpse/mnist28-1/learning.png"]


def test_what_is_shipped_is_drawn_among_the_pictures(monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "plot_glimpses", lambda *passed: drawn.append(passed[2:]))
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
    with pytest.raises(RunError, match=r"there is no .*cluttered60-learned\.safetensors"):
        plot(task="cluttered60")
    with pytest.raises(RunError, match=r"there is no nowhere/best\.safetensors"):
        plot(run_dir=Path("nowhere"))
    folder = trained(Path("run"), replace(SMALL, policy="conv"), EPOCHS)
    Path("file").write_text("")
    told = r"file/learning\.png cannot be written \(.+\): name another folder by --output"
    with pytest.raises(RunError, match=told):
        plot(run_dir=folder, output=Path("file"))
    (folder / "learning.png").mkdir()
    with pytest.raises(RunError, match=r"run/learning\.png cannot be written \(Is a directory\)"):
        plot(run_dir=folder)
    Path("looking.gif").mkdir()
    with pytest.raises(RunError, match=r"looking\.gif cannot be written"):
        pictures.write_film([one_example(1, 1)], Path("looking.gif"))
