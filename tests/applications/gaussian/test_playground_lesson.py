"""A first visit, a reader's own guess, and a lecture."""

import re

import numpy as np
import pytest

from tests.applications.gaussian.browser import needs_browser
from tests.applications.gaussian.test_playground_hands import drag, place, state_of, touch_drag
from tests.applications.gaussian.test_playground_memory import choose
from tests.applications.gaussian.test_playground_windows import pixels_of

pytestmark = needs_browser


# ---------------------------------------------------------------- the lesson


def test_a_first_visit_is_led(open_page):
    """Six pictures of one experiment; the figures are those of all samples, all along."""
    page = open_page()
    assert page.text("#lesson-count") == "1 of 6"
    before = page.numbers()
    assert len(before["draws"]) == 160
    sentences, pictures = [], []
    for number in range(1, 7):
        assert page.text("#lesson-count") == f"{number} of 6"
        sentences.append(page.text("#lesson-text"))
        pictures.append(pixels_of(page))
        page.act("lesson-next")
    assert len(set(sentences)) == len(set(pictures)) == 6
    assert not page.tab.locator("#lesson").is_visible()
    after = page.numbers()
    assert after == before | {"state": before["state"] | {"lesson": 0}}
    page.tab.wait_for_function("location.hash === '#tab=gaussian'")


def test_the_lesson_shows_one_sample_then_ten_then_all(open_page):
    """The arrows of the others are not there: the picture of two states that share the first."""
    page = open_page("lesson=1")
    first = state_of(page)
    assert (first["lesson"], first["stage"]) == (1, "scores")
    x, y = page.numbers()["draws"][:2]
    page.tab.mouse.move(*place(page, x, y))
    page.settle()
    assert page.text("#caption").startswith("x = ")
    alone = pixels_of(page)
    page.open("lesson=3")
    assert pixels_of(page) != alone


def test_a_picture_of_the_lesson_has_a_link(open_page):
    page = open_page("lesson=3")
    assert page.text("#lesson-count") == "3 of 6"
    page.act("lesson-back")
    page.tab.wait_for_function("location.hash === '#lesson=2'")
    page.act("lesson-skip")
    assert not page.tab.locator("#lesson").is_visible()
    assert state_of(page)["stage"] == "scores"


@pytest.mark.parametrize("state", ["samples=80", "tab=gaussian", "question=log"])
def test_a_link_with_a_state_opens_without_the_lesson(state, open_page):
    page = open_page(state)
    assert not page.tab.locator("#lesson").is_visible()
    tops = [page.tab.locator(part).bounding_box()["y"] for part in ("#plane", "#noise")]
    assert abs(tops[0] - tops[1]) < 5  # no room is kept for it
    page.tab.click("text=A lesson in six pictures")
    page.settle()
    assert page.tab.locator("#lesson").is_visible()


def test_a_step_counts_at_once_and_is_seen_first(open_page):
    """The click changes the state; the picture shows the step before it shows what is next."""
    page = open_page("samples=30&seed=1")
    after = page.numbers()["after"]
    plain = pixels_of(page)
    page.act("step")
    assert state_of(page)["mean"] == after["mean"]
    assert page.text("#caption").startswith("Dashed: before the step")
    seen = pixels_of(page)
    page.tab.wait_for_function(
        "document.getElementById('caption').textContent.startsWith('Each arrow')"
    )
    page.settle()
    assert len({plain, seen, pixels_of(page)}) == 3


def test_a_step_of_the_lesson_counts(open_page):
    page = open_page()
    after = page.numbers()["after"]
    page.act("step")
    assert state_of(page)["mean"] == after["mean"]


def test_the_lesson_asks_before_it_answers(open_page):
    """Up to the guess there is no answer to be seen; then the guess stands beside it."""
    page = open_page()
    answers = page.tab.locator("#cloud, #figure-exact, #worth, #legend")
    for number in range(1, 5):
        assert page.text("#lesson-count") == f"{number} of 6"
        assert answers.filter(visible=True).count() == 0
        assert page.tab.locator("[data-action=lesson-back]").is_enabled() == (number > 1)
        page.act("lesson-next" if number < 4 else "save")
    drag(page, (0.35, 0.3), (-2.9, 0.3))  # from the mean to the left, with nothing pressed before
    assert state_of(page)["mean"] == [0.35, 0.3]
    assert page.text("#lesson-text").startswith("Your arrow is 52° from the exact gradient")
    page.act("lesson-next")
    assert answers.filter(visible=True).count() == 4
    assert "and your guess 52°" in page.text("#lesson-text")
    with_guess = pixels_of(page)
    page.act("lesson-back")
    page.act("lesson-next")
    assert "your guess" not in page.text("#lesson-text")
    assert pixels_of(page) != with_guess
    page.act("lesson-next")
    page.act("lesson-next")
    assert "Three things to try" in page.text("#notice")


# ---------------------------------------------------------------- a guess


