"""Hands on the playground, in a real browser: mouse, touch, keyboard, any window."""

import re

import numpy as np
import pytest
from PIL import Image

from applications.gaussian.playground import CELLS
from applications.gaussian.rewards import LIMIT
from tests.applications.gaussian.browser import needs_browser

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
    page.settle()  # the row of the brush has appeared
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

    # What is wider, or further away, than a hand can reach stays so while it is turned or moved.
    page.tab.evaluate("location.hash = 'factor=10,0,10&mean=15,15&lesson=0'")
    page.settle()
    page.tab.focus("[data-handle='0']")
    keys.press("ArrowLeft")
    assert state_of(page)["factor"] == pytest.approx([10, 0, 10])
    page.tab.focus("[data-handle=mean]")
    keys.press("ArrowLeft")
    assert state_of(page)["mean"] == pytest.approx([14.95, 15])
    page.act("reset")

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
    page.settle()
    assert page.tab.evaluate("document.activeElement.id") == "tab-moves"
    assert page.tab.locator("#moves").is_visible()
    assert page.tab.get_attribute("#tab-moves", "aria-selected") == "true"
    assert page.tab.get_attribute("#tab-gaussian", "aria-selected") == "false"
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
    assert second["state"]["seed"] == first["state"]["seed"] + 1
    mean = np.mean(first["rewards"])
    assert second["weights"] == pytest.approx(np.array(second["rewards"]) - mean)

    # A baseline that is chosen again has forgotten everything.
    for baseline in ("none", "moving-average"):
        page.tab.locator(f"[name=baseline][value={baseline}]").check(force=True)
    third = page.numbers()
    assert third["weights"] == third["rewards"]


def test_screen_readers_hear_the_figures(open_page):
    page = open_page("samples=16&baseline=leave-one-out")
    page.tab.wait_for_function("document.getElementById('status').textContent")
    text = page.tab.text_content("#status")
    numbers = page.numbers()
    assert f"Expected reward {numbers['expected_reward']:.3f}".replace("-", "−") in text
    assert f"as precise as about {numbers['cloud']['worth']:.0f} (" in text


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


def test_a_finger_takes_the_mean_of_a_narrow_gaussian(open_page):
    page = open_page("mean=-0.9,-0.9&factor=0.08,0,0.08", has_touch=True, width=400, height=800)
    touch_drag(page, (-0.9, -0.9), (1, 0))
    state = state_of(page)
    assert state["mean"] == pytest.approx([1, 0], abs=0.05)
    assert state["factor"] == [0.08, 0, 0.08]


def test_only_the_first_finger_paints(open_page):
    page = open_page("reward=ring", has_touch=True, width=400, height=800)
    page.tab.locator("[name=tool][value=good]").check(force=True)
    session = page.tab.context.new_cdp_session(page.tab)
    touches = [{"x": place(page, -2.6, 2.6)[0], "y": place(page, -2.6, 2.6)[1], "id": 0}]
    other = {"x": place(page, 2.6, -2.6)[0], "y": place(page, 2.6, -2.6)[1], "id": 1}
    for kind, points in [
        ("touchStart", touches),
        ("touchStart", [*touches, other]),
        ("touchMove", [*touches, other | {"x": other["x"] + 4}]),
        ("touchEnd", []),
    ]:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.settle()
    assert levels_at(page, (-2.6, 2.6), (0, 0), (0.5, -0.5)) == [255, 0, 0]


def test_the_other_mouse_button_does_nothing(open_page):
    page = open_page()
    page.tab.mouse.move(*place(page, 0.35, 0.3))
    page.tab.mouse.down(button="right")
    page.tab.mouse.move(*place(page, 2, 2), steps=3)
    page.tab.mouse.up(button="right")
    page.settle()
    assert state_of(page)["mean"] == [0.35, 0.3]


def test_the_pointer_tells_of_the_sample_under_it(open_page):
    """In its own figures, and in those of the sample that takes its place."""
    page = open_page("draws=2,2,-1,-1&reward=checkerboard")
    page.tab.mouse.move(*place(page, 2.05, 2))
    page.settle()
    assert page.text("#caption").startswith(
        "x = (+2.00, +2.00): log p = −4.64, score (+1.65, +1.70)"
    )
    page.act("again")
    assert "x = (+2.00, +2.00)" not in page.text("#caption")


def test_a_finger_that_taps_a_sample_is_told_of_it(open_page):
    page = open_page("draws=2,2,-1,-1&reward=checkerboard", has_touch=True, width=400, height=800)
    page.tab.touchscreen.tap(*place(page, 2.05, 2))
    page.settle()
    assert page.text("#caption").startswith("x = (+2.00, +2.00): log p = −4.64")
    page.tab.touchscreen.tap(*place(page, 2.5, -2.5))
    page.settle()
    assert page.text("#caption").startswith("Each arrow")


def test_what_is_typed_in_vain_goes(open_page):
    page = open_page()
    field = page.tab.locator("input[type=number][name=samples]")
    field.fill("")
    field.blur()
    page.settle()
    assert field.input_value() == "80"


def test_the_last_seed_is_followed_by_the_first(open_page):
    page = open_page("seed=2147483647")
    page.act("again")
    assert state_of(page)["seed"] == 0


@pytest.mark.parametrize("baseline", ["none", "leave-one-out"])
def test_a_long_run_never_hangs(baseline, open_page):
    """Without a baseline the covariance degenerates soon: the run says so, and stops."""
    page = open_page(f"covariance=1&baseline={baseline}")
    steps = page.tab.evaluate(
        """() => {
            const button = document.querySelector('[data-action=step]')
            const error = document.getElementById('error')
            let steps = 0
            for (; steps < 300 && error.hidden; steps++) button.click()
            return steps
        }"""
    )
    page.settle()
    if baseline == "none":
        assert 0 < steps < 300
        assert "the covariance has collapsed: lower the learning rate" in page.text("#error")
    else:
        assert steps == 300
        assert page.numbers()["expected_reward"] > 0.99
