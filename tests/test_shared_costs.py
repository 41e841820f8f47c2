"""Costs that rows share: the whole batch is one row. The guide shows this program."""

import re
from pathlib import Path

import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical

import sfgrad as sf


# [mixture of experts]
class Mixture(nn.Module):
    """Each of two experts takes at most two tokens of a batch; the others are dropped."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(3, 2)
        self.experts = nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)])

    def forward(self, x, target):  # x: [B, 3], target: [B]
        choice = sf.sample(Categorical(logits=self.router(x)), name="expert")  # [B]
        output = torch.zeros(len(x)).to(x)
        for number, expert in enumerate(self.experts):
            tokens = (choice == number).nonzero().flatten()[:2]
            output = output.index_put((tokens,), expert(x[tokens]).squeeze(-1))
        return (output - target).square().mean()  # [], a cost that all tokens share


objective = sf.expectation(Mixture(), batch_ndims=0)  # all of the batch is one row
# [/mixture of experts]


def test_a_mixture_of_experts_with_a_capacity():
    torch.manual_seed(0)
    model, x, target = Mixture(), torch.randn(4, 3), torch.randn(4)
    report = sf.check_unbiased(model, x, target, mode="exact", batch_ndims=0, repeats=30)
    assert report, report
    sf.expectation(model, batch_ndims=0)(x, target).backward()
    assert model.router.weight.grad.abs().sum() > 0


def test_credit_by_rows_would_be_wrong():
    """The reason: a token's choice decides whether others are dropped."""
    logits = torch.tensor([0.2, -0.4, 0.9], dtype=torch.float64, requires_grad=True)

    def costs():
        crowd = sf.sample(Bernoulli(logits=logits), name="expert")
        dropped = crowd * (crowd.cumsum(0) > 1)
        return (dropped + 0.1 * crowd).double()

    _, (truth,) = sf.exact_gradient(lambda: costs().mean(), wrt=[logits], batch_ndims=0)
    estimates = torch.zeros(3, dtype=torch.float64)
    for bits in range(8):  # the loss by rows, over all outcomes
        draws = torch.tensor([bits >> k & 1 for k in range(3)]).double()
        with sf.StochasticGraph(draws={"expert": draws}) as graph:
            sf.add_cost(costs())
        probability = Bernoulli(logits=logits.detach()).log_prob(draws).sum().exp()
        estimates += probability * torch.autograd.grad(graph.loss(), logits)[0]
    assert (estimates - truth).norm() > 0.3 * truth.norm()


def test_the_guide_shows_this_program():
    source = Path(__file__).read_text()
    _, program, _ = re.split(r"# \[/?mixture of experts\]\n", source, maxsplit=2)
    guide = (Path(__file__).parents[1] / "docs" / "guide.md").read_text()
    assert f"```python\n{program}```" in guide
