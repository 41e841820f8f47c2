"""Runs the programs of `examples/` as a user does, and reads what their docstrings quote."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LONGEST = 600  # seconds; on an idle machine each takes a few, so only a hang is stopped


def run(name, *options, folder):
    """What a program prints when it is run in a folder; a warning is an error."""
    finished = start(name, *options, folder=folder)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def start(name, *options, folder):
    """The same, however it ends."""
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / name, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": search, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )


def indented_blocks(name):
    """The indented blocks of a program's docstring: its command, and what it prints."""
    text = ast.get_docstring(ast.parse((ROOT / "examples" / name).read_text()))
    blocks = re.findall(r"^ {4}.*(?:\n(?: {4}.*)?)*", text, re.M)
    return [re.sub(r"^ {4}", "", block.rstrip(), flags=re.M) for block in blocks]


def check_form(name, output):
    """A run prints lines of the forms that the docstring quotes, and all of these."""
    quoted = indented_blocks(name)[-1]
    assert forms(output) == forms(quoted), output


def forms(text):
    """The distinct lines of a text, with # for the numbers and what stands between them."""
    lines = text.strip().splitlines()
    return {re.sub(r"[-+*.,\s]*\d[-+*.,\d\s]*", "#", line.strip()) for line in lines}


def number(output, pattern):
    """The number in a line of the output."""
    match = re.search(pattern, output)
    assert match, f"{pattern!r} is not in\n{output}"
    return float(match[1])
