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


@pytest.fixture(scope="session")
def windows():
    """Windows for all tests, one for each kind: to open one is most of what a short test takes."""
    return {}


@pytest.fixture
def open_page(browser, page_file, windows):
    """Opens the page at a state; checked at the end for errors and requests.

    A second page in the same test is a window of its own. Without `load`, the state is pasted into
    the page that is in the window, which is quicker: for tests of what follows from a state alone.
    """
    pages = []

    def open(state="", width=1280, height=900, color_scheme="light", load=True, **kind):
        key = frozenset(kind.items())
        page = windows.get(key)
        if page is None or page in pages:
            page = OpenPage(browser.new_context(**kind), page_file.as_uri())
            windows.setdefault(key, page)
        pages.append(page)
        page.tab.set_viewport_size({"width": width, "height": height})
        page.tab.emulate_media(color_scheme=color_scheme, reduced_motion="reduce")
        return page.open(state) if load or not page.loads else page.paste(state)

    yield open
    for page in pages:
        page.check()
        if page not in windows.values():
            page.tab.context.close()
