"""Files that are replaced as a whole or not at all, and states as safetensors files."""

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from applications.kit.errors import RunError

T = TypeVar("T")


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
