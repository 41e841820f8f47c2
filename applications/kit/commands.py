"""The command line of an application: its subcommands, made of dataclasses of options."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from applications.kit.errors import RunError, fail
from applications.kit.options import Options, Training, option, refuse_idle
from applications.kit.output import OutputError, plain_output
from applications.kit.parsing import known, parse
from applications.kit.run import Run, latest_folder, new_folder, read_config

K = TypeVar("K", bound=Options)
T = TypeVar("T", bound=Training)


@dataclass(frozen=True, kw_only=True)
class Start(Options):
    """Options of every `train` beside its config."""

    run_dir: Path | None = None
    """The run folder itself (default: a new one; with --resume, the last one)."""
    resume: bool = False
    """Continue the run in the folder, with its own options."""
    plot: bool = False
    """Plot the run once it is complete, as the command `plot` does."""

    def plot_arguments(self, folder: Path) -> list[str]:
        """The arguments of `plot` for the run in a folder."""
        return ["--run-dir", str(folder)]


class Command(NamedTuple):
    """A subcommand."""

    run: Callable[[list[str], str], object]
    """Called with its arguments and its name, as it is typed."""
    help: str


class Commands:
    """`python -m applications.<name> <command>`.

    Args:
        application: its name.
        description: what `--help` begins with.
    """

    def __init__(self, application: str, description: str | None):
        self.program = f"python -m applications.{application}"
        self.description, self.commands = description, dict[str, Command]()

    def add(self, name: str, run: Callable[[K], object], kind: type[K], help: str) -> None:
        """A command.

        Args:
            name: what it is called.
            run: what it calls, with its options.
            kind: of options, which are parsed and checked.
            help: what it does.
        """

        def call(arguments: list[str], program: str) -> None:
            run(parse(kind, arguments, program, help))

        self.commands[name] = Command(call, help)

    def add_train(
        self,
        run: "Callable[[Asked], bool | None]",
        kinds: Mapping[str, type[T]],
        parent: Path,
        name: Callable[[T], str],
        start: type[Start] = Start,
    ) -> None:
        """The command `train`.

        Args:
            run: what it calls; it returns whether the training is complete, or None for one that
                another process tells of.
            kinds: of configs, by recipe; the first is the default.
            parent: where a run goes whose folder is not told.
            name: what a config's folder is called there.
            start: what is asked beside the config.
        """

        def call(arguments: list[str], program: str) -> None:
            asked = prepare(kinds, arguments, program, parent, name, start)
            complete = run(asked)
            if complete is not None:
                tell_end(program, asked.folder, complete)
            if complete and asked.start.plot:
                arguments = asked.start.plot_arguments(asked.folder)
                self.commands["plot"].run(arguments, f"{self.program} plot")

        self.commands["train"] = Command(call, "Train, live; Ctrl-C stops at a checkpoint.")

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run a command: the exit status; what the user can put right is told on standard error."""
        name, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
        try:
            with plain_output():
                if name not in self.commands:
                    self.tell_usage(name)
                self.commands[name].run(rest[:-1], f"{self.program} {name}")
        except RunError as error:
            return 1 if isinstance(error, OutputError) and error.gone else fail(str(error))
        except OSError as error:
            path = error.filename or "a file"
            return fail(f"{path} cannot be read or written ({error.strerror or error})")
        except KeyboardInterrupt:
            return 130
        return 0

    def tell_usage(self, name: str) -> None:
        """Print the commands, and end.

        Raises:
            SystemExit: with status 0 if that was asked for, otherwise with 2.
        """
        rows = "\n".join(f"  {name:10} {command.help}" for name, command in self.commands.items())
        text = f"usage: {self.program} COMMAND [OPTIONS]\n\n{self.description}\n\n{rows}"
        if name in ("-h", "--help"):
            print(text)
            raise SystemExit(0)
        print(f"{text}\n\nerror: there is no command {name!r}: name one of these", file=sys.stderr)
        raise SystemExit(2)


# ---------------------------------------------------------------- trainings


class Asked(NamedTuple):
    """A `train` command as it was typed."""

    config: Any
    folder: Path
    start: Any

    def open(self, config: Training | None = None) -> Run:
        """The run, new or resumed; with another config if that had to be completed first."""
        return Run(self.folder, config or self.config, self.start.resume)


def prepare(
    kinds: Mapping[str, type[T]],
    arguments: list[str],
    program: str,
    parent: Path,
    name: Callable[[T], str],
    start: type[Start] = Start,
) -> Asked:
    """The config and the folder of the run that a `train` command asks for.

    The recipe and the folder are parsed first, then the recipe's config. A resumed run keeps all
    that it is not told, but for `seconds`: they were for the time before.

    Args:
        kinds: of configs, by recipe; the first is the default.
        arguments: of the command.
        program: what it is called.
        parent: where a run goes whose folder is not told.
        name: what a config's folder is called there.
        start: what is asked beside the config.

    Raises:
        RunError: there is nothing to resume, or an option cannot be.
    """
    first, _ = known(start, arguments)
    recipe, folder, default = getattr(first, "recipe", None), first.run_dir, None
    if first.resume:
        only = {} if recipe is None else {"recipe": recipe}
        folder = folder or latest_folder(parent, **only)
        saved = read_config(folder)
        trained = saved.get("recipe")
        if None not in (recipe, trained) and recipe != trained:
            raise RunError(
                f"the run in {folder} has recipe = {trained}, not {recipe}: resume it with its own "
                "options, or start another folder"
            )
        recipe = trained if trained in kinds else recipe
    kind = kinds[recipe or next(iter(kinds))]
    if first.resume:
        default = replace(kind.from_saved(saved, f"the run in {folder}"), seconds=None)
    may = " and ".join(map(option, kind.RESUMABLE))
    help = f"Train; Ctrl-C stops at a checkpoint. A resumed run may differ in {may} only."
    config = parse(kind, arguments, program, help, start, default)
    if not first.resume:
        refuse_idle(config)
    return Asked(config, folder or new_folder(parent, name(config)), first)


def tell_end(program: str, folder: Path, complete: bool) -> None:
    """Print where a complete run is, or how to continue another."""
    if complete:
        print(f"the run is in {folder}")
        return
    command = program.removeprefix("python ")
    again = f"{interpreter()} {command} --resume --run-dir {shlex.quote(str(folder))}"
    print(f"stopped at a checkpoint; continue with: {again}")


def interpreter() -> str:
    """The Python that runs, as it can be typed here: `python`, or its path."""
    if shutil.which("python") == sys.executable:
        return "python"
    path = os.path.relpath(sys.executable)
    return shlex.quote(sys.executable if path.startswith("..") else path)
