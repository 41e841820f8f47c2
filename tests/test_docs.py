"""The documentation's own code: what the site has besides its Markdown."""

from pathlib import Path

from mkdocs.config import load_config
from mkdocs.structure.files import Files

from applications.gaussian.page import build

ROOT = Path(__file__).parents[1]
PAGE = "gaussian-page.html"


def test_the_site_has_the_page_that_its_gaussian_page_embeds(monkeypatch):
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config = load_config(str(ROOT / "mkdocs.yml"), plugins=[])
    (page,) = config.plugins.on_files(Files([]), config=config)
    assert page.dest_uri == PAGE
    assert page.content_string == build()
    text = (ROOT / "docs" / "gaussian.md").read_text()
    assert f'<iframe src="../{PAGE}"' in text
    assert f"({PAGE})" in text
