"""What a training and a command do when standard output breaks."""

import io
import json
import os
import pty
import sys
from functools import partial

import pytest
from rich.console import Console

from applications.kit.commands import Commands, Start
from applications.kit.display import Display
from applications.kit.output import Screen
from applications.kit.run import CHECKPOINT, METRICS, Run, read_metrics
from tests.applications.kit.test_run import Config


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def without_reader():
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def closed_terminal():
    """A terminal that was closed."""
    terminal, ours = pty.openpty()
    os.close(terminal)
    return os.fdopen(ours, "w")


def full_disk():
    return open("/dev/full", "w")


BROKEN = {
    "nobody reads": (without_reader, ""),
    "a closed terminal": (closed_terminal, ""),
    "a full disk": (
        full_disk,
        "note: standard output cannot be written (No space left on device): "
        "the training continues\n",
    ),
}


def train(folder):
    """A training of five updates, saved after each, and what it prints at its end."""
    with Run(folder, Config(), False) as run, Display(f"run in {folder}") as display:
        for update in range(1, 6):
            run.log({"update": update})
            run.save({"update": update})
            display.show(lambda update=update: {"update": str(update)}, now=True)
    print(f"the run is in {folder}")


def command(act):
    line = Commands("toy", "λ of the toy")
    line.add("act", lambda options: act(options.run_dir), Start, "Do it: λ · ½.")
    return line.main


@pytest.mark.parametrize("how", BROKEN)
def test_a_training_outlives_its_output(tmp_path, monkeypatch, capsys, how):
    make, told = BROKEN[how]
    with make() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert command(train)(["act", "--run-dir", str(tmp_path / "run")]) == 0
        monkeypatch.undo()
    assert capsys.readouterr().err == told
    assert len(read_metrics(tmp_path / "run" / METRICS)) == 5
    with Run(tmp_path / "run", Config(), True) as run:
        assert run.state["update"] == 5


def test_a_training_whose_output_breaks_halfway(tmp_path, monkeypatch):
    """As by `train | head -1`."""
    reader, writer = os.pipe()
    lines = []

    def figures():
        if not lines:
            lines.append(os.read(reader, 99).decode())
            os.close(reader)
        return {"update": "?"}

    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with Display("a title") as display:
            for _ in range(3):
                display.show(figures, now=True)
        monkeypatch.undo()
    assert lines == ["a title\n"]


def test_a_training_without_any_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with Display("a title") as display:
        display.show(lambda: {"update": "1"}, now=True)


@pytest.mark.parametrize(
    ("how", "status", "told"),
    [
        ("nobody reads", 1, ""),
        ("a full disk", 2, "error: standard output cannot be written (No space left on device)\n"),
    ],
)
@pytest.mark.parametrize("act", [print, partial(print, flush=True), Console().print])
@pytest.mark.parametrize("buffered", [True, False])
def test_another_command_ends_plainly(monkeypatch, capsys, how, status, told, act, buffered):
    with BROKEN[how][0]() as stream:
        stream.reconfigure(write_through=not buffered)
        monkeypatch.setattr(sys, "stdout", stream)
        met = command(act)(["act"])
        monkeypatch.undo()
    assert (met, capsys.readouterr().err) == (status, told)


def test_help_on_a_full_disk(monkeypatch, capsys):
    with full_disk() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert command(print)(["--help"]) == 2
        monkeypatch.undo()
    assert "standard output cannot be written (No space left" in capsys.readouterr().err


def test_a_terminal_that_knows_ascii_only(tmp_path, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit, match="0"):
        command(print)(["act", "--help"])
    folder = tmp_path / "λ½"
    assert command(train)(["act", "--run-dir", str(folder)]) == 0
    monkeypatch.undo()
    text = stream.buffer.getvalue().decode("ascii")
    assert "Do it: ? ? ?." in text
    assert text.endswith("the run is in " + str(tmp_path) + "/??\n")
    assert (folder / CHECKPOINT).exists()


def test_other_errors_of_the_system_are_plain(tmp_path, capsys):
    path = tmp_path / ("x" * 300)
    assert command(lambda _: path.write_text(""))(["act"]) == 2
    assert capsys.readouterr().err == (
        f"error: {path} cannot be read or written (File name too long)\n"
    )


@pytest.mark.parametrize("name", ["[/dim]", "[bold]run", "run[0]", "[link=x]"])
def test_square_brackets_are_shown_as_they_are(tmp_path, monkeypatch, name):
    folder, text = tmp_path / name, io.StringIO()
    terminal = Console(file=text, force_terminal=True, width=300, color_system=None)
    monkeypatch.setattr("applications.kit.display.Console", lambda **_: terminal)
    with Display(f"Toy · {folder}") as display:
        display.show(lambda: {"[/]": "[of 3]"}, now=True)
    assert f"Toy · {folder}" in text.getvalue()
    assert "[/]" in text.getvalue()
    assert "[of 3]" in text.getvalue()


def test_a_terminal_is_still_one(monkeypatch):
    terminal, ours = pty.openpty()
    with os.fdopen(ours, "w") as stream, os.fdopen(terminal, "rb", 0) as screen:
        monkeypatch.setattr(sys, "stdout", stream)
        assert Screen().isatty()
        assert Screen().encoding == stream.encoding
        with Display("a title") as display:
            assert display.live is not None
            display.show(lambda: {"update": json.dumps(7)}, now=True)
        stream.flush()
        monkeypatch.undo()
        shown = b""
        while b"update" not in shown:
            shown += screen.read(2000)
        assert b"a title" in shown
