"""What all examples have in common: they are short, stand alone, and say what they do."""

import ast

import pytest

from tests.examples.programs import EXAMPLES, ROOT, forms, indented_blocks

NAMES = [path.name for path in EXAMPLES]


def test_there_are_the_eight_that_the_readme_lists():
    assert NAMES == [
        "gate.py",
        "gaussian.py",
        "glimpse.py",
        "lqr.py",
        "memory.py",
        "pong.py",
        "sequence.py",
        "simulator.py",
    ]
    readme = (ROOT / "README.md").read_text()
    assert all(f"examples/{name}" in readme for name in NAMES)


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_an_example_is_short_and_stands_alone(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 150
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules.add(node.module.split(".")[0])
    assert "sfgrad" in modules
    assert not modules & {"applications", "examples", "tests", "benchmarks"}


@pytest.mark.parametrize("path", EXAMPLES, ids=NAMES)
def test_an_example_says_its_command_its_time_and_what_it_prints(path):
    command, *_, output = indented_blocks(path.name)
    assert command == f".venv/bin/python examples/{path.name}"
    assert output
    assert "on two cores" in ast.get_docstring(ast.parse(path.read_text()))


def test_a_form_is_a_line_without_its_numbers():
    assert forms("update  10   cost 0.5\nupdate 200   cost -1e-3") == {
        "update#cost#",
        "update#cost#e#",
    }
    assert forms("7 = + 7") == forms("17 = 5 + 6 + 6")
    assert forms("cost nan") != forms("cost 0.5")
    assert forms("cost 1") != forms("reward 1")
