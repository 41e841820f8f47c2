"""What the playground looks like, beside pictures of it as it was."""

import os

import numpy as np
import pytest
from PIL import Image, ImageChops

from tests.applications.browser import needs_browser

pytestmark = needs_browser

SCREENS = {
    "scores": "samples=40&seed=2",
    "weighted": "samples=40&seed=2&stage=weighted&reward=hills&factor=0.8,0.5,0.6",
    "step": "samples=40&seed=2&stage=step&covariance=1",
}


def difference(screen, expected):
    """Share of the pixels that differ clearly, of a hundred a side: fonts and edges may differ."""
    shape = (100, 100)
    small = [
        image.convert("RGB").resize(shape, Image.Resampling.BOX) for image in (screen, expected)
    ]
    worst = np.asarray(ImageChops.difference(*small)).max(2)
    return (worst > 40).mean()


def screen_of(page, tmp_path):
    page.tab.locator("#plane").screenshot(path=tmp_path / "screen.png")
    with Image.open(tmp_path / "screen.png") as image:
        return image.convert("RGB")


@pytest.mark.parametrize("name", SCREENS)
def test_the_plane_looks_as_it_did(name, open_page, tmp_path, request):
    folder = request.path.parent / "screens"
    screen = screen_of(open_page(SCREENS[name]), tmp_path)
    if os.environ.get("KEEP_SCREENS"):
        few = screen.quantize(128, dither=Image.Dither.NONE)
        few.save(folder / f"{name}.png", optimize=True)
        pytest.skip("kept, not compared: KEEP_SCREENS is set")
    with Image.open(folder / f"{name}.png") as expected:
        assert difference(screen, expected) < 0.01
    for other in SCREENS.keys() - {name}:  # the test can fail
        with Image.open(folder / f"{other}.png") as wrong:
            assert difference(screen, wrong) > 0.03


def test_the_dark_is_dark(open_page, tmp_path):
    """The colours follow the system, also while the page is open."""
    page = open_page(SCREENS["scores"], color_scheme="dark")
    dark = screen_of(page, tmp_path)
    page.tab.emulate_media(color_scheme="light")
    page.settle()
    light = screen_of(page, tmp_path)
    assert np.asarray(dark).mean() < 60
    assert np.asarray(light).mean() > 200


def contrast(one, other):
    """The contrast of two colours, as WCAG 2 defines it."""
    lights = []
    for colour in (one, other):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_marks_stand_out(scheme, open_page):
    page = open_page(color_scheme=scheme)
    style = "getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()"
    texts = "ink muted paper panel accent on-accent"
    marks = "density good bad truth low high"
    colour = {
        name: page.tab.evaluate(f"name => {style}", name) for name in f"{texts} {marks}".split()
    }
    for text in ("ink", "muted", "accent"):
        assert contrast(colour[text], colour["paper"]) > 4.5
    assert contrast(colour["ink"], colour["panel"]) > 4.5
    assert contrast(colour["accent"], colour["panel"]) > 4.5
    assert contrast(colour["on-accent"], colour["accent"]) > 4.5
    for mark in ("density", "good", "bad", "truth"):
        assert contrast(colour[mark], colour["paper"]) > 3
        assert contrast(colour[mark], colour["low"]) > 3
    assert contrast(colour["density"], colour["high"]) > 3
