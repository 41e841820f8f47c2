"""What the playground looks like, beside pictures of it as it was."""

import os

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps

from tests.applications.gaussian.browser import needs_browser

pytestmark = needs_browser

TILTED = "samples=40&seed=2&factor=0.8,0.5,0.6"
SCREENS = {
    "scores": ("#plane", "samples=40&seed=2"),
    "weighted": ("#plane", f"{TILTED}&stage=weighted&reward=hills"),
    "average": ("#plane", "samples=40&seed=2&stage=average"),
    "step": ("#plane", "samples=40&seed=2&stage=step&covariance=1"),
    "cloud": ("#cloud", f"{TILTED}&baseline=leave-one-out&mean=-1.5,0.5"),
    "strips": ("#cloud", "tab=moves&samples=40&seed=2"),
}


def difference(screen, expected):
    """Share of the pixels that differ clearly, of a hundred a side: fonts and edges may differ."""
    shape = (100, 100)
    small = [
        image.convert("RGB").resize(shape, Image.Resampling.BOX) for image in (screen, expected)
    ]
    worst = np.asarray(ImageChops.difference(*small)).max(2)
    return (worst > 40).mean()


def screen_of(page, tmp_path, selector="#plane"):
    page.tab.locator(selector).screenshot(path=tmp_path / "screen.png")
    with Image.open(tmp_path / "screen.png") as image:
        return image.convert("RGB")


@pytest.mark.parametrize("name", SCREENS)
def test_a_picture_looks_as_it_did(name, open_page, tmp_path, request):
    folder = request.path.parent / "screens"
    selector, state = SCREENS[name]
    screen = screen_of(open_page(state), tmp_path, selector)
    if os.environ.get("KEEP_SCREENS"):
        few = screen.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(folder / f"{name}.png", optimize=True)
        pytest.skip("kept, not compared: KEEP_SCREENS is set")
    with Image.open(folder / f"{name}.png") as expected:
        assert difference(screen, expected) < 0.01
    # The test can fail: other states of the same picture are told apart, and so is a mirrored one.
    others = [other for other in SCREENS if other != name and SCREENS[other][0] == selector]
    for other in others:
        with Image.open(folder / f"{other}.png") as wrong:
            assert difference(screen, wrong) > 0.02
    assert difference(screen, ImageOps.flip(screen)) > 0.02


def test_the_dark_is_dark(open_page, tmp_path):
    """The colours follow the system, also while the page is open."""
    page = open_page(SCREENS["scores"][1], color_scheme="dark")
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


def test_the_table_of_moves_shows_the_policy(open_page):
    """Bars as high as the probabilities, before and after; arrows the way of their numbers."""
    page = open_page("tab=moves&stage=step&samples=60&seed=2")
    numbers = page.numbers()
    heights = page.tab.evaluate(
        "[...document.querySelectorAll('.bar')].map(b => [...b.children].map(c => c.style.height))"
    )
    after, before = np.array(
        [[float(height.rstrip("%")) / 100 for height in bars] for bars in heights]
    ).T
    assert after == pytest.approx(numbers["after"]["probabilities"], abs=1e-4)
    logits = np.array(numbers["state"]["logits"])
    assert before == pytest.approx(np.exp(logits) / np.exp(logits).sum(), abs=1e-4)

    def tips(kind):  # an arrow up has a negative y
        paths = page.tab.locator(f"#moves path.{kind}").all()
        return [-float(path.get_attribute("d").split("V")[1].split(" ")[0]) for path in paths]

    assert np.array_equal(np.sign(tips("own")), np.sign(numbers["estimate"]))
    assert np.array_equal(np.sign(tips("truth")), np.sign(numbers["exact_gradient"]))
    assert np.argmax(np.abs(tips("own"))) == np.argmax(np.abs(numbers["estimate"]))


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("stage=step&rate=2.5", "mean + 2.5 × covariance × average"),
        ("tab=moves&stage=step&rate=2.5", "logits + 2.5 × average"),
        ("stage=weighted&scale=4", "reward × score (drawn at 0.1 of its length)"),
        ("stage=weighted&gradient=density", "reward × ∇p"),
        ("stage=weighted&baseline=moving-average", "empty before the first step"),
        ("tab=moves&stage=weighted&scale=3", "the largest factor is 3"),
    ],
)
def test_captions_say_what_is_drawn(state, text, open_page):
    assert text in open_page(state).text("#caption")


def colours_along(page, vector):
    """The colours of the plane from the mean along a vector, units of the plot: `[100, 3]`."""
    return np.array(
        page.tab.evaluate(
            """([x, y, dx, dy]) => {
                const plane = document.getElementById('plane')
                const scale = plane.width / 6.8
                const copy = new OffscreenCanvas(plane.width, plane.height)
                const context = copy.getContext('2d', {willReadFrequently: true})
                context.drawImage(plane, 0, 0)
                return Array.from({length: 100}, (_, k) => [...context.getImageData(
                    (x + dx * k / 100 + 3.4) * scale, (3.4 - y - dy * k / 100) * scale, 1, 1
                ).data.slice(0, 3)])
            }""",
            [0.35, 0.3, *(6 * np.array(vector)).tolist()],
        )
    )


def test_the_dashed_arrow_is_the_exact_gradient_and_the_solid_one_the_estimate(open_page):
    page = open_page("samples=20&seed=5&stage=average")
    numbers = page.numbers()
    for vector, colour, share in [
        (numbers["exact_gradient"], (0xA8, 0x40, 0x7F), 0.25),
        (numbers["estimate"], (0x1D, 0x23, 0x29), 0.7),
    ]:
        near = np.abs(colours_along(page, vector) - colour).max(1) < 60
        assert near[30:].mean() > share  # the rest is under the handle
        backwards = np.abs(colours_along(page, np.negative(vector)) - colour).max(1) < 60
        assert backwards[30:].mean() < 0.05
