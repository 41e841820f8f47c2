"""The contract of the package itself: names, docstrings, size, packaging."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import sfgrad as sf
from sfgrad import optim

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "sfgrad").rglob("*.py"))
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
def test_a_file_has_one_idea_and_functions_fit_on_a_screen(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert lines_of_code(node) <= 40, f"{node.name} has {lines_of_code(node)} lines"


def lines_of_code(function):
    """Lines of a function without its docstring."""
    first, *_ = function.body
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring
