"""The sheet and the film: what is drawn, where it was said to be, and the file."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from applications.glimpse import paths
from applications.glimpse.looks import Example, sharpness
from applications.kit import figures as style
from applications.kit.errors import RunError
from tests.applications.glimpse.glimpses import looks_at, noise


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


# ---------------------------------------------------------------- the sheet


def test_the_path_goes_where_the_network_looked():
    figure = paths.plot_paths([one_example(label=3, answer=8)])
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
    sheet = paths.plot_paths([one_example(label=8, answer=8, patch=8, scales=1)]).axes[0]
    told = [text.get_text() for text in sheet.texts]
    assert "✓ right" in told
    assert "✗ wrong" not in told
    assert any("8\xa0×\xa08 samples of the outlined square; below" in line for line in told)


def test_what_is_drawn_fits_on_the_sheet():
    for scales in (1, 2, 3, 4):
        sheet = paths.plot_paths([one_example(1, 1, 4, scales)] * 2).axes[0]
        (left, right), (low, high) = sheet.get_xlim(), sheet.get_ylim()
        for shown in sheet.images:
            x0, x1, y1, y0 = shown.get_extent()
            assert left < x0 < x1 < right
            assert high < y0 < y1 < low
        extents = {tuple(shown.get_extent()) for shown in sheet.images}
        assert len(extents) == 2 * 3 * scales


def test_a_path_that_stopped_is_shorter():
    scene = noise(60)
    looks = looks_at(scene, [[0.0, 0.0]] * 6, 12, 3)
    sheet, three, six = paths.plot_paths([Example(scene, 0, looks.until(n)) for n in (3, 6)]).axes
    assert sheet.texts[0].get_text() == "Up to 6 glimpses, then an answer"
    assert [len(outlines(axes)) for axes in (three, six)] == [3, 6]


# ---------------------------------------------------------------- the film


def test_what_was_seen_is_bright_and_the_rest_dim():
    scene = torch.full((12, 12), 255, dtype=torch.uint8)
    looks = looks_at(scene, [[0.0, 0.0]], 2, 2)
    light = paths.spotlight(scene, looks).mean(2)
    found = sharpness(looks, 12).numpy()
    fine, coarse, unseen = (np.unique(light[found == scale]) for scale in range(3))
    assert len(fine) == len(coarse) == len(unseen) == 1
    assert fine[0] == 1
    assert fine[0] > coarse[0] + 0.2 > unseen[0] + 0.4
    dark = paths.spotlight(0 * scene, looks_at(0 * scene, [[0.0, 0.0]], 2, 2)).mean(2)
    assert dark[6, 6] > dark[4, 4] + 0.05 > dark[0, 0] + 0.1  # the ground tells it as well


def test_the_film_rests_after_every_glimpse_and_longest_at_the_end():
    frames = paths.moments(3)
    still = [(made, time) for made, way, time in frames if way == 0]
    pause, end = paths.STILL, paths.END
    assert still == [(0, pause), (1, pause), (2, pause), (3, end)]
    ways = [way for made, way, _ in frames if made == 2]
    assert ways == sorted(ways)
    assert ways[2] == pytest.approx(0.5)
    assert len(ways) == paths.STEPS


def test_the_retina_goes_from_place_to_place():
    centres = torch.tensor([[0.0, 0.0], [8.0, 4.0]])
    assert paths.between(centres, 1, 0.0).tolist() == [0, 0]
    assert paths.between(centres, 1, 0.25).tolist() == [2, 1]
    assert paths.between(centres, 2, 0.5).tolist() == [8, 4]
    assert paths.between(centres, 5, 0.5).tolist() == [8, 4]  # it had stopped


def test_the_film_shows_the_squares_of_the_retina():
    example = one_example(1, 1)
    assert outlines(paths.plot_moment([example], 0, 0.0).axes[0]) == []
    axes = paths.plot_moment([example], 2, 0.0).axes[0]
    assert outlines(axes) == [(-6, 39, 12), (-12, 33, 24), (-24, 21, 48)]
    on_the_way = paths.plot_moment([example], 1, 0.5).axes[0]
    assert outlines(on_the_way)[0] == (9, 31.5, 12)


@pytest.mark.parametrize(("answer", "colour"), [(4, style.BLUE), (5, style.RED)])
def test_the_bars_are_the_beliefs(answer, colour):
    example = one_example(4, answer)
    bars = paths.plot_moment([example], 3, 0.0).axes[1]
    heights = torch.tensor([bar.get_height() for bar in bars.patches])
    torch.testing.assert_close(heights.float(), example.looks.beliefs[2])
    assert bars.patches[answer].get_facecolor()[:3] == to_rgb(colour)
    assert [tick.get_weight() for tick in bars.get_xticklabels()].index("bold") == 4


def test_before_the_first_glimpse_nothing_is_believed():
    bars = paths.plot_moment([one_example(4, 4)], 0, 0.0).axes[1]
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.1] * 10)
    assert len({bar.get_facecolor() for bar in bars.patches}) == 1


def test_a_film_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "looking.gif").mkdir()
    with pytest.raises(RunError, match=r"looking\.gif cannot be written"):
        paths.write_film([one_example(1, 1)], tmp_path / "looking.gif")
