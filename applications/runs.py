"""What every training shares: the run folder, checkpoints, metrics, a clean stop, the display.

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
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.live import Live
from rich.table import Table
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

CONFIG, METRICS, CHECKPOINT = "config.json", "metrics.jsonl", "checkpoint.safetensors"

T = TypeVar("T")


class RunError(Exception):
    """Something that the user can put right: told without a traceback."""


# ---------------------------------------------------------------- files, whole or not at all


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which replaces `path` as a whole at the end, or not at all.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        yield part
        with open(part, "rb+") as file:  # Windows writes out only what it may write to
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise RunError(
            f"{path} could not be written ({error}): what it held is kept; make room and try again "
            "(a training goes on by --resume)"
        ) from error


def save_state(path: Path, state: Any) -> None:
    """Save nested dicts and lists of tensors and JSON values as one safetensors file, atomically.

    That takes the `state_dict()` of modules and optimizers and `torch.get_rng_state()`. The
    structure and a checksum of everything travel in the file's metadata.
    """
    tensors: dict[str, Tensor] = {}

    def pack(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            value = value.detach().cpu().contiguous()
            shared = any(value.data_ptr() == other.data_ptr() for other in tensors.values())
            tensors[name] = value.clone() if shared else value
            return {"tensor": name}
        if isinstance(value, dict):
            return {"dict": [[key, pack(item, f"{name}.{key}")] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            return {"list": [pack(item, f"{name}.{index}") for index, item in enumerate(value)]}
        return value

    structure = json.dumps(pack(state, "state"))
    metadata = {"structure": structure, "checksum": _checksum(structure, tensors)}
    with replacing(path) as part:
        save_file(tensors, part, metadata)


def load_state(path: Path) -> Any:
    """What `save_state` saved.

    Raises:
        RunError: there is no such file, or it is damaged.
    """
    if not path.is_file():
        raise RunError(f"there is no {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            # a safetensors file is no mapping: it has keys() but cannot be iterated over
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["checksum"] != _checksum(metadata["structure"], tensors):
            raise ValueError("its checksum is wrong")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} is damaged ({error}): put a copy of it back, or start another folder"
        ) from error

    def unpack(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        if kind == "tensor":
            return tensors[content]
        if kind == "dict":
            return {key: unpack(item) for key, item in content}
        return [unpack(item) for item in content]

    return unpack(json.loads(metadata["structure"]))


def restored(kind: type[T], state: dict[str, Any]) -> T:
    """The dataclass whose fields, as `asdict` tells them, are among a state's entries."""
    return kind(**{field.name: state[field.name] for field in fields(kind)})


def _checksum(structure: str, tensors: dict[str, Tensor]) -> str:
    checksum = zlib.crc32(structure.encode())
    for name in sorted(tensors):
        checksum = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy(), checksum)
    return str(checksum)


# ---------------------------------------------------------------- the folder


class Run:
    """A training's folder, new or resumed; a context manager that closes its files.

    Args:
        folder: the run folder itself.
        config: a dataclass instance; it is written to `config.json`.
        resume: go on with the run in the folder.
        limits: fields of the config in which a resumed run may differ: how long to train.

    Raises:
        RunError: the folder holds a run and `resume` is false; or it is true and the folder holds
            no run, a damaged checkpoint, or a run of another config; or another process is at work
            in the folder.
    """

    def __init__(self, folder: Path, config: Any, resume: bool, limits: Collection[str] = ()):
        self.folder = folder
        self.state: Any = None
        """What the checkpoint holds, if resumed; it counts its updates as `update`."""
        asked, origin = json.loads(json.dumps(asdict(config))), _origin()
        if resume:
            origin = self._same_config(config, asked, limits).get("origin")
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
                    self._drop_lines()
                text = json.dumps({**asked, "origin": origin}, indent=2) + "\n"
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

    def _same_config(
        self, config: Any, asked: dict[str, Any], limits: Collection[str]
    ) -> dict[str, Any]:
        if not (self.folder / CHECKPOINT).exists():
            raise RunError(f"{self.folder} holds no checkpoint to go on from: leave out --resume")
        written = read_config(self.folder)
        had = {field.name: field.default for field in fields(config)} | written
        differing = [n for n in asked if n not in limits and had.get(n) != asked[n]]
        unknown = written.keys() - asked.keys() - {"origin"}
        if unknown and not written.keys() & set(differing):
            some = ", ".join(sorted(unknown)[:3])
            raise RunError(
                f"the run in {self.folder} is of another application or another version of this "
                f"one, which does not know its {some}{', …' if len(unknown) > 3 else ''}"
            )
        if differing:
            name = differing[0]
            raise RunError(
                f"the run in {self.folder} has {name} = {had.get(name)}, not {asked[name]}: "
                "resume it with its own options, or start another folder"
            )
        return had

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


# ---------------------------------------------------------------- a clean stop


class StopSignals:
    """Within the block Ctrl-C and SIGTERM only set `requested`; a second Ctrl-C interrupts."""

    requested = False

    def __enter__(self) -> "StopSignals":
        self._before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


# ---------------------------------------------------------------- the display


class Display:
    """Figures on a terminal, four times a second; elsewhere a plain line every ten seconds."""

    def __init__(self, title: str):
        self.title, self.started, self.next = title, time.monotonic(), 0.0
        console = Console()
        self.live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self.every = 0.25 if self.live else 10.0

    def __enter__(self) -> "Display":
        if self.live:
            self.live.__enter__()
        else:
            print(self.title, flush=True)
        return self

    def __exit__(self, *error: Any) -> None:
        if self.live:
            self.live.__exit__(*error)

    def show(self, figures: Callable[[], dict[str, str]], now: bool = False) -> None:
        """Show `figures()`, name → text, if it is time to, or `now`."""
        clock = time.monotonic()
        if clock < self.next and not now:
            return
        self.next = clock + self.every
        if self.live is None:
            line = " · ".join(f"{name} {text}" for name, text in figures().items())
            print(f"[{clock - self.started:5.0f} s] {line}", flush=True)
            return
        table = Table(box=None, show_header=False, title=self.title, title_justify="left")
        for name, text in figures().items():
            table.add_row(f"[dim]{name}[/dim]", text)
        self.live.update(table, refresh=True)


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """The course of `values` in one line of at most `width` blocks."""
    columns = min(width, len(values))
    edges = [index * len(values) // columns for index in range(columns + 1)] if columns else []
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, span = min(means, default=0), max(means, default=0) - min(means, default=0)
    return "".join("▁▂▃▄▅▆▇█"[int((mean - low) / (span or 1) * 7.99)] for mean in means)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `1 h 05 min`, `3 min 20 s`, `7 s`."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
