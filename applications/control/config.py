"""What a training is asked to do."""

from dataclasses import dataclass
from pathlib import Path

from applications.control.environments import TASKS
from applications.kit.errors import RunError

RUNS = Path("runs/control")
"""Where runs go whose folder is not told."""
PICTURES = Path("pictures/control")
"""Where pictures go."""
METHODS = ("cross-entropy", "trust-region", "score-function", "deterministic")
UNITS = dict(zip(METHODS, (0, 64, 64, 64), strict=True))
"""Hidden units of each method's networks, unless told; 0 is a linear policy."""
STEPS = dict(zip(METHODS, (60_000, 150_000, 300_000, 20_000), strict=True))
"""Agent steps that each method may take, unless told."""


@dataclass(frozen=True)
class Config:
    """Every option of a training; the same for all methods.

    Raises:
        RunError: options that contradict each other.
    """

    method: str = "cross-entropy"
    """A name in `METHODS`."""
    environment: str = "CartPole-v1"
    """A name in `TASKS`."""
    units: int | None = None
    """Hidden units of policy and critic; by default those in `UNITS`."""
    population: int = 50
    """Policies that cross-entropy compares at a time."""
    bound: float = 0.02
    """Of the trust region, nats a state."""
    natural: bool = True
    """Whether the trust region follows the natural gradient."""
    learning_rate: float = 1e-2
    """Of Adam, for the policy of the score function."""
    steps: int | None = None
    """Stop after so many agent steps in all; by default those in `STEPS`."""
    seed: int = 0
    """Fixes the whole training."""
    seconds: float | None = None
    """Stop at a checkpoint after so many in all."""

    def __post_init__(self):
        if self.method == "deterministic" and TASKS[self.environment].discrete:
            raise RunError(
                f"{self.environment} has discrete actions, along which nothing can be "
                "differentiated: the deterministic policy gradient needs Pendulum-v1"
            )

    @property
    def hidden(self) -> int:
        """Hidden units of the networks."""
        return UNITS[self.method] if self.units is None else self.units

    @property
    def most(self) -> int:
        """Agent steps to take."""
        return STEPS[self.method] if self.steps is None else self.steps


LIMITS = ("seconds", "steps")
"""In what a resumed run may differ."""
