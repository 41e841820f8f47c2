"""What a training is asked to do."""

from dataclasses import dataclass, replace

from applications.glimpse.tasks import DIGIT, TASKS, Task

POLICIES = ("learned", "random", "centre", "conv")
ESTIMATORS = ("score-function", "pathwise")
BASELINES = ("none", "average", "learned", "leave-one-out", "both")
CHEAPEST = 1e-3
"""Lowest price of a glimpse as a share of the highest, for a model that may stop."""
AROUND = 0.45
"""Radius of the first plan, in halves of a digit: so far around the digit is there more to see."""


@dataclass(frozen=True)
class Config:
    """Every option of a training; `None` means: as the task has it."""

    task: str = "mnist28"
    """A name in `TASKS`."""
    data: str = "mnist"
    """`mnist` or `fashion-mnist`."""
    policy: str = "learned"
    """Where to look: `learned`, `random` (anywhere), `centre` (stay there); or `conv`, a
    convolutional network that sees all of it."""
    glimpses: int | None = None
    """Glimpses per image; the first is at the centre."""
    patch: int | None = None
    """Samples a side of the retina."""
    scales: int | None = None
    """Scales of the retina."""
    hidden: int = 256
    """Units of the recurrent state."""
    features: int = 256
    """Units for what is seen, and as many for where; 128 in the paper."""
    spread: float | None = None
    """Where the glimpses after the first begin to learn from: on a circle of this radius around
    where the digit is thought to be, at first the centre. The image is 2 wide."""
    noise: float | None = None
    """Standard deviation of a location around its mean at first."""
    noise_end: float = 0.05
    """At the end, and in use; it falls linearly."""
    estimator: str = "score-function"
    """Of the locations; `pathwise` differentiates a smooth retina, as the contrast."""
    baseline: str = "learned"
    """Of the score function; `both` adds leave-one-out on what the learned one left over."""
    steering: float = 0.2
    """How much of the score function's gradient goes on from the locator to the state it reads: 0
    in the paper; 1 for a gradient without bias."""
    samples: int = 1
    """Paths per image, for leave-one-out."""
    every: float | None = None
    """Weight of the cross-entropy after each glimpse but the last, whose weight is 1; by default 1,
    and 0 with a price: there it would be a fee for every further glimpse."""
    stop_price: float | None = None
    """Highest price of a glimpse, nats: draw after each glimpse whether to look again."""
    warp: float = 1.0
    """Strength of the distortions of the training digits."""
    batch: int = 128
    """Images per update."""
    epochs: int = 60
    """The learning rate falls to 0 over so many times the training set."""
    learning_rate: float = 4e-3
    """Of Adam, at its highest."""
    locator_rate: float | None = None
    """The locator's share of it: its gradient is mostly noise, and Adam's step as large as any."""
    patience: int = 0
    """Stop after so many epochs without a better validation error; 0 for never."""
    precision: str | None = None
    """Of the matrix products in training, `float32` or `bfloat16`; weights are float32. `None`
    stands for the faster one on the processor at hand: a run times both before it begins, and
    keeps its choice when it is resumed."""
    start: str | None = None
    """Weights to begin from, a file; none for random ones."""
    seed: int = 0
    """Fixes the whole training."""
    seconds: float | None = None
    """Stop at a checkpoint after so many in all."""

    def __post_init__(self) -> None:
        """Fill in what depends on the task, and on whether looking has a price."""
        task = TASKS[self.task]
        spread = AROUND * DIGIT / task.canvas
        every = 1.0 if self.stop_price is None else 0.0
        start = {"spread": spread, "noise": task.noise, "locator_rate": task.rate, "every": every}
        for name, value in start.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)  # as dataclasses do in a frozen one

    def looks(self) -> Task:
        """The task with the retina and the number of glimpses that were asked for."""
        asked = {"patch": self.patch, "scales": self.scales, "glimpses": self.glimpses}
        return replace(TASKS[self.task], **{name: n for name, n in asked.items() if n is not None})


LIMITS = ("seconds", "patience")
"""In what a resumed run may differ."""
