"""The error that is told without a traceback."""

import sys


class RunError(Exception):
    """Something that the user can put right: told without a traceback."""


class OptionError(RunError, ValueError):
    """An option has a value that it cannot have."""


def fail(message: str) -> int:
    """Tell on standard error what went wrong: the exit status."""
    print(f"error: {message}", file=sys.stderr)
    return 2
