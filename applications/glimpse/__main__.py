"""Hard attention: `python -m applications.glimpse train`, `data`, `evaluate`, `plot`, and more."""

import sys
from dataclasses import dataclass
from pathlib import Path

from applications.glimpse import compare, data, evaluate, pictures, weights
from applications.glimpse.config import RUNS, Config
from applications.glimpse.training import choose_precision
from applications.glimpse.training import train as train_model
from applications.kit.commands import Asked, Commands, Start
from applications.kit.sources import Export


@dataclass(frozen=True, kw_only=True)
class TrainStart(Start, data.Stored):
    """Options of `train` beside its config."""

    def plot_arguments(self, folder: Path) -> list[str]:
        """The arguments of `plot`, which needs the images too."""
        return [*super().plot_arguments(folder), "--folder", str(self.folder)]


def train(asked: Asked) -> bool:
    """Train into a run folder: whether the run is complete."""
    config = choose_precision(asked.config)
    images = data.ensure(config.data, asked.start.folder)
    with asked.open(config) as run:
        return train_model(config, run, images)


def commands() -> Commands:
    """The command line."""
    line = Commands("glimpse", __doc__)
    line.add_train(train, {"glimpse": Config}, RUNS, lambda config: config.task, TrainStart)
    line.add("data", data.data, data.Options, "Get the images and check them.")
    line.add("evaluate", evaluate.evaluate, evaluate.Options, "Measure the error on test images.")
    line.add(
        "plot",
        pictures.plot,
        pictures.Options,
        "Plot where a network looks, what it sees and how often it errs.",
    )
    line.add("compare", compare.compare, compare.Options, "Compare estimators of the gradient.")
    line.add(
        "export",
        weights.export,
        Export,
        "Write a run's weights as a small file, with their origin.",
    )
    return line


def main(arguments: list[str] | None = None) -> int:
    """Run a command: the exit status."""
    return commands().main(arguments)


if __name__ == "__main__":
    sys.exit(main())
