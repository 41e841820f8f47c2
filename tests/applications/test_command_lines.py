"""Every command line that a page or the Makefile shows is one."""

import re
import shlex
from pathlib import Path

import pytest

from applications.control import __main__ as control
from applications.gaussian import __main__ as gaussian
from applications.glimpse import __main__ as glimpse
from applications.kit import commands
from applications.memory import __main__ as memory
from applications.memory import study
from applications.pong import __main__ as pong

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "Makefile", *sorted((ROOT / "docs").rglob("*.md"))]
LINES = {
    "control": control.commands(),
    "gaussian": gaussian.commands(),
    "glimpse": glimpse.commands(),
    "memory": memory.commands(),
    "pong": pong.commands(),
}
MADE = {"control": "train", "gaussian": "plot", "glimpse": "train", "memory": "train"}
"""What `make` calls with ARGS."""
WORDS = {"N": "4", "SEED": "7", "S": "7", "T": "reverse", "M": "address", "NAME": "freeway"}
"""What stands for a value on the pages."""

CONTEXT = {
    "--credit episode": "--recipe blog",
    "--method deterministic": "--environment Pendulum-v1",
}
"""What a table takes for granted."""


def shown():
    """Application and arguments of every command line, and where it is."""
    for page in PAGES:
        text = page.read_text()
        own = page.stem if page.stem in LINES else "pong" if page.stem == "pong-studies" else None
        for line in re.findall(r"-m applications\.(\w+ [^`#|&\n]*)", text):
            yield page.name, *line.split(maxsplit=1)
        for name, arguments in re.findall(r'make (\w+) ARGS="([^"]*)"', text):
            if name in LINES:
                yield page.name, name, f"{MADE.get(name, 'train')} {arguments}"
        for line in re.findall(
            r"`(?:… )?((?:train|evaluate|plot|watch|study|compare) [^`]*)`", text
        ):
            if own:
                yield page.name, own, line
        for line in re.findall(r"`(--[a-z-]+ [^`]*|--no-[^`]*)`", text):
            if own and own != "gaussian":
                yield page.name, own, f"train {CONTEXT.get(line, '')} {line}"


CASES = sorted({case for case in shown() if not case[-1].endswith("--run-dir")})


def arguments(line):
    """A line's arguments, without what is optional or cut short."""
    text = line.replace("$(ARGS)", "").replace("$$task", "copy").replace("\\", "")
    text = re.sub(r"[\[\]…]|\bOPTION\b|\{.*?\}", " ", text)
    return [WORDS.get(word, word) for word in shlex.split(text)]


def test_the_pages_show_many():
    assert len(CASES) > 60
    assert {application for _, application, _ in CASES} == set(LINES)


class ParsedError(Exception):
    """Ends a command after its options."""


@pytest.mark.parametrize(("page", "application", "line"), CASES)
def test_a_command_line_is_understood(page, application, line, monkeypatch, tmp_path):
    parse = commands.parse
    saved = {"recipe": "blog" if "--episodes" in line else "fast"} if application == "pong" else {}

    def parse_and_end(*asked):
        parse(*asked)
        raise ParsedError

    for module in (commands, study):
        monkeypatch.setattr(module, "parse", parse_and_end)
    monkeypatch.setattr(commands, "latest_folder", lambda *_, **__: tmp_path)
    monkeypatch.setattr(commands, "read_config", lambda _: saved)
    name, *rest = arguments(line)
    with pytest.raises(ParsedError):
        LINES[application].commands[name].run(rest, "x")
