"""Names that the blocks of the pages in docs/estimators use and the pages do not define."""

import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal, OneHotCategorical

import sfgrad as sf


def everywhere():
    likelihood = Independent(Bernoulli(logits=torch.zeros(4)), 1)
    return {
        "torch": torch,
        "nn": nn,
        "sf": sf,
        "Bernoulli": Bernoulli,
        "Categorical": Categorical,
        "Independent": Independent,
        "Normal": Normal,
        "OneHotCategorical": OneHotCategorical,
        "cost_of": lambda output: output.square().sum(-1),
        "gain_of_ranking": lambda order: order[..., 0].float(),
        "scores": torch.randn(3, 12),
        "model": nn.Linear(4, 2),
        "encoder": nn.Linear(4, 2),
        "prior": Independent(Bernoulli(logits=torch.zeros(2)), 1),
        "likelihood": lambda x, z: likelihood.log_prob((x > 0).float()) * z.mean(-1),
        "x": torch.randn(3, 4),
    }
