"""What a training is asked to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from applications.control.environments import TASKS
from applications.kit.errors import OptionError
from applications.kit.options import Amount, Count, Limit, Needs, Positive, Several, Steps, Training

RUNS = Path("runs/control")
"""Where runs go whose folder is not told."""
PICTURES = Path("pictures/control")
"""Where pictures go."""
METHODS = ("cross-entropy", "trust-region", "score-function", "deterministic")
UNITS = dict(zip(METHODS, (0, 64, 64, 64), strict=True))
"""Hidden units of each method's networks, unless told; 0 is a linear policy."""
STEPS = dict(zip(METHODS, (60_000, 150_000, 300_000, 20_000), strict=True))
"""Agent steps that each method may take, unless told."""


def only(method: str) -> Needs:
    """For an option of one method."""
    return Needs(lambda config: config.method == method, f"--method {method}")


@dataclass(frozen=True)
class Config(Training):
    """Every option of a training; the same for all methods.

    Raises:
        OptionError: options that contradict each other.
    """

    RESUMABLE: ClassVar = (*Training.RESUMABLE, "max_steps")
    RENAMED: ClassVar = {"bound": "max_kl", "steps": "max_steps"}

    method: Literal[METHODS] = "cross-entropy"
    """Learning method."""
    environment: Literal[tuple(TASKS)] = "CartPole-v1"
    """Environment to learn."""
    units: Steps | None = None
    """Hidden units of policy and critic, 64 by default; 0 (cross-entropy's default): linear."""
    population: Annotated[Several, only("cross-entropy")] = 50
    """Policies that cross-entropy compares at a time."""
    max_kl: Annotated[Positive, only("trust-region")] = 0.02
    """Largest KL divergence of a step of the trust region, nats per state."""
    natural: Annotated[bool, only("trust-region")] = True
    """Whether the trust region follows the natural gradient."""
    learning_rate: Annotated[Amount, only("score-function")] = 1e-2
    """Adam's learning rate for the policy, method `score-function`."""
    max_steps: Count | None = None
    """Stop after this many agent steps in all; by default 20,000 to 300,000, by method."""

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
        """Agent steps to take."""
        return STEPS[self.method] if self.max_steps is None else self.max_steps

    def limits(self) -> list[Limit]:
        """The agent steps, and the time."""

        def steps(state: Any) -> float:
            return state["agent_steps"]

        return [Limit("agent steps", steps, self.most), *super().limits()]

    def name(self) -> str:
        """What its run folders are called."""
        return f"{self.environment}-{self.method}"
