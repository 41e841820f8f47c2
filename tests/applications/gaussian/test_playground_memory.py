"""The playground remembers: undo and redo, what one painted, the runs and their curves."""

import numpy as np
import pytest

from tests.applications.gaussian.browser import needs_browser
from tests.applications.gaussian.test_playground_hands import drag, levels_at, place, state_of

pytestmark = needs_browser


def choose(page, name, value):
    page.tab.locator(f"[name={name}][value={value}]").check(force=True)
    page.settle()


def names_of_runs(page):
    return [line.split(":")[0] for line in page.text("#runs").splitlines() if ":" in line]


# ---------------------------------------------------------------- undo


def test_a_drag_is_one_entry(open_page):
    page = open_page("samples=20")
    drag(page, (0.35, 0.3), (-1, 0))
    drag(page, (-1, 0), (0, 1))
    assert state_of(page)["mean"] == pytest.approx([0, 1], abs=0.02)
    page.tab.keyboard.press("Control+z")
    assert state_of(page)["mean"] == pytest.approx([-1, 0], abs=0.02)
    page.tab.keyboard.press("Control+z")
    assert state_of(page)["mean"] == [0.35, 0.3]
    assert page.tab.locator("[data-action=undo]").is_disabled()
    page.tab.keyboard.press("Control+Shift+z")
    page.tab.keyboard.press("Control+y")
    assert state_of(page)["mean"] == pytest.approx([0, 1], abs=0.02)


def test_undo_rewrites_the_address(open_page):
    page = open_page("samples=20")
    page.act("again")
    page.tab.wait_for_function("location.hash.includes('seed=1')")
    page.act("undo")
    page.tab.wait_for_function("location.hash === '#samples=20'")


def test_steps_settings_strokes_and_links_are_entries(open_page):
    page = open_page("samples=20")
    before = state_of(page)
    page.act("step")
    choose(page, "baseline", "leave-one-out")
    choose(page, "tool", "good")
    drag(page, (2, 2), (2.5, 2.5))
    page.tab.evaluate("location.hash = 'samples=7&stage=average'")
    page.settle()
    assert state_of(page)["samples"] == 7
    seen = []
    for _ in range(4):
        page.act("undo")
        seen.append(state_of(page))
    assert seen[0]["reward"].startswith("picture:")
    assert (seen[1]["reward"], seen[1]["baseline"]) == ("regions", "leave-one-out")
    assert seen[2]["baseline"] == "none"
    assert seen[3] == before


def test_a_run_is_one_entry(open_page):
    page = open_page("samples=100&baseline=leave-one-out&rate=0.5")
    before = state_of(page)
    page.act("run")
    page.tab.wait_for_function("document.getElementById('seed').value > 5")
    page.act("run")
    assert state_of(page)["seed"] > 5
    page.act("undo")
    assert {**state_of(page), "panel": "cloud"} == before


def test_in_a_text_field_undo_is_the_browser_s(open_page):
    page = open_page("samples=20")
    page.act("again")
    field = page.tab.locator("input[type=number][name=samples]")
    field.click()
    page.tab.keyboard.press("Control+z")
    assert state_of(page)["seed"] == 1


def test_escape_cancels_a_drag(open_page):
    page = open_page("samples=20")
    page.tab.mouse.move(*place(page, 0.35, 0.3))
    page.tab.mouse.down()
    page.tab.mouse.move(*place(page, 1, 1), steps=3)
    page.tab.keyboard.press("Escape")
    page.tab.mouse.move(*place(page, 2, 2), steps=3)
    page.tab.mouse.up()
    page.settle()
    assert state_of(page)["mean"] == [0.35, 0.3]
    assert page.tab.locator("[data-action=undo]").is_disabled()


