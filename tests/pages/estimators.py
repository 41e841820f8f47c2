"""Names that the blocks of the pages in docs/estimators use and the pages do not define."""

import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import sfgrad as sf


def everywhere():
    likelihood = Independent(Bernoulli(logits=torch.zeros(3)), 1)
    return {
        "torch": torch,
        "nn": nn,
        "sf": sf,
        "Bernoulli": Bernoulli,
        "Categorical": Categorical,
        "Independent": Independent,
        "Normal": Normal,
        "model": nn.Linear(3, 2),
        "encoder": nn.Linear(3, 2),
        "prior": Independent(Bernoulli(logits=torch.zeros(2)), 1),
        "likelihood": lambda x, z: likelihood.log_prob((x > 0).float()) * z.mean(-1),
        "x": torch.randn(4, 3),
    }
