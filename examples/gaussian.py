"""The score function estimator in a picture: the three panels of Karpathy's "Pong from Pixels".

Left: draws of a Gaussian, each with its score, the direction in which the mean has to move to
make that draw more likely. Middle: a reward of +1 in two discs and -1 elsewhere turns some arrows
green and some red. Right: the mean follows the green arrows and the reversed red ones.

    .venv/bin/python examples/gaussian.py

takes 3 seconds on two cores, plots pictures/examples/gaussian.png, and prints

    expected reward before -0.69
    gradient by the mean   -0.20 -0.27
    expected reward after  -0.52
    picture pictures/examples/gaussian.png
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

import sfgrad as sf

MEAN, SPREAD = torch.tensor([0.0, 0.0]), 1.0
DISCS = torch.tensor([[-1.5, 0.2], [0.3, -1.6]])  # centres of what is rewarded
RADIUS = 0.8
STEP = 2.0  # length of the update, as a multiple of the gradient


def reward(z: Tensor) -> Tensor:
    """+1 within a disc and -1 elsewhere `[R]`: it has no gradient, and needs none."""
    is_inside = torch.cdist(z, DISCS).amin(1) < RADIUS
    return torch.where(is_inside, 1.0, -1.0)


def draw(mean: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draws `[R, 2]`, their scores `[R, 2]`, and the gradient of the expected reward `[2]`."""
    means = mean.repeat(count, 1).requires_grad_()  # one for each draw, to see each one's gradient
    with sf.StochasticGraph() as graph:
        z = sf.sample(Independent(Normal(means, SPREAD), 1))
        sf.add_cost(-reward(z))  # costs are minimised
    graph.loss().backward()  # the mean over rows of -reward · score
    score = -means.grad * count / reward(z)[:, None]
    return z, score, -means.grad.sum(0)


def panel(axes: plt.Axes, title: str, mean: Tensor) -> None:
    """The rewarded discs and the Gaussian, as rings at one, two and three deviations."""
    axes.set(title=title, xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), aspect="equal", xticks=[], yticks=[])
    for deviations in (1, 2, 3):
        axes.add_patch(plt.Circle(mean.tolist(), deviations * SPREAD, fill=False, color="silver"))


def main(count: int, picture: Path) -> None:
    """Draw, update the mean once, draw again, and plot all that."""
    torch.manual_seed(0)
    z, score, gradient = draw(MEAN, count)
    updated = MEAN + STEP * gradient
    later, _, _ = draw(updated, count)

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
    panel(left, "draws and their scores", MEAN)
    left.quiver(*z.T, *score.T, color="tab:blue", scale=25)
    panel(middle, "the reward colours the arrows", MEAN)
    colours = ["green" if value > 0 else "red" for value in reward(z)]
    middle.quiver(*z.T, *score.T, color=colours, scale=25)
    panel(right, "one update later", updated)
    right.scatter(*later.T, s=8, color="tab:blue")
    right.annotate("", updated.tolist(), MEAN.tolist(), arrowprops={"arrowstyle": "->", "lw": 2})
    for axes in (middle, right):
        for centre in DISCS.tolist():
            axes.add_patch(plt.Circle(centre, RADIUS, color="green", alpha=0.2))
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)

    print(f"expected reward before {reward(z).mean().item():+.2f}")
    print(f"gradient by the mean   {gradient[0].item():+.2f} {gradient[1].item():+.2f}")
    print(f"expected reward after  {reward(later).mean().item():+.2f}")
    print(f"picture {picture}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200, help="draws in a panel")
    parser.add_argument(
        "--picture", type=Path, default=Path("pictures/examples/gaussian.png"), help="the file"
    )
    arguments = parser.parse_args()
    main(arguments.draws, arguments.picture)
