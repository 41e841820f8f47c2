"""Six estimators train one autoencoder of binary latents: the bound, and the gradient's variance.

784–200–200–200 and back, LeakyReLU of slope .3, 200 bits with a prior of ½, batch 100, Adam at
1e-3, MNIST binarised anew for every batch. Every estimator has one run of equal processor seconds;
the bound on training images is read along it, and that reading is not counted. The variance of the
gradient by the encoder is measured at a few points of leave-one-out's run, of one fixed batch.

    python -m benchmarks.vae
    python -m benchmarks.vae --minutes 1 --methods leave-one-out disarm

Every reading is written to `--folder` when it is made. A run that is finished is not repeated, and
with more `--minutes` it goes on where it ended.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn

import sfgrad as sf
from applications.glimpse.data import ensure
from benchmarks.estimator_overhead import Autoencoder
from benchmarks.timing import keep

BATCH = 100
TRAJECTORY = (100, 1000, 4000)
"""The updates of leave-one-out's run after which the variance is measured."""
UPDATES = 100
"""Of a control variate at each of these points, before the variance is measured."""
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "vae.png"


class Method(NamedTuple):
    """Makes an estimator, and tells how many copies it takes: evaluations for each image."""

    make: Callable[[], sf.Estimator]
    copies: int
    color: str


METHODS = {
    "leave-one-out": Method(lambda: sf.ScoreFunction(sf.LeaveOneOut()), 4, "0.45"),
    "disarm": Method(sf.DisARM, 4, "#1e88e5"),
    "arms": Method(sf.ARMS, 4, "#00796b"),
    "double-cv": Method(lambda: sf.ScoreFunction(sf.DoubleCV()), 4, "#d81b60"),
    "rodeo": Method(lambda: sf.ScoreFunction(sf.Rodeo()), 4, "#f9a825"),
    "rebar": Method(sf.Rebar, 3, "#6a1b9a"),  # it takes three for a draw
}


class Data(NamedTuple):
    """Grey images between 0 and 1, `[N, 784]`, and where chance comes from."""

    images: Tensor
    generator: torch.Generator

    def batch(self, size: int = BATCH) -> Tensor:
        """Some images, binarised: `[size, 784]`."""
        rows = torch.randint(len(self.images), (size,), generator=self.generator)
        return self.images[rows].bernoulli(generator=self.generator)


def autoencoder(name: str) -> tuple[Autoencoder, sf.Expectation]:
    """A model with the estimator of that name, and its objective; weights are equal for all."""
    torch.manual_seed(0)
    model = Autoencoder()
    model.code.estimator = METHODS[name].make()
    return model, sf.expectation(model, samples=METHODS[name].copies)


# ---------------------------------------------------------------- training


class Reading(NamedTuple):
    """What a run had spent, and its bound then."""

    evaluations: int
    """Of the decoder, for each image of a batch."""
    seconds: float
    """Of the processor."""
    bound: float
    """The evidence lower bound on training images, nats."""


