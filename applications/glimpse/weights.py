"""Trained networks as files: a run's best, and the small exports that are shipped."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from applications.glimpse.config import Config
from applications.glimpse.model import make_model
from applications.kit import shipped as kit
from applications.kit.errors import RunError
from applications.kit.files import load_state, save_state
from applications.kit.run import CHECKPOINT, read_config
from applications.kit.sources import Export, named

BEST = "best.safetensors"
"""In a run folder: the averaged weights at the lowest validation error."""
BASELINES = ("place.", "stop.")
"""Beginnings of the names of the baselines' weights."""
SHIPPED = Path(__file__).parent / "shipped"
"""Folder of the weights that `evaluate` and `plot` use by default."""


def shipped(task: str, policy: str = "learned") -> Path:
    """The shipped file of a task and a policy."""
    return SHIPPED / f"{task}-{policy}.safetensors"


def save_best(folder: Path, model: nn.Module, config: Config, metrics: dict[str, Any]) -> None:
    """Keep the weights, with what they came to."""
    state = {"weights": model.state_dict(), "config": asdict(config), "metrics": metrics}
    save_state(folder / BEST, state)


class Trained(NamedTuple):
    """A trained network, ready to look; its baselines, which only training needs, are new."""

    model: nn.Module
    config: Config
    path: Path
    whose: str
    """Where it is from, in words."""


def choose(folder: Path | None, task: str | None) -> Trained:
    """The network that a command asks for.

    Of a run it is the best one, or before the first epoch has ended, the one at its checkpoint.

    Args:
        folder: of a run; None for a shipped one.
        task: of a shipped one.

    Raises:
        RunError: there is none, its file is damaged, or of another version of the network.
    """
    if folder is None:
        path = shipped(task or Config.task)
        if not path.exists():
            raise RunError(f"no weights are shipped yet ({path.name}): name a run by --run-dir")
        model, config, rest = load(path)
        return Trained(model, config, path, kit.whose(path, rest.get("origin")))
    if (path := folder / BEST).exists():
        model, config, rest = load(path)
        whose = f"{folder}, update {rest['metrics'].get('update')}"
        return Trained(model, config, path, whose)
    path = folder / CHECKPOINT
    config, state = Config.from_saved(read_config(folder), folder), load_state(path)
    own = {n.removeprefix("module."): w for n, w in state["averaged"].items() if "." in n}
    model = build(config, own, path)
    return Trained(
        model, config, path, f"{folder}, update {state['update']}, before its first epoch"
    )


def load(path: Path) -> tuple[nn.Module, Config, dict[str, Any]]:
    """A trained network from a file, with its config and its provenance.

    Raises:
        RunError: there is no such file, it is damaged, or of another version of the network.
    """
    state = load_state(path)
    config = Config.from_saved(state["config"], path)
    model = build(config, state["weights"], path)
    return model, config, {n: v for n, v in state.items() if n not in ("weights", "config")}


def build(config: Config, weights: dict[str, Tensor], path: Path) -> nn.Module:
    """The network of a config with weights from a file.

    Raises:
        RunError: they do not fit.
    """
    model = make_model(config)
    weights = {name: value.float() for name, value in weights.items()}
    fit(model, weights, f"{path} is of another version of the network")
    return model.eval()


def fit(model: nn.Module, weights: dict[str, Tensor], otherwise: str) -> None:
    """Give a model trained weights; those of its baselines stay as they are.

    Raises:
        RunError: they do not fit.
    """
    kit.fit(model, weights, otherwise, BASELINES, new=("weary.",))


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


def export(options: Export) -> None:
    """Write the best weights of `--run-dir` with their provenance, in half precision."""
    folder = named(options.run_dir, "export")
    state, origin = load_state(folder / BEST), read_config(folder).get("origin")
    config = state["config"]
    output = options.output or shipped(config["task"], config["policy"])
    own = kit.without(state["weights"], BASELINES)
    small = {name: value.half() for name, value in own.items()}
    kit.write(output, {**state, "weights": small, "origin": origin})
