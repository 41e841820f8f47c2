"""The contract of the package itself: names, docstrings, size, packaging."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import torch

import sfgrad as sf
from sfgrad import optim

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "sfgrad").rglob("*.py"))
CORE = [path for path in LIBRARY if path.parent.name != "optim"]  # which needs nothing of it
SILENT = {"Baseline", "Estimator", "Draw", "BiasReport", "Expectation", "StepReport"}
SILENT |= {"row_log_prob"}  # protocols and results; estimates must say whether they are unbiased


@pytest.mark.parametrize("module", [sf, optim], ids=lambda m: m.__name__)
def test_exports_are_sorted_and_exist(module):
    assert sorted(module.__all__) == module.__all__
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in (sf, optim) for name in module.__all__]
)
def test_every_public_name_documents_itself(module, name):
    doc = inspect.getdoc(getattr(module, name))
    assert doc, f"{name} has no docstring"
    if name not in SILENT:
        assert re.search(r"^Unbiased: ", doc, re.M), f"{name} does not say whether it is unbiased"


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_of_the_library_are_short(path):
    assert len(path.read_text().splitlines()) <= 250


def code_lines(path):
    """Lines that are neither blank, nor comment, nor docstring."""
    source = path.read_text()
    counted = {
        number
        for number, line in enumerate(source.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#")
    }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            counted -= set(range(node.lineno, node.end_lineno + 1))
    return len(counted)


def test_the_core_is_under_a_thousand_lines_of_code():
    assert sum(map(code_lines, CORE)) < 1000


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_examples_of_a_page_run(page):
    torch.manual_seed(0)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})