def readings(
    name: str, images: Tensor, seconds: float, folder: Path, state: dict[str, Any]
) -> Iterator[Reading]:
    """Train to so many processor seconds, from the state of an earlier command; read the bound."""
    model, objective = autoencoder(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    data = Data(images, torch.Generator().manual_seed(1))
    held = Data(images, torch.Generator().manual_seed(2)).batch(2000)

    spent, updates, due = 0.0, 0, 0.0
    if state:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        data.generator.set_state(state["batches"])
        torch.set_rng_state(state["draws"])
        spent, updates, due = state["spent"], state["updates"], later(state["spent"])

    while spent < seconds:
        if spent >= due:
            yield Reading(updates * METHODS[name].copies, spent, bound(model, held))
            due = later(spent)

        started = time.process_time()
        optimizer.zero_grad()
        objective(data.batch()).backward()
        optimizer.step()
        spent += time.process_time() - started

        updates += 1
        if name == "leave-one-out" and updates in TRAJECTORY:
            torch.save(model.state_dict(), point(folder, updates))

    yield Reading(updates * METHODS[name].copies, spent, bound(model, held))
    learned = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    chance = {"batches": data.generator.get_state(), "draws": torch.get_rng_state()}
    counts = {"spent": spent, "updates": updates}
    torch.save({**learned, **chance, **counts}, folder / f"{name}.pt")


def later(spent: float) -> float:
    """When the bound is read next: after two seconds, and more rarely later on."""
    return max(spent + 2, 1.08 * spent)


def bound(model: Autoencoder, x: Tensor) -> float:
    """The mean evidence lower bound, nats, by one draw of each row; the same noise each time."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return -float(model(x).mean())


def point(folder: Path, updates: int) -> Path:
    """Where the weights of leave-one-out's run are after so many updates."""
    return folder / f"leave-one-out-{updates}.pt"


def train(name: str, images: Tensor, seconds: float, folder: Path) -> None:
    """One run, written down after every reading; what an earlier command did is not repeated."""
    path, saved = folder / f"{name}.json", folder / f"{name}.pt"
    state = torch.load(saved) if saved.exists() else {}
    curve: list[Any] = json.loads(path.read_text())["curve"] if state else []
    curve = [reading for reading in curve if reading[1] <= state["spent"]]
    if curve and curve[-1][1] >= seconds:
        print(f"{name}: finished already, in {path}")
        return

    for reading in readings(name, images, seconds, folder, state):
        curve.append(reading)
        path.write_text(json.dumps({"copies": METHODS[name].copies, "curve": curve}))
        line = f"{name:14} {reading.evaluations:7} evaluations {reading.seconds:6.1f} s"
        print(f"{line}  bound {reading.bound:8.2f}", flush=True)


# ---------------------------------------------------------------- variance


def variances(name: str, images: Tensor, folder: Path, draws: int) -> dict[int, float]:
    """The variance at each point of the trajectory that the folder holds, from so many draws."""
    model, objective = autoencoder(name)
    data = Data(images, torch.Generator().manual_seed(4))
    fixed = data.batch()
    result = {}
    for passed in TRAJECTORY:
        if not point(folder, passed).exists():
            continue
        model.load_state_dict(torch.load(point(folder, passed)), strict=False)
        learn(model.code, objective, data)
        result[passed] = variance(model, objective, fixed, draws)
    return result


def learn(node: nn.Module, objective: sf.Expectation, data: Data) -> None:
    """Let the control variate of a node learn, by Adam at .01, weights fixed; then stop it."""
    node.train()
    parameters = list(node.parameters())
    optimizer = torch.optim.Adam(parameters, lr=0.01) if parameters else None
    for _ in range(UPDATES if node.state_dict() else 0):
        objective.zero_grad()
        objective(data.batch()).backward()
        if optimizer is not None:
            optimizer.step()
    node.eval()


def variance(model: Autoencoder, objective: sf.Expectation, x: Tensor, draws: int) -> float:
    """Of the gradient by the encoder's parameters, summed over them, for one batch."""
    total, squares = torch.zeros((), dtype=torch.float64), 0.0
    for _ in range(draws):
        objective.zero_grad()
        objective(x).backward()
        parts = [p.grad.flatten() for p in model.encoder.parameters() if p.grad is not None]
        gradient = torch.cat(parts).double()
        total = total + gradient
        squares += float(gradient.square().sum())
    return (squares - float(total.square().sum()) / draws) / (draws - 1)


# ---------------------------------------------------------------- table and picture


def collect(folder: Path) -> dict[str, Any]:
    """All that the folder holds, and the bounds at what every run has spent."""
    paths = {name: folder / f"{name}.json" for name in METHODS}
    runs = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    curves = {name: np.asarray(run["curve"], dtype=float) for name, run in runs.items()}
    evaluations = sorted(curve[-1, 0] for curve in curves.values())
    amounts = {  # name → what was spent, and its column in the curves
        "evaluations, all": (evaluations[0], 0),
        "evaluations, all but the slowest": (evaluations[min(1, len(evaluations) - 1)], 0),
        "seconds": (min(curve[-1, 1] for curve in curves.values()), 1),
    }
    bounds = {
        name: {
            key: float(np.interp(amount, curve[:, column], curve[:, 2]))
            for key, (amount, column) in amounts.items()
            if amount <= curve[-1, column]
        }
        for name, curve in curves.items()
    }
    measured = folder / "variance.json"
    variances = json.loads(measured.read_text()) if measured.exists() else {}
    at = {key: amount for key, (amount, _) in amounts.items()}
    return {"at": at, "bounds": bounds, "variances": variances, "runs": runs}


def show(results: dict[str, Any]) -> None:
    """Print the bounds, and the variances over those of leave-one-out."""
    print("bound at " + ", ".join(f"{key} {value:,.0f}" for key, value in results["at"].items()))
    for name, row in results["bounds"].items():
        print(f"{name:14}", *(f"{value:9.2f}" for value in row.values()))
    usual = results["variances"].get("leave-one-out", {})
    for name, row in results["variances"].items():
        shown = (f"{value / usual[key]:9.3f}" for key, value in row.items() if key in usual)
        print(f"{name:14} variance over leave-one-out", *shown)


def plot(results: dict[str, Any], picture: Path) -> None:
    """The bound against evaluations and against seconds, and the variance."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), dpi=100, layout="constrained")
    for name, run in results["runs"].items():
        curve, color = np.asarray(run["curve"])[1:], METHODS[name].color  # but for the untrained
        axes[0].plot(curve[:, 0], curve[:, 2], color=color, label=name)
        axes[1].plot(curve[:, 1], curve[:, 2], color=color)
    usual = results["variances"].get("leave-one-out", {})
    for name, row in results["variances"].items():
        keys = [key for key in row if key in usual]
        ratios = [row[key] / usual[key] for key in keys]
        axes[2].plot([int(key) for key in keys], ratios, "o-", color=METHODS[name].color)
    axes[0].set(xlabel="evaluations for each image of a batch", ylabel="training bound, nats")
    axes[1].set(xlabel="processor seconds")
    axes[2].set(xlabel="updates of leave-one-out's run", ylabel="variance over leave-one-out")
    axes[2].set(xscale="log", yscale="log")
    axes[0].legend(frameon=False)
    figure.savefig(picture)
    plt.close(figure)


def main() -> None:
    """Train, measure, and keep what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="of a processor, for each run")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--draws", type=int, default=200, help="of gradients; 0, no variance")
    parser.add_argument("--folder", type=Path, default=Path("runs/vae"))
    parser.add_argument("--data", type=Path, default=Path("data"), help="holds mnist/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    images = ensure("mnist", options.data).train_images.flatten(1) / 255

    for name in options.methods:
        train(name, images, 60 * options.minutes, options.folder)
    measured = options.folder / "variance.json"
    for name in options.methods if options.draws else []:
        row = variances(name, images, options.folder, options.draws)
        rows = json.loads(measured.read_text()) if measured.exists() else {}
        measured.write_text(json.dumps({**rows, name: row}))
        print(f"{name:14} variance", *(f"{value:.4g}" for value in row.values()), flush=True)

    results = collect(options.folder)
    show(results)
    plot(results, PICTURE)
    keep("vae", {"minutes": options.minutes, **results})


if __name__ == "__main__":
    main()
