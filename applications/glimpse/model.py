"""The glimpse model: what is seen where, a state that remembers, where to look next, a class."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal

import sfgrad as sf
from applications.glimpse.baselines import choose_estimator
from applications.glimpse.config import Config
from applications.glimpse.retina import Retina
from applications.glimpse.tasks import DIGIT

CLASSES = 10
CONTRAST = 4.0
"""Factor that brings the standard deviation of a mostly dark glimpse nearer to 1."""
CONV_WEIGHTS = 500_000
"""Weights of the convolutional network's layer; about as many as the whole glimpse model has."""


class Glimpse(NamedTuple):
    """One look of all rows, and what is believed after it."""

    location: Tensor
    """`[R, 2]`, (x, y), −1 to 1 within the image."""
    seen: Tensor
    """`[R, scales · patch²]`."""
    logits: Tensor
    """`[R, 10]`."""
    error: Tensor | None
    """`[R]`, cross-entropy, nats, where the labels are known."""
    looking: Tensor
    """`[R]`, 1 where this glimpse was made, 0 where looking had stopped before."""
    last: Tensor
    """`[R]`, 1 where it was the row's last."""


class GlimpseModel(nn.Module):
    """Looks a few times and says what it saw.

    A module whose call records, in the active graph, one cost per row after each glimpse, so that
    `sf.expectation(model)` is the training loss. Outside a graph `look` simply looks.

    Args:
        config: sizes, policy and estimator.

    Unbiased: yes with `steering = 1`. With less, the locator's own gradient is unbiased, and what
    feeds it gets that share of the score function's and all of backpropagation's.

    Source: Mnih et al. (2014), Recurrent Models of Visual Attention, sections 3 and 4.
    """

    def __init__(self, config: Config):
        super().__init__()
        task, hidden = config.looks(), config.hidden
        self.glimpses, self.noise, self.earlier_weight = (
            task.glimpses,
            config.noise_end,
            config.earlier_weight,
        )
        self.policy, self.stop_price = config.policy, config.stop_price
        self.steering = config.steering
        self.retina = Retina(task.patch, task.scales)
        self.what = nn.Linear(self.retina.features, config.features)
        self.where = nn.Linear(2, config.features)
        self.join = nn.Linear(2 * config.features, hidden)
        self.core = Core(hidden)
        self.classify = nn.Linear(hidden, CLASSES)
        if self.policy == "learned" and self.glimpses > 1:
            self.locate = head(hidden, 2)
            self.plan = nn.Parameter(circle(self.glimpses - 1, config.spread).atanh())
            self.place = sf.StochasticNode(
                choose_estimator(config.estimator, config.baseline, hidden)
            )
        if self.stop_price is not None:
            self.weary = head(hidden + 1, 1)
            self.stop = sf.StochasticNode(sf.ScoreFunction(sf.Learned(head(hidden + 2, 1))))

    def look(
        self,
        table: Tensor,
        *,
        labels: Tensor | None = None,
        price: Tensor | float | None = None,
        mean: bool = False,
    ) -> Iterator[Glimpse]:
        """Look at all images, one glimpse after the other.

        Args:
            table: `[R, H + 1, W + 1]`, `integral` of the images.
            labels: int64 `[R]`, for the errors; None where there is nothing to learn.
            price: `[R]` or for all rows, nats per glimpse, for a model that may stop; None for its
                highest.
            mean: go to the mean location and stop where that is likelier, instead of drawing.
        """
        rows, price = len(table), self.prices(len(table), price)
        hidden = table.new_zeros(rows, self.core.hidden_size)
        location, looking = table.new_zeros(rows, 2), table.new_ones(rows)
        error = None
        for left in reversed(range(self.glimpses)):
            if left < self.glimpses - 1:
                known = None if error is None else critic_sees(hidden, error, left + 1)
                location = self.next_location(hidden, left, looking, known, mean)
            seen = self.retina(table, location, self.pathwise)
            glimpse = F.relu(torch.cat((self.what(CONTRAST * seen), self.where(location)), 1))
            hidden = self.core(F.relu(self.join(glimpse)), hidden)
            logits = self.classify(hidden).to(table.dtype)
            if labels is not None:
                error = F.cross_entropy(logits, labels, reduction="none")
            on = looking if left else torch.zeros_like(looking)
            if price is not None and left:
                on = on * self.go_on(hidden, error, price, looking, mean)
            yield Glimpse(location, seen, logits, error, looking, looking - on)
            looking = on

    def next_location(
        self, hidden: Tensor, left: int, looking: Tensor, known: Tensor | None, mean: bool
    ) -> Tensor:
        """Where to look next, `[R, 2]`; the baseline sees what is `known`, `[R, ...]`."""
        if self.policy == "centre":
            return looking.new_zeros(len(looking), 2)
        if self.policy == "random":
            return 2 * torch.rand(len(hidden), 2, device=hidden.device) - 1
        state = hidden if self.pathwise else hidden.detach().lerp(hidden, self.steering)
        planned = self.plan[max(len(self.plan) - 1 - left, 0)]
        centre = (planned + self.locate(state).to(looking.dtype)).tanh()
        if mean:
            return centre
        place = Independent(Normal(centre, self.noise, validate_args=False), 1, validate_args=False)
        return self.place(place, context=known, mask=self.counted(looking))

    def go_on(
        self, hidden: Tensor, error: Tensor | None, price: Tensor, looking: Tensor, mean: bool
    ) -> Tensor:
        """Whether to look again, `[R]`; the error is for the baseline."""
        state = torch.cat((hidden.detach(), price[:, None].log()), 1)
        logits = 3 - self.weary(state)[:, 0].to(looking.dtype)  # at first it mostly goes on
        if mean:
            return (logits > 0).to(looking.dtype)
        known = None if error is None else torch.cat((state, error.detach()[:, None]), 1)
        go_on = Bernoulli(logits=logits, validate_args=False)
        return self.stop(go_on, context=known, mask=self.counted(looking))

    def counted(self, looking: Tensor) -> Tensor | None:
        """The rows whose draws count, boolean `[R]`; None for all, where looking never stops."""
        return None if self.stop_price is None else looking > 0

    def prices(self, rows: int, price: Tensor | float | None = None) -> Tensor | None:
        """Of a glimpse, `[R]`, nats: as given, or the highest; None where looking never stops."""
        if self.stop_price is None:
            return None
        return torch.as_tensor(self.stop_price if price is None else price).expand(rows)

    @property
    def pathwise(self) -> bool:
        """Whether the gradient flows through the locations."""
        return hasattr(self, "place") and isinstance(self.place.estimator, sf.Pathwise)

    @property
    def draws(self) -> bool:
        """Whether it has a node that samples."""
        return any(isinstance(module, sf.StochasticNode) for module in self.modules())

    def costs(
        self, table: Tensor, labels: Tensor, price: Tensor | float | None = None
    ) -> Iterator[Tensor]:
        """Look, and tell the costs `[R]` as they arise: cross-entropy, nats, and prices.

        Args:
            table: `[R, H + 1, W + 1]`, `integral` of the images.
            labels: int64 `[R]`.
            price: as for `look`; every glimpse but the first has it.
        """
        price = self.prices(len(labels), price)
        for glimpse in self.look(table, labels=labels, price=price):
            assert glimpse.error is not None
            due = glimpse.last + self.earlier_weight * (glimpse.looking - glimpse.last)
            yield due * glimpse.error
            if price is not None:
                yield price * (glimpse.looking - glimpse.last)

    def forward(self, table: Tensor, labels: Tensor, price: Tensor | float | None = None) -> None:
        """Look, and record the costs; arguments as for `costs`."""
        for cost in self.costs(table, labels, price):
            sf.add_cost(cost)

    def plain_loss(
        self, table: Tensor, labels: Tensor, price: Tensor | float | None = None
    ) -> Tensor:
        """The mean total cost, of a model that samples nothing and so needs no graph."""
        return torch.stack(list(self.costs(table, labels, price))).sum(0).mean()


