"""How fast the playground is, in a real browser: first paint, and frames while dragging.

First paint: a browser is started afresh, opens the page from the disk, and reports its
`first-contentful-paint` and when the first figures appeared, in milliseconds after the request.
Frames: the mean is moved once a frame by key, the path that a drag takes too, with 1, 80 and 500
samples and leave-one-out over two hills, the costliest reward, the last with the path of a run of
60 steps and the learning curves beside it, too. Measured are the time from frame
to frame, which the display keeps at 16.7 ms or more, and how long the change itself takes.

    python -m benchmarks.gaussian_playground
"""

import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, BrowserType, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from applications.gaussian.playground import build
from benchmarks.timing import keep
from tests.applications.gaussian.browser import EXECUTABLE, REASON

STARTS = 15
"""Browsers that are started for the first paint."""
FRAMES = 240
"""Frames for each number of samples, after 30 that do not count."""
SAMPLES = (1, 80, 500)
TRAIL = "500, with a trail"
"""As many samples, and a path and a curve besides."""
STATE = "reward=hills&baseline=leave-one-out&stage=weighted"

PAINT = """() => new Promise(done => {
    const ready = () => document.getElementById('figure-value').textContent
        ? setTimeout(() => done([
            performance.getEntriesByName('first-contentful-paint')[0].startTime, drawn]), 300)
        : requestAnimationFrame(ready)
    let drawn = 0
    const watch = () => {
        if (document.getElementById('figure-value').textContent) drawn = performance.now()
        else requestAnimationFrame(watch)
    }
    watch(); ready()
})"""

RUN = """() => {
    for (let k = 0; k < 60; k++) document.querySelector('[data-action=step]').click()
}"""

DRAG = """async (frames) => {
    const handle = document.querySelector('[data-handle=mean]')
    const [gaps, busy] = [[], []]
    let last = performance.now()
    for (let k = 0; k < frames + 30; k++) {
        const key = k % 40 < 20 ? 'ArrowLeft' : 'ArrowRight'
        const began = performance.now()
        handle.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))
        const ended = performance.now()
        await new Promise(requestAnimationFrame)
        if (k >= 30) { gaps.push(performance.now() - last); busy.push(ended - began) }
        last = performance.now()
    }
    return [gaps, busy]
}"""


def first_paint(chromium: BrowserType, address: str) -> tuple[float, float]:
    """First contentful paint, and when figures stood there: ms, of a browser just started."""
    browser = launch(chromium)
    page = window(browser)
    page.goto(address)
    painted, drawn = page.evaluate(PAINT)
    browser.close()
    return painted, drawn


def launch(chromium: BrowserType) -> Browser:
    return chromium.launch(executable_path=EXECUTABLE, args=["--disable-gpu"])


def window(browser: Browser) -> Page:
    return browser.new_context(viewport={"width": 1280, "height": 900}).new_page()


def frames(
    page: Page, address: str, samples: int, trail: bool = False
) -> tuple[list[float], list[float]]:
    """Milliseconds from frame to frame, and of the changes, sorted."""
    page.goto("about:blank")
    panel = "&panel=runs&rate=0.1" if trail else ""
    page.goto(f"{address}#{STATE}&samples={samples}{panel}")
    page.wait_for_function("document.getElementById('figure-value').textContent")
    if trail:
        page.evaluate(RUN)
    gaps, busy = page.evaluate(DRAG, FRAMES)
    return sorted(gaps), sorted(busy)


def main() -> None:
    if EXECUTABLE is None:
        print(REASON)
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "index.html"
        path.write_text(build(), encoding="utf-8")
        paints = [first_paint(playwright.chromium, path.as_uri()) for _ in range(STARTS)]
        browser = launch(playwright.chromium)
        page = window(browser)
        frames(page, path.as_uri(), 1)  # a browser that was just started is still busy
        drags = {str(count): frames(page, path.as_uri(), count) for count in SAMPLES}
        drags[TRAIL] = frames(page, path.as_uri(), 500, trail=True)
        version = browser.version
        browser.close()
        size = path.stat().st_size
    show(size, paints, drags, version)


def show(size: int, paints: list, drags: dict, version: str) -> None:
    painted, drawn = (sorted(times) for times in zip(*paints, strict=True))
    print(f"page: {size:,} bytes")
    print(f"first paint: median {statistics.median(painted):.0f} ms, at most {painted[-1]:.0f}")
    print(f"first figures: median {statistics.median(drawn):.0f} ms, at most {drawn[-1]:.0f}")
    table = Table("samples", "frame, ms: median", "nine in ten within", "change, ms: median")
    rows = {}
    for count, (gaps, busy) in drags.items():
        row = (statistics.median(gaps), gaps[int(0.9 * len(gaps))], statistics.median(busy))
        table.add_row(count, *(f"{value:.1f}" for value in row))
        rows[count] = dict(zip(("frame", "frame_p90", "change"), row, strict=True))
    Console().print(table)
    growth = rows["500"]["frame"] / rows["1"]["frame"]
    print(f"a frame with 500 samples over one with 1: {growth:.2f}")
    figures = {"bytes": size, "chromium": version, "first_paint": {"all": painted}}
    figures["first_paint"]["median"] = statistics.median(painted)
    figures["first_figures"] = {"median": statistics.median(drawn), "all": drawn}
    keep("gaussian_playground", {**figures, "milliseconds": rows, "frame_500_over_1": growth})


if __name__ == "__main__":
    main()
