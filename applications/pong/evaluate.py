"""How well a policy plays: the mean return over whole episodes."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import fmean, stdev

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from applications.kit.errors import RunError
from applications.kit.options import Count
from applications.kit.sources import Measurement, run_of
from applications.pong import weights
from applications.pong.config import RecipeName
from applications.pong.games import Settings, environment_of, environment_settings, make_emulators
from applications.pong.player import Player

GAMES = 16
"""Largest number of games played at the same time."""


def play(player: Player, settings: Settings, episodes: int, seed: int) -> Iterator[float]:
    """The returns of so many episodes.

    Every game plays a share that is fixed beforehand: taking whichever episodes finish first would
    favour short ones.
    """
    games = min(GAMES, episodes)
    player.begin(games)
    emulators = make_emulators(settings, games, player.view)
    screens, _ = emulators.reset(seed=seed)
    left = np.full(games, episodes // games) + (np.arange(games) < episodes % games)
    returns, first = np.zeros(games), np.ones(games, bool)
    while left.any():
        actions = player.act(screens, first)
        screens, rewards, terminated, truncated, _ = emulators.step(actions)
        first = terminated | truncated
        returns += rewards
        for game in np.flatnonzero(first & (left > 0)):
            yield float(returns[game])
        left -= first & (left > 0)
        returns[first] = 0


@dataclass(frozen=True)
class Score:
    """A row of the table, and the JSON object."""

    mean_return: float
    """Points per episode."""
    standard_error: float
    """Of the mean; points."""
    episodes: int
    """Number of episodes played."""
    environment: str
    """The environment, as it was named."""
    sticky: float
    """Its probability of a repeated action, per frame."""


@dataclass(frozen=True, kw_only=True)
class Options(Measurement):
    """Options of `evaluate`."""

    recipe: RecipeName = "fast"
    """Recipe of the shipped policy."""
    environment: str | None = None
    """`training` for the settings of the training, or an id such as ALE/Pong-v5 (default: both;
    with --json, the game's own id)."""
    episodes: Count = 100
    """Number of episodes to play."""
    greedy: bool = False
    """Play the likeliest move instead of a draw; without sticky actions all episodes are then the
    same."""


def evaluate(options: Options) -> None:
    """Play the chosen environment, or both, and print the mean returns."""
    torch.set_num_threads(1)
    trained, config = weights.load(run_of(options, weights.RUNS), options.recipe)
    player = Player(trained, config, options.greedy)
    usual = [environment_of(config["game"]), "training"]
    names = [options.environment] if options.environment else usual
    played: dict[Settings, list[float]] = {}  # the two may have the same settings
    scores = []
    for environment in names[:1] if options.json else names:
        settings = Settings(config["game"], config["sticky"])
        if environment != "training":
            settings = environment_settings(environment)
        if settings.game != config["game"]:
            raise RunError(f"the policy was trained on {config['game']}, not on {environment}")
        if settings not in played:
            torch.manual_seed(options.seed)
            seed = options.seed * 1_000_003 % 2**30  # the games count on from it
            played[settings] = list(play(player, settings, options.episodes, seed))
        returns = played[settings]
        error = stdev(returns) / len(returns) ** 0.5 if len(returns) > 1 else 0.0
        scores.append(Score(fmean(returns), error, len(returns), environment, settings.sticky))
    if options.json:
        print(json.dumps(asdict(scores[0])))
        return
    table = Table("environment", "sticky", "episodes", "mean return")
    for score in scores:
        mean = f"{score.mean_return:+.2f} ± {score.standard_error:.2f}"
        table.add_row(score.environment, f"{score.sticky:g}", f"{score.episodes}", mean)
    Console().print(table)
