import torch
from torch.distributions import MultivariateNormal

import sfgrad as sf

mean = torch.tensor([[0.35, 0.3]], requires_grad=True)  # [1, 2]
point = sf.StochasticNode(sf.ScoreFunction(sf.LeaveOneOut()))


def reward(x):  # any function at all: +1 in a disc, −1 elsewhere
    return torch.where((x + torch.tensor([1.2, 0.8])).norm(dim=-1) < 0.8, 1.0, -1.0)


def cost(mean):  # one cost per row, to be minimised
    x = point(MultivariateNormal(mean, torch.eye(2)))
    return -reward(x)


objective = sf.expectation(cost, samples=80)
optimizer = torch.optim.SGD([mean], lr=0.5)
for _ in range(100):
    optimizer.zero_grad()
    objective(mean).backward()  # reward × score, averaged
    optimizer.step()
print(mean)  # in the disc
