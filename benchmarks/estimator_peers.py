"""What estimators take by other libraries beside sfgrad.

On the autoencoder of `estimator_overhead`: each library and sfgrad in turn, forward and backward,
the same weights and images; and the mean value of the loss by either, which should be the same.
Libraries that are not installed are left out:

    pip install pyro-ppl==1.9.2 storchastic==0.3.7 pandas
    python -m benchmarks.estimator_peers
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli

import sfgrad as sf
from benchmarks.estimator_overhead import BITS, CASES, Autoencoder
from benchmarks.timing import interleave, ratio, report

Step = Callable[[], float]
"""Forward and backward; returns the loss."""


def ours(objective: sf.Expectation, x: Tensor) -> float:
    """By sfgrad."""
    loss = objective(x)
    loss.backward()
    return float(loss)


def storchastic(model: Autoencoder, x: Tensor) -> dict[str, Step]:
    """The same estimators by storchastic; leave-one-out is its baseline `batch_average`."""
    import storch
    from storch.method import REBAR, DisARM, ScoreFunction

    likelihood = storch.deterministic(
        lambda out, images: F.binary_cross_entropy_with_logits(
            out, images.expand_as(out), reduction="none"
        ).sum(-1)
    )

    def step(method) -> float:
        images = storch.denote_independent(x, 0, "data")
        posterior = Bernoulli(logits=model.encoder(images), validate_args=False)
        z = method(posterior).float()
        cost = likelihood(model.decoder(z), images) + posterior.log_prob(z).sum(-1)
        storch.add_cost(cost + BITS * 0.6931471805599453, "bound")
        return float(storch.backward())

    return {
        "score_function": partial(step, ScoreFunction("z", n_samples=1)),
        "leave_one_out": partial(
            step, ScoreFunction("z", n_samples=2, baseline_factory="batch_average")
        ),
        "disarm": partial(step, DisARM("z", n_samples=1)),
        "rebar": partial(step, REBAR("z", n_samples=1)),
    }


def pyro(model: Autoencoder, x: Tensor) -> dict[str, Step]:
    """Pyro's TraceGraph_ELBO, which is the score function; its loss is a sum over the images."""
    import pyro
    import pyro.distributions as dist
    from pyro.infer import TraceGraph_ELBO

    half = torch.zeros(BITS)

    def guide(x: Tensor):
        with pyro.plate("rows", len(x)):
            pyro.sample("z", dist.Bernoulli(logits=model.encoder(x)).to_event(1))

    def generate(x: Tensor):
        with pyro.plate("rows", len(x)):
            z = pyro.sample("z", dist.Bernoulli(logits=half).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=model.decoder(z)).to_event(1), obs=x)

    elbo = TraceGraph_ELBO()
    return {"score_function": lambda: elbo.loss_and_grads(generate, guide, x) / len(x)}


PEERS = {"storchastic": storchastic, "pyro": pyro}


def main() -> None:
    """Time what is installed, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.distributions.Distribution.set_default_validate_args(False)
    x = torch.rand(100, 784).bernoulli()

    seconds: dict[str, list[float]] = {}
    figures: dict[str, float] = {}
    for peer, make in PEERS.items():
        model = Autoencoder()
        try:
            steps = make(model, x)
        except ImportError as error:
            print(f"{peer} is left out: {error}")
            continue
        for name, step in steps.items():
            _, model.code.estimator, samples = CASES[name]
            own = partial(ours, sf.expectation(model, samples=samples), x)
            spent = interleave({f"{peer} {name}": step, f"sfgrad {name}": own}, rounds)
            seconds |= spent
            figures[f"{peer}_{name}"] = ratio(spent, f"{peer} {name}", f"sfgrad {name}")
            values = [statistics.fmean(run() for _ in range(20)) for run in (step, own)]
            figures[f"{peer}_{name}_value"] = values[0] / values[1]
    report("estimator_peers", "forward and backward", seconds, figures)


if __name__ == "__main__":
    main()
