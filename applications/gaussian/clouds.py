"""The picture of the baselines: clouds of gradient estimates around the exact gradient."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from applications.gaussian.comparison import Estimates, Exact, plain
from applications.gaussian.rewards import Reward
from applications.gaussian.style import name_of, styled, title
from applications.kit.figures import BLUE, GREY, INK, RED


def plot_baselines(
    found: dict[str, Estimates], truth: Exact, reward: Reward, samples: int
) -> Figure:
    """Clouds of gradient estimates around the exact gradient, one panel per baseline."""
    plain_estimates = found["none"]
    offsets = (plain_estimates.gradients - truth.gradient).abs().flatten()
    reach = offsets.quantile(0.998).item() or 1.0
    without, _ = plain_estimates.total_variance
    with styled():
        figure = Figure(figsize=(11.4, 4.7))
        panels = figure.subplots(1, len(found), sharex=True, sharey=True)
        figure.subplots_adjust(left=0.07, right=0.99, top=0.73, bottom=0.225, wspace=0.08)
        title(figure, "Baselines: every estimate is right on average, some scatter far less", 0.07)
        for axes, (name, estimates) in zip(panels, found.items(), strict=True):
            _cloud(axes, estimates, truth, reach, RED if name == "none" else BLUE)
            variance, _ = estimates.total_variance
            share = "" if name == "none" else f" = {variance / (without or 1.0):.2f} × none"
            off = estimates.z(truth).abs().max().item()
            axes.set_title(
                f"variance {variance:.3f}{share}\nmean off by {off:.1f} std. errors", fontsize=10.5
            )
            label = name_of(name, reward).capitalize()
            axes.text(0, 1.2, label, transform=axes.transAxes, fontsize=12.5, weight="bold")
        panels[0].set_ylabel(r"estimate of $\partial\,\mathrm{E}[f]\,/\,\partial\mu_2$")
        figure.text(
            0.07,
            0.03,
            f"Each dot: one estimate from {samples} evaluations; "
            f"{len(plain_estimates.gradients):,} dots a panel. "
            f"Cross: the exact gradient, by quadrature (±{plain(truth.error)}).\n"
            "Variance: of one estimate, both components summed. "
            "The moving average goes through its estimates in sequence, knowing nothing at first.",
            fontsize=9.5,
            linespacing=1.4,
            color=GREY,
        )
    return figure


def _cloud(axes: Axes, estimates: Estimates, truth: Exact, reach: float, colour: str) -> None:
    """Estimates of the gradient, to within `reach` of the exact one, which is a cross."""
    x, y = truth.gradient.tolist()
    axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach), aspect="equal")
    axes.set_xlabel(r"estimate of $\partial\,\mathrm{E}[f]\,/\,\partial\mu_1$")
    axes.tick_params(labelsize=8, length=2.5)
    axes.locator_params(nbins=7)
    axes.axhline(0, color=GREY, lw=0.5)
    axes.axvline(0, color=GREY, lw=0.5)
    axes.scatter(*estimates.gradients.T.numpy(), s=5, c=colour, alpha=0.3, lw=0, rasterized=True)
    halo = [withStroke(linewidth=4.5, foreground="white")]
    axes.plot(x, y, "+", ms=17, mew=2.2, color=INK, path_effects=halo)
