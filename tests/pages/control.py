"""Names that the blocks of docs/control.md use and the page does not define."""

import torch
from torch import nn
from torch.distributions import Categorical, kl_divergence

from sfgrad import optim


class Policy(nn.Linear):
    def forward(self, observation):
        return Categorical(logits=super().forward(observation))


def how_it_works():
    policy = Policy(3, 2)
    observation = torch.randn(16, 3)
    with torch.no_grad():
        action = policy(observation).sample()
    return {
        "optim": optim,
        "kl_divergence": kl_divergence,
        "policy": policy,
        "observation": observation,
        "action": action,
        "advantage": torch.randn(16),
    }


def appendix_how_it_was_measured():
    return {"seed": 0, "units": 0}
