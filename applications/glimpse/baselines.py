"""The estimators and baselines that a training of the locator can choose from."""

import torch
from torch import Tensor, nn

import sfgrad as sf


class Critic(nn.Module):
    """Predicts the cost to go, given the state, the present error, and the glimpses to come.

    The present error needs the label, which the network does not know: a baseline may know anything
    that the draw does not influence.

    Args:
        hidden: size of the state.
    """

    def __init__(self, hidden: int):
        super().__init__()
        self.change = nn.Sequential(nn.Linear(hidden + 1, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, context: Tensor) -> Tensor:
        """`[R, hidden + 2]`: state, present error (nats), glimpses to come → `[R]`, nats."""
        error, left = context[:, -2], context[:, -1]
        return left * (error + self.change(context[:, :-1])[:, 0])


class Both(sf.Baseline):
    """A learned prediction, and leave-one-out on what it leaves over.

    Args:
        module: as for `sf.Learned`.

    Unbiased: yes; both parts are free of the draw.
    """

    compares = True

    def __init__(self, module: nn.Module):
        super().__init__()
        self.learned, self.others = sf.Learned(module), sf.LeaveOneOut()

    def at_draw(self, name: str, context: Tensor | None, samples: int) -> Tensor | None:
        """The prediction; refuses where there is nothing to compare."""
        self.others.at_draw(name, context, samples)
        return self.learned.at_draw(name, context, samples)

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The prediction, plus the mean of what it left over for the other samples."""
        assert prediction is not None
        return prediction + self.others.read(cost_to_go - prediction, None)

    def update(
        self, cost_to_go: Tensor, prediction: Tensor | None, mask: Tensor | None = None
    ) -> Tensor | None:
        """The prediction's squared error."""
        return self.learned.update(cost_to_go, prediction, mask)


class Watched(sf.Baseline):
    """A baseline whose fit is measured along the way.

    Args:
        baseline: what does the work.

    Unbiased: as the baseline.
    """

    spread: Tensor
    residual: Tensor

    def __init__(self, baseline: sf.Baseline):
        super().__init__()
        self.baseline, self.compares = baseline, baseline.compares
        self.register_buffer("spread", torch.zeros(()))
        self.register_buffer("residual", torch.zeros(()))

    def at_draw(self, name: str, context: Tensor | None, samples: int) -> Tensor | None:
        """The baseline's."""
        return self.baseline.at_draw(name, context, samples)

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """The baseline's; adds to the record."""
        value = self.baseline.read(cost_to_go, prediction)
        if self.training:
            self.spread += cost_to_go.var(correction=0)
            self.residual += (cost_to_go - value.detach()).var(correction=0)
        return value

    def update(
        self, cost_to_go: Tensor, prediction: Tensor | None, mask: Tensor | None = None
    ) -> Tensor | None:
        """The baseline's."""
        return self.baseline.update(cost_to_go, prediction, mask)

    def take_fit(self) -> float:
        """The share of the cost's variance that the baseline explained since the last call."""
        fit = 1 - (self.residual / self.spread).item() if self.spread else 0.0
        self.spread.zero_()
        self.residual.zero_()
        return fit


def choose_estimator(name: str, baseline: str, hidden: int) -> sf.Estimator:
    """The estimator of the locations, with its baseline.

    Args:
        name: `score-function`, `antithetic` or `pathwise`.
        baseline: `none`, `average`, `learned`, `leave-one-out` or `both`.
        hidden: size of the state that a learned baseline predicts from.
    """
    if name == "pathwise":
        return sf.Pathwise()
    kind = sf.Antithetic if name == "antithetic" else sf.ScoreFunction
    if baseline == "none":
        return kind()
    made = {
        "average": sf.MovingAverage,
        "learned": lambda: sf.Learned(Critic(hidden)),
        "leave-one-out": sf.LeaveOneOut,
        "both": lambda: Both(Critic(hidden)),
    }[baseline]()
    return kind(Watched(made))
