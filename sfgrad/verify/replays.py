"""Replays of a model along chosen draws, and the checks that they agree."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Generator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sfgrad.graph import StochasticGraph
from sfgrad.verify.outcomes import CPU, HiddenRandomnessError, Pick

Replay = Callable[[Pick], "Replayed"]


class Replayed(NamedTuple):
    """The record of a model along a trajectory."""

    graph: StochasticGraph
    log_mass: list[tuple[str, Tensor]]
    """For every draw, the node and the log-mass `[R]`, nats."""

    def cost(self) -> Tensor:
        """The total cost of every row, `[R]`."""
        return self.graph.tape.stacked_costs().sum(0)

    def by_node(self) -> dict[str, Tensor]:
        """The log-mass of every node in the current rows, `[R]`, nats."""
        result: dict[str, Tensor] = {}
        for name, mass in self.log_mass:
            tiled = self.graph.tape.rows.tile(mass)
            result[name] = result[name] + tiled if name in result else tiled
        return result

    def probability(self) -> Tensor:
        """The probability of the trajectory in every row, `[R]`."""
        cost = self.cost()
        return sum(self.by_node().values(), torch.zeros_like(cost)).exp()


def check_replays(replay: Replay) -> None:
    """Replay a few trajectories twice, and with one row's draw changed; refuse differences.

    Raises:
        HiddenRandomnessError: replays of the same draws differ.
        ValueError: rows interact.
    """
    for start, step in (
        (0, 0),
        (-1, 0),
        (0, 1),
    ):  # first values, last values, different ones by row
        pattern = _Pattern(start, step)
        base = replay(pattern.again())
        for _ in range(5):  # a hidden draw may repeat by chance
            again = replay(pattern.again())
            if base.by_node().keys() != again.by_node().keys() or not _agree(base, again):
                raise HiddenRandomnessError

        for name, mass in base.log_mass:
            rows = len(mass)
            for row in {0, rows - 1} if rows > 1 else ():
                changed = replay(pattern.again(name, row))
                others = torch.arange(len(base.cost()), device=CPU) % rows != row
                if pattern.followed and not _agree(base, changed, others):
                    _refuse_interaction(name, row)


class _Pattern:
    """Row r takes value `start + step·r` in every replay, whatever other rows do.

    Args:
        start: of row 0; −1 for the last value.
        step: from row to row.
    """

    def __init__(self, start: int, step: int):
        self.start, self.step = start, step
        self.followed = True
        """Whether all rows except the changed one took these values in the last replay."""
        self._taken: dict[tuple[str, int], Tensor] = {}  # by node and number of the pick

    def again(self, changed: str = "", changed_row: int = 0) -> Pick:
        """The picks of one replay; in the changed node the changed row takes the next value."""
        counts: defaultdict[str, int] = defaultdict(int)
        self.followed = True

        def pick(name: str, size: int, rows: int) -> Tensor:
            usual = (self.start + self.step * torch.arange(rows, device=CPU)) % size
            index = self._taken.setdefault((name, counts[name]), usual).clone()
            if len(index) != rows:
                raise HiddenRandomnessError
            counts[name] += 1

            # If rows have supports of different sizes, a change may leave too few values.
            self.followed = self.followed and bool((index < size).all())
            index = index.clamp(max=size - 1)
            if name == changed:
                index[changed_row] = (index[changed_row] + 1) % size
            return index

        return pick


def _refuse_interaction(name: str, row: int) -> None:
    raise ValueError(
        f"rows interact: changing the draw of node {name!r} in row {row} moves another row's cost "
        "or probability, as batch norm in training mode, batch statistics and shared capacities "
        "do: remove the interaction, or, if rows are meant to share a cost, make the whole batch "
        "one row by batch_ndims=0, without samples=, and record one cost, the sum or mean"
    )


def _agree(one: Replayed, other: Replayed, rows: Tensor | slice = slice(None)) -> bool:
    """Whether costs, and log-masses of nodes that both replays have, agree in these rows.

    A row may go on, and draw, while others have ended: `while not done.all()`.
    """
    masses, others = one.by_node(), other.by_node()
    pairs = [(masses[name], others[name]) for name in masses.keys() & others.keys()]
    return all(_same(*pair, rows) for pair in [(one.cost(), other.cost()), *pairs])


def _same(one: Tensor, other: Tensor, rows: Tensor | slice) -> bool:
    """Whether tensors `[R]` are equal in these rows, up to rounding."""
    if one.shape != other.shape:
        return False
    one, other = one.detach(), other.detach()
    if torch.is_tensor(rows):
        rows = rows.to(one.device)
    near = torch.finfo(one.dtype).eps ** 0.75
    return torch.allclose(one[rows], other[rows], near, near, equal_nan=True)


@contextlib.contextmanager
def restored(*modules: nn.Module) -> Generator[None]:
    """Restore all buffers (running statistics, moving averages) afterwards, replaced ones too.

    They are restored in place, so gradients must be taken inside the block.
    """
    owners = [owner for module in modules for owner in module.modules()]
    buffers = [(owner, *named) for owner in owners for named in owner.named_buffers(recurse=False)]
    saved = [buffer.clone() for _, _, buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for (owner, name, buffer), old in zip(buffers, saved, strict=True):
                setattr(owner, name, buffer.copy_(old))
