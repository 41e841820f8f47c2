"""What a peer tells of its training, and when it ends."""

import json
import time
from argparse import ArgumentParser, Namespace
from collections import deque
from pathlib import Path
from statistics import fmean

RECENT = 50
"""Finished games that a mean return is taken over."""
EVERY = 1.0
"""Seconds between two lines of the file."""
SAID = 10.0
"""Seconds between two lines on the terminal."""


def parser(description: str | None) -> ArgumentParser:
    """What every peer is told."""
    options = ArgumentParser(description=description)
    options.add_argument("--output", type=Path, required=True, help="the file of JSON lines")
    options.add_argument("--started", type=float, required=True, help="seconds since the epoch")
    options.add_argument("--seconds", type=float, required=True, help="to end after, from then")
    return options


class Journal:
    """Appends `{seconds, agent_steps, episodes, mean_return}` to a file, now and then.

    Args:
        options: of `parser`.
    """

    def __init__(self, options: Namespace):
        self.output, self.started, self.limit = options.output, options.started, options.seconds
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.episodes, self.due, self.said = 0, 0.0, 0.0

    def finish(self, episode_return: float) -> None:
        """Count a finished game: its return in points, as the game counts them."""
        self.recent.append(episode_return)
        self.episodes += 1

    def go_on(self, agent_steps: int) -> bool:
        """Whether there is time left, after so many moves over all games; call it at every one."""
        seconds = time.time() - self.started
        if seconds >= min(self.due, self.limit):
            self.due = seconds + EVERY
            self.tell(seconds, agent_steps)
        return seconds < self.limit

    def tell(self, seconds: float, agent_steps: int) -> None:
        """Write a line."""
        mean = fmean(self.recent) if self.recent else None
        line = {"seconds": round(seconds, 3), "agent_steps": agent_steps}
        line |= {"episodes": self.episodes, "mean_return": mean}
        with open(self.output, "a") as file:
            file.write(json.dumps(line) + "\n")
        if seconds >= min(self.said, self.limit):
            self.said = seconds + SAID
            shown = "" if mean is None else f" · mean return {mean:+.2f}"
            print(f"[{seconds:5.0f} s] agent steps {agent_steps:,}{shown}", flush=True)