def test_a_hand_stops_a_run_and_cancels_only_itself(open_page):
    """The mean is taken where the run has led it; Escape leaves the run as it was."""
    page = open_page("samples=40&baseline=leave-one-out&rate=0.3")
    page.act("run")
    page.tab.wait_for_function("document.getElementById('seed').value > 3")
    box = page.tab.locator("[data-handle=mean]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.tab.mouse.move(x, y)
    page.tab.mouse.down()
    page.settle()
    assert page.tab.text_content("[data-action=run]") == "Run"
    run = state_of(page)
    page.tab.mouse.move(x + 3, y)
    page.settle()
    assert 0 < abs(state_of(page)["mean"][0] - run["mean"][0]) < 0.1
    page.tab.keyboard.press("Escape")
    page.tab.mouse.up()
    assert state_of(page) == run

    # A press that moves nothing has nothing to cancel.
    page.tab.mouse.move(x, y)
    page.tab.mouse.down()
    page.tab.keyboard.press("Escape")
    page.tab.mouse.up()
    assert state_of(page) == run
    page.act("undo")
    assert state_of(page)["seed"] == 0
    assert page.tab.locator("[data-action=undo]").is_disabled()


def test_a_resize_during_a_drag_moves_nothing(open_page):
    page = open_page("samples=20", width=1280)
    page.tab.mouse.move(*place(page, 0.35, 0.3))
    page.tab.mouse.down()
    page.tab.mouse.move(*place(page, 1, 1), steps=3)
    page.settle()
    before = state_of(page)["mean"]
    page.tab.set_viewport_size({"width": 700, "height": 900})
    page.settle()
    page.tab.mouse.move(300, 300)
    page.settle()
    assert state_of(page)["mean"] == before
    page.tab.mouse.up()


def test_a_painted_reward_survives_reset_and_choice(open_page):
    page = open_page("reward=ring")
    choose(page, "tool", "good")
    drag(page, (-0.5, 0), (0.5, 0))
    painted = state_of(page)["reward"]
    page.act("reset")
    assert state_of(page)["reward"] == "regions"
    page.tab.select_option("#reward", "picture")
    assert state_of(page)["reward"] == painted
    page.tab.select_option("#reward", "hills")
    page.tab.select_option("#reward", "picture")
    assert levels_at(page, (0, 0)) == [255]


def test_draws_come_back_with_their_tab(open_page):
    page = open_page("draws=1,1,0.5,-1")
    page.tab.click("#tab-moves")
    assert not page.tab.locator("#notice").is_visible()
    page.tab.click("#tab-gaussian")
    assert state_of(page)["draws"] == [1, 1, 0.5, -1]
    assert page.text("#notice").startswith("2 draws of your own came back with this tab")


# ---------------------------------------------------------------- runs


def test_a_run_leaves_its_path_and_its_curve(open_page):
    page = open_page("samples=100&baseline=leave-one-out&covariance=1&rate=0.5&panel=runs")
    plain = page.tab.evaluate("document.getElementById('curve').toDataURL()")
    for _ in range(12):
        page.act("step")
    numbers = page.numbers()
    (line,) = page.text("#runs").splitlines()
    assert "after 12 × 100 draws" in line
    assert f"{numbers['expected_reward']:+.2f}".replace("-", "−") in line
    assert page.tab.evaluate("document.getElementById('curve').toDataURL()") != plain
    page.act("reset")
    page.act("run")
    page.act("run")
    assert len(page.text("#runs").splitlines()) == 2

    # What Clear, or a question, does away with is brought back by undo.
    for clear in ("clear-runs", "clear-trails"):
        page.act(clear)
        assert page.text("#runs") == ""
        assert not page.tab.locator("[data-action=clear-trails]").is_visible()
        page.act("undo")
        assert len(page.text("#runs").splitlines()) == 2
    page.tab.evaluate("location.hash = 'question=samples&panel=runs'")
    page.settle()
    assert page.text("#runs") == ""
    page.act("undo")
    assert len(page.text("#runs").splitlines()) == 2
    assert page.tab.locator("[data-action=clear-trails]").is_visible()


@pytest.mark.parametrize("tab", ["gaussian", "moves"])
def test_a_race_gives_every_baseline_the_same(tab, open_page):
    """The same start, the same number of draws; the page itself stays where it is."""
    state = f"tab={tab}&samples=20&rate=0.3"
    page = open_page(state)
    before = page.numbers()
    page.act("race")
    page.tab.wait_for_function(
        "document.getElementById('runs').textContent.match(/after 60 × 20/g)?.length === 5"
    )
    names = ["no baseline", "a constant", "a moving average", "leave-one-out"]
    assert names_of_runs(page) == [*names, "standardised rewards"]
    assert page.text("#runs").count("(mean of the last 20: ") == 5
    assert "another seed ranks them differently" in page.text("#noise")
    assert ("lets the Gaussian narrow" in page.text("#noise")) == (tab == "gaussian")
    dashes = page.tab.eval_on_selector_all(
        "#runs path", "paths => paths.map(path => path.getAttribute('stroke-dasharray'))"
    )
    assert len(set(dashes)) == 5
    after = page.numbers()
    assert after["estimate"] == before["estimate"]
    assert after["state"] == before["state"] | {"panel": "runs"}

    # Once more, with other draws; undo leads back to the race before, and to the runs before that.
    first, curves = page.text("#runs"), "document.getElementById('curve').toDataURL()"
    drawn = page.tab.evaluate(curves)
    page.act("race")
    page.tab.wait_for_function(
        "document.getElementById('runs').textContent.match(/after 60 × 20/g)?.length === 5"
    )
    assert page.tab.evaluate(curves) != drawn
    page.act("undo")
    assert page.text("#runs") == first
    assert page.tab.evaluate(curves) == drawn

    # The page's own steps from there end where the racer did.
    ends = page.text("#runs").splitlines()
    for baseline, name in (("none", "no baseline"), ("moving-average", "a moving average")):
        page.open(f"{state}&baseline={baseline}&panel=runs")
        page.press("step", 60)
        assert page.text("#runs") in ends, name


def test_while_it_runs_the_address_and_the_figures_are_told(open_page):
    page = open_page("samples=50&baseline=leave-one-out&rate=0.3")
    page.act("run")
    page.tab.wait_for_function("/seed=([3-9]|1\\d)/.test(location.hash)")
    page.tab.wait_for_function("/steps taken/.test(document.getElementById('status').textContent)")
    assert page.tab.text_content("[data-action=run]") == "Stop"
    page.act("run")


def test_a_guess_ends_with_its_tab_and_with_a_run(open_page):
    """What a guess hides is seen again; a slider that is drawn during a run is one entry."""
    page = open_page("tab=moves&samples=20")
    figures = page.tab.locator("#figures")
    seen = "e => getComputedStyle(e).visibility"

    def guess():
        page.tab.click("#tab-gaussian")
        page.settle()  # another tab is begun with the tool that moves
        choose(page, "tool", "guess")
        assert figures.evaluate(seen) == "hidden"

    guess()
    page.act("undo")
    assert (state_of(page)["tab"], figures.evaluate(seen)) == ("moves", "visible")
    guess()
    page.tab.evaluate("location.hash = 'tab=moves&samples=19'")
    page.settle()
    assert (state_of(page)["tab"], figures.evaluate(seen)) == ("moves", "visible")
    guess()
    page.act("run")
    assert figures.evaluate(seen) == "visible"
    page.tab.wait_for_function("document.getElementById('seed').value > 1")
    for samples in range(21, 29):
        page.tab.locator("#samples").evaluate(
            "(slider, value) => (slider.value = value, slider.dispatchEvent(new Event('input')))",
            samples,
        )
        page.tab.wait_for_timeout(130)
    assert len(page.text("#runs").splitlines()) == 1
    assert "settings changed after steps" in page.text("#runs")
    choose(page, "tool", "guess")
    assert page.tab.text_content("[data-action=run]") == "Run"
    page.act("undo")
    assert state_of(page)["samples"] == 19
    page.act("undo")
    assert (state_of(page)["seed"], state_of(page)["tab"]) == (0, "gaussian")
    page.act("undo")
    assert state_of(page)["tab"] == "moves"


# ---------------------------------------------------------------- all baselines at once


def test_all_baselines_are_seen_at_once(open_page):
    page = open_page("samples=16&seed=15&panel=clouds&baseline=constant&constant=-1")
    texts = page.tab.locator("#clouds button").all_inner_texts()
    for text, name in zip(
        texts,
        ["none", "constant", "moving average", "leave-one-out", "best constant", "standardised"],
        strict=True,
    ):
        assert text.startswith(name)
    worth = page.numbers()["cloud"]
    figures = [worth["worth"], worth["worth_low"], worth["worth_high"]]
    assert "{:.0f} ({:.0f}–{:.0f})".format(*figures) in texts[1]
    assert "other units" in texts[5]

    # The best constant becomes the constant, and then is worth what it was said to be.
    page.tab.click("[data-cloud=best]")
    page.settle()
    state = state_of(page)
    assert state["baseline"] == "constant"
    assert state["constant"] == pytest.approx(page.numbers()["best_constant"])
    assert f"{page.numbers()['cloud']['worth']:.0f} (" in texts[4]


def test_one_sample_can_be_compared_with_no_others(open_page):
    page = open_page("samples=1&panel=clouds")
    texts = page.tab.locator("#clouds button").all_inner_texts()
    assert all("needs 2 samples" in texts[k] for k in (3, 5))


def test_clouds_of_the_moves_are_strips(open_page):
    page = open_page("tab=moves&samples=20&panel=clouds")
    pixels = page.tab.evaluate(
        """[...document.querySelectorAll('#clouds canvas')].map(canvas => {
            const {width, height} = canvas
            const data = canvas.getContext('2d').getImageData(0, 0, width, height).data
            return data.filter((_, k) => k % 4 === 3).filter(alpha => alpha > 0).length
        })"""
    )
    assert np.min(pixels) > 500
    page.messages.clear()  # the browser's advice on reading pixels
