"""The command line that the applications share."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
import torch

from applications.kit import commands
from applications.kit.commands import Commands, Start, prepare, tell_end
from applications.kit.errors import OptionError, RunError
from applications.kit.options import Amount, Count, Needs, Options, Seed, Share, Training
from applications.kit.parsing import parse, seeds
from applications.kit.run import Run, read_config


@dataclass(frozen=True)
class Config(Training):
    RENAMED: ClassVar = {"speed": "rate"}

    recipe: Literal["plain"] = "plain"
    game: Literal["pong", "breakout"] = "pong"
    """What is played."""
    rate: Share = 0.1
    """Of learning."""
    rest: bool = True
    """Whether to rest."""
    cut: bool | None = None
    """Whether to cut."""
    lives: Annotated[int, Needs(lambda config: config.game == "breakout", "--game breakout")] = 3
    """To lose."""


@dataclass(frozen=True)
class Other(Training):
    recipe: Literal["other"] = "other"
    width: Count = 5
    """Of something."""


@dataclass(frozen=True, kw_only=True)
class RecipeStart(Start):
    recipe: Literal["plain", "other"] | None = None


KINDS = {"plain": Config, "other": Other}


def ask(parent, *arguments):
    """What a `train` command makes of arguments."""
    name = "python -m applications.pong train"
    return prepare(KINDS, list(arguments), name, parent, lambda config: config.recipe, RecipeStart)


@dataclass(frozen=True)
class Numbers(Options):
    count: Count = 1
    share: Share = 0.5
    amount: Amount | None = None
    seed: Seed = 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "--count: 0 is not allowed: it must be at least 1"),
        ({"count": 1.5}, "--count: 1.5 is not allowed: it must be a whole number"),
        ({"count": True}, "--count: True is not allowed: it must be a whole number"),
        ({"count": None}, "--count: None is not allowed: it must be a whole number"),
        ({"share": 1.5}, "it must be from 0 to 1"),
        ({"amount": float("nan")}, "it must be at least 0"),
        ({"amount": float("inf")}, "it must be at least 0"),
        ({"amount": "x"}, "'x' is not allowed: it must be a number or none"),
        ({"seed": 2**31}, "2147483648 is not allowed: it must be from 0 to 2147483647"),
    ],
)
def test_options_check_themselves(options, message):
    with pytest.raises(ValueError, match=message):
        Numbers(**options)
    assert Numbers(share=1, amount=3).share == 1


def test_what_cannot_be_read_ends_with_2(capsys):
    for arguments in (["--count", "x"], ["--share"]):
        with pytest.raises(SystemExit, match="2"):
            parse(Numbers, arguments, "x", "")
    assert "invalid literal" in capsys.readouterr().err
    with pytest.raises(RunError, match="--counts is no option of x: see --help"):
        parse(Numbers, ["--counts", "3"], "x", "")
    assert parse(Numbers, ["--count", "3"], "x", "") == Numbers(count=3)


def test_what_the_user_can_put_right_is_told_without_a_traceback(capsys, tmp_path):
    @dataclass(frozen=True)
    class Folder(Options):
        run_dir: Path | None = None

    def wrong(options):
        raise RunError(f"no such thing in {options.run_dir}")

    def interrupted(_):
        raise KeyboardInterrupt

    all = Commands("pong", "Plays.")
    all.add("wrong", wrong, Folder, "Goes wrong.")
    all.add("interrupted", interrupted, Folder, "Is interrupted.")
    all.add("fine", lambda _: None, Numbers, "Goes well.")
    assert all.main(["wrong", "--run-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: no such thing in {tmp_path}\n"
    assert all.main(["interrupted"]) == 130
    assert all.main(["fine", "--count", "3"]) == 0
    assert all.main(["fine", "--count", "0"]) == 2
    assert "error: --count: 0 is not allowed" in capsys.readouterr().err
    for arguments in ([], ["none"]):
        with pytest.raises(SystemExit, match="2"):
            all.main(arguments)
        assert "usage: python -m applications.pong" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        all.main(["--help"])
    assert "Goes well." in capsys.readouterr().out


def test_a_new_run_gets_a_folder_and_the_defaults(tmp_path):
    config, folder, start = ask(tmp_path, "--rate", "0.5")
    assert config == Config(rate=0.5)
    assert folder == tmp_path / "plain-1"
    assert not start.resume
    assert ask(tmp_path, "--run-dir", str(tmp_path / "mine")).folder == tmp_path / "mine"
    assert ask(tmp_path, "--recipe", "other", "--width", "7").config == Other(width=7)


@pytest.mark.parametrize(
    ("arguments", "config"),
    [
        (["--no-rest", "--cut"], Config(rest=False, cut=True)),
        (["--rest", "--no-cut"], Config(rest=True, cut=False)),
        (["--speed", "0.5", "--seed=3"], Config(rate=0.5, seed=3)),
        (["--speed=0.5"], Config(rate=0.5)),
        (["--game", "breakout", "--lives", "1"], Config(game="breakout", lives=1)),
        (["--lives", "3"], Config()),
    ],
)
def test_options_are_the_fields_of_the_config(tmp_path, arguments, config):
    assert ask(tmp_path, *arguments).config == config


def test_options_of_no_use_are_refused(tmp_path):
    with pytest.raises(RunError, match="--lives does nothing without --game breakout"):
        ask(tmp_path, "--lives", "1")
    with pytest.raises(RunError, match="--rate is no option of the recipe other"):
        ask(tmp_path, "--recipe", "other", "--rate", "1")


def begun(folder, config):
    with Run(folder, config, resume=False) as run:
        run.save({"update": 0, "seconds": 60.0, "weight": torch.zeros(1)})


def test_a_resumed_run_keeps_what_it_is_not_told(tmp_path):
    begun(tmp_path / "plain-1", Config(game="breakout", rate=0.5, cut=False, seconds=60.0))
    config, folder, start = ask(tmp_path, "--resume")
    assert config == Config(game="breakout", rate=0.5, cut=False)
    assert folder == tmp_path / "plain-1"
    assert start.resume
    wanted = Config(game="breakout", rate=0.1, cut=False, seconds=5.0)
    assert ask(tmp_path, "--resume", "--rate", "0.1", "--seconds", "5").config == wanted
    with pytest.raises(RunError, match="has recipe = plain, not other: resume it with its own"):
        ask(tmp_path, "--resume", "--run-dir", str(folder), "--recipe", "other")
    with pytest.raises(RunError, match="there is no run in .* to continue"):
        ask(tmp_path / "none", "--resume")


def test_a_limit_that_was_reached_is_told_and_nothing_changes(tmp_path):
    begun(tmp_path, Config(seconds=60.0))
    before = (tmp_path / "config.json").read_text()
    told = r"has made 60 of 30 seconds: nothing is left to train; all limits are totals"
    with pytest.raises(RunError, match=told):
        Run(tmp_path, Config(seconds=30.0), resume=True)
    assert (tmp_path / "config.json").read_text() == before
    with Run(tmp_path, Config(seconds=90.0), resume=True):
        assert read_config(tmp_path)["seconds"] == 90


def test_files_of_former_names_are_read_and_unknown_fields_refused():
    assert Config.from_saved({"speed": 0.5, "origin": {}}, "x") == Config(rate=0.5)
    with pytest.raises(RunError, match="x is of another application .* does not know its width"):
        Config.from_saved({"width": 3}, "x")
    with pytest.raises(RunError, match=r"config in x cannot be used \(--rate: 7 is not allowed"):
        Config.from_saved({"speed": 7}, "x")
    with pytest.raises(RunError, match="another version or application: its config has no "):
        Config.from_saved({"speed": 0.5}, "x", whole=True)


def test_seeds_are_a_range():
    assert list(seeds("2-4")) == [2, 3, 4]
    assert list(seeds("7")) == [7]
    for text in ("a-b", "3-1"):
        with pytest.raises(OptionError, match=text):
            seeds(text)


@pytest.mark.parametrize(
    ("python", "path", "typed"),
    [
        ("/usr/bin/python", "/usr/bin/python", "python -m applications.x train --resume"),
        ("HERE/.venv/bin/python", None, ".venv/bin/python -m applications.x train --resume"),
        ("/far/away/bin/python", None, "/far/away/bin/python -m applications.x train --resume"),
    ],
)
def test_how_to_go_on_is_what_can_be_typed(python, path, typed, tmp_path, monkeypatch, capsys):
    """Who used `make` has no `python` with torch on the path, but one in .venv."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", python.replace("HERE", str(tmp_path)))
    monkeypatch.setattr(commands.shutil, "which", lambda _: path)
    tell_end("python -m applications.x train", Path("runs/a b"), complete=False)
    wanted = f"stopped at a checkpoint; continue with: {typed} --run-dir 'runs/a b'\n"
    assert capsys.readouterr().out == wanted
    tell_end("python -m applications.x train", Path("runs/a"), complete=True)
    assert capsys.readouterr().out == "the run is in runs/a\n"


@dataclass(frozen=True, kw_only=True)
class Drawn(Options):
    run_dir: Path


@pytest.mark.parametrize("complete", [True, False, None])
def test_a_run_is_drawn_where_it_is_once_it_is_complete(tmp_path, monkeypatch, complete):
    """Not the newest run below the usual folder, which may be another one."""
    monkeypatch.chdir(tmp_path)
    drawn, line = [], Commands("x", "To test.")
    line.add_train(lambda asked: complete, KINDS, Path("runs/x"), lambda _: "a", RecipeStart)
    line.add("plot", lambda options: drawn.append(options.run_dir), Drawn, "Draw.")
    assert line.main(["train", "--run-dir", "elsewhere"]) == 0
    assert drawn == []
    assert line.main(["train", "--run-dir", "elsewhere", "--plot"]) == 0
    assert line.main(["train", "--plot"]) == 0
    assert drawn == ([Path("elsewhere"), Path("runs/x/a-1")] if complete else [])
