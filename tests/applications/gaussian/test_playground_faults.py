"""What once went wrong on the page, one test each."""

import pytest

from tests.applications.gaussian.browser import needs_browser
from tests.applications.gaussian.test_playground_hands import state_of
from tests.applications.gaussian.test_playground_memory import choose

pytestmark = needs_browser

LONG_CAPTIONS = [
    "stage=average",
    "stage=weighted&baseline=moving-average&gradient=density",
    "stage=step&covariance=1&baseline=leave-one-out",
    "draws=100,100",
    "lesson=5",
]


@pytest.mark.parametrize("size", [(1088, 600), (1088, 800), (1280, 700), (1280, 800)])
@pytest.mark.parametrize("state", LONG_CAPTIONS)
def test_a_long_caption_is_not_cut(size, state, open_page):
    page = open_page(state, width=size[0], height=size[1], load=False)
    caption, controls = (
        page.tab.locator(selector).bounding_box() for selector in ("#caption", "#controls")
    )
    assert caption["y"] + caption["height"] <= controls["y"]
    heights = page.tab.evaluate("[caption.scrollHeight, caption.clientHeight]")
    assert heights[0] <= heights[1]


@pytest.mark.parametrize("question", [2, 7, 8, 9])
def test_on_a_phone_a_question_shows_its_picture_and_its_answer(question, open_page):
    page = open_page("tab=gaussian", width=400, height=800, has_touch=True, is_mobile=True)
    link = page.tab.locator("#questions ol > li > a").nth(question)
    link.scroll_into_view_if_needed()
    page.settle()
    link.tap()
    page.tab.locator(".answer").filter(visible=True).wait_for()
    page.tab.wait_for_timeout(200)
    picture = page.tab.locator("#plane, #moves").filter(visible=True).bounding_box()
    answer = page.tab.locator(".answer").filter(visible=True).bounding_box()
    assert picture["y"] >= 0
    assert picture["y"] + picture["height"] <= answer["y"] + 1 or question == 7
    assert picture["y"] < 120
    assert answer["y"] + answer["height"] <= 801
    if question != 7:
        caption = page.tab.locator("#caption").bounding_box()
        assert caption["y"] + caption["height"] <= answer["y"]
    page.tab.locator(".answer [data-action=close-answer]").filter(visible=True).tap()
    page.settle()
    assert page.tab.locator(".answer").filter(visible=True).count() == 0


def test_an_error_goes_when_its_mistake_is_mended(open_page):
    page = open_page("rate=1000")
    page.act("step")
    assert "or choose a baseline" in page.text("#error")
    page.tab.click("summary")
    rate = page.tab.locator("#rate")
    rate.fill("0.5")
    assert not page.tab.locator("#error").is_visible()


def test_an_error_can_be_closed(open_page):
    page = open_page("samples=0")
    page.tab.click("#error button")
    assert not page.tab.locator("#error").is_visible()
    page.open("samples=0")
    page.tab.keyboard.press("Escape")
    assert not page.tab.locator("#error").is_visible()


def test_who_has_a_baseline_is_not_told_to_choose_one(open_page):
    page = open_page("rate=1000&baseline=leave-one-out&samples=10&seed=5")
    page.act("step")
    assert "lower the learning rate" in page.text("#error")
    assert "choose a baseline" not in page.text("#error")


@pytest.mark.parametrize("size", [(1280, 800), (400, 800)])
def test_an_error_covers_nothing_for_good(size, open_page):
    page = open_page("samples=0", width=size[0], height=size[1])
    for selector in ("#figure-after", "[data-action=step]"):
        part = page.tab.locator(selector)
        part.evaluate("e => e.scrollIntoView({block: 'end'})")
        page.settle()
        part.evaluate("e => e.scrollIntoView({block: 'nearest'})")
        covered = part.evaluate(
            """e => {
                const box = e.getBoundingClientRect()
                const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
                return Boolean(top?.closest('#messages'))
            }"""
        )
        assert not covered, selector


@pytest.mark.parametrize("text", ["1e9", "1000", "0", "2.5"])
def test_what_cannot_be_applied_leaves_what_was(text, open_page):
    """Typing 1e9 passes by 1; the samples are what they were before, and the error says why."""
    page = open_page("samples=33")
    field = page.tab.locator("input[type=number][name=samples]")
    field.click()
    field.press("Control+a")
    field.press_sequentially(text)
    page.settle()
    assert state_of(page)["samples"] == 33
    assert page.text("#error").startswith("Samples: ")
    field.blur()
    page.settle()
    assert field.input_value() == "33"
    assert not page.tab.locator("#error").is_visible()


def test_what_is_typed_in_vain_costs_no_draws(open_page):
    page = open_page("draws=1,1,0.5,-1")
    field = page.tab.locator("input[type=number][name=samples]")
    field.click()
    field.press("Control+a")
    field.press_sequentially("1e9")
    assert state_of(page)["draws"] == [1, 1, 0.5, -1]


def test_an_error_names_its_control_by_its_label(open_page):
    page = open_page()
    page.tab.click("summary")
    page.tab.locator("#rate").fill("-1")
    assert page.text("#error").startswith("Learning rate: “-1” is not a number from 0")
    page.open("samples=1&baseline=standardized")
    assert "standardised needs at least 2 samples" in page.text("#error")


def test_a_slider_reaches_as_far_as_its_number(open_page):
    page = open_page("baseline=constant&constant=7.5")
    assert page.tab.locator("#constant").input_value() == "7.5"
    page.open("tab=moves&logits=9,0,0,0,-12")
    sliders = page.tab.locator("[name=logits]")
    assert [sliders.nth(k).input_value() for k in (0, 4)] == ["9", "-12"]
    page.open("baseline=constant&constant=0.5")
    assert page.tab.locator("#constant").get_attribute("max") == "3"


def test_a_table_of_draws_with_a_header_is_read(open_page, tmp_path):
    page = open_page("samples=5")
    (tmp_path / "draws.csv").write_text("x;y\n1;2\n-0.5;0.25\n")
    page.tab.set_input_files("#draws-file", tmp_path / "draws.csv")
    page.tab.wait_for_function("location.hash.includes('draws')")
    assert page.numbers()["draws"] == [1, 2, -0.5, 0.25]


@pytest.mark.parametrize(
    ("deviation", "text"),
    [(0.2, "(−3.6e−8, −1.3e−7)"), (0.25, "(−0.000011, −0.000040)"), (0.3, "(−0.00023, −0.00083)")],
)
def test_a_small_gradient_does_not_read_as_zero(deviation, text, open_page):
    page = open_page(f"mean=1,-0.2&factor={deviation},0,{deviation}&samples=4")
    assert page.text("#figure-exact") == text


def test_a_constant_of_the_baseline_changes_with_one_entry_of_a_slider(open_page):
    page = open_page("baseline=constant")
    choose(page, "stage", "average")
    slider = page.tab.locator("#constant")
    slider.focus()
    page.tab.keyboard.press("ArrowRight")
    page.tab.keyboard.press("ArrowRight")
    assert state_of(page)["constant"] == pytest.approx(-0.9)
    page.act("undo")
    page.act("undo")
    assert state_of(page)["constant"] == -1
