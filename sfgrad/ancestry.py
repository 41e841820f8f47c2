"""Who may influence whom: the ancestors of draws and costs.

There are three kinds, the cheapest first: the first n nodes (the number n); a node and its
ancestors (`Path`), as a chain of `parents=` makes them; any other set (`Members`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(slots=True, unsafe_hash=True)
class Path:
    """The node at position `last`, and its ancestors."""

    last: int


@dataclass(slots=True, unsafe_hash=True)
class Members:
    """The nodes whose bits are set."""

    bits: int

    def positions(self) -> list[int]:
        """The nodes, in order."""
        return [i for i in range(self.bits.bit_length()) if self.bits >> i & 1]


Ancestors = int | Path | Members


class Ancestry:
    """The ancestors of every node of a graph, in the order of recording."""

    def __init__(self):
        self.events: list[Ancestors] = []
        self._bits: dict[int, int] = {}  # by position, of a node and its ancestors

    def union(self, parents: Sequence[int]) -> Ancestors:
        """The parents, positions of nodes, and all their ancestors."""
        if not parents:
            return 0

        # A parent that the latest one descends from adds nothing.
        last = max(parents)
        known = self.bits(Path(last)) if len(set(parents)) > 1 else 1 << last
        rest = [parent for parent in parents if not known >> parent & 1]
        if not rest:
            return last + 1 if self.events[last] == last else Path(last)

        for parent in rest:
            known |= self.bits(Path(parent))
        complete = known & (known + 1) == 0  # every bit up to the highest
        return known.bit_length() if complete else Members(known)

    def bits(self, event: Ancestors) -> int:
        """The nodes of `event` as the bits of a number."""
        climbed: list[int] = []
        while isinstance(event, Path) and event.last not in self._bits:
            climbed.append(event.last)
            event = self.events[event.last]

        if isinstance(event, Path):
            bits = self._bits[event.last]
        else:
            bits = event.bits if isinstance(event, Members) else (1 << event) - 1
        for position in reversed(climbed):
            bits |= 1 << position
            self._bits[position] = bits
        return bits

    def reached(self, events: Iterable[Ancestors]) -> list[bool]:
        """Of every node, whether it is among the ancestors of one of the events."""
        events = list(events)
        if any(isinstance(event, int) and event >= len(self.events) for event in events):
            return [True] * len(self.events)

        marked = [False] * len(self.events)
        count = 0

        def mark(event: Ancestors) -> int:
            if isinstance(event, Path):
                marked[event.last] = True
            elif isinstance(event, Members):
                for position in event.positions():
                    marked[position] = True
            return event if isinstance(event, int) else 0

        for event in events:
            count = max(count, mark(event))
        for position in reversed(range(len(marked))):
            if marked[position]:
                count = max(count, mark(self.events[position]))
        return [position < count or has for position, has in enumerate(marked)]
