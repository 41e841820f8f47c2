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
        "model": nn.Linear(4, 2),
        "encoder": nn.Linear(4, 2),
        "prior": Independent(Bernoulli(logits=torch.zeros(2)), 1),
        "likelihood": lambda x, z: likelihood.log_prob((x > 0).float()) * z.mean(-1),
        "x": torch.randn(6, 4),
        "cost_of": lambda action: action.square().sum(-1),
        "scores": torch.randn(6, 20, requires_grad=True),
        "gain_of_ranking": lambda order: (order == 0).float().sum(-1),
    }
