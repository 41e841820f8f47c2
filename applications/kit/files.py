"""Files that are replaced as a whole or not at all, and states as safetensors files."""

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from applications.kit.errors import RunError

T = TypeVar("T")

DAMAGE = (SafetensorError, KeyError, TypeError, ValueError, RecursionError)
"""What reading a damaged file may raise."""


class Record(dict[str, Any]):
    """Names and values from a file; a name that it lacks is an error that says which file.

    Args:
        values: the names and values.
        where: what they are from.
    """

    def __init__(self, values: dict[str, Any], where: object):
        super().__init__(values)
        self.where = where

    def __missing__(self, name: str) -> NoReturn:
        raise RunError(
            f"{self.where} has no {name}: it is damaged, or of another application or another "
            "version of this one"
        )


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
        with suppress(OSError):  # of a name that is too long, or a folder that is none
            part.unlink()
        raise RunError(
            f"{path} could not be written ({error}): what it held is kept; make room and try again "
            "(--resume continues a training)"
        ) from error


def save_state(path: Path, state: dict[str, Any], note: dict[str, Any] | None = None) -> None:
    """Save nested dicts and lists of tensors and JSON values as one safetensors file, atomically.

    That takes the `state_dict()` of modules and optimizers and `torch.get_rng_state()`. The
    structure and a checksum of everything travel in the file's metadata.

    Args:
        path: the file.
        state: what to save.
        note: what `load_note` is to give, JSON values.
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
    text = "" if note is None else json.dumps(note)
    metadata = {"structure": structure, "checksum": _checksum(structure + text, tensors)}
    if text:
        metadata["note"] = text
    with replacing(path) as part:
        save_file(tensors, part, metadata)


def load_state(path: Path) -> Record:
    """What `save_state` saved, a dict.

    Raises:
        RunError: there is no such file, or it is damaged.
    """
    try:
        if not path.is_file():
            raise RunError(f"{path} is not a file" if path.exists() else f"there is no {path}")
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            # a safetensors file is no mapping: it has keys() but cannot be iterated over
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        structure = metadata["structure"]
        if metadata["checksum"] != _checksum(structure + metadata.get("note", ""), tensors):
            raise ValueError("its checksum is wrong")
        state = _unpack(json.loads(structure), tensors)
        if not isinstance(state, dict):
            raise ValueError("it holds no names and values")
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error})") from error
    except DAMAGE as error:
        raise RunError(
            f"{path} is damaged ({error}): put a copy of it back, or start another folder"
        ) from error
    return Record(state, path)


def load_note(path: Path) -> dict[str, Any] | None:
    """The note in a file of `save_state`, unchecked; None if it has none or cannot be read."""
    try:
        if not path.is_file():
            return None
        with safe_open(path, "pt") as file:
            note = json.loads(file.metadata()["note"])
    except (*DAMAGE, OSError):
        return None
    return note if isinstance(note, dict) else None


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The value that a structure describes."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unpack(item, tensors) for key, item in content}
    return [_unpack(item, tensors) for item in content]


def restored(kind: type[T], state: dict[str, Any]) -> T:
    """The dataclass whose fields, as `asdict` tells them, are among a state's entries."""
    return kind(**{field.name: state[field.name] for field in fields(kind)})


def _checksum(structure: str, tensors: dict[str, Tensor]) -> str:
    checksum = zlib.crc32(structure.encode())
    for name in sorted(tensors):
        checksum = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy(), checksum)
    return str(checksum)
