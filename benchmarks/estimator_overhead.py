"""What each estimator costs beside the same estimator written by hand.

A variational autoencoder of binary latents: 784–200–200–200 and back, LeakyReLU of slope .3, 200
bits, batch 100; forward and backward of the negative evidence lower bound.

    python -m benchmarks.estimator_overhead
"""

import argparse
import itertools
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent

import sfgrad as sf
from benchmarks.timing import interleave, ratio, report

BITS = 200


def layers(*sizes: int) -> nn.Sequential:
    """Linear layers with LeakyReLU in between."""
    parts: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        parts += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.3)]
    return nn.Sequential(*parts[:-1])


class Autoencoder(nn.Module):
    """Returns the negative evidence lower bound of every row, nats."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = layers(784, 200, 200, BITS), layers(BITS, 200, 200, 784)
        self.code = sf.StochasticNode()

    def bound(self, x: Tensor, logits: Tensor, z: Tensor) -> Tensor:
        """The cost of the bits z."""
        likelihood = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none")
        posterior = Bernoulli(logits=logits, validate_args=False).log_prob(z)
        return likelihood.sum(1) + posterior.sum(1) + BITS * 0.6931471805599453

    def forward(self, x: Tensor) -> Tensor:
        logits = self.encoder(x)
        z = self.code(Independent(Bernoulli(logits=logits, validate_args=False), 1))
        return self.bound(x, logits, z)


def score_function(model: Autoencoder, x: Tensor) -> Tensor:
    """The plain score function by hand."""
    logits = model.encoder(x)
    distribution = Bernoulli(logits=logits, validate_args=False)
    z = distribution.sample()
    cost = model.bound(x, logits, z)
    return (cost + distribution.log_prob(z).sum(1) * cost.detach()).mean()


def leave_one_out(model: Autoencoder, x: Tensor) -> Tensor:
    """Two samples, each the other's baseline, by hand."""
    x = x.repeat(2, 1)
    logits = model.encoder(x)
    distribution = Bernoulli(logits=logits, validate_args=False)
    z = distribution.sample()
    cost = model.bound(x, logits, z)
    pair = cost.detach().view(2, -1)
    advantage = (pair - pair.flip(0)).flatten()
    return (cost + distribution.log_prob(z).sum(1) * advantage).mean()


def disarm(model: Autoencoder, x: Tensor) -> Tensor:
    """An antithetic pair by hand."""
    x = x.repeat(2, 1)
    logits = model.encoder(x)
    first = logits[: len(logits) // 2]
    noise, probs = torch.rand_like(first), first.detach().sigmoid()
    one, other = (noise < probs).to(x), (1 - noise < probs).to(x)
    cost = model.bound(x, logits, torch.cat([one, other]))
    pair = cost.detach().view(2, -1)
    difference = 0.5 * (pair[0] - pair[1]).unsqueeze(1)
    weight = difference * (one - other) * first.detach().abs().sigmoid()
    return cost.mean() + (weight * first).sum(1).mean()


def rebar(model: Autoencoder, x: Tensor, temperature: float = 0.5) -> Tensor:
    """A hard value, its relaxation and that given the hard value, by hand.

    Source: Tucker et al. (2017), REBAR, eq. 4 and appendix B; noise coupled as in section 3.1.
    """
    x = x.repeat(3, 1)
    logits = model.encoder(x)
    first, free, given = logits.chunk(3)
    distribution = Bernoulli(logits=first, validate_args=False)
    z = distribution.sample()

    # The logistic variable behind z, drawn given z; then the same number, which moves with logits.
    sign = 2 * z - 1
    log_odds = torch.logit(torch.rand_like(z), eps=1e-6)
    conditional = sign * F.softplus(log_odds + F.softplus(sign * given))
    variable = free + (conditional - free).detach()
    relaxed = torch.sigmoid(torch.cat([variable, conditional]) / temperature)

    hard, path, control = model.bound(x, logits, torch.cat([z, relaxed])).chunk(3)
    advantage = (hard - control).detach()
    return (hard + path - control + distribution.log_prob(z).sum(1) * advantage).mean()


CASES: dict[str, tuple[Callable[[Autoencoder, Tensor], Tensor], sf.Estimator, int]] = {
    "score_function": (score_function, sf.ScoreFunction(), 1),
    "leave_one_out": (leave_one_out, sf.ScoreFunction(sf.LeaveOneOut()), 2),
    "disarm": (disarm, sf.DisARM(), 2),
    "rebar": (rebar, sf.Rebar(), 3),
}
"""By hand, by the library, and its number of samples."""


def step(loss: Callable[..., Tensor], *arguments: object) -> None:
    """Forward and backward."""
    loss(*arguments).backward()


def main() -> None:
    """Time all cases in turn, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.rand(100, 784).bernoulli()

    # In pairs: a training has one model, and no tensors of others in the way of its memory.
    seconds: dict[str, list[float]] = {}
    for name, (by_hand, estimator, samples) in CASES.items():
        model = Autoencoder()
        model.code.estimator = estimator
        objective = sf.expectation(model, samples=samples)
        library, own = partial(step, objective, x), partial(step, by_hand, model, x)
        seconds |= interleave({name: library, f"{name} by hand": own}, rounds)
    figures = {name: ratio(seconds, name, f"{name} by hand") for name in CASES}
    report("estimator_overhead", "forward and backward", seconds, figures)


if __name__ == "__main__":
    main()
