"""Trained weights as files: into a model, and out of a run into a small file with its origin."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from applications.kit.errors import RunError
from applications.kit.files import save_state


def fit(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    otherwise: str,
    baselines: tuple[str, ...],
    new: tuple[str, ...] = (),
) -> None:
    """Give a model trained weights; those of its baselines, which only training needs, stay.

    Args:
        model: the model.
        weights: by name.
        otherwise: what the error says if they do not fit.
        baselines: what the names of the baselines' weights begin with.
        new: and those of others that may be missing.

    Raises:
        RunError: they do not fit.
    """
    try:
        missing, surplus = model.load_state_dict(without(weights, baselines), strict=False)
    except RuntimeError as error:
        raise RunError(f"{otherwise} ({error})") from error
    missing = [name for name in missing if not name.startswith((*baselines, *new))]
    if missing or surplus:
        raise RunError(f"{otherwise}: {', '.join([*missing, *surplus])}")


def without(weights: Mapping[str, Tensor], baselines: tuple[str, ...]) -> dict[str, Tensor]:
    """The weights but for those of baselines."""
    return {name: value for name, value in weights.items() if not name.startswith(baselines)}


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write a file of weights with their provenance, and tell how large it is.

    Raises:
        RunError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path.parent} is no folder ({error.strerror})") from error
    save_state(path, dict(state))
    print(f"{path}: {path.stat().st_size:,} bytes")


def whose(path: Path, origin: Mapping[str, Any] | None) -> str:
    """Where a shipped file is from, in words."""
    commit = ((origin or {}).get("commit") or "unknown")[:7]
    return f"shipped: {path.stem}, commit {commit}"


def names(folder: Path) -> Iterable[str]:
    """What is shipped in a folder."""
    return sorted(file.stem for file in folder.glob("*.safetensors"))
