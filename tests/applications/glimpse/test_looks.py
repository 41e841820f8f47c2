"""What is shown, exactly: the glimpses, what they have seen of an image, where the digits are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator

from applications.glimpse.config import Config
from applications.glimpse.looks import (
    Example,
    Looks,
    choose,
    density,
    digit_centres,
    look_at,
    recalled,
    sharpness,
    to_pixels,
    window,
)
from applications.glimpse.model import GlimpseModel
from applications.glimpse.outcomes import BATCH, held_out_scenes
from applications.glimpse.tasks import DIGIT, TASKS
from tests.applications.glimpse.digits import generated_digits
from tests.applications.glimpse.glimpses import looks_at, noise

IMAGES = generated_digits(20, 120, seed=0)
SMALL = Config(hidden=16, features=16, glimpses=2)


# ---------------------------------------------------------------- the glimpses of a network


def test_a_network_that_stops_shows_only_what_it_looked_at():
    torch.manual_seed(0)
    model = GlimpseModel(replace(SMALL, glimpses=6, stop_price=1.0))
    with torch.no_grad():
        model.weary[2].bias += 2  # goes on with probability 0.73
    looks = look_at(model, IMAGES.test_images)
    assert set(looks.made.tolist()) == set(range(1, 7))  # by another seed, but for 1 in 10⁴
    one = looks.of(int((looks.made == 3).nonzero()[0]))
    assert [len(part) for part in one[:3]] == [3, 3, 3]


def test_the_answer_is_what_was_believed_after_the_last_glimpse_made():
    beliefs = torch.eye(10)[torch.tensor([[1, 2, 3], [4, 5, 6]])]
    made = torch.tensor([2, 3])
    looks = Looks(torch.zeros(2, 3, 2), torch.zeros(2, 3, 1, 2, 2), beliefs, made)
    assert looks.answers.tolist() == [2, 6]
    assert [Example(noise(4), 0, looks.of(row)).answer for row in range(2)] == [2, 6]


def test_looks_are_what_the_retina_sees_there():
    torch.manual_seed(0)
    config = replace(SMALL, task="cluttered60", glimpses=4)
    scenes, _ = held_out_scenes(TASKS["cluttered60"], IMAGES)
    looks = look_at(GlimpseModel(config), scenes)
    assert looks.seen.shape == (120, 4, 3, 12, 12)
    assert looks.made.eq(4).all()
    assert len(looks.locations.unique()) > 100
    for row in (0, 7):
        again = looks_at(scenes[row], looks.locations[row].tolist(), 12, 3)
        torch.testing.assert_close(looks.seen[row], again.seen, rtol=0, atol=1e-5)
    torch.testing.assert_close(looks.beliefs.sum(2), torch.ones(120, 4))


# ---------------------------------------------------------------- which images, and where


def test_chooses_the_first_of_each_class_and_a_wrong_answer():
    labels = torch.tensor([7, 7, 2, 7, 1, 0, 1, 2])
    right = labels.clone()
    assert choose(labels, right, 3) == [0, 2, 4]
    assert choose(labels, right, 9) == [0, 2, 4, 5]
    wrong_among_them, wrong_later = right.clone(), right.clone()
    wrong_among_them[2] = 3
    wrong_later[[6, 7]] = 3
    assert choose(labels, wrong_among_them, 3) == [0, 2, 4]
    assert choose(labels, wrong_later, 3) == [0, 2, 6]
    assert choose(labels, wrong_later, 1) == [6]


@pytest.mark.parametrize("name", TASKS)
def test_finds_the_digits(name):
    task, count = TASKS[name], BATCH + 50
    images = generated_digits(0, count, seed=1)
    scenes, _ = held_out_scenes(task, images, count)
    centres = digit_centres(task, images, count)

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


def test_locations_are_pixels_from_the_upper_left_border():
    locations = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0], [0.1, -0.31]])
    pixels = to_pixels(locations, 60)
    assert pixels.tolist() == [[0, 0], [60, 0], [30, 60], [33, 21]]


def test_density_counts_where_points_fall():
    points = torch.tensor([[5.5, 1.5]] * 8 + [[-9.0, 99.0]] * 4)
    shown = density(points, 0, 8, 8)
    assert shown[1, 5] == 1  # row y, column x
    assert shown[1, 4] == shown[0, 5] == 0.5
    assert shown[0, 4] == 0.25
    assert shown[7, 0] == 0.5  # beyond the border counts as on it
    assert shown[4].eq(0).all()
    assert density(points[:0], 0, 8, 8).eq(0).all()


# ---------------------------------------------------------------- what has been seen


def test_window_is_cut_off_at_the_border():
    assert window(6, 4, 12) == (slice(4, 8), slice(0, 4))
    assert window(0, 4, 12) == (slice(0, 2), slice(2, 4))
    assert window(12, 4, 12) == (slice(10, 12), slice(0, 2))
    for beyond in (-9, 30):
        on_canvas, _ = window(beyond, 4, 12)
        assert np.arange(12)[on_canvas].size == 0


def test_what_has_been_seen_of_known_glimpses():
    scene = noise(12)
    wanted = torch.full((12, 12), 2)
    nothing = looks_at(scene, [[0.0, 0.0]], 2, 2).until(0)
    assert torch.equal(sharpness(nothing, 12), wanted)
    wanted[4:8, 4:8], wanted[5:7, 5:7] = 1, 0
    middle = looks_at(scene, [[0.0, 0.0]], 2, 2)
    assert torch.equal(sharpness(middle, 12), wanted)
    wanted[10:12, 0:2], wanted[11:12, 0:1] = 1, 0  # x is −1: columns; y is 1: rows
    corner = looks_at(scene, [[0.0, 0.0], [-1.0, 1.0]], 2, 2)
    assert torch.equal(sharpness(corner, 12), wanted)
    wanted[4:8, 5:9] = wanted[4:8, 5:9].clamp(max=1)  # what is sharp stays sharp
    wanted[5:7, 6:8] = 0
    beside = looks_at(scene, [[0.0, 0.0], [-1.0, 1.0], [1 / 6, 0.0]], 2, 2)
    assert torch.equal(sharpness(beside, 12), wanted)


@pytest.mark.parametrize(("patch", "scales", "canvas"), [(8, 1, 28), (12, 3, 60), (4, 4, 21)])
def test_what_is_recalled_is_what_was_there(patch, scales, canvas):
    scene, generator = noise(canvas), Generator().manual_seed(1)
    locations = 2.4 * torch.rand(5, 2, generator=generator) - 1.2  # some beyond the border
    looks = looks_at(scene, locations.tolist(), patch, scales)
    found = sharpness(looks, canvas)
    picture = recalled(looks, canvas)
    sharp = found == 0
    assert sharp.any()
    torch.testing.assert_close(picture[sharp], scene[sharp] / 255, rtol=0, atol=1e-5)
    assert picture[found == scales].eq(0).all()
    beside = looks._replace(locations=looks.locations + 2 / canvas)  # a pixel away
    moved = recalled(beside, canvas)[sharpness(beside, canvas) == 0]
    there = scene[sharpness(beside, canvas) == 0] / 255
    assert not torch.allclose(moved, there, atol=0.1)


def test_coarse_boxes_are_recalled_as_their_means():
    scene = noise(16)
    picture = recalled(looks_at(scene, [[0.0, 0.0]], 2, 3), 16)
    means = scene[4:12, 4:12].view(2, 4, 2, 4).float().mean((1, 3)) / 255
    assert picture[4, 4] == picture[5, 5] == pytest.approx(means[0, 0].item(), abs=1e-5)
    assert picture[11, 4] == pytest.approx(means[1, 0].item(), abs=1e-5)
    assert picture[6, 6] == pytest.approx(scene[6:8, 6:8].float().mean().item() / 255, abs=1e-5)
