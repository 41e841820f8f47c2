"""Measure a trained policy: its returns when it always does what is likeliest."""

import argparse
import json
from dataclasses import fields
from pathlib import Path

import torch

from applications.control.config import Config
from applications.control.environments import TASKS, Environments, play
from applications.control.policies import Policy
from applications.kit.errors import RunError
from applications.kit.files import load_state
from applications.kit.run import CHECKPOINT, read_config

EPISODES = 100
"""Played, unless told."""


def evaluate(options: argparse.Namespace) -> None:
    """Play with the policy of `--run-dir`; tell the mean return and the least."""
    if options.run_dir is None:
        raise RunError("evaluate needs to know which run: name it by --run-dir")
    policy, had = load_policy(options.run_dir)
    torch.manual_seed(options.seed)
    returns = play(Environments(policy.task, options.episodes), policy.best).returns
    told = {
        "environment": policy.task.name,
        "method": had["method"],
        "episodes": options.episodes,
        "mean_return": returns.mean().item(),
        "standard_error": returns.std().item() / options.episodes**0.5,
        "least": returns.min().item(),
    }
    if options.json:
        print(json.dumps(told))
        return
    print(f"{told['environment']} by {told['method']}, {options.episodes} episodes:")
    mean, error = told["mean_return"], told["standard_error"]
    print(f"mean return {mean:.1f} ± {error:.1f} (standard error), least {told['least']:.1f}")


def load_policy(folder: Path) -> tuple[Policy, dict]:
    """The policy of a run, and its config."""
    had, state = read_config(folder), load_state(folder / CHECKPOINT)
    names = {field.name for field in fields(Config)}
    config = Config(**{name: value for name, value in had.items() if name in names})
    policy = Policy(TASKS[config.environment], config.hidden)
    policy.load_state_dict(state["learner"]["policy"])
    return policy.eval(), had
