"""A game small enough to be learned in seconds, with the emulator's interface; and its players."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli

from applications.kit.run import METRICS, Run, read_metrics
from applications.pong import fast
from applications.pong.config import Config, stages
from applications.pong.frames import Pairs
from applications.pong.games import view_and_actions
from applications.pong.rollout import Collector, groups

VIEW, ACTIONS = view_and_actions("pong")
QUICK = Config(
    environments=8, horizon=16, hidden=32, epochs=4, minibatch=64, steps=2560, sticky_steps=0
)
STAGE = stages(QUICK)[1]


class Lights:
    """A light jumps about; UP scores if it is above, DOWN if it is below.

    All twelve moves of an episode can be won; the first is blind if only differences are seen.
    Every other game is cut off instead of ending.
    """

    def __init__(self, games, length=12):
        self.num_envs, self.length, self.left = games, length, 40

    def reset(self, seed):
        self.random = np.random.default_rng(seed)
        self.time = self.random.integers(self.length, size=self.num_envs)
        return self.light(), {}

    def light(self):
        self.left = 140 - self.left  # so that something always changes
        self.above = self.random.random(self.num_envs) < 0.5
        screens = np.full((self.num_envs, 1, 210, 160), 87, np.uint8)
        for screen, above in zip(screens[:, 0], self.above, strict=True):
            top = 55 if above else 155
            screen[top : top + 16, self.left : self.left + 16] = 236
        return screens

    def send(self, actions):
        self.scored = np.where((actions == 2) == self.above, 1.0, -1.0).astype(np.float32)

    def recv(self):
        self.time += 1
        over = self.time >= self.length
        self.time[over] = 0
        odd = np.arange(self.num_envs) % 2 == 1
        return self.light(), self.scored, over & ~odd, over & odd, {}


def collector(environments, horizon):
    """Of games of `Lights`."""
    games = groups(Lights, environments, partial(Pairs, VIEW), ACTIONS, seed=5)
    return Collector(games, horizon, VIEW.scale)


def opinionated(model):
    """The model in float64, made to prefer some moves and to expect something."""
    torch.nn.init.normal_(model.heads.weight)
    return model.double()


def by_product(model, frames):
    """An `ActorCritic` written out, on dense frames."""
    hidden = (frames.double() @ model.w1 + model.b1).relu()
    out = hidden @ model.heads.weight.T + model.heads.bias
    return Bernoulli(logits=out[:, 1]), out[:, 0]


def train(folder, config):
    """Train on `Lights`: the metrics."""
    with pytest.MonkeyPatch.context() as patch, Run(folder, config, False) as run:
        patch.setattr(fast, "make_emulators", lambda settings, games, **_: Lights(games))
        assert fast.train(config, run)
    return read_metrics(folder / METRICS)
