"""Trained programs as files: a run's checkpoint, and the small exports that are shipped."""

from pathlib import Path
from typing import Any

from applications.kit import shipped as kit
from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, read_config
from applications.kit.sources import Export, named
from applications.memory.config import Config
from applications.memory.model import MemoryModel

BASELINES = ("act.",)
"""What the names of the baseline's weights begin with: only training needs them."""
SHIPPED = Path(__file__).parent / "shipped"
"""Where the programs are that `evaluate` and `plot` take unless told a run folder."""


def shipped(task: str, mode: str) -> Path:
    """The shipped file of a task and a mode."""
    return SHIPPED / f"{task}-{mode}.safetensors"


def choose(folder: Path | None, task: str | None, mode: str | None) -> tuple[MemoryModel, str]:
    """The program that a command asks for, and where it is from.

    Args:
        folder: of a run; None for a shipped one.
        task: of a shipped one; with a folder, the run's own or None.
        mode: likewise.

    Raises:
        RunError: there is none, it is damaged, or the run is of another task or mode.
    """
    if folder is None:
        path = shipped(task or Config.task, mode or Config.mode)
        if not path.exists():
            shipped_names = ", ".join(kit.names(SHIPPED)) or "none"
            raise RunError(
                f"no trained program for {path.stem} is shipped (there are: {shipped_names}): "
                "train one, and name it by --run-dir"
            )
        state = load_state(path)
        commit = ((state["origin"] or {}).get("commit") or "unknown")[:7]
        where = f"shipped: seed {state['config']['seed']}, commit {commit}"
        return build(state["config"], state["weights"], path), where
    config, state = read_config(folder), load_state(folder / CHECKPOINT)
    for name, wanted in (("task", task), ("mode", mode)):
        if wanted not in (None, config[name]):
            raise RunError(f"the run in {folder} has {name} {config[name]}, not {wanted}")
    path = folder / CHECKPOINT
    return build(config, state["model"], path), f"{folder}, update {state['update']}"


def build(config: dict[str, Any], weights: dict[str, Any], path: Path) -> MemoryModel:
    """The program of a config with these weights; its baseline, if it has one, is new.

    Raises:
        RunError: they do not fit.
    """
    model = MemoryModel(Config.from_saved(config, path))
    kit.fit(model, weights, f"{path} is of another version of the program", BASELINES)
    return model.eval()


def export(options: Export) -> None:
    """Write the weights of `--run-dir` with their provenance."""
    folder = named(options.run_dir, "export")
    config, state = read_config(folder), load_state(folder / CHECKPOINT)
    output = options.output or shipped(config["task"], config["mode"])
    state = {
        "weights": kit.without(state["model"], BASELINES),
        "config": config,
        "origin": config.pop("origin"),
        "seconds": state["seconds"],
    }
    kit.write(output, state)
