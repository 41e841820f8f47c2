"""The picture of the estimator: draw, judge, move."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor

from applications.gaussian.gaussian import Step, arrows, expected_score
from applications.gaussian.scores import Score
from applications.gaussian.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    RED,
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

SHORTENED = 0.4
"""Arrows at samples are drawn at this part of their length; the step of the mean at its own."""

SHOWN = 120
"""At most so many samples are drawn."""


def draw_estimator(step: Step, score: Score, baseline: str, rate: float, fresh: int) -> Figure:
    """Draw samples, judge them, move: one update in three panels.

    Args:
        step: the update and its draws.
        score: what was to be raised.
        baseline: the name of the baseline in use.
        rate: the learning rate.
        fresh: samples to measure the expected scores with.
    """
    with styled():
        figure = Figure(figsize=(11.4, 6.6))
        panels = figure.subplots(1, 3)
        figure.subplots_adjust(left=0.03, right=0.995, top=0.765, bottom=0.235, wspace=0.08)
        title(
            figure, "The score-function gradient, for scores that need not be differentiable", 0.03
        )
        count = len(step.points)
        step = step._replace(points=step.points[:SHOWN], pulls=step.pulls[:SHOWN])
        for axes in panels:
            plane(axes)
        worth = "f(x)" if baseline == "none" else "(f(x) - b)"
        patches = ground(panels[1], score)
        ground(panels[2], score)
        _samples(panels[0], step, count)
        _judged(panels[1], step, worth, patches)
        _moved(panels[2], step, score, fresh)
        score_function = r"\nabla_{\!\mu}\,\log p"
        figure.text(
            0.03,
            0.06,
            rf"$\nabla_{{\!\mu}}\;\mathrm{{E}}[f(x)]\;=\;\mathrm{{E}}[\,{worth}\;{score_function}(x)\,]"
            rf"\;\approx\;\dfrac{{1}}{{{count}}}\,\sum_i\,"
            rf"{worth.replace('x', 'x_i')}\;{score_function}(x_i)$",
            fontsize=14,
            va="center",
        )
        b = "" if baseline == "none" else f" $b$: {name_of(baseline, score)}."
        figure.text(
            0.995,
            0.06,
            f"Step: {rate:.3g} × covariance × average.{b}\n"
            f"Arrows at samples: {SHORTENED:g} of their length.\n"
            f"Expected scores: {fresh:,} fresh samples.",
            fontsize=9.5,
            ha="right",
            va="center",
            linespacing=1.3,
            color=GREY,
        )
    return figure


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
    _arrows(axes, step.points, arrows(step.before, step.points), color="#6FB0D8")
    axes.scatter(*step.points.T.numpy(), s=16, c=BLUE, ec="white", lw=0.5, zorder=5)
    heading(
        axes,
        "1  Draw",
        "Samples $x$ of a Gaussian $p$. Each arrow\n"
        "says where to move the mean to make its\n"
        "sample more probable.",
    )
    legend(
        axes,
        Line2D([], [], color=BLUE, marker="o", ls="", ms=5, label=samples),
        Line2D([], [], color=BLUE, lw=1.2, label="$p$: 1 and 2 std. dev."),
        Line2D([], [], color="#6FB0D8", lw=2.5, label=r"$\nabla_{\!\mu}\log p(x)$"),
    )


def _judged(axes: Axes, step: Step, worth: str, patches: list[Patch]) -> None:
    around = arrows(step.before, step.points)
    good = (step.pulls * around).sum(1) > 0
    longest = (step.pulls.norm(dim=1) / around.norm(dim=1)).max().clamp_min(1e-12)
    shown = torch.where(good.unsqueeze(1), step.pulls, -step.pulls) / longest
    contours(axes, step.before, color=GREY, lw=0.8)
    _arrows(axes, step.points[~good], shown[~good], fc="white", ec=RED, lw=0.8)
    _arrows(axes, step.points[good], shown[good], fc=GREEN, ec=GREEN, lw=0.8)
    dots(axes, step.points, good)
    heading(
        axes,
        "2  Judge",
        "A score $f(x)$ for each; $f$ may even jump.\n"
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


def _moved(axes: Axes, step: Step, score: Score, fresh: int) -> None:
    (low, low_error), (high, high_error) = (
        expected_score(gaussian, score, fresh) for gaussian in (step.before, step.after)
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
    scores = [f"{signed(s, '+.3f')} ± {e:.3f}" for s, e in ((low, low_error), (high, high_error))]
    heading(
        axes,
        "3  Move",
        "One step along that average.\n"
        f"The expected score {verb}, on fresh samples,\n"
        f"from {scores[0]} to {scores[1]}.",
    )
    legend(
        axes,
        Line2D([], [], color=GREY, lw=1.2, ls=(0, (4, 3)), label="before"),
        Line2D([], [], color=BLUE, lw=1.6, label="after one update"),
        Line2D([], [], color=INK, lw=2, marker=">", ms=5, label="step of the mean"),
    )
