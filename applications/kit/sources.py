"""Whose weights a command takes: one rule for every application."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from applications.kit.errors import RunError
from applications.kit.options import Options, Seed
from applications.kit.run import latest_folder


@dataclass(frozen=True, kw_only=True)
class Source(Options):
    """What is shipped, unless a run is named."""

    run_dir: Path | None = None
    """A run folder to take instead of what is shipped."""
    latest: bool = False
    """Take the run that was written to last instead of what is shipped."""


@dataclass(frozen=True, kw_only=True)
class Picture(Source):
    """What is drawn, and where to."""

    output: Path | None = None
    """Folder of the pictures; by default the run's, or a folder below `pictures`."""
    format: Literal["png", "svg", "pdf"] = "png"
    """Format of the still pictures."""


@dataclass(frozen=True, kw_only=True)
class Measurement(Source):
    """How something is measured, and told."""

    seed: Seed = 0
    """Seed of all draws."""
    json: bool = False
    """Print one JSON object and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Export(Options):
    """What is exported."""

    run_dir: Path | None = None
    """The run folder."""
    output: Path | None = None
    """The file to write; by default one beside the shipped ones."""


def run_of(options: Any, parent: Path) -> Path | None:
    """The folder of the run that is asked for; None for what is shipped.

    Args:
        options: a `Source`.
        parent: where the runs are.

    Raises:
        RunError: there is no run, or two are asked for.
    """
    if not getattr(options, "latest", False):
        return options.run_dir
    if options.run_dir:
        raise RunError("--latest and --run-dir name two runs: leave out one of them")
    return latest_folder(parent)


def named(folder: Path | None, command: str) -> Path:
    """The run folder of a command that needs one.

    Raises:
        RunError: there is none.
    """
    if folder is None:
        raise RunError(f"{command} needs to know which run: name it by --run-dir")
    return folder