class Core(nn.Module):
    """The state that remembers: `h ← (1 − z) · h + z · ReLU(W [x, h])`, with the gate z a sigmoid.

    Args:
        size: units, of the state and of the input.

    Source: Ravanelli et al. (2018), Light Gated Recurrent Units for Speech Recognition.
    """

    def __init__(self, size: int):
        super().__init__()
        self.hidden_size = size
        self.linear = nn.Linear(2 * size, 2 * size)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """`[R, size]`, `[R, size]` → `[R, size]`."""
        gate, new = self.linear(torch.cat((x, hidden), 1)).to(hidden.dtype).chunk(2, 1)
        return hidden.lerp(F.relu(new), gate.sigmoid())


def circle(points: int, radius: float) -> Tensor:
    """Points on a circle, clockwise from the top, `[points, 2]`, (x, y)."""
    angle = 2 * torch.pi * torch.arange(points) / max(points, 1)
    return radius * torch.stack((angle.sin(), -angle.cos()), 1)


def critic_sees(hidden: Tensor, error: Tensor, left: int) -> Tensor:
    """The context of a `Critic`, `[R, hidden + 2]`."""
    return torch.cat((hidden, error.detach()[:, None], error.new_full((len(error), 1), left)), 1)


def head(inputs: int, outputs: int) -> nn.Sequential:
    """A small network that starts at 0."""
    last = nn.Linear(128, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), last)


class ConvNet(nn.Module):
    """Sees the whole image: two convolutions and a layer, as many weights as the glimpse model.

    Args:
        canvas: side of the image, pixels.
    """

    def __init__(self, canvas: int):
        super().__init__()
        stride = 1 if canvas == DIGIT else 2
        first = ((canvas - 5) // stride + 1) // 2
        side = (first - 4) // 2
        units = round(CONV_WEIGHTS / (32 * side**2))
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * side**2, units),
            nn.ReLU(),
            nn.Linear(units, CLASSES),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Uint8 `[B, canvas, canvas]` → logits `[B, 10]`."""
        return self.layers(CONTRAST / 255 * images[:, None]).float()


def make_model(config: Config) -> nn.Module:
    """The network that a config asks for."""
    return ConvNet(config.looks().canvas) if config.policy == "conv" else GlimpseModel(config)
