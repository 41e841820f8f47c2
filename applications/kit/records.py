"""The files of a run folder that people can read, checked: its config and its metrics."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from applications.kit.errors import RunError
from applications.kit.files import Record, load_note, load_state

CONFIG, METRICS, CHECKPOINT = "config.json", "metrics.jsonl", "checkpoint.safetensors"
ABSENT = "absent"
"""Stands for the value of a name that a config lacks; no JSON text is like it."""


def read_config(folder: Path) -> Record:
    """The run's `config.json`, or if that is missing the copy of it in the checkpoint.

    Raises:
        RunError: the folder holds no run; or `config.json` is damaged, or not what the run of the
            checkpoint was trained with.
    """
    path, checkpoint = folder / CONFIG, folder / CHECKPOINT
    note = _note_of(checkpoint)
    copy = Record(note["config"], f"the config in {checkpoint}") if note else None
    try:
        content = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise RunError(f"{folder} holds no run ({error.strerror}: {path})") from error
    if content is None:
        if path.exists():
            raise RunError(f"{path} is not a file: {_remedy(copy)}")
        if copy is None:
            raise RunError(f"{folder} holds no run: there is no {path}")
        load_state(checkpoint)  # which checks the copy as well
        return copy

    try:
        config = Record(_json_object(content, constants=False), path)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}): {_remedy(copy)}") from error
    if note:
        _refuse_difference(path, config, note)
    return config


def misfit(checkpoint: Path, error: Exception) -> RunError:
    """The error of a checkpoint that is of another config than the one beside it."""
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return RunError(
        f"{checkpoint} does not fit {CONFIG} beside it ({reason[-1].strip()}): one of them is of "
        "another run; put the right one back, or start another folder"
    )


def _note_of(checkpoint: Path) -> dict[str, Any] | None:
    """What a checkpoint keeps of its config; None in one of an earlier version."""
    note = load_note(checkpoint)
    if not isinstance(note, dict) or not isinstance(note.get("config"), dict):
        return None
    return note if isinstance(note.get("limits"), list) else None


def _refuse_difference(path: Path, config: dict[str, Any], note: dict[str, Any]) -> None:
    """Refuse a config that is not the checkpoint's.

    Only the limits may differ, for a run may be resumed with others and end before its next
    checkpoint.

    Raises:
        RunError: something else differs, or a limit is not a number.
    """
    copy, limits = note["config"], note["limits"]
    for name in sorted(config.keys() | copy.keys(), key=lambda name: (name == "origin", name)):
        # as JSON, so that true is not 1
        met, wanted = (json.dumps(c[name]) if name in c else ABSENT for c in (config, copy))
        if met == wanted or (name in limits and name in config and _is_limit(config[name])):
            continue
        load_state(path.with_name(CHECKPOINT))  # if that is damaged, it is to be named, not this
        raise RunError(
            f"{path} is damaged, or {CHECKPOINT} beside it is of another run ({name} is {met} in "
            f"the one and {wanted} in the other): {_remedy(copy)}"
        )


def _is_limit(value: Any) -> bool:
    """Whether a value may say how long to train."""
    if value is None:
        return True
    return type(value) in (int, float) and 0 <= value < math.inf


def _remedy(copy: Any) -> str:
    """What to do about a damaged config."""
    if copy is None:
        return "put a copy of it back, or start another folder"
    return f"delete it, and the copy of it in {CHECKPOINT} is taken"


def read_metrics(path: Path) -> list[Record]:
    """The whole lines of a metrics file; a last line that a kill cut short is left out.

    Raises:
        RunError: the file cannot be read, or a line is damaged.
    """
    try:
        content = path.read_bytes() if path.is_file() else b""
        missing = not path.exists() or path.is_file()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror})") from error
    if not missing:
        raise RunError(f"{path} is not a file: move it away, and --resume continues without it")

    metrics: list[Record] = []
    kinds: dict[str, str] = {}
    for index, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            record = Record(_json_object(line), f"{path}, line {index},")
            _check_update(record, metrics)
            _check_kinds(record, kinds)
        except (ValueError, RecursionError) as error:
            raise RunError(
                f"{path} is damaged in line {index} ({error}): put a copy of it back, or delete "
                "the line, which only learning curves need"
            ) from error
        metrics.append(record)
    return metrics


def column(
    metrics: Sequence[Mapping[str, Any]], name: str, null: bool = False, lists: bool = False
) -> list[Any]:
    """A figure of every line of metrics, checked.

    Args:
        metrics: the lines.
        name: of the figure.
        null: whether it may be null, which is None here.
        lists: whether it is a list of numbers.

    Raises:
        RunError: a line does not have it, or what it has is no number.
    """
    values = [line[name] for line in metrics]
    for line, value in zip(metrics, values, strict=True):
        if null and value is None:
            continue
        numbers = value if _is_list(value) else [value]
        if _is_list(value) != lists or any(_kind(number) != "a number" for number in numbers):
            where = getattr(line, "where", "a line of metrics")
            wanted = "a list of numbers" if lists else "a number"
            raise RunError(
                f"{where} has {name} = {json.dumps(value)}, not {wanted}: no training wrote that; "
                "put a copy of the file back, or name another run"
            )
    return values


def _check_update(record: Record, before: list[Record]) -> None:
    """Refuse a line whose update is no count, or does not come after the one before.

    Raises:
        ValueError: it is so.
    """
    if "update" not in record:  # who needs it gets the error of a `Record`
        return
    update = record["update"]
    if type(update) is not int or update < 0:
        raise ValueError(f"its update is {update!r}, which is not a whole number from 0")
    last = before[-1].get("update", -1) if before else -1
    if update <= last:
        raise ValueError(f"update {update} does not come after {last}")


def _check_kinds(record: Record, kinds: dict[str, str]) -> None:
    """Refuse a line whose values are of other kinds than in the lines before; `kinds` learns them.

    Raises:
        ValueError: one is.
    """
    values = list(record.items())
    values += [
        (f"an item of {n}", item) for n, value in values if _is_list(value) for item in value
    ]
    for name, value in values:
        kind = _kind(value)
        if value is not None and kinds.setdefault(name, kind) != kind:
            raise ValueError(f"{name} is {kind} here and {kinds[name]} before")


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    words = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return words.get(type(value), "null")


def _json_object(content: bytes, constants: bool = True) -> dict[str, Any]:
    """An object in JSON.

    Args:
        content: the text, in UTF-8.
        constants: whether a number may be NaN or infinite.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested too deeply.
    """
    value = json.loads(content.decode(), parse_constant=float if constants else _refuse_constant)
    if not isinstance(value, dict):
        raise ValueError(f"it holds {_kind(value)}, not an object")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
