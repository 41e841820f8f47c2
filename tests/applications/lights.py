"""A game small enough to be learned in seconds, with the emulator's interface."""

import numpy as np


class Lights:
    """A light jumps about; UP scores if it is above, DOWN if it is below.

    All twelve moves of an episode can be won; the first is blind if only differences are seen.
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
        return self.light(), self.scored, over, np.zeros_like(over), {}
