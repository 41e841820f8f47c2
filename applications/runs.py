"""What every training shares: the run folder, metrics, checkpoints, a clean stop, the display.

A run folder holds

    config.json              what was asked for
    metrics.jsonl            one JSON object a line, one line per update
    checkpoint.safetensors   everything needed to go on, replaced as a whole
    events.out.tfevents.*    the metrics for TensorBoard

Metrics are written before the checkpoint of the same update; a resumed run drops the lines that its
checkpoint does not know. So a run killed at any moment loses the update in flight and nothing else.
"""

import json
import os
import signal
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from rich.live import Live
from rich.table import Table
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

CONFIG, METRICS, CHECKPOINT = "config.json", "metrics.jsonl", "checkpoint.safetensors"


class RunError(Exception):
    """Something the user can put right; shown without a traceback."""


# ---------------------------------------------------------------- one file, as one unit


def write_atomically(path: Path, data: bytes) -> None:
    """Write `path` as a whole or not at all, also through a crash.

    Raises:
        RunError: the disk is full or not writable.
    """
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RunError(
            f"{path} could not be written ({error.strerror}); what it held before is untouched"
        ) from error


def save_state(path: Path, state: Any) -> None:
    """Save nested dicts and lists of tensors and JSON values in one safetensors file, atomically.

    Such are the `state_dict()` of modules and optimizers and `torch.get_rng_state()`. The structure
    and a checksum travel in the file's metadata.
    """
    tensors: dict[str, Tensor] = {}

    def pack(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {"tensor": name}
        if isinstance(value, dict):
            return {
                "dict": [[k, pack(v, f"{name}.{k}" if name else str(k))] for k, v in value.items()]
            }
        if isinstance(value, list | tuple):
            return {"list": [pack(v, f"{name}.{i}") for i, v in enumerate(value)]}
        return value

    structure = json.dumps(pack(state, ""))
    metadata = {"structure": structure, "checksum": str(_checksum(structure, tensors))}
    write_atomically(path, save(tensors, metadata))


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
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        structure = metadata["structure"]
        if metadata["checksum"] != str(_checksum(structure, tensors)):
            raise ValueError("the checksum does not match")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} is damaged ({error}); put back a copy of it, or start again in another folder"
        ) from error

    def unpack(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        (kind, content), *_ = value.items()
        if kind == "tensor":
            return tensors[content]
        if kind == "dict":
            return {k: unpack(v) for k, v in content}
        return [unpack(v) for v in content]

    return unpack(json.loads(structure))


def _checksum(structure: str, tensors: dict[str, Tensor]) -> int:
    checksum = zlib.crc32(structure.encode())
    for name in sorted(tensors):
        checksum = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy(), checksum)
    return checksum


# ---------------------------------------------------------------- the folder


