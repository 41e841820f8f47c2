"""Baselines: what a node's cost to go is compared with.

A baseline leaves the gradient unbiased as long as it does not depend on the draw it is used for.
The graph therefore reads all baselines before it updates any.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from sfgrad.functional import leave_one_out


class Baseline(nn.Module, ABC):
    """What the graph asks of a baseline, in this order: `at_draw`, `read`, `update`.

    Costs to go come as `[E, S, R]`: E enumerated or coupled copies, S independent draws that share
    their past up to the nearest branch (1 where there is none), R rows before that branch.
    """

    def at_draw(self, name: str, context: Tensor | None, samples: int) -> Tensor | None:
        """Evaluate what must be known before the draw has consequences; refuse what cannot work.

        Args:
            name: the node, for errors.
            context: `[R, ...]` or None: what the user gave to `sample`.
            samples: S, the number of independent draws to compare.

        Returns:
            `[R]`, a prediction of the cost to go, or None.
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

    def update(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor | None:
        """Learn from the costs, after every baseline was read.

        Returns:
            `[]`, an error to be minimised along with the objective, or None.
        """


class Constant(Baseline):
    """The same number for every draw.

    Args:
        value: in the unit of the cost.

    Unbiased: yes.

    Source: Williams (1992), Simple statistical gradient-following algorithms, eq. 6.
    """

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The number."""
        return cost_to_go.new_tensor(self.value)


class MovingAverage(Baseline):
    """Exponential moving average of past costs to go, corrected for its start at zero.

    It is read before it is updated: an average that already holds the present cost would bias the
    gradient. Keep the object (in a `StochasticNode`, say): a new one knows nothing and reads 0.

    Args:
        decay: in [0, 1): the weight of the past at each update, one update per call of the node.

    Raises:
        ValueError: the decay is outside [0, 1).

    Unbiased: yes.

    Source: Mnih & Gregor (2014), Neural Variational Inference and Learning, section 2.3; the
    correction: Kingma & Ba (2015), Adam, section 3.
    """

    average: Tensor
    mass: Tensor

    def __init__(self, decay: float = 0.99):
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}: it must be in [0, 1)")
        self.decay = decay
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("mass", torch.zeros(()))

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The mean of the past, 0 when there is none."""
        if self.average.device != cost_to_go.device:
            devices = f"{self.average.device} but the costs are on {cost_to_go.device}"
            raise ValueError(f"the moving average is on {devices}: own it in a StochasticNode")
        return torch.where(self.mass > 0, self.average / self.mass, self.average)

    def update(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor | None:
        """Take the mean over all rows in."""
        self.average.lerp_(cost_to_go.mean().to(self.average.dtype), 1 - self.decay)
        self.mass.lerp_(torch.ones_like(self.mass), 1 - self.decay)


class LeaveOneOut(Baseline):
    """Mean cost to go of the other draws for the same original row.

    Compares the copies made by the nearest branch: the node's own `samples`, else an earlier
    node's, a `branch`, or `expectation(samples=)`.

    Raises:
        ValueError: at the draw, if there is only one.

    Unbiased: yes.

    Source: Kool et al. (2019), Buy 4 REINFORCE samples, get a baseline for free!, eq. 8.
    """

    def at_draw(self, name: str, context: Tensor | None, samples: int) -> Tensor | None:
        """Refuse where there is nothing to compare."""
        if samples < 2:
            found = f"node {name!r}: leave-one-out has nothing to compare, every row is drawn once"
            raise ValueError(f"{found}: use samples=2 of expectation() or of the node, or branch()")

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The mean of the others."""
        return leave_one_out(cost_to_go, dim=1)


class Learned(Baseline):
    """A module's prediction of the cost to go from what was known before the draw.

    It learns from the same `loss.backward()` by its squared error, which is added to the loss as
    `error − stop(error)`: the value of the loss stays the objective. The context is detached, so
    nothing but the module learns to predict.

    Args:
        module: maps `context` `[R, ...]` to `[R]` or `[R, 1]`, in the unit of the cost.

    Raises:
        ValueError: at the draw, if there is no context, or the module returns another shape.

    Unbiased: yes, if the context does not depend on the draw.

    Source: Mnih & Gregor (2014), Neural Variational Inference and Learning, section 2.3.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def at_draw(self, name: str, context: Tensor | None, samples: int) -> Tensor | None:
        """Predict, before anything written in place afterwards could leak the draw."""
        if context is None:
            raise ValueError(f"node {name!r} has a Learned baseline but no context: pass context=")
        prediction: Tensor = self.module(context.detach())
        if prediction.shape not in (context.shape[:1], (*context.shape[:1], 1)):
            shapes = f"{list(prediction.shape)} for {len(context)} rows of context"
            raise ValueError(f"node {name!r}: Learned returned shape {shapes}, not [R] or [R, 1]")
        return prediction.reshape(-1)

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The prediction made at the draw."""
        assert prediction is not None
        return prediction

    def update(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor | None:
        """Mean squared error of the prediction."""
        assert prediction is not None
        return (prediction - cost_to_go).square().mean()
