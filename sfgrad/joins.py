"""Joins: objectives of all copies of a row together, such as many-sample bounds."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from sfgrad.functional import leave_one_out


class Join(ABC):
    """One cost of a row, of what all of its copies give.

    Unbiased: as the join says.
    """

    @abstractmethod
    def join(self, log_weights: Tensor) -> tuple[Tensor, Tensor]:
        """The cost of every row, and what each copy's draws are compared with.

        Args:
            log_weights: `[S, R]`, nats: of S independent copies of R rows.

        Returns:
            The cost `[R]`, in nats, which may carry a derivative; and the baseline `[S, R]`, in
            nats and without gradient, of each copy free of that copy's own log-weight.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class VIMCO(Join):
    """The importance-weighted bound, with a baseline for every copy.

    `cost = log S − logsumexp_s(log w_s)`, minus the bound of S copies. The draws of copy s follow
    the score times the difference between the cost and what it would be if log w_s were the mean of
    the others' (w_s their geometric mean). A draw made before the copies follows the whole cost.

    Unbiased: yes, to any order, if the nodes after the branch draw by `ScoreFunction()` or
    `Pathwise()`.

    Source: Mnih & Rezende (2016), Variational Inference for Monte Carlo Objectives, eq. 7 to 10;
    the bound: Burda et al. (2016), Importance Weighted Autoencoders, eq. 8.
    """

    def join(self, log_weights: Tensor) -> tuple[Tensor, Tensor]:
        """Minus the bound of every row; and the same with each log-weight left out in turn."""
        copies = len(log_weights)
        cost = math.log(copies) - log_weights.logsumexp(0)

        weights = log_weights.detach()
        own = torch.eye(copies, dtype=torch.bool, device=weights.device).unsqueeze(2)
        without = torch.where(own, _mean_of_others(weights), weights)  # [S, S, R]
        baseline = math.log(copies) - without.logsumexp(1)

        # Where all others are impossible there is nothing to compare with.
        return cost, baseline.where(baseline.isfinite(), 0)


def _mean_of_others(log_weights: Tensor) -> Tensor:
    """The mean of the other copies' log-weights, `[S, R]`; −∞ where one of these is."""
    impossible = log_weights.isneginf()
    mean = leave_one_out(log_weights.masked_fill(impossible, 0), dim=0)
    return mean.masked_fill(impossible.sum(0) > impossible.long(), -torch.inf)


def check_join(what: str, join: object) -> None:
    """Refuse what is no join.

    Raises:
        TypeError: it is a class or anything else.
    """
    if not isinstance(join, Join):
        called = f"; call the class, {join.__name__}()" if isinstance(join, type) else ""
        raise TypeError(f"{what}: join is {join!r}: give an object such as VIMCO(){called}")
