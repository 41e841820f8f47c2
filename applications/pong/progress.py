"""What every recipe counts and shows."""

from dataclasses import dataclass, field
from statistics import fmean

from applications.kit.display import duration, sparkline


@dataclass
class Tally:
    """What a run has done so far."""

    update: int = 0
    """Updates made."""
    episodes: int = 0
    """Episodes learned from."""
    agent_steps: int = 0
    """Moves made, over all games."""
    seconds: float = 0.0
    """Time spent training."""
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

    def speed(self, before: "Tally") -> float:
        """Agent steps per second since then."""
        return (self.agent_steps - before.agent_steps) / max(self.seconds - before.seconds, 1e-9)

    def metrics(self, before: "Tally") -> dict[str, float | None]:
        """What every line of metrics has; `before` is the tally when this training began."""
        return {
            "update": self.update,
            "seconds": round(self.seconds, 3),
            "agent_steps": self.agent_steps,
            "episodes": self.episodes,
            "mean_return": self.course[-1] if self.course else None,
            "mean_return_100": fmean(self.recent) if self.recent else None,
            "steps_per_second": round(self.speed(before), 1),
        }

    def figures(
        self, before: "Tally", limits: list[tuple[float, float, float | None]]
    ) -> dict[str, str]:
        """What the display shows.

        Args:
            before: the tally when this training began.
            limits: what may end it: where that stood, stands, and must get to; None for never.
        """
        spent, part = self.seconds - before.seconds, 0.0
        for start, now, end in limits:
            if end is not None:
                part = max(part, (now - start) / (end - start) if end > start else 1.0)
        left = duration(max(spent / part - spent, 0.0)) if part else "?"
        shown = {
            "updates": f"{self.update:,}",
            "agent steps": f"{self.agent_steps:,} ({self.speed(before):,.0f}/s)",
            "time": f"{duration(self.seconds)}, {left} left",
        }
        for last in (50, 100):
            returns = self.recent[-last:]
            if len(returns) > last - 50:
                shown[f"mean return of {len(returns)}"] = f"{fmean(returns):+.2f}"
        return {**shown, "course": sparkline(self.course)} if self.course else shown
