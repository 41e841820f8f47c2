"""A distribution over orders."""

import itertools
import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from sfgrad.settings import describe, whole_number
from sfgrad.tensors import single

LARGEST = 1_000_000
"""The most orders that are enumerated."""


class Order(constraints.Constraint):
    """The first `k` places of an order of `n` items: whole numbers below `n`, all different."""

    is_discrete = True
    event_dim = 1

    def __init__(self, n: int, k: int):
        self.n, self.k = n, k
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Whether it is one, `[...]` for a value `[..., k]`."""
        if value.shape[-1] != self.k:
            return torch.zeros(value.shape[:-1], dtype=torch.bool, device=value.device)
        within = (value >= 0) & (value < self.n) & (value == value.round())
        ordered = value.sort(-1).values
        return within.all(-1) & (ordered[..., 1:] != ordered[..., :-1]).all(-1)

    def __repr__(self) -> str:
        return f"Order(n={self.n}, k={self.k})"


class Worth(constraints.Constraint):
    """Numbers below infinity, of which at least `k` are above −inf."""

    event_dim = 1

    def __init__(self, k: int):
        self.k = k
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Whether they are, `[...]` for a value `[..., n]`; NaN is not below infinity."""
        return (value < torch.inf).all(-1) & ((value > -torch.inf).sum(-1) >= self.k)

    def __repr__(self) -> str:
        return f"Worth(below infinity, at least {self.k} above -infinity)"


class PlackettLuce(Distribution):
    """Orders of n items, or of the first k: each place goes to one of the items that are left.

    `p(z) = Π_i exp(logits[z_i]) / Σ_{j not placed before i} exp(logits[j])`

    A value holds the indices of the items, the first place first: int64 `[..., k]`. It is used like
    any discrete distribution, for ranking and routing; with `k=1` it is a `Categorical`. Log-
    probabilities take memory for n numbers at each of the k places.

    Args:
        logits: `[..., n]`, nats, up to a constant that all items share; −inf for items that are
            never placed, if at least k others are left.
        k: how many places are filled; all n if None.
        validate_args: as in `torch.distributions`.

    Raises:
        ValueError: the logits have no dimension, are NaN or infinite, or leave fewer than k items
            above −inf; or `k` is not between 1 and n.
        TypeError: the logits are not a tensor, or `k` is not a whole number.

    Unbiased: as the estimator says; `ScoreFunction` to any order. `Enumerate` takes few items: n!
    orders.

    Source: Plackett (1975), The Analysis of Permutations. Drawn by sorting perturbed logits:
    Yellott (1977), The Relationship between Luce's Choice Axiom, Thurstone's Theory of Comparative
    Judgment, and the Double Exponential Distribution.

    Examples:
        >>> PlackettLuce(torch.tensor([0.0, 90.0, 45.0])).sample()
        tensor([1, 2, 0])
        >>> PlackettLuce(torch.zeros(3)).log_prob(torch.tensor([2, 0, 1])).exp()
        tensor(0.1667)
    """

    has_enumerate_support = True

    def __init__(self, logits: Tensor, k: int | None = None, validate_args: bool | None = None):
        if not torch.is_tensor(logits):
            raise TypeError(f"the logits of PlackettLuce are {describe(logits)}: give a tensor")
        if not logits.is_floating_point():
            raise TypeError(
                f"the logits of PlackettLuce are of {logits.dtype}: give logits.float()"
            )
        if not logits.dim() or not logits.shape[-1]:
            raise ValueError(
                f"the logits of PlackettLuce have shape {list(logits.shape)}: give one number for "
                "each item, [..., n]"
            )
        self.n = logits.shape[-1]
        self.k = self.n if k is None else whole_number("k", k)
        if self.k > self.n:
            raise ValueError(f"k is {k}, but there are {self.n} items: it must be at most that")
        self.logits = logits
        super().__init__(logits.shape[:-1], torch.Size([self.k]), validate_args=validate_args)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """Of the logits."""
        return {"logits": Worth(self.k)}

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> constraints.Constraint:  # type: ignore[override]
        """The first k places of every order."""
        return Order(self.n, self.k)

    @property
    def mode(self) -> Tensor:
        """The items by falling logits, `[*batch_shape, k]`."""
        return self._first(self.logits)

    @property
    def mean(self) -> Tensor:
        """There is none."""
        raise NotImplementedError(
            "PlackettLuce has no mean, as its values are numbers of items: use mode, or the mean "
            "of a function of samples"
        )

    @property
    def variance(self) -> Tensor:
        """There is none."""
        raise NotImplementedError(
            "PlackettLuce has no variance, as its values are numbers of items: use entropy(), or "
            "the variance of a function of samples"
        )

    def entropy(self) -> Tensor:
        """`−Σ_z p(z)·log p(z)` over all orders, `[*batch_shape]`, nats; with its derivatives.

        Takes k · n numbers for every order of every row.

        Raises:
            NotImplementedError: there are more than 1,000,000 orders.
        """
        try:
            orders = self.enumerate_support()
        except NotImplementedError as error:
            raise NotImplementedError(
                f"entropy() of PlackettLuce is a sum over all orders, but {error}: estimate it by "
                "the mean of -log_prob(sample())"
            ) from error
        log_prob = self.log_prob(orders)
        possible = log_prob > -torch.inf
        return -(log_prob.exp() * log_prob.where(possible, 0)).sum(0)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "PlackettLuce":
        """The same over a larger batch, without a copy of the logits."""
        new: Any = self._get_checked_instance(PlackettLuce, _instance)
        batch_shape = torch.Size(batch_shape)
        new.n, new.k = self.n, self.k
        new.logits = self.logits.expand(*batch_shape, self.n)
        Distribution.__init__(new, batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Orders, int64 `[*sample_shape, *batch_shape, k]`."""
        with torch.no_grad():
            # Half types have too few digits for noise that is to break ties.
            logits = single(self.logits).expand(*sample_shape, *self.logits.shape)
            tiny = torch.finfo(logits.dtype).tiny
            noise = -(-torch.log1p(-torch.rand_like(logits))).clamp(min=tiny).log()
            return self._first(logits + noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability, `[*sample_shape, *batch_shape]`, nats; in single precision at least."""
        if self._validate_args:
            self._validate_sample(value)
        value = value.long()
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        value = value.expand(*shape, self.k)
        logits = single(self.logits).expand(*shape, self.n)

        # The place of every item, k for those that got none; at place i, those from i on are left.
        places = torch.arange(self.k, device=value.device).expand_as(value)
        place = torch.full_like(logits, self.k, dtype=torch.int64).scatter(-1, value, places)
        is_left = place.unsqueeze(-2) >= places.unsqueeze(-1)  # [..., k, n]
        left = logits.unsqueeze(-2).masked_fill(~is_left, -torch.inf).logsumexp(-1)
        return (logits.gather(-1, value) - left).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All orders, int64 `[M, *batch_shape, k]`, or `[M, 1, …, 1, k]`; M = n! / (n − k)!."""
        count = math.perm(self.n, self.k)
        if count > LARGEST:
            raise NotImplementedError(
                f"{self.k} of {self.n} items have {count} orders, more than {LARGEST}"
            )
        orders = torch.tensor(list(itertools.permutations(range(self.n), self.k)))
        orders = orders.to(self.logits.device)
        orders = orders.view(count, *[1] * len(self.batch_shape), self.k)
        return orders.expand(count, *self.batch_shape, self.k) if expand else orders

    def _first(self, worth: Tensor) -> Tensor:
        """The k items of largest worth, in that order: `[..., k]`."""
        return worth.argsort(-1, descending=True)[..., : self.k]
