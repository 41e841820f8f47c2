"""The picture of the estimator: draw, judge, move."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor

from applications.gaussian.gaussian import Step, expected_reward, scores
from applications.gaussian.rewards import Reward
from applications.gaussian.style import (
    contours,
    dots,
    ground,
    heading,
    legend,
    name_of,
    plane,
    signed,
    styled,
    title,
)
from applications.kit.figures import BLUE, GREEN, GREY, INK, RED

SHORTENED = 0.4
"""Arrows at samples are drawn at this part of their length; the step of the mean at its own."""

SPREAD = "\nThe covariance follows its own natural gradient."
"""What the caption adds where the step changes the covariance too."""

SHOWN = 120
"""At most so many samples are drawn."""


def plot_estimator(step: Step, reward: Reward, baseline: str, rate: float, fresh: int) -> Figure:
    """Draw samples, judge them, move: one update in three panels.

    Args:
        step: the update and its draws.
        reward: what was to be raised.
        baseline: the name of the baseline in use.
        rate: the learning rate.
        fresh: samples to measure the expected rewards with.
    """
    with styled():
        figure = Figure(figsize=(11.4, 6.6))
        panels = figure.subplots(1, 3)
        figure.subplots_adjust(left=0.03, right=0.995, top=0.765, bottom=0.235, wspace=0.08)
        title(
            figure, "The score-function gradient, for rewards that need not be differentiable", 0.03
        )
        count = len(step.points)
        step = step._replace(points=step.points[:SHOWN], pulls=step.pulls[:SHOWN])
        for axes in panels:
            plane(axes)
        worth = "f(x)" if baseline == "none" else "(f(x) - b)"
        patches = ground(panels[1], reward)
        ground(panels[2], reward)
        _samples(panels[0], step, count)
        _judged(panels[1], step, worth, patches)
        _moved(panels[2], step, reward, fresh)
        _formula(figure, worth, count)
        covariance = "" if torch.equal(step.before.factor, step.after.factor) else SPREAD
        b = "" if baseline == "none" else f" $b$: {name_of(baseline, reward)}."
        figure.text(
            0.995,
            0.06,
            f"Step: {rate:.3g} × covariance × average.{b}{covariance}\n"
            f"Arrows at samples: {SHORTENED:g} of their length.\n"
            f"Expected rewards: {fresh:,} fresh samples.",
            fontsize=9.5,
            ha="right",
            va="center",
            linespacing=1.3,
            color=GREY,
        )
    return figure


def _formula(figure: Figure, worth: str, count: int) -> None:
    """The estimator, under the panels; `worth` is what the score of a sample is multiplied by."""
    score = r"\nabla_{\!\mu}\,\log p"
    figure.text(
        0.03,
        0.06,
        rf"$\nabla_{{\!\mu}}\;\mathrm{{E}}[f(x)]\;=\;\mathrm{{E}}[\,{worth}\;{score}(x)\,]"
        rf"\;\approx\;\dfrac{{1}}{{{count}}}\,\sum_i\,"
        rf"{worth.replace('x', 'x_i')}\;{score}(x_i)$",
        fontsize=14,
        va="center",
    )


def _arrows(axes: Axes, points: Tensor, vectors: Tensor, **colours: object) -> None:
    axes.quiver(
        *points.T.numpy(),
        *(SHORTENED * vectors).T.numpy(),
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.006,
        headwidth=3.6,
        headlength=4,
        headaxislength=3.6,
        zorder=3,
        **colours,
    )


def _samples(axes: Axes, step: Step, count: int) -> None:
    samples = f"{count} samples" if count <= SHOWN else f"{SHOWN} of {count:,} samples"
    contours(axes, step.before, color=BLUE, lw=1.2)
    _arrows(axes, step.points, scores(step.before, step.points), color="#6FB0D8")
    axes.scatter(*step.points.T.numpy(), s=16, c=BLUE, ec="white", lw=0.5, zorder=5)
    heading(
        axes,
        "1  Draw",
        "Samples $x$ of a Gaussian $p$. The arrow at\n"
        "each, its score, says where to move the\n"
        "mean to make that sample more probable.",
    )
    legend(
        axes,
        Line2D([], [], color=BLUE, marker="o", ls="", ms=5, label=samples),
        Line2D([], [], color=BLUE, lw=1.2, label="$p$: 1 and 2 std. dev."),
        Line2D([], [], color="#6FB0D8", lw=2.5, label=r"$\nabla_{\!\mu}\log p(x)$"),
    )


def _judged(axes: Axes, step: Step, worth: str, patches: list[Patch]) -> None:
    score = scores(step.before, step.points)
    good = (step.pulls * score).sum(1) > 0
    longest = (step.pulls.norm(dim=1) / score.norm(dim=1)).max().clamp_min(1e-12)
    shown = torch.where(good.unsqueeze(1), step.pulls, -step.pulls) / longest
    contours(axes, step.before, color=GREY, lw=0.8)
    _arrows(axes, step.points[~good], shown[~good], fc="white", ec=RED, lw=0.8)
    _arrows(axes, step.points[good], shown[good], fc=GREEN, ec=GREEN, lw=0.8)
    dots(axes, step.points, good)
    heading(
        axes,
        "2  Judge",
        "A reward $f(x)$ for each; $f$ may even jump.\n"
        "Average the green arrows and the reversed\n"
        "red ones: that is the gradient.",
    )
    sign, marker = worth.replace("(f(x) - b)", "f(x) - b"), {"ls": "-", "ms": 5}
    legend(
        axes,
        Line2D([], [], color=GREEN, marker="o", lw=2.5, label=f"${sign} > 0$", **marker),
        Line2D([], [], color=RED, marker="x", lw=1, label=f"${sign} < 0$: reverse", **marker),
        *patches,
    )


def _moved(axes: Axes, step: Step, reward: Reward, fresh: int) -> None:
    (low, low_error), (high, high_error) = (
        expected_reward(gaussian, reward, fresh) for gaussian in (step.before, step.after)
    )
    contours(axes, step.before, color=GREY, lw=1.2, ls=(0, (4, 3)))
    contours(axes, step.after, color=BLUE, lw=1.6)
    axes.annotate(
        "",
        step.after.mean.tolist(),
        step.before.mean.tolist(),
        arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 2, "shrinkA": 0, "shrinkB": 0},
        zorder=6,
    )
    verb = "rises" if high > low else "falls"
    rewards = [f"{signed(r, '+.3f')} ± {e:.3f}" for r, e in ((low, low_error), (high, high_error))]
    heading(
        axes,
        "3  Move",
        "One step along that average.\n"
        f"On fresh samples the expected reward {verb}\n"
        f"from {rewards[0]} to {rewards[1]}.",
    )
    legend(
        axes,
        Line2D([], [], color=GREY, lw=1.2, ls=(0, (4, 3)), label="before"),
        Line2D([], [], color=BLUE, lw=1.6, label="after one update"),
        Line2D([], [], color=INK, lw=2, marker=">", ms=5, label="step of the mean"),
    )
