"""How the cost of a graph grows with its length: T draws and T costs, each cost after its draw.

16 rows, one Bernoulli draw and one cost a step, forward and backward: the library, a loop written
by hand with the cost to go, and pyro's TraceGraph_ELBO (`pip install pyro-ppl`, only for this).

    python -m benchmarks.chain
"""

import argparse
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Bernoulli

import sfgrad as sf
from benchmarks.timing import interleave, ratio, report

ROWS = 16


def ours(logits: Tensor) -> None:
    """The library, written as one would."""
    with sf.StochasticGraph() as graph:
        for step in logits.unbind():
            b = sf.sample(Bernoulli(logits=step), name="b")
            sf.add_cost((b - 0.45) ** 2)
    graph.loss().backward()


def by_hand(logits: Tensor) -> None:
    """A competent loop: log-probabilities and costs kept, combined once at the end."""
    log_probs, costs = [], []
    for step in logits.unbind():
        dist = Bernoulli(logits=step)
        b = dist.sample()
        log_probs.append(dist.log_prob(b))
        costs.append((b - 0.45) ** 2)
    log_prob, cost = torch.stack(log_probs), torch.stack(costs)
    cost_to_go = cost.flip(0).cumsum(0).flip(0)
    ((log_prob * cost_to_go.detach()).sum(0).mean() + cost.sum(0).mean()).backward()


def pyro_elbo(leaf: Tensor):
    """TraceGraph_ELBO of the same chain; its ELBO has the costs as log-factors of the model."""
    import pyro
    import pyro.distributions as dist
    from pyro.infer import TraceGraph_ELBO

    pyro.clear_param_store()

    def guide():
        logits = pyro.param("logits", leaf)
        with pyro.plate("rows", ROWS):
            for t, step in enumerate(logits.unbind()):
                pyro.sample(f"b{t}", dist.Bernoulli(logits=step))

    def model():
        with pyro.plate("rows", ROWS):
            for t in range(len(leaf)):
                b = pyro.sample(f"b{t}", dist.Bernoulli(0.5))
                pyro.factor(f"c{t}", -((b - 0.45) ** 2))

    return partial(TraceGraph_ELBO().loss_and_grads, model, guide)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    torch.distributions.Distribution.set_default_validate_args(False)
    leaves = {T: torch.zeros(T, ROWS, requires_grad=True) for T in (40, 80, 100, 1000)}
    cases = {}
    for steps, logits in leaves.items():
        cases[f"sfgrad {steps}"] = partial(ours, logits)
        cases[f"by hand {steps}"] = partial(by_hand, logits)
    seconds = interleave(cases, rounds)
    figures = {
        "T1000_over_T100": ratio(seconds, "sfgrad 1000", "sfgrad 100"),
        "T80_over_by_hand": ratio(seconds, "sfgrad 80", "by hand 80"),
    }
    try:
        import pyro  # noqa: F401  # the benchmark's own extra
    except ImportError:
        print("pyro is not installed: pip install pyro-ppl")
    else:
        for steps in (40, 80):
            case = {"pyro": pyro_elbo(leaves[steps]), "sfgrad": partial(ours, leaves[steps])}
            spent = interleave(case, max(3, rounds // 6))
            seconds[f"pyro {steps}"] = spent["pyro"]
            figures[f"pyro_over_sfgrad_T{steps}"] = ratio(spent, "pyro", "sfgrad")
    report("chain", f"{ROWS} rows, T draws and costs", seconds, figures)


if __name__ == "__main__":
    main()