def test_a_guess_comes_before_the_answer(open_page):
    page = open_page("samples=40&seed=2&stage=average")
    choose(page, "tool", "guess")
    assert page.tab.locator("#facts > *, #noise > div").filter(visible=True).count() == 0
    assert page.tab.locator("#waiting").is_visible()
    exact = np.array(page.numbers()["exact_gradient"])
    start = np.array(state_of(page)["mean"])
    drag(page, start, start + 6 * np.array([[0, -1], [1, 0]]) @ exact)  # a right angle off
    assert page.tab.locator("#figure-exact").is_visible()
    angle, ratio = re.search(r"is (\d+)° .* and ([\d.]+) times", page.text("#caption")).groups()
    assert int(angle) == pytest.approx(90, abs=2)
    assert float(ratio) == pytest.approx(1, abs=0.05)
    assert state_of(page)["mean"] == [0.35, 0.3]
    page.act("again")
    assert not page.tab.locator("#figure-exact").is_visible()
    choose(page, "tool", "move")
    assert page.tab.locator("#figure-exact").is_visible()


def test_a_guess_is_made_by_keyboard(open_page):
    page = open_page("samples=40&seed=2&stage=average")
    choose(page, "tool", "guess")
    page.tab.focus("#plane")
    for _ in range(3):
        page.tab.keyboard.press("Shift+ArrowLeft")
    page.tab.keyboard.press(" ")
    page.settle()
    assert page.text("#caption").startswith("Your arrow is ")


def test_a_guess_is_made_by_a_finger(open_page):
    page = open_page("stage=average", has_touch=True, is_mobile=True, width=400, height=800)
    choose(page, "tool", "guess")
    touch_drag(page, (0.35, 0.3), (-1, -1))
    assert page.text("#caption").startswith("Your arrow is ")
    assert state_of(page)["mean"] == [0.35, 0.3]


def test_the_lesson_is_turned_by_a_finger(open_page):
    page = open_page(has_touch=True, is_mobile=True, width=400, height=800)
    page.tab.tap("[data-action=lesson-next]")
    page.settle()
    assert page.text("#lesson-count") == "2 of 6"
    box = page.tab.locator("#lesson").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 400


# ---------------------------------------------------------------- pointing


