"""Warnings of costs whose shape suggests that their sum is not intended."""

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
        """The dimensions of the draws' batch shapes after the rows."""
        self._dimensions: set[int] = set()  # of the first draws, after their rows
        self._measured = 0  # the number of these draws
        self._warned = False

    def warn_of_tokens(self, what: str, shape: torch.Size) -> None:
        """Warn if the trailing dimensions of a cost are those of a draw, so that it is summed.

        Args:
            what: the cost, for the warning.
            shape: of the cost, rows first.
        """
        trailing = shape[self.batch_ndims :]
        if self._warned or trailing.numel() == 1 or trailing not in self.trailing:
            return
        self._warned = True
        warn_user(
            f"{what} has shape {list(shape)} and is summed over the last {len(trailing)}, so every "
            "element of a draw of this shape is credited with the whole sum: if each cost belongs "
            f"to its own draw, pass batch_ndims={len(shape)}; if you want the sum, give the sum"
        )

    def warn_of_broadcast(self, what: str, shape: torch.Size, nodes: Sequence[Node]) -> None:
        """Warn if a cost has the row dimension twice, as `[R, 1] − [R]` does.

        Args:
            what: the cost, for the warning.
            shape: of the cost; first the rows, or the elements of ragged ones.
            nodes: the draws so far.
        """
        n, length = self.batch_ndims, shape[0]
        if self._warned or length == 1 or set(shape[:n]) != {length}:
            return
        if length not in shape[n : n + 1] or len(shape) > n + 2:  # of pictures, say
            return

        # A draw with such a dimension may well have that many costs.
        for node in nodes[self._measured :]:
            self._dimensions.update(node.draw.value.shape[n:])
        self._measured = len(nodes)
        if length in self._dimensions:
            return
        self._warned = True
        warn_user(
            f"{what} has shape {list(shape)} and is summed over a dimension as long as the first, "
            f"as broadcasting [{length}, 1] with [{length}] gives, though no draw so far has such "
            "a dimension: if each row has one cost, give both tensors the same shape; if you want "
            "the sum, give the sum"
        )
