"""Measure a trained policy: its returns when it always does what is likeliest."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from applications.control.config import RUNS, Config
from applications.control.environments import TASKS, Environments, play
from applications.control.policies import Policy
from applications.kit.files import load_state
from applications.kit.options import Several
from applications.kit.records import CHECKPOINT, misfit, read_config
from applications.kit.sources import Measurement, named, run_of


@dataclass(frozen=True, kw_only=True)
class Options(Measurement):
    """Options of `evaluate`; nothing is shipped, so a run must be named."""

    episodes: Several = 100
    """Number of episodes to play."""


def evaluate(options: Options) -> None:
    """Play with the policy of a run; print the mean return and the least."""
    folder = named(run_of(options, RUNS), "evaluate")
    policy, had = load_policy(folder)
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
    config = Config.from_saved(had, folder)
    policy = Policy(TASKS[config.environment], config.hidden)
    try:
        policy.load_state_dict(state["learner"]["policy"])
    except (RuntimeError, TypeError, LookupError) as error:
        raise misfit(folder / CHECKPOINT, error) from error
    return policy.eval(), had
