"""What trainings set for their whole process is set back, and a GPU is left alone."""

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def _settings():
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)  # tests compare on the processor
        yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    from tests.applications.browser import EXECUTABLE

    quiet = ["--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=EXECUTABLE, args=quiet)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory):
    from applications.gaussian.page import build

    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(build(), encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser, page_file):
    """Opens the page in a window of its own; checked at the end for errors and requests."""
    from tests.applications.browser import OpenPage

    contexts, pages = [], []

    def open(state="", width=1280, height=900, **settings):
        settings = {"reduced_motion": "reduce", "color_scheme": "light"} | settings
        contexts.append(
            browser.new_context(viewport={"width": width, "height": height}, **settings)
        )
        pages.append(OpenPage(contexts[-1], page_file.as_uri()))
        return pages[-1].open(state)

    yield open
    for page in pages:
        page.check()
    for context in contexts:
        context.close()
