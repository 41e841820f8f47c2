"""The options of a training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from applications.kit.errors import OptionError
from applications.kit.options import Amount, Count, Limit, Needs, Several, Training
from applications.memory.controllers import CONTROLLERS
from applications.memory.machine import MODES
from applications.memory.tasks import TASKS

RUNS = Path("runs/memory")
"""Parent of the run folders, unless `--run-dir` names one."""
PICTURES = Path("pictures/memory")
"""Folder of the pictures of shipped programs."""
Task = Literal[tuple(TASKS)]
Mode = Literal[MODES]
BASELINES = ("none", "average", "learned", "leave-one-out", "self-critical")


@dataclass(frozen=True)
class Config(Training):
    """Options of a training, for all tasks.

    Raises:
        OptionError: options that contradict each other.
    """

    RENAMED: ClassVar = {"entropy": "entropy_coefficient"}

    task: Task = "copy"
    """Task to learn."""
    mode: Mode = "moves"
    """How the memory is addressed."""
    controller: Literal[tuple(CONTROLLERS)] = "direct"
    """Network that controls the machine."""
    units: Count = 32
    """Units of the controller's state."""
    cells: Annotated[
        Several, Needs(lambda config: config.mode == "absolute", "--mode absolute")
    ] = 16
    """Memory cells in mode `absolute`; in other modes the input's length decides."""
    baseline: Literal[BASELINES] = "leave-one-out"
    """Baseline of the score function."""
    samples: Count = 8
    """Runs per problem, which leave-one-out compares."""
    batch: Count = 256
    """Runs per update, a multiple of `--samples`."""
    strict: bool = True
    """Reward a letter only as far as all letters before it were right."""
    entropy_coefficient: Amount = 0.15
    """Initial weight of the entropy bonus, per nat; it falls to 0 by four fifths of the updates."""
    first: Count = 3
    """Letters of a problem at the first level of the curriculum."""
    last: Count = 10
    """Letters of a problem at the last level; equal to `--first`, there is only one level."""
    slack: Amount = 1.0
    """Largest share of steps beyond those that a problem needs; the number is drawn."""
    updates: Count = 600
    """Number of updates."""
    learning_rate: Amount = 3e-3
    """Learning rate of Adam."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch % self.samples:
            raise OptionError(
                f"batch is {self.batch}, which {self.samples} samples of each problem do not "
                "divide: make it a multiple of them"
            )
        if self.baseline == "leave-one-out" and self.samples < 2:
            raise OptionError(
                "leave-one-out has nothing to compare with 1 sample: ask for --samples 2 or more, "
                "or another --baseline"
            )
        if self.mode == "absolute" and self.cells < self.last:
            raise OptionError(
                f"{self.cells} cells cannot hold {self.last} letters: ask for more --cells, or a "
                "smaller --last"
            )
        if self.first > self.last:
            raise OptionError(
                f"the first level has {self.first} letters, the last {self.last}: the first must "
                "not be above the last"
            )

    def limits(self) -> list[Limit]:
        """The updates, and the time."""
        return [Limit("updates", lambda state: state["update"], self.updates), *super().limits()]

    def name(self) -> str:
        """What its run folders are called."""
        return f"{self.task}-{self.mode}"
