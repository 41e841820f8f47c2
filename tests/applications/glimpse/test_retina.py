"""The sensor against boxes cut out one by one, and scenes against their definition."""

import pytest
import torch
from torch import Generator

from applications.glimpse.retina import Retina, integral
from applications.glimpse.tasks import DIGIT, TASKS, make_scenes, warp


def boxes_one_by_one(image, x, y, patch, scales):
    """What a retina of whole pixels sees, by slicing an image with a dark border."""
    border = patch * 2**scales
    padded = torch.nn.functional.pad(image.double() / 255, [border] * 4)
    seen = []
    for k in range(scales):
        side = 2**k
        left, top = (int(at) + border - patch * side // 2 for at in (x, y))
        for row in range(patch):
            for column in range(patch):
                r, c = top + row * side, left + column * side
                seen.append(padded[r : r + side, c : c + side].mean())
    return torch.stack(seen)


@pytest.mark.parametrize(("patch", "scales", "canvas"), [(8, 1, 28), (12, 3, 60), (4, 4, 21)])
@pytest.mark.parametrize("smooth", [False, True])
def test_sees_what_is_there_also_beyond_the_border(patch, scales, canvas, smooth):
    generator = Generator().manual_seed(0)
    images = torch.randint(256, (20, canvas, canvas), generator=generator, dtype=torch.uint8)
    pixels = torch.randint(-3, canvas + 4, (20, 2), generator=generator)
    location = pixels / canvas * 2 - 1
    seen = Retina(patch, scales)(integral(images), location, smooth)
    wanted = [
        boxes_one_by_one(image, x, y, patch, scales)
        for image, (x, y) in zip(images, pixels, strict=True)
    ]
    assert seen.shape == (20, scales * patch**2)
    torch.testing.assert_close(seen.double(), torch.stack(wanted), rtol=0, atol=1e-4)


def test_the_smooth_retina_is_linear_between_pixels_and_has_that_gradient():
    generator = Generator().manual_seed(1)
    images = torch.randint(256, (9, 30, 30), generator=generator, dtype=torch.uint8)
    table, retina = integral(images).double(), Retina(6, 2)
    retina.edges, retina.brightness = retina.edges.double(), retina.brightness.double()
    location = torch.rand(9, 2, generator=generator, dtype=torch.double) * 1.6 - 0.8
    location = ((location + 1) * 15).floor().add(0.5).div(15).sub(1)  # the middle of a pixel
    location.requires_grad_()
    assert torch.autograd.gradcheck(lambda at: retina(table, at, smooth=True), location, eps=1e-6)
    half = torch.tensor([1 / 30, 0.0], dtype=torch.double)
    ends = [retina(table, location.detach() + sign * half, smooth=True) for sign in (-1, 1)]
    middle = retina(table, location.detach(), smooth=True)
    torch.testing.assert_close(middle, (ends[0] + ends[1]) / 2)


def test_the_integral_is_exact_at_the_largest_canvas():
    images = torch.full((1, 100, 100), 255, dtype=torch.uint8)
    assert integral(images)[0, -1, -1] == 255 * 100 * 100
    assert integral(images)[0, 0].eq(0).all()


@pytest.mark.parametrize(
    ("patch", "scales", "match"),
    [(7, 1, "patch is 7: .* even"), (0, 1, "patch is 0"), (8, 0, "scales is 0")],
)
def test_refuses_a_retina_that_sees_nothing(patch, scales, match):
    with pytest.raises(ValueError, match=match):
        Retina(patch, scales)


@pytest.mark.parametrize("name", TASKS)
def test_scenes_hold_the_digit_whole_and_pieces_of_others(name):
    task = TASKS[name]
    digits = torch.full((300, DIGIT, DIGIT), 100, dtype=torch.uint8)
    others = torch.full((5, DIGIT, DIGIT), 30, dtype=torch.uint8)
    scenes = make_scenes(task, digits, others, Generator().manual_seed(0)).int()
    assert scenes.shape == (300, task.canvas, task.canvas)
    whole = (scenes >= 100).flatten(1).sum(1)
    assert whole.eq(DIGIT**2).all()
    rows = (scenes >= 100).any(2).int().argmax(1)
    room = task.canvas - DIGIT
    assert rows.min() == 0  # of 300 digits one touches each border
    assert rows.max() == room
    brightness = (scenes - 100 * (scenes >= 100)).flatten(1).sum(1)
    assert brightness.eq(task.pieces * 30 * 64).all()  # they add up where they overlap


def test_brightness_is_clipped():
    task = TASKS["cluttered60"]
    bright = torch.full((50, DIGIT, DIGIT), 255, dtype=torch.uint8)
    scenes = make_scenes(task, bright, bright, Generator().manual_seed(0))
    assert set(scenes.unique().tolist()) == {0, 255}


def test_the_seed_fixes_the_scenes():
    task, digits = TASKS["cluttered100"], torch.randint(256, (40, 28, 28)).to(torch.uint8)
    one, same, other = (
        make_scenes(task, digits, digits, Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert one.equal(same)
    assert not one.equal(other)


def test_a_warp_moves_a_digit_a_little():
    disc = torch.zeros(400, 28, 28, dtype=torch.uint8)
    disc[:, 10:18, 11:17] = 200
    assert warp(disc, 0, Generator()).equal(disc)
    warped = warp(disc, 1, Generator().manual_seed(0)).float()
    mass = warped.flatten(1).sum(1) / disc[0].sum()
    assert ((mass > 0.5) & (mass < 2)).all()
    steps = torch.arange(28.0)
    x = (warped.sum(1) * steps).sum(1) / warped.flatten(1).sum(1)
    assert abs(x.mean() - 13.5) < 0.2  # around the middle of columns 11 to 16
    assert 0.5 < x.std() < 1.2  # a pixel, cut off at two
