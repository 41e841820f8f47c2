"""Trained networks as files: a run's best, and the small exports that are shipped."""

import argparse
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from applications.glimpse.config import Config
from applications.glimpse.model import make_model
from applications.kit.errors import RunError
from applications.kit.files import load_state, save_state
from applications.kit.run import read_config

BEST = "best.safetensors"
"""In a run folder: the averaged weights at the lowest validation error."""
BASELINES = ("place.", "stop.")
"""What the names of the baselines' weights begin with."""
SHIPPED = Path(__file__).parent / "weights"
"""Where the weights are that `evaluate` and `plot` take unless told a run folder."""


def shipped(task: str, policy: str = "learned") -> Path:
    """The shipped file of a task and a policy."""
    return SHIPPED / f"{task}-{policy}.safetensors"


def save_best(folder: Path, model: nn.Module, config: Config, metrics: dict[str, Any]) -> None:
    """Keep the weights, with what they came to."""
    state = {"weights": model.state_dict(), "config": asdict(config), "metrics": metrics}
    save_state(folder / BEST, state)


def load(path: Path) -> tuple[nn.Module, Config, dict[str, Any]]:
    """A trained network, ready to look, with its config and its provenance.

    Its baselines, which only training needs, are new.

    Raises:
        RunError: there is no such file, it is damaged, or of another version of the network.
    """
    state = load_state(path)
    known = {field.name for field in fields(Config)}
    config = Config(**{name: value for name, value in state["config"].items() if name in known})
    model = make_model(config)
    weights = {name: value.float() for name, value in state["weights"].items()}
    fit(model, weights, f"{path} is of another version of the network")
    rest = {name: value for name, value in state.items() if name not in ("weights", "config")}
    return model.eval(), config, rest


def fit(model: nn.Module, weights: dict[str, Tensor], otherwise: str) -> None:
    """Give a model trained weights; those of its baselines stay as they are.

    Raises:
        RunError: they do not fit.
    """
    weights = {name: value for name, value in weights.items() if not name.startswith(BASELINES)}
    try:
        missing, surplus = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise RunError(f"{otherwise} ({error})") from error
    missing = [name for name in missing if not name.startswith((*BASELINES, "weary."))]
    if missing or surplus:
        raise RunError(f"{otherwise}: {', '.join([*missing, *surplus])}")


def warm_start(model: nn.Module, config: Config) -> None:
    """Begin from trained weights, if the config names some; a head to stop by begins at 0.

    Raises:
        RunError: the file is missing, damaged, or of another network.
    """
    if config.start is None:
        return
    trained, other, _ = load(Path(config.start))
    it = f"{config.start} holds a network for {other.task}, policy {other.policy}"
    fit(model, trained.state_dict(), f"{it}: it does not fit what is asked for")


def export(options: argparse.Namespace) -> None:
    """Write the best weights of `--run-dir` with their provenance, in half precision."""
    if options.run_dir is None:
        raise RunError("export needs to know which run: name it by --run-dir")
    state, origin = load_state(options.run_dir / BEST), read_config(options.run_dir).get("origin")
    config = state["config"]
    output = options.output or shipped(config["task"], config["policy"])
    output.parent.mkdir(parents=True, exist_ok=True)
    own = {n: value for n, value in state["weights"].items() if not n.startswith(BASELINES)}
    small = {name: value.half() for name, value in own.items()}
    save_state(output, {**state, "weights": small, "origin": origin})
    print(f"{output}: {output.stat().st_size:,} bytes")
