"""The trained policy as a file: a run's checkpoint, or the small export that is shipped."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from applications.kit.errors import RunError
from applications.kit.files import load_state, replacing
from applications.kit.run import CHECKPOINT, METRICS, read_config, read_metrics
from applications.kit.shipped import write
from applications.kit.sources import Export, named
from applications.pong.frames import SIDE, SIGHTS
from applications.pong.games import view_and_actions
from applications.pong.policy import NETWORKS, ActorCritic, Blocks, Policy

RUNS = Path("runs/pong")
"""Parent of the run folders, unless `--run-dir` names one."""
PACKAGE = SHIPPED = Path(__file__).parent / "shipped"
"""Folder of the policies that `evaluate`, `watch` and `plot` use by default."""

LOGS = Path(__file__).parents[2] / "docs" / "results"
"""Where the metrics of those trainings are."""


def shipped(recipe: str, game: str = "pong") -> Path:
    """The shipped file of a recipe and a game."""
    return SHIPPED / f"{game}-{recipe}.safetensors"


def load(
    run_dir: Path | None, recipe: str, game: str = "pong"
) -> tuple[Policy | ActorCritic | Blocks, dict[str, Any]]:
    """The policy of a run, or a shipped one, and the config that it was trained with.

    The config's `sticky` is the probability of repeated actions that it was trained with at last.

    Args:
        run_dir: the run's folder; None for a shipped policy.
        recipe: of a shipped one.
        game: of a shipped one.

    Raises:
        RunError: there is none, its file is damaged, or the run is none of Pong's.
    """
    if run_dir is not None:
        path, config = run_dir / CHECKPOINT, read_config(run_dir)
        if "recipe" not in config:
            raise RunError(f"{run_dir} holds a run of another application")
        state = load_state(path)
        weights, sticky = state["policy"], state.get("sticky")
    else:
        path = shipped(recipe, game)
        if not path.exists():
            raise RunError(
                f"no policy for {game} by the recipe {recipe} is shipped: train one, and name its "
                "folder"
            )
        state = load_state(path)
        config, sticky = state["provenance"]["config"], state["provenance"].get("sticky")
        weights = {**state["policy"], "w1": dequantize(**state["w1"])}
    config = present(config, path)
    policy = build(config)
    try:
        policy.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"{path} does not fit its config: {error}") from error
    return policy.eval(), config if sticky is None else {**config, "sticky": sticky}


def present(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """A saved config under the present names of its fields, with its origin.

    Raises:
        RunError: it has fields that are unknown.
    """
    from applications.pong.recipes import KINDS  # which know this module

    kind = KINDS.get(config["recipe"])
    if kind is None:
        raise RunError(f"{path} is of a recipe that is unknown: {config['recipe']}")
    origin = {"origin": config["origin"]} if "origin" in config else {}
    return {**asdict(kind.from_saved(config, path)), **origin}


def build(config: dict[str, Any]) -> Policy | ActorCritic | Blocks:
    """The network of a config, untrained."""
    moves = len(view_and_actions(config["game"], rest=config.get("rest", False))[1])
    if config["recipe"] == "blog":
        return Policy(moves, config["hidden"])
    size = SIGHTS[config["frames"]].size
    if config["recipe"] == "cross-entropy":
        return Blocks(moves, config["block_height"], config["block_width"], size)
    return NETWORKS[config["network"]](moves, config["hidden"], size)


def export(options: Export) -> None:
    """Write the weights of `--run-dir` to `--output`, W1 in 8 bits, and the metrics next to it."""
    folder = named(options.run_dir, "export")
    config, state = read_config(folder), load_state(folder / CHECKPOINT)
    recent, policy = state["recent"], dict(state["policy"])
    if "w1" not in policy:
        raise RunError(f"{folder} is not of a dense network: only those are exported")
    output = options.output or shipped(config["recipe"], config["game"])
    if output.exists() and not options.output:
        raise RunError(f"{output} is there already: name a file by --output")
    provenance = {
        "config": {name: value for name, value in config.items() if name != "origin"},
        "origin": config.get("origin"),
        "sticky": state.get("sticky", config["sticky"]),
        "updates": state["update"],
        "episodes": state["episodes"],
        "agent_steps": state["agent_steps"],
        "seconds": round(state["seconds"]),
        "mean_return_100": sum(recent) / max(len(recent), 1),
        "precision": "W1 in 8 bits: one scale for each image row and hidden unit",
    }
    w1 = quantize(policy.pop("w1"))
    lines = [json.dumps(line) + "\n" for line in read_metrics(folder / METRICS)]
    write(output, {"w1": w1, "policy": policy, "provenance": provenance})
    with replacing(metrics_of(output)) as part:
        part.write_text("".join(lines))


def metrics_of(exported: Path) -> Path:
    """Where the metrics of exported weights are: beside them, or of what is shipped in the docs."""
    folder = LOGS if exported.parent == PACKAGE else exported.parent
    return folder / f"{exported.stem}.metrics.jsonl"


def quantize(w1: Tensor) -> dict[str, Tensor]:
    """W1 `[pixels, hidden]` in 8 bits: int8 `steps` and a `scale` per image row and hidden unit."""
    rows = w1.unflatten(0, (-1, SIDE))
    scale = rows.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    return {"steps": (rows / scale).round().to(torch.int8), "scale": scale}


def dequantize(steps: Tensor, scale: Tensor) -> Tensor:
    """`[pixels, hidden]`, as `quantize` was given, to half a step of 1/127 of a row's largest."""
    return (steps * scale).flatten(0, 1)
