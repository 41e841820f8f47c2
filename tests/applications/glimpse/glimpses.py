"""Images of noise, and what a retina sees of them: nothing that a network would have to learn."""

import torch
from torch import Generator

from applications.glimpse.looks import Looks
from applications.glimpse.retina import Retina, integral


def looks_at(scene, locations, patch, scales, beliefs=None):
    """What a retina sees of a scene at those locations, believing in class 0 all the time."""
    locations = torch.tensor(locations).view(-1, 2)
    count = len(locations)
    seen = Retina(patch, scales)(integral(scene[None].expand(count, -1, -1)), locations)
    beliefs = torch.eye(10)[torch.zeros(count).long()] if beliefs is None else beliefs
    return Looks(locations, seen.view(count, scales, patch, patch), beliefs, torch.tensor(count))


def noise(side, seed=0):
    """An image of uniform noise."""
    generator = Generator().manual_seed(seed)
    return torch.randint(256, (side, side), generator=generator).to(torch.uint8)
