"""What a training is asked to do."""

from dataclasses import dataclass
from pathlib import Path

from applications.kit.errors import RunError

RUNS = Path("runs/memory")
"""Where runs go whose folder is not told."""
PICTURES = Path("pictures/memory")
"""Where pictures of shipped programs go."""
BASELINES = ("none", "average", "learned", "leave-one-out")


@dataclass(frozen=True)
class Config:
    """Every option of a training; the same for all tasks.

    Raises:
        RunError: options that contradict each other.
    """

    task: str = "copy"
    """A name in `TASKS`."""
    mode: str = "moves"
    """How memory is addressed, a name in `MODES`."""
    controller: str = "direct"
    """A name in `CONTROLLERS`."""
    units: int = 32
    """Of the controller's state."""
    cells: int = 16
    """Of the memory in mode `absolute`; in the others it is as long as the input."""
    baseline: str = "leave-one-out"
    """Of the score function: a name in `BASELINES`."""
    samples: int = 8
    """Runs per problem, which leave-one-out compares."""
    batch: int = 256
    """Runs per update; a whole number of problems."""
    strict: bool = True
    """A letter counts only as far as all before it were right."""
    entropy: float = 0.15
    """Reward for the entropy of a choice, per nat, at first; 0 from four fifths of the updates."""
    first: int = 3
    """Letters of a problem at the first level of the curriculum."""
    last: int = 10
    """Letters at the last level; with the first the same there is only one, and its mixture."""
    slack: float = 1.0
    """A problem may take up to this share more steps than it needs; how many is drawn."""
    updates: int = 600
    """Updates to make."""
    learning_rate: float = 3e-3
    """Of Adam."""
    seed: int = 0
    """Fixes the whole training."""
    seconds: float | None = None
    """Stop at a checkpoint after so many in all."""

    def __post_init__(self):
        if self.batch % self.samples:
            raise RunError(
                f"batch is {self.batch}, which {self.samples} samples of each problem do not "
                "divide: make it a multiple of them"
            )
        if self.baseline == "leave-one-out" and self.samples < 2:
            raise RunError(
                "leave-one-out has nothing to compare with 1 sample: ask for --samples 2 or more, "
                "or another --baseline"
            )
        if self.mode == "absolute" and self.cells < self.last:
            raise RunError(
                f"{self.cells} cells cannot hold {self.last} letters: ask for more --cells, or a "
                "smaller --last"
            )
        if self.first > self.last:
            raise RunError(
                f"the first level has {self.first} letters, the last {self.last}: the first must "
                "not be above the last"
            )


LIMITS = ("seconds",)
"""In what a resumed run may differ."""
