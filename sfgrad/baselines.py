"""Baselines: what a node's cost to go is compared with.

A baseline leaves the gradient unbiased as long as it does not depend on the draw it is used for.
The graph therefore reads all baselines before it updates any.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from sfgrad import active
from sfgrad.buffers import Precise
from sfgrad.functional import leave_one_out
from sfgrad.settings import describe, is_number


class Baseline(nn.Module, ABC):
    """What the graph asks of a baseline, in this order: `at_draw`, `read`, `update`.

    Costs to go come as `[E, S, R]`: E enumerated or coupled copies, S independent draws that share
    their past up to the nearest branch (1 where there is none), R rows before that branch. Rows of
    several dimensions come flattened.
    """

    compares: bool = False
    """Whether it compares the S draws of a row, and so needs at least two."""

    collective: bool = False
    """Whether `update` talks to the other processes, which then have to call it as often."""

    order: float = math.inf
    """The highest derivative that stays right: 0 for a baseline that makes the gradient biased."""

    made_inside: bool = False
    """Whether it was made while a graph was open, and no loss has asked yet who keeps it."""

    def __init__(self):
        super().__init__()
        self.made_inside = active.is_open()

    @property
    def title(self) -> str:
        """What messages call it: as the user wrote it."""
        return f"{type(self).__name__} baseline"

    @property
    def has_state(self) -> bool:
        """Whether it learns from the costs."""
        return type(self).update is not Baseline.update

    def at_draw(self, name: str, context: Tensor | None, samples: int) -> Tensor | None:
        """Evaluate what must be known before the draw has consequences; refuse what cannot work.

        Args:
            name: the node, for errors.
            context: `[R, ...]` or None: what the user gave to `sample`.
            samples: S, the number of independent draws to compare.

        Returns:
            A prediction of the cost to go, `[R]` or `[R, 1]`, or None.
        """

    @abstractmethod
    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The baseline of every draw, free of the draw itself.

        Args:
            cost_to_go: `[E, S, R]`, without gradient.
            prediction: `[E, S, R]`, what `at_draw` returned, or None.

        Returns:
            A tensor that broadcasts to `[E, S, R]`; no gradient flows from it.
        """

    def read_groups(self, cost_to_go: Tensor, groups: Tensor) -> Tensor:
        """As `read`, of a baseline that compares, where the graph has `groups=`.

        This one calls `read` for one group after the other.

        Args:
            cost_to_go: `[B, ...]`, without gradient, rows along the first dimension.
            groups: int64 `[B]`, from 0 up.

        Returns:
            `[B, ...]`.
        """
        result = torch.empty_like(cost_to_go)
        for group in groups.unique().tolist():
            rows = (groups == group).nonzero().flatten()
            costs = cost_to_go[rows].reshape(1, len(rows), -1)
            value = self.read(costs, None).expand(costs.shape)
            result[rows] = value.reshape(len(rows), *cost_to_go.shape[1:])
        return result

    def update(
        self, cost_to_go: Tensor, prediction: Tensor | None, mask: Tensor | None = None
    ) -> Tensor | None:
        """Learn from the costs, after every baseline was read.

        Args:
            cost_to_go: `[E, S, R]`, without gradient.
            prediction: `[E, S, R]`, what `at_draw` returned, or None.
            mask: boolean `[E, S, R]`, True in the rows that count; only given, and only then
                needed, where the node has a mask.

        Returns:
            `[]`, an error to be minimised along with the objective, or None.
        """


