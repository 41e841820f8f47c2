"""How far a training is, in words."""

from applications.kit.display import duration
from applications.kit.options import Limit
from applications.kit.trainer import Trainer


def figures(trainer: Trainer) -> dict[str, str]:
    """What the display shows of a training: each count with its target, time, speed, the rest."""
    state, limits = vars(trainer.tally), trainer.limits()
    counts = {
        limit.unit: f"{counted(limit.done(state))} of {counted(limit.target)}"
        for limit in limits
        if limit.unit != "seconds"
    }
    shown = {"updates": f"{trainer.tally.update:,}"} | counts
    targets = [duration(limit.target) for limit in limits if limit.unit == "seconds"]
    shown["time"] = " of ".join([duration(trainer.tally.seconds), *targets])
    if (left := time_left(trainer, limits)) is not None:
        shown["time"] += f", {duration(left)} left"
    if speed := trainer.speed():
        shown["speed"] = f"{counted(speed)} {trainer.work_name}/s"
    shown |= trainer.columns()
    if warning := trainer.warning():
        shown["warning"] = warning
    return shown


def time_left(trainer: Trainer, limits: list[Limit]) -> float | None:
    """Seconds to the nearest limit at the present speed; None where that cannot be told yet."""
    state, before = vars(trainer.tally), vars(trainer.marked)
    spent = state["seconds"] - before["seconds"]
    left = [
        (limit.target - limit.done(state)) * spent / made
        for limit in limits
        if (made := limit.done(state) - limit.done(before)) > 0
    ]
    return max(min(left), 0.0) if left else None


def counted(number: float) -> str:
    """A count with commas, a fraction with one digit."""
    return f"{number:,.1f}" if number % 1 and number < 100 else f"{number:,.0f}"
