"""Names that the blocks of docs/memory.md use and the page does not define."""

import torch
from torch import nn
from torch.distributions import Categorical

import sfgrad as sf


class Machine:
    """Shows the tape for three steps, and rewards the actions that the answer names."""

    def __init__(self, tape, answer):
        self.tape, self.answer, self.steps = tape, answer, 0

    def done(self):
        return self.steps == 3

    def seen(self):
        return self.tape

    def step(self, action):
        self.steps += 1
        return (action == self.answer).float()


def how_it_works():
    return {
        "nn": nn,
        "Categorical": Categorical,
        "sf": sf,
        "Machine": Machine,
        "tape": torch.randn(2, 28),
        "answer": torch.tensor([3, 4]),
    }
