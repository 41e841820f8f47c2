"""Models of two nodes whose control variates are tested."""

import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, OneHotCategorical

import sfgrad as sf

X = torch.tensor([[0.5, -1.0]], dtype=torch.float64)


class Chain(nn.Module):
    """Two draws, the second depends on the first; no cost is quadratic, and one comes between."""

    def __init__(self, first, second=None, kind="bits"):
        super().__init__()
        torch.manual_seed(3)
        self.kind = kind
        self.linear = nn.Linear(2, 2 if kind == "bits" else 3, dtype=torch.float64)
        self.scale = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        self.first = sf.StochasticNode(first)
        self.second = sf.StochasticNode(second or first)

    def distribution(self, logits):
        if self.kind == "bits":
            return Independent(Bernoulli(logits=logits), 1)
        return (OneHotCategorical if self.kind == "one-hot" else Categorical)(logits=logits)

    def number(self, z):
        """One number of every row, by which the cost has a slope unless z counts categories."""
        if self.kind == "numbers":
            return z.to(self.scale)
        return (z * torch.tensor([1.0, -0.5, 0.3]).to(z)[: z.shape[-1]]).sum(-1)

    def forward(self, x):
        h = self.linear(x)
        a = self.number(self.first(self.distribution(h), x))
        h, x, a = sf.align(h), sf.align(x), sf.align(a)
        sf.add_cost(torch.sin(2 * a) + self.scale * a**3)
        b = self.number(self.second(self.distribution(h * a.unsqueeze(1) + 0.3), x))
        sf.add_cost(torch.exp(0.8 * b + 0.4 * sf.align(a)))


def train(objective, x=X, updates=5, rows=50):
    """Let the baselines of an objective learn from random draws."""
    torch.manual_seed(7)
    for _ in range(updates):
        objective(x.repeat(rows, 1)).backward()
    objective.zero_grad()


def exactly_unbiased(objective, *inputs, **settings):
    """The report of the exact check."""
    return sf.check_unbiased(objective, *inputs, mode="exact", repeats=30, **settings)