class Constant(Baseline):
    """The same number for every draw.

    Args:
        value: in the unit of the cost.

    Raises:
        TypeError: the value is not a number.

    Unbiased: yes.

    Source: Williams (1992), Simple statistical gradient-following algorithms, eq. 6.
    """

    def __init__(self, value: float):
        super().__init__()
        if not is_number(value):
            raise TypeError(
                f"the value of Constant is {describe(value)}: it must be a number, as in "
                "Constant(0.5); for a baseline that learns use MovingAverage() or Learned(module)"
            )
        self.value = value

    def extra_repr(self) -> str:
        """The number."""
        return repr(self.value)

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The number."""
        return cost_to_go.new_tensor(self.value)


class MovingAverage(Precise, Baseline):
    """Exponential moving average of past costs to go, corrected for its start at zero.

    It is read before it is updated: an average that already holds the present cost would bias the
    gradient. Keep the object (in a `StochasticNode`, say): a new one knows nothing and reads 0.

    It is kept in single precision at least, also in a module of half precision. Under
    `torch.distributed` it averages over the rows of all processes, so all of them must take a loss
    whenever one does.

    Args:
        decay: in [0, 1): the weight of the past at each update, one update per call of the node.

    Raises:
        ValueError: the decay is outside [0, 1).
        TypeError: it is not a number.

    Unbiased: yes.

    Source: Mnih & Gregor (2014), Neural Variational Inference and Learning, section 2.3; the
    correction: Kingma & Ba (2015), Adam, section 3.
    """

    average: Tensor
    mass: Tensor
    collective = True

    def __init__(self, decay: float = 0.99):
        super().__init__()
        if not is_number(decay):
            raise TypeError(f"decay is {describe(decay)}: it must be a number in [0, 1)")
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}: it must be in [0, 1)")
        self.decay = decay
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("mass", torch.zeros(()))

    def extra_repr(self) -> str:
        """The decay."""
        return f"decay={self.decay}"

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The mean of the past, 0 when there is none."""
        if self.average.device != cost_to_go.device:
            raise ValueError(
                f"the moving average is on {self.average.device} but the costs are on "
                f"{cost_to_go.device}: own it in a StochasticNode, and move the model with to()"
            )
        return torch.where(self.mass > 0, self.average / self.mass, self.average)

    def update(
        self, cost_to_go: Tensor, prediction: Tensor | None, mask: Tensor | None = None
    ) -> Tensor | None:
        """Take the mean over the rows that count in; nothing where none does."""
        cost_to_go = cost_to_go.to(self.average.dtype)
        if mask is None and not is_distributed():
            self.average.lerp_(cost_to_go.mean(), 1 - self.decay)
            self.mass.lerp_(torch.ones_like(self.mass), 1 - self.decay)
            return

        # The sum and the number of the rows that count, of all processes.
        mask = torch.ones_like(cost_to_go, dtype=torch.bool) if mask is None else mask
        total = torch.stack([torch.where(mask, cost_to_go, 0).sum(), mask.sum().to(cost_to_go)])
        if is_distributed():
            torch.distributed.all_reduce(total)
        mean = total[0] / total[1].clamp(min=1)

        share = torch.where(total[1] > 0, 1 - self.decay, 0.0).to(self.average)
        self.average.lerp_(mean, share)
        self.mass.lerp_(torch.ones_like(self.mass), share)


def is_distributed() -> bool:
    """Whether there are several processes."""
    distributed = torch.distributed
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


class LeaveOneOut(Baseline):
    """Mean cost to go of the other draws for the same original row.

    Compares the copies made by the nearest branch: the node's own `samples`, else an earlier
    node's, a `branch`, or `expectation(samples=)`. Or the rows of a group, where the graph has
    `groups=`. Copies whose draw is masked are compared with too: their cost to go is theirs.

    Raises:
        ValueError: at the draw, if there is only one.

    Unbiased: yes.

    Source: Kool et al. (2019), Buy 4 REINFORCE samples, get a baseline for free!, eq. 8.
    """

    compares = True

    def at_draw(self, name: str, context: Tensor | None, samples: int) -> Tensor | None:
        """Refuse where there is nothing to compare."""
        if samples < 2:
            raise ValueError(
                f"node {name!r}: leave-one-out has nothing to compare, every row is drawn once: "
                "set samples=2 in expectation() or in the node, call branch(), or give groups="
            )

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The mean of the others."""
        return leave_one_out(cost_to_go, dim=1)

    def read_groups(self, cost_to_go: Tensor, groups: Tensor) -> Tensor:
        """The mean of the others in the group."""
        return leave_one_out(cost_to_go, groups=groups)


def check_baseline(what: str, value: object) -> None:
    """Refuse what is not a baseline.

    Args:
        what: whose baseline it is, for errors.
        value: what was given as one.

    Raises:
        TypeError: it is a class, a number, a module or anything else; or a baseline whose class
            does not call `super().__init__()`.
    """
    if not isinstance(value, Baseline):
        raise TypeError(
            f"the baseline of {what} is {describe(value)}: give an object such as LeaveOneOut() or "
            f"MovingAverage(){_advice(value)}"
        )
    if "_modules" not in vars(value):
        raise TypeError(
            f"the baseline of {what} is {describe(value)} that never called super().__init__(): "
            "call it first in its __init__, since a Baseline is an nn.Module"
        )


def _advice(value: object) -> str:
    """What may have been meant by something that is not a baseline."""
    if isinstance(value, type) and issubclass(value, Baseline):
        return f"; call the class, {value.__name__}()"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"; the number of draws is samples={value}"
    if isinstance(value, float):
        return f"; a fixed number is Constant({value})"
    if isinstance(value, nn.Module):
        return "; a network that predicts the cost is Learned(network)"
    return ""