class Run:
    """A training's folder: opened new or resumed, fed with metrics and checkpoints.

    Args:
        folder: the run folder itself.
        config: a dataclass instance, written to `config.json`; `resume` compares it.
        resume: go on with what the folder holds instead of refusing a folder that holds a run.
        free: names of config fields in which a resumed run may differ (how long to train).

    Raises:
        RunError: the folder holds a run and `resume` is not asked for; or it is and there is no
            run, its checkpoint is damaged, or its config is another.
    """

    def __init__(self, folder: Path, config: Any, resume: bool, free: tuple[str, ...] = ()):
        self.folder = folder
        self.state: Any = None
        """What the checkpoint holds, when resuming."""
        asked = json.loads(json.dumps(asdict(config)))
        if resume:
            self._check_same(asked, free)
            self.state = load_state(folder / CHECKPOINT)
            self._drop_lines_after(self.state["update"])
        elif (folder / CONFIG).exists() or (folder / CHECKPOINT).exists():
            raise RunError(
                f"{folder} already holds a run: add --resume to go on with it, "
                "or name another folder with --run-dir"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder} cannot be made ({error.strerror})") from error
        write_atomically(folder / CONFIG, (json.dumps(asked, indent=2) + "\n").encode())
        self._lines = open(folder / METRICS, "a")  # noqa: SIM115
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        purge = None if self.state is None else self.state["update"] + 1
        self._board = SummaryWriter(str(folder), purge_step=purge, flush_secs=10)

    def _check_same(self, asked: dict[str, Any], free: tuple[str, ...]) -> None:
        if not (self.folder / CHECKPOINT).exists():
            raise RunError(f"{self.folder} holds no checkpoint to resume: leave out --resume")
        had = read_config(self.folder)
        for name in asked:
            if name not in free and had.get(name) != asked[name]:
                raise RunError(
                    f"{self.folder} was trained with {name} = {had.get(name)}, not {asked[name]}: "
                    "resume with the same options, or start another folder"
                )

    def _drop_lines_after(self, update: int) -> None:
        lines = read_metrics(self.folder)
        kept = [json.dumps(line) + "\n" for line in lines if line["update"] <= update]
        write_atomically(self.folder / METRICS, "".join(kept).encode())

    def log(self, metrics: dict[str, Any]) -> None:
        """Append one line; its numbers go to TensorBoard as well, by `metrics["update"]`."""
        try:
            self._lines.write(json.dumps(metrics) + "\n")
            self._lines.flush()
        except OSError as error:
            raise RunError(
                f"{self.folder / METRICS} could not be written ({error.strerror})"
            ) from error
        for name, value in metrics.items():
            if isinstance(value, int | float) and name != "update":
                self._board.add_scalar(name, value, metrics["update"])

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; `state["update"]` must count the updates made."""
        save_state(self.folder / CHECKPOINT, state)

    def close(self) -> None:
        """Close the files."""
        self._lines.close()
        self._board.close()


def read_config(folder: Path) -> dict[str, Any]:
    """The run's `config.json`."""
    path = folder / CONFIG
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise RunError(f"{folder} is no run folder: there is no {path}") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error})") from error


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of the run's metrics; a last line cut short by a kill is left out."""
    path = folder / METRICS
    lines = path.read_text().split("\n") if path.exists() else []
    metrics = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            metrics.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"{path} is damaged in line {number} ({error})") from error
    return metrics


# ---------------------------------------------------------------- a clean stop


class StopSignals:
    """Within the block, Ctrl-C and SIGTERM only set `requested`; a second Ctrl-C interrupts."""

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
    """Live figures on a terminal, else a plain line every few seconds.

    Args:
        title: the first line.
        every: seconds between plain lines.
    """

    def __init__(self, title: str, every: float = 10.0):
        self.title, self.started, self.next = title, time.monotonic(), 0.0
        self.console = Console(stderr=False)
        self.live = None
        self.every = every
        if self.console.is_terminal:
            self.live, self.every = Live(console=self.console, auto_refresh=False), 0.25

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
        """Show `figures()`, name → text, if it is time to (or `now`)."""
        clock = time.monotonic()
        if clock < self.next and not now:
            return
        self.next = clock + self.every
        if self.live is None:
            line = "  ".join(f"{name} {text}" for name, text in figures().items())
            print(f"[{clock - self.started:6.0f} s] {line}", flush=True)
            return
        table = Table.grid(padding=(0, 2))
        for name, text in figures().items():
            table.add_row(f"[dim]{name}[/dim]", text)
        frame = Table.grid()
        frame.add_row(f"[bold]{self.title}[/bold]")
        frame.add_row(table)
        self.live.update(frame, refresh=True)


def sparkline(values: list[float], width: int = 40) -> str:
    """The course of `values` in one line of block characters; at most `width` of them."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in zip(edges, edges[1:], strict=False)]
    low, high = min(means), max(means)
    blocks = "▁▂▃▄▅▆▇█"
    return "".join(blocks[round((m - low) / (high - low or 1) * 7)] for m in means)


def duration(seconds: float) -> str:
    """Seconds as a person says it: `1 h 05 min`, `3 min 20 s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def run_command(command: Callable[[], int | None]) -> int:
    """Run a subcommand: the exit status, with errors of the user's told on standard error."""
    try:
        return command() or 0
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
