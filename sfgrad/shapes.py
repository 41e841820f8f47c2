"""Shapes of costs that are summed, and look as if something else had been meant."""

from collections.abc import Sequence

import torch

from sfgrad.records import Node
from sfgrad.warn import warn_user


class Shapes:
    """Compares the dimensions of costs with those of the draws, and warns once.

    Args:
        batch_ndims: leading dimensions that are rows, or 0 for a single row.
    """

    def __init__(self, batch_ndims: int):
        self.batch_ndims = batch_ndims
        self.trailing: set[torch.Size] = set()
        """The batch dimensions of the draws after their rows."""
        self._dimensions: set[int] = set()  # of the first draws, after their rows
        self._measured = 0  # how many draws these are
        self._warned = False

    def warn_of_tokens(self, what: str, shape: torch.Size) -> None:
        """Warn where the elements of a cost look like those of a draw, which are no rows.

        Args:
            what: the cost, for the warning.
            shape: its own, rows first.
        """
        trailing = shape[self.batch_ndims :]
        if self._warned or trailing.numel() == 1 or trailing not in self.trailing:
            return
        self._warned = True
        warn_user(
            f"{what} has shape {list(shape)} and is summed over the last {len(trailing)}: every "
            "element of a draw of this shape is credited with the whole sum. If each cost belongs "
            f"to its own draw, say batch_ndims={len(shape)}; if the sum is meant, give the sum"
        )

    def warn_of_broadcast(self, what: str, shape: torch.Size, nodes: Sequence[Node]) -> None:
        """Warn where the rows of a cost come twice, as in `[R, 1] − [R]`.

        Args:
            what: the cost, for the warning.
            shape: its own, rows first, or the elements of ragged ones.
            nodes: the draws so far.
        """
        n, length = self.batch_ndims, shape[0]
        if self._warned or length == 1 or length not in shape[n:] or set(shape[:n]) != {length}:
            return

        # A draw that has such a dimension may well have as many costs.
        for node in nodes[self._measured :]:
            self._dimensions.update(node.draw.value.shape[n:])
        self._measured = len(nodes)
        if length in self._dimensions:
            return
        self._warned = True
        warn_user(
            f"{what} has shape {list(shape)} and is summed over a dimension as long as the first: "
            f"broadcasting makes this of [{length}, 1] and [{length}], and no draw so far has such "
            "a dimension. If each row has one cost, give both the same shape; if the sum is meant, "
            "give the sum"
        )
