"""The playground, open in a browser."""

import pytest

from applications.gaussian.playground import build
from tests.applications.gaussian.browser import EXECUTABLE, OpenPage


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright  # most processes of tests open no browser

    quiet = ["--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=EXECUTABLE, args=quiet)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(build(), encoding="utf-8")
    return path


PLAIN = {
    "viewport": {"width": 1280, "height": 900},
    "reduced_motion": "reduce",
    "color_scheme": "light",
}
"""A window as the tests of the page have it, unless they ask for another."""


@pytest.fixture(scope="session")
def plain_page(browser, page_file):
    """The page in one window for all tests: opening windows is most of what they take."""
    return OpenPage(browser.new_context(**PLAIN), page_file.as_uri())


@pytest.fixture
def open_page(browser, page_file, plain_page):
    """Opens the page at a state; checked at the end for errors and requests."""
    pages = []

    def open(state="", width=None, height=900, **settings):
        if width:
            settings["viewport"] = {"width": width, "height": height}
        if settings or plain_page in pages:
            pages.append(OpenPage(browser.new_context(**PLAIN | settings), page_file.as_uri()))
        else:
            pages.append(plain_page)
        return pages[-1].open(state)

    yield open
    for page in pages:
        page.check()
        if page is not plain_page:
            page.tab.context.close()