@pytest.mark.parametrize("stage", ["weighted", "average"])
def test_a_term_marks_its_sample_and_a_sample_its_term(stage, open_page):
    page = open_page(f"samples=12&seed=8&stage={stage}&panel=terms")
    numbers = page.numbers()
    assert page.tab.locator("#terms tbody tr").count() == 12
    plain = pixels_of(page)
    page.tab.locator("#terms tbody tr").nth(4).hover()
    page.settle()
    assert pixels_of(page) != plain
    term = np.array(numbers["weights"])[4] * np.reshape(numbers["scores"], (-1, 2))[4]
    score, _, weight, last = (  # reward × score = term can be checked by eye
        [float(number.replace("−", "-")) for number in cell.split()]
        for cell in page.tab.locator("#terms tbody tr").nth(4).locator("td").all_inner_texts()[1:]
    )
    assert np.multiply(weight, score) == pytest.approx(last, abs=0.01)
    assert last == pytest.approx(term, abs=0.006)
    room = page.tab.locator(".scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert room[0] <= room[1]
    figures = [float(f) for f in re.findall(r"[-+][\d.]+", page.text("#caption").replace("−", "-"))]
    assert figures[-2:] == pytest.approx(term, abs=0.006)

    # The other way: the sample, or the tip of its arrow in the bundle.
    at = np.reshape(numbers["draws"], (-1, 2))[7]
    if stage == "average":
        terms = np.array(numbers["weights"])[:, None] * np.reshape(numbers["scores"], (-1, 2))
        at = np.array(numbers["state"]["mean"]) + 0.4 * terms[7]
    page.tab.mouse.move(*place(page, *at))
    page.settle()
    marked = page.tab.locator("#terms tr.marked th").all_inner_texts()
    assert marked == ["8"]


def test_terms_are_read_by_keyboard(open_page):
    page = open_page("samples=12&panel=terms&stage=weighted")
    page.tab.locator("#terms tbody tr").first.focus()
    page.tab.keyboard.press("ArrowDown")
    page.settle()
    assert page.tab.locator("#terms tr.marked th").all_inner_texts() == ["2"]


def test_terms_of_the_moves_are_seen_too(open_page):
    page = open_page("tab=moves&samples=12&panel=terms")
    cells = page.tab.locator("#terms tbody tr").first.locator("td").filter(visible=True)
    assert cells.count() == 4
    assert cells.first.inner_text() in ("far left", "left", "stay", "right", "far right")


def test_the_table_of_moves_can_be_heard(open_page):
    page = open_page("tab=moves&samples=40&stage=average")
    numbers = page.numbers()
    cells = page.tab.locator("#moves tr.average td .unseen").all_text_contents()
    figures = [float(cell.split(",")[0].replace("−", "-")) for cell in cells]
    assert figures == pytest.approx(numbers["estimate"], abs=6e-4)
    assert page.tab.locator("output").count() == 0  # each would announce every step


# ---------------------------------------------------------------- a lecture


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
@pytest.mark.parametrize(
    "state",
    [
        "baseline=constant&covariance=1&stage=step",
        "tab=moves&stage=average",
        "panel=clouds",
        "panel=runs",
        "panel=terms",
        "lesson=4",
        "question=baseline&samples=16&seed=1534&stage=weighted&baseline=leave-one-out",
    ],
)
def test_a_lecture_needs_no_scrolling(size, state, open_page):
    page = open_page(f"{state}&view=lecture", width=size[0], height=size[1])
    if "runs" in state:
        page.act("race")
        page.tab.wait_for_function("/after 60/.test(document.getElementById('runs').textContent)")
    room = page.tab.evaluate(
        "[document.documentElement, document.getElementById('lab')]"
        ".map(e => [e.scrollHeight, e.clientHeight])"
    )
    assert all(needed <= there for needed, there in room), room
    hidden = page.tab.evaluate(
        """[...document.querySelectorAll(
            '#lab button, #lab input, #caption, #worth, .answer, .answer a'
        )].filter(e => {
            const box = e.getBoundingClientRect()
            return box.width > 1 && !e.closest('.plane') && !e.closest('.scroll')
                && (box.bottom > innerHeight + 1 || box.right > innerWidth + 1)
        }).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert hidden == []
    plane = page.tab.locator("#plane, #moves").filter(visible=True).bounding_box()
    assert plane["width"] > 0.38 * size[0]
    sizes = page.tab.evaluate(
        "['#caption', '#terms td', '#moves th', '#moves small', '#lesson-count'].map("
        "name => parseFloat(getComputedStyle(document.querySelector(name) ?? caption).fontSize))"
    )
    assert sizes[0] >= 16
    assert min(sizes) >= (11 if size[0] == 1280 else 16), sizes
    cells = page.tab.locator(".scroll").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert cells[0] <= cells[1]  # no column of the terms is cut off


def test_a_lecture_names_the_axes_in_full(open_page):
    """Their names end before the edges of the plane: there is nothing but the reward's colour."""
    page = open_page("samples=1&draws=0,0&view=lecture", width=1920, height=1080)
    colours = page.tab.evaluate(
        """(() => {
            const context = plane.getContext('2d'), side = plane.width
            const edges = [[side - 2, side - 60, 1, 59], [15, 1, 60, 1]]
            return edges.map(box => {
                const {data} = context.getImageData(...box)
                return new Set(new Uint32Array(data.buffer)).size
            })
        })()"""
    )
    assert colours == [1, 1]
    page.messages.clear()  # the browser's advice on reading pixels


def test_a_lecture_can_be_left(open_page):
    page = open_page("samples=20")
    page.act("present")
    assert not page.tab.locator("#questions").is_visible()
    page.act("present")
    assert page.tab.locator("#questions").is_visible()
    assert state_of(page)["view"] == "page"


def test_a_lecture_shows_the_question_and_its_answer(open_page):
    page = open_page("question=label&tab=moves&view=lecture", width=1280, height=800)
    for link, samples in (("One draw", 1), ("100 draws", 100)):  # and its links do not leave it
        page.tab.get_by_role("link", name=link, exact=True).click()
        page.settle()
        assert (state_of(page)["view"], state_of(page)["samples"]) == ("lecture", samples)
        question, answer, _ = page.text("#text").split("\n\n")
        assert (question, answer[:20]) == ("What is the fake label?", "The move that was dr")
        assert page.text("#text a[aria-current=true]") == link
        assert page.tab.locator("#text a").filter(visible=True).count() == 4
    page.paste("tab=moves&view=lecture")
    assert not page.text("#text")


def test_a_clicker_turns_a_lecture_and_escape_leaves_it(open_page):
    page = open_page("lesson=2")
    keys = page.tab.keyboard
    page.act("present")  # and the space bar does not press what was pressed last
    for key, number in (
        (" ", 3),
        ("PageDown", 4),
        ("ArrowRight", 5),
        ("PageUp", 4),
        ("ArrowLeft", 3),
    ):
        keys.press(key)
        page.settle()
        assert page.text("#lesson-count") == f"{number} of 6"
    page.tab.focus("[data-handle=mean]")
    keys.press("ArrowRight")
    assert (state_of(page)["lesson"], state_of(page)["mean"]) == (3, pytest.approx([0.4, 0.3]))
    page.tab.focus("#samples")
    keys.press("PageDown")
    assert (state_of(page)["lesson"], state_of(page)["samples"] < 80) == (3, True)
    keys.press("Escape")
    assert (state_of(page)["lesson"], state_of(page)["view"]) == (3, "page")


# ---------------------------------------------------------------- without JavaScript


def test_without_scripts_there_is_a_sentence_and_no_dead_control(open_page, browser, page_file):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page_file.as_uri())
    assert "needs JavaScript" in tab.locator("body").inner_text()
    assert tab.locator("button, input, select").filter(visible=True).count() == 0
    assert tab.locator(".answer").first.is_visible()
    context.close()
