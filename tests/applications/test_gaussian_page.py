"""The page to play with: its one file, and hands on it in a real browser."""

import json
import re

import numpy as np
import pytest
from PIL import Image, ImageChops

from applications.gaussian import page as pages
from applications.gaussian.__main__ import main
from applications.gaussian.page import CELLS, SOURCE, PageError, build, picture_text
from applications.gaussian.plot import MOST_DRAWS
from applications.gaussian.rewards import LIMIT, REGIONS
from tests.applications.browser import OpenPage, needs_browser

# ---------------------------------------------------------------- one file


def test_the_page_is_one_small_file():
    page = build()
    assert len(page.encode()) < 150_000
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "import " not in page[page.index('<script type="module">') :].replace("import torch", "")


def test_the_sources_agree_on_their_constants():
    reward = (SOURCE / "reward.js").read_text()
    assert f"export const LIMIT = {LIMIT};" in reward
    assert f"export const CELLS = {CELLS};" in reward
    assert f"LARGEST_SAMPLE = {MOST_DRAWS};" in (SOURCE / "state.js").read_text()
    regions = reward[reward.index("REGIONS = [") : reward.index("];", reward.index("REGIONS"))]
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", regions)]
    assert numbers == [entry for region in REGIONS for entry in region]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            {
                "main.js": 'import { a } from "./other.js";\nconst b = a;',
                "other.js": "const b = 1;",
            },
            "main.js and other.js both define b: rename one of them",
        ),
        ({"main.js": 'import a from "./main.js";'}, "main.js has a line that cannot be folded"),
        ({"main.js": "export default 1;"}, "main.js has a line that cannot be folded"),
    ],
)
def test_sources_that_cannot_be_folded_are_refused(sources, message, tmp_path, monkeypatch):
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(pages, "SOURCE", tmp_path)
    with pytest.raises(PageError, match=message):
        pages.script("main.js")


def test_a_page_without_its_marks_is_refused(tmp_path, monkeypatch):
    for file in SOURCE.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "index.html").write_text("<body>")
    monkeypatch.setattr(pages, "SOURCE", tmp_path)
    with pytest.raises(PageError, match=r"index.html has 0 times <link rel"):
        build()


def test_the_example_learns(capsys):
    """Twenty lines: they end in the disc, far from where they start, whatever the seed."""
    exec((SOURCE / "example.py").read_text(), {})
    x, y = (float(number) for number in re.findall(r"-?\d\.\d+", capsys.readouterr().out))
    assert np.hypot(x + 1.2, y + 0.8) < 0.5
    assert len((SOURCE / "example.py").read_text().splitlines()) < 30


# ---------------------------------------------------------------- hands


def state_of(page):
    return page.numbers()["state"]


def place(page, x, y):
    """Where a point of the plot is in the window."""
    box = page.tab.locator("#plane").bounding_box()
    scale = box["width"] / (2 * LIMIT)
    return box["x"] + (x + LIMIT) * scale, box["y"] + (LIMIT - y) * scale


def drag(page, start, end):
    mouse = page.tab.mouse
    mouse.move(*place(page, *start))
    mouse.down()
    mouse.move(*place(page, *end), steps=5)
    mouse.up()
    page.settle()


