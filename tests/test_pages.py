"""Every Python block of README.md and docs/ runs as it stands, and quotes are what they quote.

The blocks of a page run in order, as one program. Names that a page does not define come from its
module in `tests/pages`.
"""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
MARK = re.compile(r"<!-- from (examples/\w+\.py) -->\n")
"""Stands before a block all lines of which are in that file, in that order."""


class Block(NamedTuple):
    """A Python block of a page."""

    heading: str
    line: int
    source: str
    quoted: str | None


def blocks(page):
    """The Python blocks of a page, in order, each with the heading above it."""
    result = []
    text = page.read_text()
    for match in re.finditer(r"(?:<!-- from (\S+) -->\n)?```python\n(.*?)```", text, re.S):
        before = re.sub(r"```.*?```", "", text[: match.start()], flags=re.S)
        headings = re.findall(r"^#+ (.*)", before, re.M)
        heading = re.sub(r"\W+", "_", headings[-1].lower()).strip("_")
        line = text[: match.start(2)].count("\n")
        result.append(Block(heading, line, match[2], match[1]))
    return result


def preamble(page):
    """The functions of a page's module, or of its folder's, by the headings that they prepare."""
    name = f"tests.pages.{page.stem if page.parent.name == 'docs' else page.parent.name}"
    if page.parent == ROOT or importlib.util.find_spec(name) is None:
        return {}
    module = importlib.import_module(name)
    functions = dict(inspect.getmembers(module, inspect.isfunction))
    return {key: f for key, f in functions.items() if f.__module__ == name}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_python_blocks_of_a_page_run(page):
    torch.manual_seed(0)
    program = blocks(page)
    prepare = preamble(page)
    unknown = prepare.keys() - {block.heading for block in program} - {"everywhere"}
    assert not unknown, f"tests/pages prepares headings of {page.name} without a block: {unknown}"

    names = prepare["everywhere"]() if "everywhere" in prepare else {}
    for block in program:
        if block.heading in prepare:
            names |= prepare.pop(block.heading)()
        source = "\n" * block.line + block.source  # errors give the line of the page
        exec(compile(source, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_a_quoted_block_is_in_its_file(page):
    for block in blocks(page):
        if block.quoted is None:
            continue
        lines = iter((ROOT / block.quoted).read_text().splitlines())
        for quote in block.source.splitlines():
            found = not quote.strip() or any(quote.strip() == line.strip() for line in lines)
            assert found, f"{block.quoted} has no line {quote!r} after the ones before it"


def test_the_readme_and_the_home_page_quote_an_example():
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        assert any(block.quoted == "examples/gate.py" for block in blocks(page))


def test_every_mark_stands_before_a_block():
    for page in PAGES:
        marks = MARK.findall(page.read_text())
        assert len(marks) == sum(block.quoted is not None for block in blocks(page))
