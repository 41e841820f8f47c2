"""What sets an estimator apart, for the pages that `estimator_errors` has no plot for.

One property each, measured where the truth is known: benchmarks/properties/ has a file for every
page. Takes half a minute.

    python -m benchmarks.estimator_properties
"""

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import torch

from benchmarks.estimator_errors import PICTURES
from benchmarks.properties import (
    enumerate,
    group_normalized,
    parameter_noise,
    pathwise,
    plackett_luce,
    relax,
    self_critical,
    vimco,
)
from benchmarks.properties.curves import Curves
from benchmarks.timing import keep

PAGES: dict[str, Callable[[], Curves]] = {
    "enumerate": enumerate.curves,
    "group-normalized": group_normalized.curves,
    "parameter-noise": parameter_noise.curves,
    "pathwise": pathwise.curves,
    "plackett-luce": plackett_luce.curves,
    "relax": relax.curves,
    "self-critical": self_critical.curves,
    "vimco": vimco.curves,
}

STYLES: dict[str, dict[str, Any]] = {
    "leave-one-out": {"color": "0.45", "linewidth": 1.5},
    "score function": {"color": "#D55E00", "linewidth": 1.5, "linestyle": "--"},
    "no baseline": {"color": "#D55E00", "linewidth": 1.5, "linestyle": "--"},
    "moving average": {"color": "#0072B2", "linewidth": 1.5, "linestyle": "-."},
    "one baseline": {"color": "#0072B2", "linewidth": 1.5, "linestyle": "-."},
    "two starts": {"color": "#00796b", "linewidth": 2.5, "linestyle": ":"},
}
"""By how a label begins."""
OWN = {"color": "#00796b", "linewidth": 2.5}
"""Of the page's own estimator, as in `estimator_errors`."""


def plot(page: str, curves: Curves) -> None:
    """The page's picture."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2), dpi=100, layout="constrained")
    for label, values in curves.lines.items():
        style = next((STYLES[start] for start in STYLES if label.startswith(start)), OWN)
        axes.plot(curves.x, values, label=label, **style)
        if label in curves.bands:
            low, high = curves.bands[label]
            axes.fill_between(curves.x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    axes.set(**curves.axes)
    if curves.marked:
        axes.set_xscale("log")
        axes.set_xticks(curves.x, [f"{x:g}" for x in curves.x], minor=False)
        axes.set_xticks([], minor=True)
    axes.legend(frameon=False)
    PICTURES.mkdir(exist_ok=True)
    figure.savefig(PICTURES / f"{page}.png")
    plt.close(figure)


def main() -> None:
    """Measure, print, plot and keep the property of every page."""
    torch.set_num_threads(1)
    kept: dict[str, Any] = {}
    for page, measure in PAGES.items():
        torch.manual_seed(0)
        curves = measure()
        print(f"\n{page}: {curves.axes['xlabel']}")
        for label, values in {"": curves.x, **curves.lines}.items():
            print(f"{label:40}", "  ".join(f"{value:7.3g}" for value in values), flush=True)
        plot(page, curves)
        kept[page] = {"x": curves.x, "lines": curves.lines}
    keep("estimator_properties", kept)


if __name__ == "__main__":
    main()
