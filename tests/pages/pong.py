"""Names that the blocks of docs/pong.md use and the page does not define."""

import torch
from torch.distributions import Bernoulli

import sfgrad as sf


def the_blog_recipe():
    weights = torch.zeros(6, requires_grad=True)
    return {
        "sf": sf,
        "policy": lambda frames: Bernoulli(logits=frames @ weights),
        "frames": torch.randn(4, 6),
        "moves": torch.tensor([0.0, 1.0, 1.0, 0.0]),
        "advantage": torch.tensor([1.0, -1.0, 0.5, -0.5]),
    }
