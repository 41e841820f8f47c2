"""What a training is asked to do."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from applications.glimpse.precision import PRECISIONS
from applications.glimpse.tasks import DIGIT, TASKS, Task
from applications.kit.options import Amount, Count, Limit, Positive, Range, Several, Share, Training

RUNS = Path("runs/glimpse")
"""Where runs go whose folder is not told."""
TaskName = Literal[tuple(TASKS)]
CHEAPEST = 1e-3
"""Lowest price of a glimpse as a share of the highest, for a model that may stop."""
AROUND = 0.45
"""Radius of the first plan, in halves of a digit: so far around the digit is there more to see."""


@dataclass(frozen=True)
class Config(Training):
    """Every option of a training; `None` means: as the task has it."""

    RESUMABLE: ClassVar = (*Training.RESUMABLE, "patience")
    RENAMED: ClassVar = {"every": "earlier_weight"}

    task: TaskName = "mnist28"
    """Task: the size of the image, and what is in it besides the digit."""
    data: Literal["mnist", "fashion-mnist"] = "mnist"
    """Images: digits, or pieces of clothing."""
    policy: Literal["learned", "random", "centre", "conv"] = "learned"
    """Where to look: `learned`, `random` (anywhere), `centre` (stay there); or `conv`, a
    convolutional network that sees all of it."""
    glimpses: Count | None = None
    """Glimpses per image; the first is at the centre."""
    patch: Several | None = None
    """Samples along a side of the retina."""
    scales: Count | None = None
    """Scales of the retina."""
    hidden: Count = 256
    """Units of the recurrent state."""
    features: Count = 256
    """Units for what is seen, and as many for where; 128 in the paper."""
    spread: Annotated[float, Range(0, 0.9)] | None = None
    """Where the glimpses after the first begin to learn from: on a circle of this radius around
    where the digit is thought to be, at first the centre. The image is 2 wide."""
    noise: Annotated[float, Range(1e-6)] | None = None
    """Standard deviation of a location around its mean at first."""
    noise_end: Annotated[float, Range(1e-6)] = 0.05
    """The same at the end of training and in use; it falls linearly."""
    estimator: Literal["score-function", "antithetic", "pathwise"] = "score-function"
    """Estimator for the locations: `antithetic` draws the paths of an image in mirrored pairs; for
    comparison `pathwise` differentiates a smooth retina."""
    baseline: Literal["none", "average", "learned", "leave-one-out", "both"] = "learned"
    """Baseline of the score function; `both` adds leave-one-out to what `learned` leaves."""
    steering: Share = 0.2
    """How much of the score function's gradient goes on from the locator to the state it reads: 0
    in the paper; 1 for a gradient without bias."""
    samples: Count = 1
    """Paths per image, for leave-one-out."""
    earlier_weight: Amount | None = None
    """Weight of the cross-entropy after each glimpse but the last, whose weight is 1; by default 1,
    and 0 with a price: there it would be a fee for every further glimpse."""
    stop_price: Positive | None = None
    """Highest price of a glimpse, nats: draw after each glimpse whether to look again."""
    warp: Amount = 1.0
    """Strength of the distortions of the training digits."""
    batch: Count = 128
    """Images per update."""
    epochs: Count = 60
    """Passes over the training set, in which the learning rate falls to 0."""
    learning_rate: Amount = 4e-3
    """Adam's learning rate at its highest."""
    locator_rate: Amount | None = None
    """The locator's share of it: its gradient is mostly noise, and Adam's step as large as any."""
    patience: Annotated[int, Range(0)] = 0
    """Stop after this many epochs without a better validation error; 0 for never."""
    precision: Literal[PRECISIONS] | None = None
    """Of the matrix products in training, `float32` or `bfloat16`; weights are float32. `None`
    stands for the faster one on the processor at hand: a run times both before it begins, and
    keeps its choice when it is resumed."""
    start: str | None = None
    """File of weights to begin from; by default they are random."""

    def __post_init__(self) -> None:
        """Fill in what depends on the task, and on whether looking has a price."""
        super().__post_init__()
        task = TASKS[self.task]
        self.fill(
            spread=AROUND * DIGIT / task.canvas,
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
        """The task with the retina and the number of glimpses that were asked for."""
        asked = {"patch": self.patch, "scales": self.scales, "glimpses": self.glimpses}
        return replace(TASKS[self.task], **{name: n for name, n in asked.items() if n is not None})

    def limits(self) -> list[Limit]:
        """The epochs, those in a row without progress, and the time."""
        epochs = Limit("epochs", lambda state: len(state["course"]), self.epochs)
        idle = Limit(
            "epochs without progress",
            lambda state: len(state["course"]) - state["best_epoch"],
            self.patience,
        )
        return [epochs, *([idle] if self.patience else []), *super().limits()]
