"""Hands on the playground, in a real browser: mouse, touch, keyboard, any window."""

import re

import numpy as np
import pytest
from PIL import Image

from applications.gaussian.playground import CELLS
from applications.gaussian.rewards import LIMIT
from tests.applications.browser import needs_browser

pytestmark = needs_browser


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


@pytest.mark.parametrize("start", [(0.35, 0.3), (-2.5, 2.5)], ids=["by its handle", "anywhere"])
def test_the_mean_is_dragged(start, open_page):
    page = open_page()
    drag(page, start, (start[0] - 1.2, start[1] - 1))
    assert state_of(page)["mean"] == pytest.approx([-0.85, -0.7], abs=0.02)
    assert state_of(page)["factor"] == [1, 0, 1]


def test_an_axis_is_stretched_and_turned(open_page):
    page = open_page("mean=0,0&factor=1,0,0.5")
    drag(page, (2, 0), (2, 2))
    l11, l21, l22 = state_of(page)["factor"]
    covariance = np.array([[l11, 0], [l21, l22]]) @ np.array([[l11, 0], [l21, l22]]).T
    values, vectors = np.linalg.eigh(covariance)
    assert np.sqrt(values) == pytest.approx([0.5, np.sqrt(2)], abs=0.02)
    assert abs(vectors[0, 1] / vectors[1, 1]) == pytest.approx(1, abs=0.02)


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


def test_a_finger_drags_and_paints(open_page):
    page = open_page(has_touch=True, is_mobile=True, width=400, height=800)
    touch_drag(page, (0.35, 0.3), (-1, -1))
    assert state_of(page)["mean"] == pytest.approx([-1, -1], abs=0.05)
    page.tab.locator("[name=tool][value=good]").check(force=True)
    scrolled = page.tab.evaluate("scrollY")
    touch_drag(page, (2, -2), (2, 0))
    assert levels_at(page, (2, -2), (2, -1), (2, 0)) == [255] * 3
    assert page.tab.evaluate("scrollY") == scrolled


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


def test_every_control_has_a_name(open_page):
    page = open_page("baseline=constant")
    page.tab.click("summary")
    snapshot = page.tab.locator("body").aria_snapshot()
    nameless = re.findall(
        r"- (?:button|slider|spinbutton|combobox|radio|checkbox)(?: \[|:|$)", snapshot
    )
    assert nameless == []


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


def test_a_step_that_leads_too_far_is_refused(open_page):
    page = open_page("rate=1000")
    page.act("step")
    assert "lower the learning rate" in page.text("#error")
    assert state_of(page)["mean"] == [0.35, 0.3]


def test_the_moving_average_remembers_from_step_to_step(open_page):
    page = open_page("baseline=moving-average&samples=50")
    first = page.numbers()
    assert first["weights"] == first["rewards"]
    page.act("step")
    second = page.numbers()
    mean = np.mean(first["rewards"])
    assert second["weights"] == pytest.approx(np.array(second["rewards"]) - mean)


def test_screen_readers_hear_the_figures(open_page):
    page = open_page("samples=16&baseline=leave-one-out")
    page.tab.wait_for_function("document.getElementById('status').textContent")
    text = page.tab.text_content("#status")
    numbers = page.numbers()
    assert f"Expected reward {numbers['expected_reward']:.3f}".replace("-", "−") in text
    assert f"are worth {numbers['cloud']['worth']:.0f} without" in text


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


# ---------------------------------------------------------------- windows


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


def test_on_a_phone_the_pictures_stay_in_sight(open_page):
    page = open_page(width=400, height=800)
    page.tab.locator("#derivation li").last.scroll_into_view_if_needed()
    box = page.tab.locator("#plane").bounding_box()
    assert 0 <= box["y"] < 100
    assert box["height"] < 400


@pytest.mark.parametrize("state", ["", "tab=moves"])
def test_pictures_are_as_sharp_as_the_screen(state, open_page):
    """Also after the tab, the window or the scale has changed the size of a canvas."""
    page = open_page(state, width=400, height=800, device_scale_factor=2)
    for change in (lambda: None, lambda: page.tab.set_viewport_size({"width": 700, "height": 800})):
        change()
        page.settle()
        sizes = page.tab.evaluate(
            "[...document.querySelectorAll('canvas')].map(c => [c.width, 2 * c.offsetWidth])"
        )
        assert all(abs(width - wanted) <= 4 for width, wanted in sizes if wanted), sizes
        page.act("again")


def test_it_needs_no_network(open_page):
    page = open_page()
    page.tab.context.set_offline(True)
    page.open("tab=moves")
    page.open("reward=hills")
    assert page.text("#figure-value")


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
