"""What the library costs beside REINFORCE written by hand, on a model of ordinary size.

An autoencoder 784–200–200–784 with 200 Bernoulli units in the middle, batch 100, four samples,
leave-one-out baseline; forward and backward.

    python -m benchmarks.overhead
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent

import sfgrad as sf
from benchmarks.timing import interleave, ratio, report

SAMPLES = 4


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200))
        self.decode = nn.Linear(200, 784)
        self.code = sf.StochasticNode(sf.ScoreFunction(sf.LeaveOneOut()))

    def forward(self, x: Tensor) -> Tensor:
        z = self.code(Independent(Bernoulli(logits=self.encode(x)), 1))
        return F.binary_cross_entropy_with_logits(self.decode(z), x, reduction="none").sum(1)


def by_hand(model: Autoencoder, x: Tensor) -> Tensor:
    """The same estimator without the library."""
    x = x.repeat(SAMPLES, 1)
    dist = Independent(Bernoulli(logits=model.encode(x)), 1)
    z = dist.sample()
    log_prob = dist.log_prob(z)
    cost = F.binary_cross_entropy_with_logits(model.decode(z), x, reduction="none").sum(1)
    costs = cost.detach().view(SAMPLES, -1)
    baseline = (costs.sum(0) - costs) / (SAMPLES - 1)
    return cost.mean() + (log_prob * (costs - baseline).flatten()).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    model, x = Autoencoder(), torch.rand(100, 784)
    objective = sf.expectation(model, samples=SAMPLES)

    gradients = []
    for loss in (lambda: objective(x), lambda: by_hand(model, x)):  # the same draws, the same sums
        torch.manual_seed(1)
        gradients.append(torch.autograd.grad(loss(), list(model.parameters())))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)

    cases = {
        "sfgrad": lambda: objective(x).backward(),
        "by hand": lambda: by_hand(model, x).backward(),
    }
    seconds = interleave(cases, rounds)
    figures = {"sfgrad_over_by_hand": ratio(seconds, "sfgrad", "by hand")}
    report("overhead", "forward and backward", seconds, figures)


if __name__ == "__main__":
    main()
