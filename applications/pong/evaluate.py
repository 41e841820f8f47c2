"""How well a policy plays: the mean return over whole episodes."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import fmean, stdev

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.distributions import Bernoulli, Distribution

import sfgrad as sf
from applications.pong import weights
from applications.pong.frames import Differences, Frames
from applications.pong.games import Settings, environment_settings, view_and_actions
from applications.pong.policy import Policy
from applications.pong.rollout import make_emulators
from applications.runs import RunError

GAMES = 16
"""At most so many are played at once."""


class Player:
    """A policy that plays N games: screens in, the emulator's actions out.

    Args:
        policy: the policy.
        game: ROM name.
        games: N.
        greedy: make the likeliest move instead of drawing one.
    """

    def __init__(self, policy: Policy, game: str, games: int, greedy: bool = False):
        self.policy, self.greedy = policy, greedy
        self.view, self.actions = view_and_actions(game)
        self.differences = Differences(self.view, games)

    @torch.no_grad()
    def act(self, screens: np.ndarray, first: np.ndarray) -> np.ndarray:
        """The actions `[N]` for the screens `[N, 1, H, W]`; `first` `[N]`: a new episode's."""
        changes = self.differences(screens[:, 0], first)
        dist = self.policy(Frames.of(*changes, self.view.scale))
        moves = likeliest(dist) if self.greedy else sf.sample(dist)
        return self.actions[moves.long().numpy()]


def likeliest(dist: Distribution) -> torch.Tensor:
    """The likeliest move of each row, `[R]`."""
    return dist.logits > 0 if isinstance(dist, Bernoulli) else dist.logits.argmax(-1)


def play(
    policy: Policy, settings: Settings, episodes: int, seed: int, greedy: bool
) -> Iterator[float]:
    """The returns of so many episodes.

    Every game plays a share that is fixed beforehand: taking whichever episodes finish first would
    favour short ones.
    """
    games = min(GAMES, episodes)
    player = Player(policy, settings.game, games, greedy)
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
    """How many were played."""
    environment: str
    """What was played, as asked for."""
    sticky: float
    """Its probability of a repeated action."""


def evaluate(options: argparse.Namespace) -> None:
    """Play the environment asked for, or both, and print what came out."""
    torch.set_num_threads(1)
    policy, config = weights.load(options.run_dir)
    name = "".join(part.capitalize() for part in config["game"].split("_"))
    names = [options.environment] if options.environment else [f"ALE/{name}-v5", "training"]
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
            played[settings] = list(play(policy, settings, options.episodes, seed, options.greedy))
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
