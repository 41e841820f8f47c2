"""Who makes the copies of a row, and who takes them."""

import math

from sfgrad.estimators.base import Estimator, Layout
from sfgrad.rows import Rows


class Claims:
    """What the estimators of a graph ask of the copies of its rows.

    Args:
        rows: the graph's.
    """

    def __init__(self, rows: Rows):
        self.rows = rows
        self._enumerated: dict[str, int] = {}  # copies that are not independent, by node
        self._taken: dict[int, str] = {}  # by number of branches, who needs their copies alone

    def make(self, name: str, copies: int, estimator: Estimator) -> None:
        """Refuse nodes that enumerate too many copies of a row together."""
        if estimator.independent:
            return
        self._enumerated[name] = copies
        total, limit = math.prod(self._enumerated.values()), estimator.max_copies
        if limit is not None and total > limit:
            sizes = ", ".join(f"{node}: {size}" for node, size in self._enumerated.items())
            raise ValueError(
                f"node {name!r}: the nodes that enumerate make {total} copies of every row "
                f"together ({sizes}), more than max_size={limit}: sample some of them, or raise "
                "max_size"
            )

    def take(self, name: str, estimator: Estimator) -> Layout:
        """How the copies lie that an estimator takes, if no other one needs them for itself."""
        if estimator.together and self.rows.branches:
            taken = self._taken.setdefault(len(self.rows.branches), name)
            if taken != name:
                raise ValueError(
                    f"node {name!r}: {type(estimator).__name__} needs copies of its own, but node "
                    f"{taken!r} has taken those of the nearest branch: set samples= of one of the "
                    "two"
                )
        return self.rows.layout()
