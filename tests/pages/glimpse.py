"""Names that the blocks of docs/glimpse.md use and the page does not define."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Independent, Normal

import sfgrad as sf


def the_sampling_node():
    return {
        "torch": torch,
        "nn": nn,
        "F": F,
        "sf": sf,
        "Independent": Independent,
        "Normal": Normal,
        "retina": lambda images, location: images.flatten(1)[:, :64],
        "images": torch.rand(4, 28, 28),
        "labels": torch.arange(4),
    }
