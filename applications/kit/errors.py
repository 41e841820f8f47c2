"""The error that is told without a traceback."""


class RunError(Exception):
    """Something that the user can put right: told without a traceback."""


class OptionError(RunError, ValueError):
    """An option has a value that it cannot have."""
