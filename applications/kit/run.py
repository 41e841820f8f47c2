"""The run folder of a training.

A run folder holds

    config.json               what was asked for, and where it came from
    metrics.jsonl             one JSON object a line, one line per update
    checkpoint.safetensors    all that is needed to go on, replaced as a whole; it holds a copy of
                              config.json, which is taken where that is missing
    events.out.tfevents.*     the metrics for TensorBoard
    .lock                     locked while a process trains in the folder

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
from applications.kit.files import load_note, load_state, replacing, save_state
from applications.kit.lock import alone
from applications.kit.options import Options
from applications.kit.records import CHECKPOINT, CONFIG, METRICS, read_config, read_metrics


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
        self._note: dict[str, Any] = {}
        """What every checkpoint keeps beside the state: the config, and what was logged last."""
        origin = _origin()
        with ExitStack() as stack, _plain_errors(folder):
            str(folder).encode()  # fails now if it would fail when the run is half made
            if resume:
                origin = _same_config(folder, config).get("origin")
            elif (folder / CHECKPOINT).exists():
                raise RunError(
                    f"{folder} holds a run already: continue it by --resume, or name another "
                    "folder by --run-dir"
                )
            from torch.utils.tensorboard import SummaryWriter  # takes a second to import

            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(alone(folder))
            written = {**asdict(config), "origin": origin}
            self._note = {"config": written, "limits": list(config.RESUMABLE), "logged": None}
            if resume:
                self.state = load_state(folder / CHECKPOINT)
                _refuse_reached(folder, config, self.state)
                self._note["logged"] = self._drop_lines()
            with replacing(folder / CONFIG) as part:
                part.write_text(json.dumps(written, indent=2) + "\n", "utf-8")
            mode = "a" if resume else "w"
            self._lines = stack.enter_context(open(folder / METRICS, mode, encoding="utf-8"))
            purge = None if self.state is None else self.state["update"] + 1
            self._board = SummaryWriter(str(folder), purge_step=purge, flush_secs=10)
            stack.callback(self._board.close)
            self._open = stack.pop_all()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # of a full disk: `log` and `save` have told
            self._open.close()

    def _drop_lines(self) -> int | None:
        """Drop the metrics that the checkpoint does not know: the last update that is left.

        Raises:
            RunError: the file lacks lines that the checkpoint knows.
        """
        path, note = self.folder / METRICS, load_note(self.folder / CHECKPOINT)
        logged = note.get("logged") if note else None
        lines = [line for line in read_metrics(path) if line["update"] <= self.state["update"]]
        last = lines[-1]["update"] if lines else None
        if path.exists() and logged is not None and (last is None or last < logged):
            raise RunError(
                f"{path} ends before update {logged}, which was in it when the checkpoint was "
                "saved: put a copy of it back, or move it away, and --resume continues without it"
            )
        with replacing(path) as part:
            part.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        return last

    def log(self, metrics: dict[str, Any]) -> None:
        """Append a line; its numbers go to TensorBoard too, at step `metrics["update"]`."""
        try:
            self._lines.write(json.dumps(metrics) + "\n")
            self._lines.flush()
            self._note["logged"] = metrics["update"]
            for name, value in metrics.items():
                if isinstance(value, int | float) and name != "update":
                    self._board.add_scalar(name, value, metrics["update"])
        except OSError as error:
            raise RunError(
                f"{self.folder / METRICS} could not be written ({error.strerror}): make room "
                "and continue with --resume"
            ) from error

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; `state["update"]` counts the updates made."""
        with suppress(OSError):  # the checkpoint is what counts, and says it if the disk is full
            os.fsync(self._lines.fileno())
        save_state(self.folder / CHECKPOINT, state, self._note)


def _same_config(folder: Path, config: Options) -> dict[str, Any]:
    """The config of the run in a folder, which may differ in how long to train alone.

    Raises:
        RunError: it differs in something else, or there is nothing to go on from.
    """
    if not (folder / CHECKPOINT).exists():
        raise RunError(f"{folder} holds no checkpoint to continue from: leave out --resume")
    written = read_config(folder)
    if not isinstance(written.get("origin"), dict):  # as in every run; {} is no config of defaults
        raise RunError(
            f"{folder / CONFIG} is damaged (it does not say its origin): put a copy of it back, or "
            "start another folder"
        )
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
def _plain_errors(folder: Path) -> Iterator[None]:
    """Within the block a run folder is opened.

    Raises:
        RunError: that fails.
    """
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        raise RunError(f"{path} cannot be written ({error.strerror or error})") from error
    except UnicodeEncodeError as error:
        raise RunError(
            f"the name of {folder} has bytes that are no letters, which TensorBoard cannot take: "
            "name another folder by --run-dir"
        ) from error


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
    raise RunError(f"there is no run{of} in {parent} to continue: leave out --resume")


def _number(folder: Path) -> int:
    digits = folder.name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0
