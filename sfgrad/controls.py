"""Control variates: baselines that see more of a node than its cost to go.

A baseline b stands twice in the formula, as `(1 − ω)·b`. A control variate puts a pair in its
place, `k − ω·h`, which has the expectation 0 and so has its derivative, whatever the parameters.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.baselines import Baseline
from sfgrad.functional import leave_one_out


class Evidence(NamedTuple):
    """What is known of a node when the loss is taken, all without gradient.

    E enumerated copies, S copies made by the nearest branch, R rows before it, D elements.
    """

    cost_to_go: Tensor
    """`[E, S, R]`."""
    weight: Tensor
    """`[E, S, R]`: ω."""
    slope: Tensor | None = None
    """`[E, S, R, D]`: the slope of the cost to go in the drawn value, 0 where it has none;
    None unless `uses_slope`."""
    greedy: Tensor | None = None
    """`[E, S, R]`: the cost to go of the run whose draws are all the likeliest values; None unless
    `uses_greedy`."""
    observation: Any = None
    """What `observe` returned at the draw."""
    groups: Tensor | None = None
    """int64 `[B]`, from 0 up: rows `[B, …]` of equal number are compared; None for the S copies."""

    def others(self, values: Tensor) -> Tensor:
        """The mean over the other draws that are compared: `[E, S, R, ...]`, as the values."""
        if self.groups is None:
            return leave_one_out(values, dim=1)
        flat = values.reshape(len(self.groups), -1)
        return leave_one_out(flat, groups=self.groups).view_as(values)

    def sums(self, values: Tensor) -> Tensor:
        """The sums over the draws that are compared with each other.

        Args:
            values: `[E, S, R, D]`.

        Returns:
            `[E, R, D]`; or `[G, T, D]` of G groups of T steps.
        """
        if self.groups is None:
            return values.sum(1)
        rows = values.reshape(len(self.groups), -1, values.shape[-1])
        sums = rows.new_zeros(int(self.groups.max()) + 1, *rows.shape[1:])
        return sums.index_add(0, self.groups, rows)


class Control(Baseline):
    """What the graph asks of a control variate: `at_draw`, `observe`, `pair`, `learn`, in order."""

    uses_slope: bool = False
    """Whether it asks for the slope of the cost to go in the drawn value: one more backward
    pass through what comes after the node."""

    uses_greedy: bool = False
    """Whether it asks for a run of the model whose draws are the likeliest values."""

    takes_groups: bool = True
    """Whether it compares the rows of a group, where the graph has `groups=`."""

    @property
    def has_state(self) -> bool:
        """Whether it learns from the costs."""
        return type(self).learn is not Control.learn

    def observe(self, distribution: Distribution, value: Tensor, batch_ndims: int) -> Any:
        """What is to be kept of the draw, with its gradient; None for nothing.

        Args:
            distribution: of the node, over R rows.
            value: what was drawn, `[copies · R, ...]`.
            batch_ndims: leading dimensions of the distribution that are rows.
        """

    @abstractmethod
    def pair(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """What the cost to go is compared with: k and h, which broadcast to `[E, S, R]`.

        The expectations of k and of ω·h over the draw must be the same for all parameters, to the
        first order at least.
        """

    def learn(self, evidence: Evidence, mask: Tensor | None) -> Tensor | None:
        """Learn from the costs, after every baseline was read.

        Args:
            evidence: as in `pair`.
            mask: boolean `[E, S, R]`, True in the rows that count; None for all.

        Returns:
            `[]`, an error to be minimised along with the objective, or None.
        """

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """No baseline of its own; `pair` takes its place."""
        return torch.zeros_like(cost_to_go)
