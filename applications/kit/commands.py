"""The command line of an application: its subcommands, `--run-dir` and `--resume`, plain errors."""

import argparse
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from applications.kit.errors import RunError
from applications.kit.run import latest_folder, new_folder, read_config


class Commands:
    """`python -m applications.<name> <command>`; most commands may be told a run folder.

    Args:
        application: its name.
        description: what `--help` begins with.
    """

    def __init__(self, application: str, description: str | None):
        self.parser = ArgumentParser(f"python -m applications.{application}", None, description)
        self._commands = self.parser.add_subparsers(required=True, metavar="command")

    def add(
        self,
        name: str,
        run: Callable[[Namespace], object],
        help: str,
        folder: str | None = "the run folder itself",
    ) -> ArgumentParser:
        """A command.

        Args:
            name: what it is called.
            run: what it calls, with its options.
            help: what it does.
            folder: what `--run-dir` is; None if it has no such option.

        Returns:
            Its parser, to add options to.
        """
        one = self._commands.add_parser(name, help=help, description=help)
        one.set_defaults(run=run)
        if folder:
            one.add_argument("--run-dir", type=Path, help=folder)
        return one

    def main(self, arguments: list[str] | None = None) -> int:
        """Run a command: the exit status; what the user can put right is told on standard error."""
        options = self.parser.parse_args(arguments)
        try:
            options.run(options)
        except RunError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130
        return 0


def prepare(kind: type, options: Namespace, parent: Path, name: str) -> tuple[Any, Path]:
    """The config and the folder of the run that a `train` command asks for.

    Args:
        kind: the config, a dataclass; an option of the same name sets a field, unless it is None.
        options: with `run_dir` and `resume`. A resumed run keeps all that it is not told, but for
            `seconds`: they were for the time before.
        parent: where a run goes whose folder is not told.
        name: what its folder is called there.

    Raises:
        RunError: there is nothing to resume.
    """
    names = [field.name for field in fields(kind)]
    told = {n: value for n in names if (value := getattr(options, n, None)) is not None}
    folder = options.run_dir
    if folder is None:
        folder = latest_folder(parent) if options.resume else new_folder(parent, name)
    if options.resume:
        had = read_config(folder)
        told = {n: had[n] for n in names if n in had and n != "seconds"} | told
    return kind(**told), folder


def add_run_options(parser: ArgumentParser, limits: Collection[str]) -> None:
    """`--seed`, `--seconds` and `--resume` of a `train` command.

    Args:
        parser: the command's.
        limits: what a resumed run may be told to differ in.
    """
    parser.add_argument("--seed", type=seed, help="fixes the whole training (0)")
    parser.add_argument(
        "--seconds", type=number(float, 0), help="stop after so many in all (never)"
    )
    names = " and ".join(map(option, limits))
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in the folder, with its own options; only "
        f"{names} may be other than they were",
    )


def tell_end(application: str, folder: Path, complete: bool) -> None:
    """Say where a run is that has ended, or how to go on with it if it is not complete."""
    go_on = f"go on with: python -m applications.{application} train --resume --run-dir {folder}"
    print(f"the run is in {folder}" if complete else f"stopped at a checkpoint; {go_on}")


def option(name: str) -> str:
    """How a config's field is spelled on the command line: `--run-dir` for `run_dir`."""
    return "--" + name.replace("_", "-")


def number(kind: type, least: float, most: float = float("inf")) -> Callable[[str], Any]:
    """A `type=` for argparse: an `int` or `float` from `least` to `most`."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            name = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {name}") from None
        if not least <= value <= most or value == float("inf"):
            wanted = f"at least {least}" if most == float("inf") else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} is not allowed: it must be {wanted}")
        return value

    return parse


seed = number(int, 0, 2**31 - 1)
"""A `type=` for argparse: what every generator of random numbers takes."""


def seeds(text: str) -> range:
    """A `type=` for argparse: `FIRST-LAST` as a range that has both."""
    first, _, last = text.partition("-")
    if not first.isdigit() or not (last or first).isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST-LAST, e.g. 0-9")
    found = range(int(first), int(last or first) + 1)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins")
    return found
