"""What every recipe counts and shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from applications.kit import trainer as kit
from applications.kit.display import sparkline

LOST_RETURN = -20.5
"""Mean return of a policy that loses nearly every point."""
NO_ENTROPY = 1e-3
"""Nats below which a policy no longer tries anything else."""


@dataclass
class Tally(kit.Tally):
    """What a run has done so far."""

    episodes: int = 0
    """Episodes learned from."""
    agent_steps: int = 0
    """Moves made, over all games."""
    recent: list[float] = field(default_factory=list)
    """Returns of the last 100 episodes."""
    course: list[float] = field(default_factory=list)
    """Mean return of the then last 50 episodes after each update."""

    def add(self, returns: list[float]) -> None:
        """Count an update and the episodes that ended with it."""
        self.update += 1
        self.episodes += len(returns)
        self.recent = (self.recent + returns)[-100:]
        if self.recent:
            self.course = [*self.course, fmean(self.recent[-50:])]

    def metrics(self) -> dict[str, float | None]:
        """What every line of metrics has."""
        return {
            "update": self.update,
            "seconds": round(self.seconds, 3),
            "agent_steps": self.agent_steps,
            "episodes": self.episodes,
            "mean_return": self.course[-1] if self.course else None,
            "mean_return_100": fmean(self.recent) if self.recent else None,
        }


class Trainer(kit.Trainer):
    """What the trainings of all recipes have in common; their tally is a `Tally`.

    Args:
        config: what to train.
    """

    work, work_name = "agent_steps", "agent steps"

    def __init__(self, config: Any):
        super().__init__(config, Tally(), "Pong from pixels")
        self.latest: dict[str, Any] = {}
        """What was told of the last update."""

    def line(self, returns: list[float], figures: Mapping[str, Any]) -> kit.Line:
        """An update's metrics: what is counted, and figures of its own."""
        self.latest = {**figures, "returns": returns}
        return {**self.tally.metrics(), "steps_per_second": round(self.speed(), 1), **self.latest}

    def columns(self) -> dict[str, str]:
        """What the display shows."""
        tally = self.tally
        shown = {"episodes": f"{tally.episodes:,}", "agent steps": f"{tally.agent_steps:,}"}
        shown = {unit: text for unit, text in shown.items() if unit not in self.counted()}
        for last in (50, 100):
            returns = tally.recent[-last:]
            if len(returns) > last - 50:
                shown[f"mean return of {len(returns)}"] = f"{fmean(returns):+.2f}"
        if tally.course:
            shown["mean return so far"] = sparkline(tally.course)
        return shown

    def counted(self) -> set[str]:
        """What progress is shown of already."""
        return {limit.unit for limit in self.limits()}

    def warning(self) -> str | None:
        """That the policy has given up: it loses, and tries nothing else."""
        tally, entropy = self.tally, self.latest.get("entropy")
        if entropy is None or entropy > NO_ENTROPY or tally.course[-1:] > [LOST_RETURN]:
            return None
        return (
            f"the policy loses ({tally.course[-1]:+.1f}) and has no entropy left "
            f"({entropy:.1g} nats): it tries nothing else and will not learn; lower "
            "--learning-rate or raise --entropy-coefficient"
        )
