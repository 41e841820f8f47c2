"""The playground in windows of any size, for readers, and without a network."""

import pytest

from tests.applications.gaussian.browser import needs_browser

pytestmark = needs_browser


def pixels_of(page):
    return page.tab.evaluate("document.getElementById('plane').toDataURL()")


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


PHONE = {"width": 400, "height": 800, "has_touch": True, "is_mobile": True}


def test_on_a_phone_what_was_tapped_stays_in_place(open_page):
    """With what it shows: the panel that was chosen, the curve of the run that is to be stopped."""
    page = open_page("samples=20", **PHONE)

    def top(selector):
        page.settle()
        return page.tab.locator(selector).bounding_box()["y"]

    for panel, result in (("clouds", "#clouds"), ("terms", "#terms"), ("runs", "#curve")):
        label = f"label:has([value={panel}])"
        before = top(label)
        page.tab.tap(label)
        assert top(label) == pytest.approx(before, abs=1)
        assert before < top(result) < 600
    page.open("samples=20")
    run = page.tab.locator("[data-action=run]")
    run.evaluate("e => e.scrollIntoView({block: 'end'})")
    before = top("[data-action=run]")
    run.tap()
    assert top("[data-action=run]") == pytest.approx(before, abs=1)
    assert 0 <= top("#curve") < before
    run.tap()
    page.settle()
    assert run.inner_text() == "Run"


def test_on_a_phone_a_paragraph_shows_what_it_speaks_of_whatever_was_chosen(open_page):
    page = open_page("samples=20&panel=terms", **PHONE)
    paragraph = page.tab.locator("#derivation li").nth(5)
    paragraph.scroll_into_view_if_needed()
    paragraph.tap()
    page.settle()
    for part in (page.tab.locator("#plane"), paragraph.locator("p")):
        box = part.bounding_box()
        assert 0 <= box["y"] < 750


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


@pytest.mark.parametrize("size", [(1024, 600), (740, 360), (640, 360), (400, 800), (320, 256)])
def test_everything_can_be_reached(size, open_page):
    """Nothing covers a control that was scrolled to, in a low window either."""
    page = open_page("question=log", width=size[0], height=size[1])
    for selector in ("[data-action=step]", "#seed", "#questions a >> nth=9", "#figure-after"):
        part = page.tab.locator(selector)
        if selector == "#seed":
            page.tab.click("summary")
        part.evaluate("e => e.scrollIntoView({block: 'center'})")
        page.settle()
        on_top = part.evaluate(
            """e => {
                const box = e.getBoundingClientRect()
                const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
                return e.contains(top) || (top && top.contains(e) && top.id !== 'sight')
            }"""
        )
        assert on_top, selector


@pytest.mark.parametrize("size", [(1280, 800), (400, 800)])
def test_an_error_is_in_sight(size, open_page):
    page = open_page("rate=1000", width=size[0], height=size[1])
    page.tab.locator("#derivation li").last.scroll_into_view_if_needed()
    page.act("step")
    box = page.tab.locator("#error").bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= size[1]


def test_it_needs_no_network(open_page):
    page = open_page("tab=moves", offline=True)
    page.open("reward=hills")
    assert page.text("#figure-value")


def test_a_reader_of_the_noise_is_shown_the_noise(open_page):
    """Also where the runs were beside the picture, or a lesson hid it."""
    for state in ("panel=runs", "lesson=1"):
        page = open_page(state)
        page.tab.locator("[data-shows~=cloud]").first.hover()
        page.settle()
        assert page.tab.locator("#cloud").is_visible()
        assert not page.tab.locator("#lesson").is_visible()


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
        stage = paragraph.get_attribute("data-stage")
        beginning = {"scores": "Each arrow: which", "weighted": "Each arrow: reward"}
        beginning |= {"average": "All arrows", "step": "Dashed: before"}
        assert page.text("#caption").startswith(beginning.get(stage, "Each arrow: which"))
        assert pixels_of(page) != plain
