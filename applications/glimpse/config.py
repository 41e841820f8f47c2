"""The options of a training."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from applications.glimpse.precision import PRECISIONS
from applications.glimpse.tasks import DIGIT, TASKS, Task
from applications.kit.options import Amount, Count, Limit, Positive, Range, Several, Share, Training

RUNS = Path("runs/glimpse")
"""Parent of the run folders, unless `--run-dir` names one."""
TaskName = Literal[tuple(TASKS)]
LOWEST_PRICE_SHARE = 1e-3
"""Lowest price of a glimpse as a fraction of the highest, for a model that may stop."""
PLAN_RADIUS = 0.45
"""Radius of the first plan, in halves of a digit: within it there is more to see."""


@dataclass(frozen=True)
class Config(Training):
    """Options of a training; `None` stands for the task's own value."""

    RESUMABLE: ClassVar = (*Training.RESUMABLE, "patience")
    RENAMED: ClassVar = {"every": "earlier_weight"}

    task: TaskName = "mnist28"
    """The task: size of the image and clutter."""
    data: Literal["mnist", "fashion-mnist"] = "mnist"
    """Data set: digits or pieces of clothing."""
    policy: Literal["learned", "random", "centre", "conv"] = "learned"
    """Where to look: `learned`, `random` (anywhere) or `centre` (always there); `conv` is a
    convolutional network that sees the whole image."""
    glimpses: Count | None = None
    """Glimpses per image; the first is at the centre (default: the task's)."""
    patch: Several | None = None
    """Side of the retina, in samples (default: the task's)."""
    scales: Count | None = None
    """Number of scales of the retina (default: the task's)."""
    hidden: Count = 256
    """Units of the recurrent state."""
    features: Count = 256
    """Units for the contents of a glimpse, and as many for its location; 128 in the paper."""
    spread: Annotated[float, Range(0, 0.9)] | None = None
    """Radius of the circle on which the later glimpses are planned before training, around the
    supposed place of the digit, at first the centre; the image is 2 wide (default: the task's)."""
    noise: Annotated[float, Range(1e-6)] | None = None
    """Standard deviation of a location at the beginning of training (default: the task's)."""
    noise_end: Annotated[float, Range(1e-6)] = 0.05
    """Standard deviation of a location at the end of training and in use; it falls linearly."""
    estimator: Literal["score-function", "antithetic", "pathwise"] = "score-function"
    """Estimator of the locations' gradient: `antithetic` draws the paths of an image in mirrored
    pairs; `pathwise`, the control, uses a smooth retina."""
    baseline: Literal["none", "average", "learned", "leave-one-out", "both"] = "learned"
    """Baseline of the score function; `both` adds leave-one-out to the residual of `learned`."""
    steering: Share = 0.2
    """Share of the score function's gradient that passes from the locator to the state it reads: 0
    in the paper, 1 for an unbiased gradient."""
    samples: Count = 1
    """Paths per image, which leave-one-out compares."""
    earlier_weight: Amount | None = None
    """Weight of the cross-entropy after each glimpse but the last, whose weight is 1 (default: 1;
    with a price 0, since it would be a fee for every further glimpse)."""
    stop_price: Positive | None = None
    """Highest price of a glimpse in nats; with it, the model decides after each glimpse whether to
    look again (default: no decision)."""
    warp: Amount = 1.0
    """Strength of the distortion of the training digits."""
    batch: Count = 128
    """Images per update."""
    epochs: Count = 60
    """Epochs to train; the learning rate falls to 0 by the last one."""
    learning_rate: Amount = 4e-3
    """Highest learning rate of Adam."""
    locator_rate: Amount | None = None
    """Learning rate of the locator, as a fraction of the others' (default: the task's)."""
    patience: Annotated[int, Range(0)] = 0
    """Stop after this many epochs without a better validation error; 0 for no limit."""
    precision: Literal[PRECISIONS] | None = None
    """Precision of the matrix products in training; weights are float32. A run times
    both before it begins, and keeps its choice when resumed (default: the faster one)."""
    start: str | None = None
    """File of the initial weights (default: random ones)."""

    def __post_init__(self) -> None:
        """Fill in the defaults that depend on the task and on the price."""
        super().__post_init__()
        task = TASKS[self.task]
        self.fill(
            spread=PLAN_RADIUS * DIGIT / task.canvas,
            noise=task.noise,
            locator_rate=task.rate,
            earlier_weight=1.0 if self.stop_price is None else 0.0,
        )
        if self.estimator == "antithetic":
            self._check_pairs()

    def _check_pairs(self) -> None:
        """Refuse mirrored pairs of an odd number of paths, or compared with each other."""
        if self.samples % 2:
            raise ValueError(
                f"estimator antithetic draws pairs of paths, but samples is {self.samples}: give "
                "an even number"
            )
        if self.baseline in ("leave-one-out", "both"):
            raise ValueError(
                f"baseline {self.baseline} compares the paths of an image, which estimator "
                "antithetic draws together: use baseline learned, average or none"
            )

    def looks(self) -> Task:
        """The task, with the retina and the number of glimpses of this config."""
        own = {"patch": self.patch, "scales": self.scales, "glimpses": self.glimpses}
        changes = {name: number for name, number in own.items() if number is not None}
        return replace(TASKS[self.task], **changes)

    def limits(self) -> list[Limit]:
        """The epochs, those in a row without progress, and the time."""
        epochs = Limit("epochs", lambda state: len(state["course"]), self.epochs)
        idle = Limit(
            "epochs without progress",
            lambda state: len(state["course"]) - state["best_epoch"],
            self.patience,
        )
        return [epochs, *([idle] if self.patience else []), *super().limits()]
