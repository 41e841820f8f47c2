"""Every command line that a page or the Makefile shows is one."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from applications.control import __main__ as control
from applications.control.config import Config as ControlConfig
from applications.gaussian import __main__ as gaussian
from applications.gaussian.config import Config as GaussianConfig
from applications.glimpse import __main__ as glimpse
from applications.glimpse.config import Config as GlimpseConfig
from applications.kit import commands
from applications.kit.options import option
from applications.memory import __main__ as memory
from applications.memory import study
from applications.memory.config import Config as MemoryConfig
from applications.pong import __main__ as pong
from applications.pong.recipes import KINDS

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


def application_of(page):
    """What a page is about; None if that is several applications or none."""
    name = page.stem.partition("-")[0]
    if page.parent.name == "decisions":
        name = page.stem.rpartition("-")[2]
    return name if name in LINES else None


def shown():
    """Application and arguments of every command line, and where it is."""
    for page in PAGES:
        text = page.read_text()
        own = application_of(page)
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


def options(kind):
    """The options of a config, and those that have had another name."""
    return {option(field.name) for field in fields(kind)}, set(map(option, kind.RENAMED))


def former_names():
    """Application → names that its options no longer have."""
    kinds = {
        "control": [ControlConfig],
        "gaussian": [GaussianConfig],
        "glimpse": [GlimpseConfig],
        "memory": [MemoryConfig],
        "pong": KINDS.values(),
    }
    for application, configs in kinds.items():
        present, former = map(set.union, *map(options, configs), (set(), set()))
        yield application, former - present


FORMER = dict(former_names())


def test_former_names_are_known():
    assert "--entropy" in FORMER["memory"]
    assert "--clip" in FORMER["pong"]
    assert "--steps" in FORMER["control"]
    assert "--steps" not in FORMER["pong"]


@pytest.mark.parametrize(("page", "application", "line"), CASES)
def test_a_command_line_shows_present_names(page, application, line):
    assert not FORMER[application] & {word.partition("=")[0] for word in line.split()}


@pytest.mark.parametrize("page", [page for page in PAGES if application_of(page)], ids=str)
def test_a_page_shows_present_names_alone(page):
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", page.read_text()))
    assert not FORMER[application_of(page)] & shown


def test_make_draws_the_run_that_it_has_trained():
    """With ARGS it may be in any folder."""
    made = (ROOT / "Makefile").read_text()
    assert "--latest" not in made
    assert made.count("train --plot") == 1
    assert made.count("--mode address --plot") == 1


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
