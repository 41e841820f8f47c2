"""The animation: a Gaussian that learns its mean and covariance, frame by frame."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from applications.gaussian.rewards import Reward
from applications.gaussian.style import contours, dots, ground, legend, plane, signed, styled, title
from applications.gaussian.training import Snapshot
from applications.kit.figures import BLUE, GREEN, INK, RED, save_film

COLOURS = 256
"""Of the animation."""


def plot_frame(history: list[Snapshot], last: int, reward: Reward, shown: int) -> Figure:
    """The Gaussian after some updates, and how the expected reward came there.

    Args:
        history: every snapshot from the start to the end.
        last: the index of the one to show.
        reward: for the background and the samples.
        shown: how many samples to draw.
    """
    now = history[last]
    low, high = reward.range
    points = now.gaussian.sample(shown)
    with styled():
        figure = Figure(figsize=(9, 5), dpi=80)
        axes = figure.add_axes((0.045, 0.17, 0.378, 0.68))
        plane(axes)
        patches = ground(axes, reward)
        contours(axes, now.gaussian, color=BLUE, lw=1.8, zorder=6)
        path = torch.stack([snapshot.gaussian.mean for snapshot in history[: last + 1]])
        axes.plot(*path.T.numpy(), color=INK, lw=1.2, zorder=7)
        axes.plot(*path[-1].numpy(), "o", ms=4, color=INK, zorder=7)
        dots(axes, points, reward(points) > (low + high) / 2, 22)
        axes.set_title(f"Update {now.update}: density, samples, path of the mean")
        legend(
            axes,
            Line2D([], [], color=GREEN, marker="o", ls="", ms=6, label="good sample"),
            Line2D([], [], color=RED, marker="x", ls="", ms=6, label="bad sample"),
            *patches,
        )

        curve = figure.add_axes((0.535, 0.17, 0.44, 0.68))
        updates, rewards = zip(*[(s.update, s.expected_reward) for s in history], strict=True)
        curve.plot(updates[: last + 1], rewards[: last + 1], color=BLUE, lw=1.8)
        curve.plot(updates[last], rewards[last], "o", ms=5, color=BLUE, clip_on=False, zorder=5)
        room = 0.05 * (high - low)
        curve.set(
            xlim=(updates[0], max(updates[-1], updates[0] + 1)),
            ylim=(low - room, high + room),
            xlabel="update",
        )
        curve.grid()
        curve.spines[["top", "right"]].set_visible(False)
        curve.tick_params(labelsize=8, length=2.5)
        curve.set_title(f"Expected reward: {signed(now.expected_reward, '+.3f')}")
        title(figure, "A Gaussian learns its mean and covariance from rewards alone", 0.045)
    return figure


def write_gif(
    history: list[Snapshot],
    reward: Reward,
    path: Path,
    frames: int,
    shown: int,
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Write `frames` frames, evenly spread over the history, 0.1 s each and the last for 3 s.

    Args:
        history: every snapshot from the start to the end.
        reward: for the background and the samples.
        path: the file.
        frames: how many; at most as many as there are snapshots.
        shown: how many samples to draw in each.
        advance: told how many frames were just drawn.
    """
    chosen = torch.linspace(0, len(history) - 1, min(frames, len(history))).round().int().tolist()

    def figures() -> Iterator[Figure]:
        for last in chosen:
            yield plot_frame(history, last, reward, shown)
            advance(1)

    save_film(figures(), [100] * (len(chosen) - 1) + [3000], path, COLOURS)