def touch_drag(page, start, end):
    """A finger, which Playwright itself only taps with."""
    session = page.tab.context.new_cdp_session(page.tab)
    (x0, y0), (x1, y1) = place(page, *start), place(page, *end)

    def send(kind, points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", [{"x": x0, "y": y0}])
    for k in range(1, 6):
        send("touchMove", [{"x": x0 + (x1 - x0) * k / 5, "y": y0 + (y1 - y0) * k / 5}])
    send("touchEnd", [])
    page.settle()


def pixels_of(page):
    return page.tab.evaluate("document.getElementById('plane').toDataURL()")


def levels_at(page, *points):
    """The grey levels at points of the plot, from the picture that the page saves."""
    with Image.open(page.download("save-picture")) as picture:
        side = 2 * LIMIT / CELLS
        cells = [(int((x + LIMIT) / side), int((LIMIT - y) / side)) for x, y in points]
        return [picture.getpixel(cell)[0] for cell in cells]


@needs_browser
@pytest.mark.parametrize("start", [(0.35, 0.3), (-2.5, 2.5)], ids=["by its handle", "anywhere"])
def test_the_mean_is_dragged(start, open_page):
    page = open_page()
    drag(page, start, (start[0] - 1.2, start[1] - 1))
    assert state_of(page)["mean"] == pytest.approx([-0.85, -0.7], abs=0.02)
    assert state_of(page)["factor"] == [1, 0, 1]


@needs_browser
def test_an_axis_is_stretched_and_turned(open_page):
    page = open_page("mean=0,0&factor=1,0,0.5")
    drag(page, (2, 0), (2, 2))
    l11, l21, l22 = state_of(page)["factor"]
    covariance = np.array([[l11, 0], [l21, l22]]) @ np.array([[l11, 0], [l21, l22]]).T
    values, vectors = np.linalg.eigh(covariance)
    assert np.sqrt(values) == pytest.approx([0.5, np.sqrt(2)], abs=0.02)
    assert abs(vectors[0, 1] / vectors[1, 1]) == pytest.approx(1, abs=0.02)


@needs_browser
def test_a_stroke_paints_the_reward(open_page):
    page = open_page("reward=ring")
    assert levels_at(page, (0.5, 0), (-0.5, 0)) == [0, 0]
    page.tab.locator("[name=tool][value=good]").check(force=True)
    drag(page, (-1, 0), (1, 0))
    stroke = [(-1, 0), (-0.5, 0), (0, 0), (0.5, 0), (1, 0)]
    assert levels_at(page, *stroke, (0, 0.8)) == [255] * 5 + [0]
    assert state_of(page)["mean"] == [0.35, 0.3]
    page.tab.locator("[name=tool][value=bad]").check(force=True)
    drag(page, (0, 0), (0, 0.1))
    assert levels_at(page, (-1, 0), (0, 0), (1, 0)) == [255, 0, 255]


@needs_browser
def test_a_finger_drags_and_paints(open_page):
    page = open_page(has_touch=True, is_mobile=True, width=400, height=800)
    touch_drag(page, (0.35, 0.3), (-1, -1))
    assert state_of(page)["mean"] == pytest.approx([-1, -1], abs=0.05)
    page.tab.locator("[name=tool][value=good]").check(force=True)
    scrolled = page.tab.evaluate("scrollY")
    touch_drag(page, (2, -2), (2, 0))
    assert levels_at(page, (2, -2), (2, -1), (2, 0)) == [255] * 3
    assert page.tab.evaluate("scrollY") == scrolled


@needs_browser
def test_everything_is_done_by_keyboard(open_page):
    page = open_page()
    keys = page.tab.keyboard
    page.tab.focus("[data-handle=mean]")
    keys.press("ArrowLeft")
    keys.press("Shift+ArrowUp")
    assert state_of(page)["mean"] == pytest.approx([0.3, 0.55])

    # An axis keeps its handle while it grows past the other, and so can be turned afterwards.
    page.tab.focus("[data-handle='1']")
    for _ in range(10):
        keys.press("ArrowUp")
    l11, l21, l22 = state_of(page)["factor"]
    assert (l11, l21, l22) == pytest.approx((1, 0, 1.5))
    for _ in range(30):
        keys.press("ArrowRight")
    assert state_of(page)["factor"] == pytest.approx([1.5, 0, 1])
    label = page.tab.get_attribute("[data-handle='1']", "aria-label")
    assert label == "Axis 2: standard deviation 1.50, 0°"

    page.tab.locator("[name=tool][value=move]").focus()
    keys.press("ArrowRight")
    page.tab.focus("#plane")
    for _ in range(4):
        keys.press("Shift+ArrowDown")
    keys.press(" ")
    assert levels_at(page, (0, -1), (0, 0.5)) == [255, 0]

    page.tab.locator("[name=stage][value=scores]").focus()
    keys.press("ArrowRight")
    assert state_of(page)["stage"] == "weighted"
    page.tab.focus("#tab-gaussian")
    keys.press("ArrowRight")
    assert page.tab.evaluate("document.activeElement.id") == "tab-moves"
    assert page.tab.locator("#moves").is_visible()
    page.tab.locator("[name=logits]").first.focus()
    keys.press("ArrowRight")
    assert state_of(page)["logits"][0] == pytest.approx(0.05)


@needs_browser
def test_every_control_has_a_name(open_page):
    page = open_page("baseline=constant")
    page.tab.click("summary")
    snapshot = page.tab.locator("body").aria_snapshot()
    nameless = re.findall(
        r"- (?:button|slider|spinbutton|combobox|radio|checkbox)(?: \[|:|$)", snapshot
    )
    assert nameless == []


@needs_browser
def test_steps_climb_and_running_stops(open_page):
    page = open_page("samples=100&baseline=leave-one-out&covariance=1&rate=0.5")
    before = page.numbers()["expected_reward"]
    page.act("run")
    page.tab.wait_for_function("document.getElementById('seed').value > 10")
    page.act("run")
    after = page.numbers()
    assert before < -0.8
    assert after["expected_reward"] > before + 0.2
    page.tab.wait_for_timeout(400)
    assert state_of(page)["seed"] == after["state"]["seed"]
    page.act("reset")
    assert state_of(page)["mean"] == [0.35, 0.3]


@needs_browser
def test_a_step_that_leads_too_far_is_refused(open_page):
    page = open_page("rate=1000")
    page.act("step")
    assert "lower the learning rate" in page.text("#error")
    assert state_of(page)["mean"] == [0.35, 0.3]


@needs_browser
def test_the_moving_average_remembers_from_step_to_step(open_page):
    page = open_page("baseline=moving-average&samples=50")
    first = page.numbers()
    assert first["weights"] == first["rewards"]
    page.act("step")
    second = page.numbers()
    mean = np.mean(first["rewards"])
    assert second["weights"] == pytest.approx(np.array(second["rewards"]) - mean)


@needs_browser
def test_screen_readers_hear_the_figures(open_page):
    page = open_page("samples=16&baseline=leave-one-out")
    page.tab.wait_for_function("document.getElementById('status').textContent")
    text = page.tab.text_content("#status")
    numbers = page.numbers()
    assert f"Expected reward {numbers['expected_reward']:.3f}".replace("-", "−") in text
    assert f"are worth {numbers['cloud']['worth']:.0f} without" in text


# ---------------------------------------------------------------- windows


@needs_browser
@pytest.mark.parametrize("width", [320, 400, 740, 1000, 1280, 1920])
@pytest.mark.parametrize("state", ["question=log", "tab=moves&stage=step&question=label"])
def test_nothing_sticks_out(width, state, open_page):
    page = open_page(state, width=width, height=800)
    page.tab.click("summary")
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= width
    out = page.tab.evaluate(
        """[...document.querySelectorAll('button, input, select, label, td, th, p')].filter(e => {
            const box = e.getBoundingClientRect()
            return box.width > 1 && !e.closest('.plane') && (box.left < 0 || box.right > innerWidth)
        }).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert out == []


@needs_browser
def test_on_a_phone_the_pictures_stay_in_sight(open_page):
    page = open_page(width=400, height=800)
    page.tab.locator("#derivation li").last.scroll_into_view_if_needed()
    box = page.tab.locator("#plane").bounding_box()
    assert 0 <= box["y"] < 100
    assert box["height"] < 400


@needs_browser
def test_it_needs_no_network(open_page):
    page = open_page()
    page.tab.context.set_offline(True)
    page.open("tab=moves")
    page.open("reward=hills")
    assert page.text("#figure-value")


@needs_browser
def test_a_reader_sees_what_a_paragraph_speaks_of(open_page):
    page = open_page()
    plain = pixels_of(page)
    baseline = page.tab.locator("[data-shows~=baseline]")
    baseline.hover()
    page.settle()
    assert page.tab.locator(".meant[data-part=baseline]").count() == 1
    assert pixels_of(page) != plain
    page.tab.mouse.move(5, 5)
    page.settle()
    assert page.tab.locator(".meant").count() == 0
    assert pixels_of(page) == plain
    for paragraph in page.tab.locator("[data-shows]").all():
        paragraph.focus()
        page.settle()
        assert page.tab.locator(".meant").count() > 0
        assert pixels_of(page) != plain


# ---------------------------------------------------------------- links


@needs_browser
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("samples=0", "samples: “0” is not a number from 1 to 500; the default is used"),
        ("samples=2.5", "samples: 2.5 is not a whole number"),
        ("mean=1", "mean: 1 numbers, not 2"),
        ("mean=1,far", "mean: “far” is not a number"),
        ("factor=1,0,-1", "the diagonal of a covariance’s factor is positive"),
        ("reward=square", "reward: “square” is none of regions, ring, hills, checkerboard"),
        ("reward=picture:AAAA", "the painted reward in this link is damaged"),
        ("reward=picture:%25", "the painted reward in this link is damaged"),
        ("draws=1,2,3", "draws: 3 numbers are not 1 to 500 draws of 2"),
        ("draws=", "draws: there are none"),
        ("tab=moves&draws=7", "draws: a move is one of 0, 1, 2, 3, 4"),
        ("samples=1&baseline=leave-one-out", "leave-one-out compares at least 2 samples"),
        ("colour=red", "this page has no setting “colour”"),
        ("constructor=1", "this page has no setting “constructor”"),
    ],
)
def test_a_link_that_is_wrong_says_how(state, message, open_page):
    page = open_page(state)
    assert message in page.text("#error")
    assert len(page.numbers()["draws"]) > 0
    page.open("")
    assert not page.tab.locator("#error").is_visible()


@needs_browser
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("draws.txt", b"1,2,x", "draws.txt: “x” is not a number"),
        ("draws.txt", b"", "draws.txt: there are no draws in it"),
        ("draws.json", b'{"draws": 3}', "draws.json: there are no draws in it"),
        ("draws.json", b'{"draws": [1', "draws.json:"),
    ],
)
def test_a_file_that_is_wrong_says_how(name, content, message, open_page, tmp_path):
    page = open_page()
    (tmp_path / name).write_bytes(content)
    page.tab.set_input_files("#draws-file", tmp_path / name)
    page.tab.wait_for_selector("#error:not([hidden])")
    assert message in page.text("#error")


@needs_browser
def test_a_broken_image_is_refused_by_name(open_page, tmp_path):
    page = open_page()
    (tmp_path / "broken.png").write_bytes(b"no image")
    page.tab.set_input_files("#picture-file", tmp_path / "broken.png")
    page.tab.wait_for_selector("#error:not([hidden])")
    assert page.text("#error") == "broken.png is no image that this browser can read"
    assert state_of(page)["reward"] == "regions"


@needs_browser
def test_the_address_is_a_link_to_what_is_seen(open_page):
    page = open_page("samples=20&baseline=leave-one-out")
    page.tab.locator("[name=tool][value=good]").check(force=True)
    drag(page, (-2, 2), (2, -2))
    page.tab.locator("[name=tool][value=move]").check(force=True)
    drag(page, (0.35, 0.3), (-1, 0))
    page.act("again")
    page.tab.wait_for_function("location.hash.includes('seed=1')")
    page.tab.wait_for_timeout(500)
    before, link = page.numbers(), page.tab.evaluate("location.hash")
    assert open_page(link.removeprefix("#")).numbers() == before


@needs_browser
def test_back_leads_to_the_question_before(open_page):
    page = open_page()
    page.tab.click("text=Why so many samples?")
    page.settle()
    page.tab.wait_for_timeout(500)
    page.tab.click("text=What is the fake label?")
    page.settle()
    assert state_of(page)["tab"] == "moves"
    page.tab.go_back()
    page.settle()
    assert state_of(page)["samples"] == 5
    assert page.tab.locator("[data-question=samples]").is_visible()


@needs_browser
@pytest.mark.parametrize("option", [[], ["--reward", "photo.png", "--baseline", "constant"]])
def test_make_gaussian_writes_the_page_with_its_own_draws(option, browser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ramp = np.tile(np.arange(CELLS, dtype=np.uint8), (CELLS, 1))
    Image.fromarray(ramp).save("photo.png")
    small = ["--replications", "2", "--steps", "1", "--frames", "1", "--format", "png"]
    assert main(["plot", "--output", "out", "--samples", "30", *small, *option]) == 0
    context = browser.new_context()
    page = OpenPage(context, (tmp_path / "out" / "index.html").as_uri())
    page.tab.goto(page.address)
    page.settle()
    numbers = page.numbers()
    assert len(numbers["rewards"]) == 30
    exact = json.loads((tmp_path / "out" / "baselines.json").read_text())["exact_gradient"]
    assert numbers["exact_gradient"] == pytest.approx(exact, abs=2e-3)
    page.check()
    context.close()


def test_pictures_are_runs_of_levels():
    assert picture_text([0] * 300 + [255]) == "_wAtAAH_"


# ---------------------------------------------------------------- pictures

SCREENS = {
    "scores": "samples=40&seed=2",
    "weighted": "samples=40&seed=2&stage=weighted&reward=hills&factor=0.8,0.5,0.6",
    "step": "samples=40&seed=2&stage=step&covariance=1",
}


def difference(screen, expected):
    """Share of the pixels that differ clearly, after a blur of a few pixels: text may differ."""
    small = [
        image.convert("RGB").resize((100, 100), Image.Resampling.BOX)
        for image in (screen, expected)
    ]
    worst = np.asarray(ImageChops.difference(*small)).max(2)
    return (worst > 40).mean()


def screen_of(page, tmp_path):
    page.tab.locator("#plane").screenshot(path=tmp_path / "screen.png")
    with Image.open(tmp_path / "screen.png") as image:
        return image.copy()


@needs_browser
@pytest.mark.parametrize("name", SCREENS)
def test_the_plane_looks_as_it_did(name, open_page, tmp_path, request):
    folder = request.path.parent / "screens"
    screen = screen_of(open_page(SCREENS[name]), tmp_path)
    with Image.open(folder / f"{name}.png") as expected:
        assert difference(screen, expected) < 0.01
    for other in SCREENS.keys() - {name}:  # the test can fail
        with Image.open(folder / f"{other}.png") as wrong:
            assert difference(screen, wrong) > 0.03
