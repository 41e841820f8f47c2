"""Standard output where it breaks: nobody reads it, the disk is full, letters are missing."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import TextIOBase, TextIOWrapper
from typing import Any, TextIO, cast

from applications.kit.errors import RunError

GONE = (errno.EPIPE, errno.EIO)
"""Errors that say that nobody reads any more: a program such as `head`, or a closed terminal."""


class OutputError(RunError):
    """Standard output cannot be written.

    Attributes:
        gone: whether that is because nobody reads it any more.
    """

    def __init__(self, error: OSError):
        super().__init__(f"standard output cannot be written ({error.strerror or error})")
        self.gone = error.errno in GONE


class Output:
    """Standard output whose errors are known as such.

    Args:
        stream: what it is.
    """

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text.

        Raises:
            OutputError: that fails.
        """
        with self._known_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write what waits to be written.

        Raises:
            OutputError: that fails.
        """
        with self._known_errors():
            self._stream.flush()

    @contextmanager
    def _known_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            discard(self._stream)
            raise OutputError(error) from error


class Screen(Output):
    """Standard output for what a training shows; the training outlives it.

    After an error nothing more is shown, and the training goes on: it may be hours long, and its
    run folder tells all. That nobody reads any more is no mistake; another reason is told once.
    """

    def __init__(self) -> None:
        super().__init__(Nowhere() if sys.stdout is None else sys.stdout)

    @contextmanager
    def _known_errors(self) -> Iterator[None]:
        try:
            with super()._known_errors():
                yield
        except OutputError as error:
            self._stream = Nowhere()
            if not error.gone:
                with suppress(OSError):
                    print(f"note: {error}: the training continues", file=sys.stderr)


class Nowhere(TextIOBase):
    """Where nobody reads."""

    def write(self, text: str) -> int:
        """Drop a text."""
        return len(text)


def discard(stream: Any) -> None:
    """Drop what waits to be written to a stream, and all that is written to it from now on."""
    with suppress(OSError, ValueError):  # of a stream that is no file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


@contextmanager
def plain_output() -> Iterator[None]:
    """Within the block a command writes to standard output; at the end all of it is written.

    A letter that the terminal's encoding lacks is a question mark there.

    Raises:
        OutputError: it cannot be written.
    """
    if sys.stdout is None:  # it was closed before the program began
        yield
        return
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    output = Output(sys.stdout)
    with redirect_stdout(cast(TextIO, output)):
        try:
            yield
        except SystemExit:  # of --help
            output.flush()
            raise
        output.flush()
