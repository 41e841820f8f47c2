"""Whose weights a command takes: one rule for every application."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from applications.kit.errors import RunError
from applications.kit.options import Options, Seed
from applications.kit.run import latest_folder


@dataclass(frozen=True, kw_only=True)
class Source(Options):
    """Whose weights to use: the shipped ones, unless a run is named."""

    run_dir: Path | None = None
    """Run folder to use instead of the shipped weights."""
    latest: bool = False
    """Use the run that was written to last instead of the shipped weights."""


@dataclass(frozen=True, kw_only=True)
class Picture(Source):
    """Options of a command that plots."""

    output: Path | None = None
    """Folder of the pictures (default: the run's, or one below `pictures`)."""
    format: Literal["png", "svg", "pdf"] = "png"
    """File format of still pictures."""


@dataclass(frozen=True, kw_only=True)
class Measurement(Source):
    """Options of a command that measures."""

    seed: Seed = 0
    """Seed of all draws."""
    json: bool = False
    """Print one JSON object and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Export(Options):
    """Options of a command that exports."""

    run_dir: Path | None = None
    """Run folder to export."""
    output: Path | None = None
    """The file (default: beside the shipped ones)."""


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
