"""The options of a training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from applications.control.environments import TASKS
from applications.kit.errors import OptionError
from applications.kit.options import Amount, Count, Limit, Needs, Positive, Several, Steps, Training

RUNS = Path("runs/control")
"""Parent of the run folders, unless `--run-dir` names one."""
PICTURES = Path("pictures/control")
"""Folder of the pictures, unless `--output` names one."""
METHODS = ("cross-entropy", "trust-region", "score-function", "deterministic")
UNITS = dict(zip(METHODS, (0, 64, 64, 64), strict=True))
"""Default number of hidden units of each method; 0 is a linear policy."""
STEPS = dict(zip(METHODS, (60_000, 150_000, 300_000, 20_000), strict=True))
"""Default number of agent steps of each method."""


def only(method: str) -> Needs:
    """The condition of an option that one method has."""
    return Needs(lambda config: config.method == method, f"--method {method}")


@dataclass(frozen=True)
class Config(Training):
    """Options of a training, for all methods.

    Raises:
        OptionError: options that contradict each other.
    """

    RESUMABLE: ClassVar = (*Training.RESUMABLE, "max_steps")
    RENAMED: ClassVar = {"bound": "max_kl", "steps": "max_steps"}

    method: Literal[METHODS] = "cross-entropy"
    """Method of learning."""
    environment: Literal[tuple(TASKS)] = "CartPole-v1"
    """Environment to learn."""
    units: Steps | None = None
    """Hidden units of policy and critic; 0 for linear (default: 64; 0 with cross-entropy)."""
    population: Annotated[Several, only("cross-entropy")] = 50
    """Policies that cross-entropy compares in a generation."""
    max_kl: Annotated[Positive, only("trust-region")] = 0.02
    """Largest divergence of the trust region's step, in nats per state."""
    natural: Annotated[bool, only("trust-region")] = True
    """Follow the natural gradient in the trust region's step."""
    learning_rate: Annotated[Amount, only("score-function")] = 1e-2
    """Learning rate of Adam for the policy of the score function."""
    max_steps: Count | None = None
    """Stop after this many agent steps in total (default: 20,000 to 300,000, by method)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "deterministic" and TASKS[self.environment].discrete:
            raise OptionError(
                f"{self.environment} has discrete actions, along which nothing can be "
                "differentiated: the deterministic policy gradient needs Pendulum-v1"
            )

    @property
    def hidden(self) -> int:
        """Hidden units of the networks."""
        return UNITS[self.method] if self.units is None else self.units

    @property
    def most(self) -> int:
        """The limit on agent steps."""
        return STEPS[self.method] if self.max_steps is None else self.max_steps

    def limits(self) -> list[Limit]:
        """The agent steps, and the time."""

        def steps(state: Any) -> float:
            return state["agent_steps"]

        return [Limit("agent steps", steps, self.most), *super().limits()]

    def name(self) -> str:
        """What its run folders are called."""
        return f"{self.environment}-{self.method}"
