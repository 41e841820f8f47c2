"""The trained policy as a file: a run's checkpoint, or the small export that is shipped."""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from applications.pong.frames import SIDE
from applications.pong.games import view_and_actions
from applications.pong.policy import Policy
from applications.runs import (
    CHECKPOINT,
    METRICS,
    RunError,
    load_state,
    read_config,
    read_metrics,
    replacing,
    save_state,
)

SHIPPED = Path(__file__).parent / "weights" / "pong-blog.safetensors"
"""The weights that `evaluate`, `watch` and `plot` take unless told a run folder."""


def load(run_dir: Path | None) -> tuple[Policy, dict[str, Any]]:
    """The policy of a run, or the shipped one, and the config that it was trained with.

    Raises:
        RunError: there is none, or its file is damaged.
    """
    if run_dir is not None:
        config, weights = read_config(run_dir), load_state(run_dir / CHECKPOINT)["policy"]
    else:
        if not SHIPPED.exists():
            raise RunError(f"no weights are shipped yet ({SHIPPED.name}): name a run by --run-dir")
        state = load_state(SHIPPED)
        config = state["provenance"]["config"]
        weights = {"w1": dequantize(**state["w1"]), "w2": state["w2"]}
    policy = Policy(len(view_and_actions(config["game"])[1]), config["hidden"])
    policy.load_state_dict(weights)
    return policy.eval(), config


def export(options: argparse.Namespace) -> None:
    """Write the weights of `--run-dir` to `--output`, W1 in 8 bits, and the metrics next to it."""
    if options.run_dir is None:
        raise RunError("export needs to know which run: name it by --run-dir")
    config, state = read_config(options.run_dir), load_state(options.run_dir / CHECKPOINT)
    recent = state["recent"]
    provenance = {
        "config": {name: value for name, value in config.items() if name != "origin"},
        "origin": config.get("origin"),
        "updates": state["update"],
        "episodes": state["episodes"],
        "agent_steps": state["agent_steps"],
        "seconds": round(state["seconds"]),
        "mean_return_100": sum(recent) / max(len(recent), 1),
        "precision": "W1 in 8 bits: one scale for each image row and hidden unit",
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    small = {"w1": quantize(state["policy"]["w1"]), "w2": state["policy"]["w2"]}
    save_state(options.output, {**small, "provenance": provenance})
    lines = [json.dumps(line) + "\n" for line in read_metrics(options.run_dir / METRICS)]
    with replacing(metrics_of(options.output)) as part:
        part.write_text("".join(lines))
    print(f"{options.output}: {options.output.stat().st_size:,} bytes")


def metrics_of(exported: Path) -> Path:
    """Where the metrics of exported weights are."""
    return exported.with_suffix(".metrics.jsonl")


def quantize(w1: Tensor) -> dict[str, Tensor]:
    """W1 `[6400, hidden]` in 8 bits: `steps` int8 and a `scale` per image row and hidden unit."""
    rows = w1.view(SIDE, SIDE, -1)
    scale = rows.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
    return {"steps": (rows / scale).round().to(torch.int8), "scale": scale}


def dequantize(steps: Tensor, scale: Tensor) -> Tensor:
    """`[6400, hidden]`, what `quantize` was given, to half a step of 1/127 of its row's largest."""
    return (steps * scale).flatten(0, 1)
