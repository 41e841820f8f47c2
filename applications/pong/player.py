"""A trained policy at play: screens in, actions out."""

import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import torch
from torch.distributions import Bernoulli, Distribution

import sfgrad as sf
from applications.pong import weights
from applications.pong.environments import check_environment, doubts, numbers
from applications.pong.frames import SIGHTS, Frames, coloured
from applications.pong.games import Settings, find_game, make_emulators, view_and_actions
from applications.pong.policy import ActorCritic, Blocks, Policy
from applications.pong.screens import check_coloured, check_screens


class Player:
    """Plays any number of games with one policy.

    Args:
        policy: the policy.
        config: that it was trained with: the game, and what it sees of it.
        greedy: make the likeliest move instead of drawing one.
    """

    def __init__(
        self, policy: Policy | ActorCritic | Blocks, config: dict[str, Any], greedy: bool = False
    ):
        self.policy, self.greedy = policy, greedy
        shuffle, rest = config.get("shuffle", False), config.get("rest", False)
        self.view, self.actions = view_and_actions(config["game"], shuffle, rest)
        self.sight = SIGHTS[config.get("frames", "difference")]
        self.begin(1)

    def begin(self, games: int) -> None:
        """Forget what was seen, and play so many games from here on."""
        self.eyes = self.sight(self.view, games)

    @torch.no_grad()
    def act(self, screens: np.ndarray, first: np.ndarray) -> np.ndarray:
        """The actions `[N]` for the screens `[N, 1, H, W]`; `first` `[N]`: a new episode's.

        Raises:
            ValueError: the screens have another type, shape or range than the emulator's, or they
                show no Pong although the policy is for it.
        """
        check_screens(screens, self.view)
        changes = self.eyes(screens[:, 0], first)
        dist = self.policy.choose(Frames.of(*changes, self.view.scale))
        moves = likeliest(dist) if self.greedy else sf.sample(dist)
        return self.actions[moves.long().numpy()]


def likeliest(dist: Distribution) -> torch.Tensor:
    """The likeliest move of each row, `[R]`."""
    return dist.logits > 0 if isinstance(dist, Bernoulli) else dist.logits.argmax(-1)


class Game:
    """One game of a player's, move by move.

    Args:
        player: who plays.
        settings: the emulator's.
        seed: of the emulator.

    Attributes:
        steps: moves made so far.
        score: points so far.
    """

    def __init__(self, player: Player, settings: Settings, seed: int):
        self.player, self.settings, self.seed = player, settings, seed
        self.steps, self.score = 0, 0.0

    def moves(self, limit: int | None = None) -> Iterator[int]:
        """The emulator's action of each move, up to the end of the game or to so many moves."""
        self.player.begin(1)
        emulator = make_emulators(self.settings, 1, self.player.view)
        (screens, _), first, over = emulator.reset(seed=self.seed), np.ones(1, bool), False
        while not over and self.steps != limit:
            actions = self.player.act(screens, first)
            yield int(actions[0])
            screens, rewards, terminated, truncated, _ = emulator.step(actions)
            first = terminated | truncated
            self.steps, self.score, over = self.steps + 1, self.score + float(rewards[0]), first[0]


class ScreenPlayer(Player):
    """Plays one game of gymnasium's, from its coloured screens; what `load_policy` returns.

    Call it with each screen, `[210, 160, 3]` uint8, RGB: the action to take, an int. After the end
    of an episode call `reset`.

    Args:
        policy: the policy, for Pong.
        config: that it was trained with.
        greedy: make the likeliest move instead of drawing one.
        environment: that it is going to play, whose numbers of the actions it takes; None for one
            with the minimal set of six.

    Raises:
        ValueError: the policy is for another game than Pong, or the environment shows it other
            screens than gymnasium's, or lacks an action; of a call, the screen has another type or
            shape, is a batch, or shows no Pong.
    """

    def __init__(
        self,
        policy: Policy | ActorCritic | Blocks,
        config: dict[str, Any],
        greedy: bool = False,
        environment: gymnasium.Env | None = None,
    ):
        if config["game"] != "pong":
            raise ValueError(
                f"a policy for {config['game']} sees the emulator's grey screens, not gymnasium's "
                "coloured ones: let a Player play it"
            )
        super().__init__(policy, config, greedy)
        self.view = coloured(self.view)
        if environment is not None:
            check_environment(environment)
            self.actions = numbers(environment, self.actions)
        self.reset()

    def reset(self) -> None:
        """The next screen is an episode's first."""
        self.begin(1)
        self.first = True

    def __call__(self, screen: np.ndarray) -> int:
        """The action for a screen."""
        screen = np.asarray(screen)
        check_coloured(screen)
        action = self.act(screen[None, None, :, :, 0], np.array([self.first]))
        self.first = False
        return int(action[0])


def load_policy(
    game: str = "pong", greedy: bool = False, environment: gymnasium.Env | None = None
) -> ScreenPlayer:
    """The trained policy that is shipped, ready to play one game.

    It sees the emulator's coloured screens, every fourth frame, and cannot tell what else was done
    to them. Name the environment, and all that can be read of it is compared with what the policy
    was trained in. Without it the actions are those of the minimal set of six.

    Args:
        game: `pong` is all there is.
        greedy: make the likeliest move instead of drawing one.
        environment: gymnasium's, that the policy is going to play, with all its wrappers. With
            `full_action_space=True` the policy's moves get their numbers among the 18 actions.

    Returns:
        A policy of one game: call it with each screen, `[210, 160, 3]` uint8, RGB.

    Raises:
        RunError: no policy for this game is shipped, or there is no such game.
        ValueError: the environment is several games, another game or none of the emulator's; its
            observations are not the emulator's coloured screens by type, kind or shape; or it lacks
            an action that the policy makes.

    Warns:
        UserWarning: the environment plays another number of frames a step than 4, wrappers
            included, or a random number; repeats actions with a probability above .25, or for whole
            steps; shows maxima of two frames; or has wrappers that cannot be read.
    """
    policy, config = weights.load(None, "fast", find_game(game))
    player = ScreenPlayer(policy, config, greedy, environment)
    if environment is not None:
        for doubt in doubts(environment):
            warnings.warn(doubt, UserWarning, stacklevel=2)
    return player
