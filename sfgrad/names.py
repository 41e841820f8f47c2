"""Names of records: repeated ones get numbers."""

from collections import defaultdict
from collections.abc import Container

from sfgrad.settings import describe


class Names:
    """Makes names unique: `name`, then `name.1`, `name.2`, and so on."""

    def __init__(self):
        self._repeats: defaultdict[str, int] = defaultdict(int)

    def unique(self, name: str, taken: Container[str]) -> str:
        """`name`, with a number if it is taken.

        Raises:
            TypeError: it is not a string.
        """
        if type(name) is not str:
            check_name(name)
        unique = name
        while unique in taken:
            self._repeats[name] += 1
            unique = f"{name}.{self._repeats[name]}"
        return unique


def check_name(name: object) -> None:
    """Refuse a name that is not a string."""
    if not isinstance(name, str):
        raise TypeError(f"name is {describe(name)}: it must be a string, as in name='gate'")
