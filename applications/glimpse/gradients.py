"""Gradients of the locator at frozen weights, and how they scatter."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice
from typing import NamedTuple

import torch
from torch import Tensor

import sfgrad as sf
from applications.glimpse import weights
from applications.glimpse.config import Config
from applications.glimpse.data import Images
from applications.glimpse.model import GlimpseModel
from applications.glimpse.retina import integral
from applications.glimpse.training import Scenes
from applications.kit.gradients import fit_baseline, gradients_of

Tell = Callable[[str], None]
"""Told what is being done."""
FITTED = ("average", "learned", "both")
"""Baselines that are fitted to the frozen weights before gradients are measured."""
FITTING = 300
"""Batches that they are fitted to."""


def measure(
    config: Config, snapshot: GlimpseModel, images: Images, batches: int, tell: Tell
) -> Tensor:
    """Gradients of the locator at frozen weights, `[N, 2, P]`: two draws for each of N batches.

    Args:
        config: the case.
        snapshot: the weights; its baseline is left out, the case's own is fitted first.
        images: the digits.
        batches: N.
        tell: told what is being done.
    """
    torch.manual_seed(config.seed)
    model = GlimpseModel(config)
    weights.fit(model, snapshot.state_dict(), "the snapshot is of another network")
    objective = sf.expectation(model, config.samples)
    if config.estimator == "score-function" and config.baseline in FITTED:
        tell("fitting its baseline")
        others = islice(batches_of(config, images, config.seed + 1), FITTING)
        losses = (objective(*batch) for batch in others)
        fit_baseline(model.place, losses, Config.learning_rate)
    model.eval()  # the baseline stays as it is
    gradients = []
    for batch in islice(batches_of(config, images, config.seed), batches):
        tell(f"gradients, batch {len(gradients) + 1} of {batches}")
        gradients.append(gradients_of((objective(*batch) for _ in range(2)), model.locate))
    return torch.stack(gradients)


def batches_of(config: Config, images: Images, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Integral images and labels without end; every case gets the first of the same batches."""
    whole = replace(config, batch=config.batch * config.samples)
    scenes = Scenes(whole, images.train_images, images.train_labels, seed)
    for index in count():
        shown, labels = scenes.batch(index)
        yield integral(shown[: config.batch]), labels[: config.batch]


# ---------------------------------------------------------------- the figures


class Spread(NamedTuple):
    """Of a gradient g: how much of it is signal, and where the rest comes from."""

    signal: Tensor
    """`‖E g‖²`."""
    variance: Tensor
    """`tr Var g`."""
    draw_variance: Tensor
    """`E tr Var (g | images)`."""
    signal_to_noise: Tensor
    """Signal over variance."""
    variance_ratio: Tensor
    """Over that without a baseline."""
    draw_variance_ratio: Tensor
    """Over that without a baseline."""


def moments(products: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Signal, variance and draw variance, each without bias.

    The mean product of two gradients is `E‖g‖²` for one and the same, `E‖E(g | images)‖²` for two
    draws on the same images, and `‖E g‖²` for different images; what is asked for are these and
    their differences.

    Args:
        products: `[N, 2, N, 2]`, inner products of all gradients.
    """
    batches = len(products)
    own = products.diagonal(dim1=0, dim2=2)  # [2, 2, N], of the same images
    square, images = (own[0, 0] + own[1, 1]).mean() / 2, own[0, 1].mean()
    signal = (products.sum() - own.sum()) / (4 * batches * (batches - 1))
    return signal, square - signal, square - images


def spread(gradients: Tensor, plain: Tensor) -> dict[str, float]:
    """The fields of `Spread`, and by the jackknife over the batches their standard errors.

    Args:
        gradients: `[N, 2, P]`.
        plain: `[N, 2, P]`, of the same batches, without a baseline.
    """
    flat = [pairs.double().flatten(0, 1) for pairs in (gradients, plain)]
    products = [(rows @ rows.T).view(2 * gradients.shape[:2]) for rows in flat]

    def estimate(kept: Tensor) -> Tensor:
        signal, variance, draws = moments(products[0][kept][:, :, kept])
        _, plain_variance, plain_draws = moments(products[1][kept][:, :, kept])
        return torch.stack(
            Spread(
                signal,
                variance,
                draws,
                signal / variance,
                variance / plain_variance,
                draws / plain_draws,
            )
        )

    batches = len(gradients)
    without_one = torch.stack([estimate(kept) for kept in ~torch.eye(batches, dtype=torch.bool)])
    errors = without_one.std(0, correction=0) * (batches - 1) ** 0.5
    values = estimate(torch.ones(batches, dtype=torch.bool))
    errors = {
        f"{n}_standard_error": e for n, e in zip(Spread._fields, errors.tolist(), strict=True)
    }
    return dict(zip(Spread._fields, values.tolist(), strict=True)) | errors
