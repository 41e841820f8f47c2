"""The command line that the applications share."""

from argparse import Namespace
from dataclasses import dataclass

import pytest
import torch

from applications.kit.commands import Commands, number, prepare
from applications.kit.errors import RunError
from applications.kit.run import Run


@dataclass(frozen=True)
class Config:
    game: str = "pong"
    rate: float = 0.1
    seconds: float | None = None


def asked(folder=None, resume=False, **options):
    return Namespace(run_dir=folder, resume=resume, **options)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (number(int, 1), "0", "0 is not allowed: it must be at least 1"),
        (number(int, 1), "1.5", "'1.5' is not a whole number"),
        (number(float, 0, 1), "1.5", "it must be from 0 to 1"),
        (number(float, 0), "nan", "it must be at least 0"),
        (number(float, 0), "inf", "it must be at least 0"),
        (number(float, 0), "x", "'x' is not a number"),
    ],
)
def test_numbers_of_the_command_line(parse, text, message):
    with pytest.raises(Exception, match=message):
        parse(text)
    assert number(int, 1)("3") == 3


def test_what_the_user_can_put_right_is_told_without_a_traceback(capsys, tmp_path):
    def wrong(options):
        raise RunError(f"no such thing in {options.run_dir}")

    def interrupted(_):
        raise KeyboardInterrupt

    all = Commands("pong", "Plays.")
    all.add("wrong", wrong, "Goes wrong.")
    all.add("interrupted", interrupted, "Is interrupted.")
    all.add("fine", lambda _: None, "Goes well.").add_argument("--games", type=number(int, 1))
    assert all.main(["wrong", "--run-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: no such thing in {tmp_path}\n"
    assert all.main(["interrupted"]) == 130
    assert all.main(["fine", "--games", "3"]) == 0
    for arguments in ([], ["none"], ["fine", "--games", "0"]):
        with pytest.raises(SystemExit, match="2"):
            all.main(arguments)
    assert "usage: python -m applications.pong" in capsys.readouterr().err


def test_a_new_run_gets_a_folder_and_the_defaults(tmp_path):
    config, folder = prepare(Config, asked(rate=0.5, game=None), tmp_path, "blog")
    assert config == Config(rate=0.5)
    assert folder == tmp_path / "blog-1"
    _, folder = prepare(Config, asked(tmp_path / "mine"), tmp_path, "blog")
    assert folder == tmp_path / "mine"


def test_a_resumed_run_keeps_what_it_is_not_told(tmp_path):
    with Run(tmp_path / "blog-1", Config("breakout", 0.5, 60.0), resume=False) as run:
        run.save({"update": 0, "weight": torch.zeros(1)})
    config, folder = prepare(Config, asked(None, True, game=None), tmp_path, "blog")
    assert config == Config("breakout", 0.5, None)
    assert folder == tmp_path / "blog-1"
    config, _ = prepare(Config, asked(None, True, rate=0.1, seconds=5.0), tmp_path, "blog")
    assert config == Config("breakout", 0.1, 5.0)
    with pytest.raises(RunError, match="there is no run in .* to go on with"):
        prepare(Config, asked(None, True), tmp_path / "none", "blog")
