"""A real browser for the pages: Chromium, driven by Playwright."""

import base64
import json
import os
import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EXECUTABLE = os.environ.get("BROWSER_FOR_TESTS") or next(
    filter(None, map(shutil.which, NAMES)), None
)

REASON = "no Chromium: apt-get install chromium, or name one in BROWSER_FOR_TESTS"
if EXECUTABLE is None and os.environ.get("BROWSER_REQUIRED"):
    raise RuntimeError(f"BROWSER_REQUIRED is set, but there is {REASON}")

needs_browser = pytest.mark.skipif(EXECUTABLE is None, reason=REASON)

KEEP_BLOB = """
    const make = URL.createObjectURL
    URL.createObjectURL = blob => (window.lastBlob = blob, make.call(URL, blob))
"""

LAST_BLOB = """new Promise(done => {
    const reader = new FileReader()
    reader.onload = () => done(reader.result.split(',')[1])
    reader.readAsDataURL(lastBlob)
})"""

PASTE = """state => new Promise(done => {
    const before = location.hash
    addEventListener('hashchange', () => done(), {once: true})
    location.hash = state
    if (location.hash === before) done()
})"""

FIGURES = """new Promise(done => {
    const look = () => document.getElementById('figure-value').textContent
        ? done()
        : requestAnimationFrame(look)
    look()
})"""


class OpenPage:
    """A page in a tab of its own; it asks nobody for anything and writes nothing to the console.

    Args:
        context: Playwright's.
        address: of the page, without its state.
    """

    def __init__(self, context, address):
        self.tab, self.address = context.new_page(), address
        self.loads = 0
        self.messages, self.requests = [], []
        self.tab.add_init_script(KEEP_BLOB)
        self.tab.on("console", lambda message: self.messages.append(message.text))
        self.tab.on("pageerror", lambda error: self.messages.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))

    def open(self, state=""):
        """Load the page at a state, and wait until it is drawn."""
        self.loads += 1  # a new hash alone would not load anything
        address = f"{self.address}?{self.loads}"
        self.tab.goto(f"{address}#{state}" if state else address)
        self.tab.evaluate(FIGURES)
        self.settle()
        return self

    def paste(self, state):
        """Put another state into the address of the open page."""
        self.tab.evaluate(PASTE, state)  # browsers tell the page when they have time
        self.settle()
        return self

    def press(self, action, times):
        """Press a button again and again, faster than frames are drawn."""
        button = self.tab.locator(f"[data-action={action}]")
        button.evaluate("(b, n) => { for (let k = 0; k < n; k++) b.click() }", times)
        self.settle()

    def settle(self):
        """Wait for two frames: what was asked for is drawn."""
        self.tab.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def act(self, action):
        """Press a button, wherever it is hidden."""
        self.tab.locator(f"[data-action={action}]").dispatch_event("click")
        self.settle()

    def download(self, action):
        """The path of what a button saves."""
        with self.tab.expect_download() as download:
            self.tab.locator(f"[data-action={action}]").dispatch_event("click")
        return Path(download.value.path())

    def saved(self, action):
        """The bytes of what a button saves.

        Browsers drop the eleventh download in quick succession, so this reads what would be saved.
        """
        self.tab.evaluate("lastBlob = null")
        self.act(action)
        self.tab.wait_for_function("lastBlob")
        return base64.b64decode(self.tab.evaluate(LAST_BLOB))

    def numbers(self):
        """Everything that the page computed: what its `Save numbers` saves."""
        return json.loads(self.saved("save"))

    def text(self, selector):
        """What a part of the page says."""
        return self.tab.locator(selector).inner_text()

    def check(self):
        """Nothing in the console, no request but for the page itself, since the last check."""
        own = (self.address, "blob:", "data:", "about:")
        foreign = [request for request in self.requests if not request.startswith(own)]
        messages = [*self.messages]
        self.requests.clear()
        self.messages.clear()
        assert messages == []
        assert foreign == []
