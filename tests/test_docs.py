"""The documentation's own code: what the site has besides its Markdown."""

import re
from pathlib import Path

import pytest
from mkdocs.config import load_config
from mkdocs.structure.files import Files

from applications.gaussian.playground import build

ROOT = Path(__file__).parents[1]
ESTIMATORS = ROOT / "docs" / "estimators"
PICTURE = re.compile(r"^!\[.+\]\((\.\./pictures/estimators/.+\.png)\)$", re.MULTILINE)


def test_formulas_are_typeset_and_code_is_left_alone(monkeypatch):
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config = load_config(str(ROOT / "mkdocs.yml"), plugins=[])
    source = "$x^2$ and `$HOME`\n\n$$\n\\frac12\n$$\n\n```\necho $A $B\n```\n"
    text = config.plugins.on_page_markdown(source, page=None, config=config, files=None)
    assert "<span><math" in text
    assert "<mfrac>" in text
    assert "`$HOME`" in text
    assert "echo $A $B" in text


def test_the_site_has_the_page_and_embeds_it(monkeypatch):
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config = load_config(str(ROOT / "mkdocs.yml"), plugins=[])
    (page,) = config.plugins.on_files(Files([]), config=config)
    assert page.content_string == build()

    source = (ROOT / "docs" / "gaussian.md").read_text()
    text = config.plugins.on_page_markdown(source, page=None, config=config, files=None)
    assert text.count(f'<iframe src="../{page.dest_uri}"') == 1
    assert "gaussian-playground.png" not in text
    assert f"({page.src_uri})" in text


@pytest.mark.parametrize("page", [page.stem for page in sorted(ESTIMATORS.glob("[!i]*.md"))])
def test_every_page_of_an_estimator_has_a_plot(page):
    plots = PICTURE.findall((ESTIMATORS / f"{page}.md").read_text())
    assert plots
    for plot in plots:
        assert (ESTIMATORS / plot).stat().st_size < 60_000


def test_every_plot_of_an_estimator_is_on_a_page():
    shown = {
        Path(plot).name
        for page in ESTIMATORS.glob("*.md")
        for plot in PICTURE.findall(page.read_text())
    }
    assert shown == {path.name for path in (ROOT / "docs/pictures/estimators").glob("*.png")}
