"""Nothing is made on, or moved to, another device than the user's.

The meta device stands in for an accelerator: mixing it with the CPU is an error, as it is there. A
real one is used as well where there is one.
"""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import sfgrad as sf

DEVICES = ["meta", *(["cuda"] if torch.cuda.is_available() else [])]


class Everything(nn.Module):
    """Every estimator and baseline, copies in the middle, credit by order or by parents."""

    def __init__(self, narrowed):
        super().__init__()
        self.linear, self.narrowed = nn.Linear(3, 2), narrowed
        self.enumerated = sf.StochasticNode(sf.Enumerate())
        self.paths = sf.StochasticNode(sf.Pathwise())
        self.nodes = nn.ModuleList(
            sf.StochasticNode(sf.ScoreFunction(baseline))
            for baseline in (
                sf.Constant(0.5),
                sf.MovingAverage(),
                sf.LeaveOneOut(),
                sf.Learned(nn.Linear(3, 1)),
            )
        )

    def forward(self, x):
        z = self.paths(Normal(self.linear(x), 1.0, validate_args=False))
        for node in self.nodes:
            dist = Bernoulli(logits=z, validate_args=False)
            drawn = node(Independent(dist, 1, validate_args=False), x)
            z = z + drawn
            sf.add_cost(z.square().sum(1), parents=[drawn] if self.narrowed else None)
        e = self.enumerated(Categorical(logits=z, validate_args=False))
        return sf.align(z).sum(1) * e


@pytest.mark.parametrize("narrowed", [False, True])
@pytest.mark.parametrize("device", DEVICES)
def test_forward_and_backward_stay_on_the_device(device, narrowed):
    model = Everything(narrowed).to(device)
    loss = sf.expectation(model, samples=2)(torch.randn(4, 3, device=device))
    assert loss.device.type == device
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.device.type == device
    assert model.nodes[1].baseline.average.device.type == device


@pytest.mark.parametrize("device", DEVICES)
def test_returns_stay_on_the_device(device):
    reward = torch.ones(100, 3, device=device)
    assert sf.discounted_return(reward, 0.9, done=reward > 0).device.type == device
    assert sf.generalized_advantage(reward, reward, reward[0], 0.9, 0.9).device.type == device
