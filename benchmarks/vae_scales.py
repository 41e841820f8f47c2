"""Is the scale that DoubleCV learns the best one? Its variance on the autoencoder at fixed scales.

At the points of leave-one-out's run that `benchmarks.vae` keeps, with one fixed batch:

    python -m benchmarks.vae --minutes 0.5 --methods leave-one-out --draws 0
    python -m benchmarks.vae_scales
"""

import argparse
from pathlib import Path

import torch

import sfgrad as sf
from applications.glimpse.data import ensure
from benchmarks.timing import keep
from benchmarks.vae import TRAJECTORY, Data, autoencoder, learn, point, variance

SCALES = (0.05, 0.1, 0.2, 0.4, 1.0)


def measure(folder: Path, passed: int, data: Data, draws: int) -> dict[str, float]:
    """The scale that is learned, and the variance at each over that of leave-one-out."""
    weights, fixed = torch.load(point(folder, passed)), data.batch()
    model, objective = autoencoder("double-cv")
    model.load_state_dict(weights, strict=False)
    learn(model.code, objective, data)
    learned = float(model.code.estimator.baseline.current_scale(fixed))

    variances = {}
    for scale in (0.0, *SCALES):  # at 0 it is leave-one-out
        model.code.estimator = sf.ScoreFunction(sf.DoubleCV(scale))
        torch.manual_seed(0)
        variances[f"{scale:g}"] = variance(model, objective, fixed, draws)
    ratios = {name: value / variances["0"] for name, value in variances.items()}
    return {"learned": learned, **ratios}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=100, help="of gradients at each scale")
    parser.add_argument("--folder", type=Path, default=Path("runs/vae"), help="of benchmarks.vae")
    parser.add_argument("--data", type=Path, default=Path("data"), help="holds mnist/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = ensure("mnist", options.data).train_images.flatten(1) / 255
    data = Data(images, torch.Generator().manual_seed(4))
    results = {}
    for passed in TRAJECTORY:
        if point(options.folder, passed).exists():
            results[f"{passed}"] = row = measure(options.folder, passed, data, options.draws)
            print(f"{passed:5} updates", *(f"{name} {value:.3f}" for name, value in row.items()))
    keep("vae_scales", results)


if __name__ == "__main__":
    main()
