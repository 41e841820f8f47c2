"""An idx file of a set: read, known by its checksum, and written as a whole or not at all."""

import gzip
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from applications.glimpse.origins import SIZES
from applications.kit.errors import RunError


class FileError(RunError):
    """A file that a folder or a source does not hold, or not as it should."""


def read(folder: Path, file: str, sha256: str) -> bytes:
    """The verified content of `folder/file`, or of `folder/file.gz`, uncompressed."""
    path = next((p for p in (folder / file, folder / f"{file}.gz") if p.is_file()), None)
    if path is None:
        raise FileError(f"there is no {folder / file}, nor {file}.gz")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror})") from error
    return verified(content, str(path), SIZES[file], sha256)


def verified(content: bytes, where: str, size: int, sha256: str) -> bytes:
    """`content`, uncompressed, if that is the file wanted; no more is unpacked than its size."""
    try:
        if content.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=BytesIO(content)) as unpacked:
                content = unpacked.read(size + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise FileError(f"{where} is damaged ({error})") from error
    if len(content) > size:
        raise FileError(f"{where} is another file: it holds more than the {size:,} bytes of that")
    met = hashlib.sha256(content).hexdigest()
    if met != sha256:
        raise FileError(
            f"{where} is another file: the sha256 of its content is {met}, not {sha256}"
        )
    return content


def as_tensor(content: bytes) -> Tensor:
    """The array of an idx file: 0, 0, 8 for uint8, the number of axes, their sizes, the values."""
    axes = content[3]
    shape = struct.unpack_from(f">{axes}I", content, 4)
    values = torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=4 + 4 * axes)
    return values.reshape(shape)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What fails within is no source's fault."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror}): make room, or name another --folder"
        ) from error


def write(path: Path, content: bytes) -> None:
    """`path` with that content, atomically; what was left of its downloads goes."""
    part = path.with_name(f"{path.name}.part")
    with writing(path):
        part.write_bytes(content)
        os.replace(part, path)
        path.with_name(f"{path.name}.gz.part").unlink(missing_ok=True)
