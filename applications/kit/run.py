"""The run folder of a training.

A run folder holds

    config.json               what was asked for, and where it came from
    metrics.jsonl             one JSON object a line, one line per update
    checkpoint.safetensors    all that is needed to go on, replaced as a whole
    events.out.tfevents.*     the metrics for TensorBoard

An update's metrics are written before its checkpoint, and a resumed run drops the lines that its
checkpoint does not know. So a run killed at any moment loses what came after its last checkpoint,
and nothing else.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from applications.kit.errors import RunError
from applications.kit.files import load_state, replacing, save_state
from applications.kit.options import Options

CONFIG, METRICS, CHECKPOINT = "config.json", "metrics.jsonl", "checkpoint.safetensors"


class Run:
    """A training's folder, new or resumed; a context manager that closes its files.

    Args:
        folder: the run folder itself.
        config: it is written to `config.json`.
        resume: go on with the run in the folder.

    Raises:
        RunError: the folder holds a run and `resume` is false; or it is true and the folder holds
            no run, a damaged checkpoint, a run of another config, or one that has reached a limit;
            or another process is at work in the folder.
    """

    def __init__(self, folder: Path, config: Options, resume: bool):
        self.folder = folder
        self.state: Any = None
        """What the checkpoint holds, if resumed; it counts its updates as `update`."""
        origin = _origin()
        if resume:
            origin = _same_config(folder, config).get("origin")
        elif (folder / CHECKPOINT).exists():
            raise RunError(
                f"{folder} holds a run already: go on with it by --resume, or name another folder "
                "by --run-dir"
            )
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        with ExitStack() as stack:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_alone(folder))
                if resume:
                    self.state = load_state(folder / CHECKPOINT)
                    _refuse_reached(folder, config, self.state)
                    self._drop_lines()
                text = json.dumps({**asdict(config), "origin": origin}, indent=2) + "\n"
                with replacing(folder / CONFIG) as part:
                    part.write_text(text)
                self._lines = stack.enter_context(open(folder / METRICS, "a" if resume else "w"))
                purge = None if self.state is None else self.state["update"] + 1
                self._board = SummaryWriter(str(folder), purge_step=purge, flush_secs=10)
                stack.callback(self._board.close)
            except OSError as error:
                raise RunError(f"{folder} cannot be written ({error.strerror})") from error
            self._open = stack.pop_all()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # of a full disk: `log` and `save` have told
            self._open.close()

    def _drop_lines(self) -> None:
        """Of the metrics, those that the checkpoint does not know."""
        lines = read_metrics(self.folder / METRICS)
        kept = [line for line in lines if line["update"] <= self.state["update"]]
        with replacing(self.folder / METRICS) as part:
            part.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def log(self, metrics: dict[str, Any]) -> None:
        """Append a line; its numbers go to TensorBoard too, at step `metrics["update"]`."""
        try:
            self._lines.write(json.dumps(metrics) + "\n")
            self._lines.flush()
            for name, value in metrics.items():
                if isinstance(value, int | float) and name != "update":
                    self._board.add_scalar(name, value, metrics["update"])
        except OSError as error:
            raise RunError(
                f"{self.folder / METRICS} could not be written ({error.strerror}): make room "
                "and go on with --resume"
            ) from error

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; `state["update"]` counts the updates made."""
        save_state(self.folder / CHECKPOINT, state)


def _same_config(folder: Path, config: Options) -> dict[str, Any]:
    """The config of the run in a folder, which may differ in how long to train alone.

    Raises:
        RunError: it differs in something else, or there is nothing to go on from.
    """
    if not (folder / CHECKPOINT).exists():
        raise RunError(f"{folder} holds no checkpoint to go on from: leave out --resume")
    written = read_config(folder)
    trained = type(config).from_saved(written, f"the run in {folder}")
    for name, value in asdict(config).items():
        if name not in config.RESUMABLE and value != getattr(trained, name):
            raise RunError(
                f"the run in {folder} has {name} = {getattr(trained, name)}, not {value}: resume "
                "it with its own options, or start another folder"
            )
    return written


def _refuse_reached(folder: Path, config: Options, state: dict[str, Any]) -> None:
    """Refuse to go on with a run that is complete.

    Raises:
        RunError: it is.
    """
    for limit in config.limits():
        if (done := limit.done(state)) >= limit.target:
            raise RunError(
                f"the run in {folder} has made {done:,.0f} of {limit.target:,.0f} {limit.unit}: "
                "nothing is left to train; all limits are totals, so ask for more than it has, or "
                "start another folder"
            )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Within the block no other process trains in the folder; a killed one is out by itself.

    Raises:
        RunError: one does, or the system has no such locks.
    """
    try:
        import fcntl  # Windows has none, and plays and evaluates all the same
    except ImportError as error:
        raise RunError(
            "this system has no fcntl, whose locks keep two trainings out of one folder: train on "
            "Linux or macOS; what needs no training works here too"
        ) from error
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RunError(
            f"another process is training in {folder}: wait for it, or name another folder by "
            "--run-dir"
        ) from error
    finally:
        os.close(held)


def _origin() -> dict[str, str | None]:
    """The command that runs, and the commit and the torch it runs with."""
    program = sys.argv[0]
    if program.endswith("__main__.py"):  # python -m package
        program = "python -m " + ".".join(Path(program).parent.parts[-2:])
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        "command": " ".join([program, *sys.argv[1:]]),
        "commit": commit,
        "torch": torch.__version__,
    }


def new_folder(parent: Path, name: str) -> Path:
    """`parent/name-1`, or the first number that is free."""
    taken = [_number(folder) for folder in parent.glob(f"{name}-*")]
    return parent / f"{name}-{max(taken, default=0) + 1}"


def is_complete(folder: Path, config: Options) -> bool:
    """Whether the run in a folder has reached a limit of a config."""
    state = load_state(folder / CHECKPOINT)
    return any(limit.done(state) >= limit.target for limit in config.limits())


def latest_folder(parent: Path, **config: Any) -> Path:
    """The run below `parent` that was written to last.

    Args:
        parent: where the runs are.
        config: what its config must have.

    Raises:
        RunError: there is none.
    """
    found = sorted(parent.glob(f"*/{CHECKPOINT}"), key=lambda path: -path.stat().st_mtime)
    for path in found:
        if not config or config.items() <= read_config(path.parent).items():
            return path.parent
    of = "".join(f" of the {name} {value}" for name, value in config.items())
    raise RunError(f"there is no run{of} in {parent} to go on with: leave out --resume")


def _number(folder: Path) -> int:
    digits = folder.name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def read_config(folder: Path) -> dict[str, Any]:
    """The run's `config.json`."""
    path = folder / CONFIG
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RunError(f"{folder} holds no run: there is no {path}") from error
    except OSError as error:
        raise RunError(f"{folder} holds no run ({error.strerror}: {path})") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error})") from error


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file; a last line that a kill cut short is left out."""
    metrics: list[dict[str, Any]] = []
    if not path.exists():
        return metrics
    for index, line in enumerate(path.read_text().split("\n")[:-1], 1):
        try:
            metrics.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"{path} is damaged in line {index} ({error})") from error
    return metrics
