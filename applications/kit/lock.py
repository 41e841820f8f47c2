"""The lock of a run folder."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from applications.kit.errors import RunError

LOCK = ".lock"
"""The file that is locked; it stays, for who deletes it may delete another process's."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Within the block no other process trains in the folder; a killed one is out by itself.

    Where the file system has no locks, that is said on standard error, and nothing is locked.

    Raises:
        RunError: another process does, or the system knows no such locks.
    """
    # a file, opened to write: NFS locks neither directories nor what is only read
    held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(held, folder)
        yield
    finally:
        os.close(held)


def _lock(held: int, folder: Path) -> None:
    try:
        import fcntl  # Windows has none, and plays and evaluates all the same
    except ImportError as error:
        raise RunError(
            "this system has no fcntl, whose locks keep two trainings out of one folder: train on "
            "Linux or macOS; what needs no training works here too"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(
            f"another process is training in {folder}: wait for it, or name another folder by "
            "--run-dir"
        ) from error
    except OSError as error:
        print(
            f"note: {folder} cannot be locked here ({error.strerror}): the training continues; "
            "start no other in this folder until it has ended",
            file=sys.stderr,
        )
