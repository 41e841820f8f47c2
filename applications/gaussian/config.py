"""What a training is asked to do."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from applications.gaussian.gaussian import BASELINES
from applications.kit.options import Amount, Count, Limit, Steps, Training

Baseline = Literal[BASELINES]


@dataclass(frozen=True)
class Config(Training):
    """Every option of a training."""

    RESUMABLE: ClassVar = (*Training.RESUMABLE, "updates")
    RENAMED: ClassVar = {"steps": "updates"}

    reward: str | None = None
    """The reward: `module:function` or an image (default: the built-in regions)."""
    samples: Count = 100
    """Draws per update."""
    learning_rate: Amount = 0.1
    """Standard deviations per half the range of the reward."""
    baseline: Baseline = "leave-one-out"
    """What rewards are compared with."""
    updates: Steps = 120
    """Updates in all."""

    def limits(self) -> list[Limit]:
        """The updates, and the time."""
        return [Limit("updates", lambda state: state["update"], self.updates), *super().limits()]
