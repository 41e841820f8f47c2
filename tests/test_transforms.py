"""Under torch.func, under torch.compile, and in several processes."""

import copy
import os
import socket
from datetime import timedelta

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.parallel import DistributedDataParallel

import sfgrad as sf


def objective(logits, baseline=None, parents=False):
    """Two draws of three rows, and a cost after each."""
    with sf.StochasticGraph() as graph:
        a = sf.sample(
            Bernoulli(logits=logits, validate_args=False), sf.ScoreFunction(baseline), name="a"
        )
        sf.add_cost((a - 0.3) ** 2)
        b = sf.sample(
            Bernoulli(logits=logits + a, validate_args=False),
            name="b",
            parents=["a"] if parents else None,
        )
        sf.add_cost((a + b) * logits, parents=["b"] if parents else None)
    return graph.loss()


@pytest.mark.parametrize("parents", [True, False])
@pytest.mark.parametrize("baseline", [None, sf.Constant(0.4)])
def test_vmap_and_grad_give_what_a_loop_gives(baseline, parents):
    """Draws that leave nothing to chance, so that both see the same."""
    logits = torch.tensor([[40.0, -40.0, 40.0], [-40.0, 40.0, 40.0]], dtype=torch.float64)

    def loss(row):
        return objective(row, baseline, parents)

    found = vmap(grad(loss), randomness="different")(logits)
    torch.testing.assert_close(found, torch.stack([grad(loss)(row) for row in logits]))
    values = vmap(loss, randomness="different")(logits)
    torch.testing.assert_close(values, torch.stack([loss(row) for row in logits]))


class Gate(nn.Module):
    def __init__(self, baseline=None):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.node = sf.StochasticNode(sf.ScoreFunction(baseline), name="gate")

    def forward(self, x):
        distribution = Bernoulli(logits=self.linear(x), validate_args=False)
        z = self.node(Independent(distribution, 1, validate_args=False), mask=x[:, 0] > -9)
        return (z.sum(1) - 1.2) ** 2


def test_an_ensemble_is_trained_in_one_call():
    torch.manual_seed(0)
    models = [Gate(sf.LeaveOneOut()) for _ in range(3)]
    parameters, buffers = stack_module_state(models)
    base = sf.expectation(copy.deepcopy(models[0]).to("meta"), samples=4)
    named = {f"fn.{name}": value for name, value in parameters.items()}
    x = torch.randn(50, 3)

    def loss(parameters, buffers):
        return functional_call(base, (parameters, buffers), (x,))

    gradients = vmap(grad(loss), randomness="different")(named, buffers)
    assert gradients["fn.linear.weight"].shape == (3, 2, 3)
    assert gradients["fn.linear.weight"].abs().sum((1, 2)).gt(0).all()


def test_gradients_of_every_sample():
    """Each row a graph of its own: the mean is the batch's gradient, in expectation."""
    torch.manual_seed(0)
    model = Gate().double()
    x = torch.randn(4, 3, dtype=torch.float64)
    parameters = dict(model.named_parameters())
    base = sf.expectation(model, samples=2000)

    def loss(parameters, row):
        named = {f"fn.{name}": value for name, value in parameters.items()}
        return functional_call(base, named, (row[None],))

    gradients = vmap(grad(loss), (None, 0), randomness="different")(parameters, x)
    _, (weight, _) = sf.exact_gradient(model, x)
    assert gradients["linear.weight"].shape == (4, 2, 3)
    torch.testing.assert_close(gradients["linear.weight"].mean(0), weight, atol=0.1, rtol=0)


# ---------------------------------------------------------------- compiled


class Masked(nn.Module):
    """A node with a mask, of rows or of elements."""

    def __init__(self, kind):
        super().__init__()
        self.linear, self.kind = nn.Linear(5, 3), kind
        self.node = sf.StochasticNode(
            sf.Pathwise() if kind == "pathwise" else sf.ScoreFunction(sf.LeaveOneOut())
        )

    def forward(self, x):
        h = self.linear(x)
        if self.kind == "rows":
            distribution = Categorical(logits=h, validate_args=False)
            z, mask = self.node(distribution, mask=x[:, 0] > 0).float(), x[:, :1] > 0
        else:
            inner = Normal(h, 1.0, validate_args=False)
            mask = x[:, :3] > 0
            z = self.node(Independent(inner, 1, validate_args=False), mask=mask)
        return ((z.reshape(len(x), -1) * mask).sum(1) - 1) ** 2


@pytest.mark.parametrize("kind", ["rows", "elements", "pathwise"])
def test_masks_compile_as_one_graph(kind):
    torch._dynamo.reset()  # else what other tests compiled counts towards its limit
    torch.manual_seed(0)
    model, x = Masked(kind), torch.randn(4, 5)
    eager = sf.expectation(model, samples=3)
    compiled = torch.compile(
        sf.expectation(copy.deepcopy(model), samples=3), fullgraph=True, backend="aot_eager"
    )
    for loss in (eager, compiled):
        torch.manual_seed(1)
        loss(x).backward()
    gradients = ([p.grad for p in o.parameters()] for o in (eager, compiled))
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted)


# ---------------------------------------------------------------- several processes


class Offset(nn.Module):
    """A cost of 10 on one rank and 20 on the other; one more draw on the second."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(()))
        self.node = sf.StochasticNode(sf.ScoreFunction(sf.MovingAverage(0.5)), name="z")

    def forward(self, x, mask):
        for _ in range(1 + int(x[0] > 15)):
            z = self.node(Bernoulli(logits=self.logits.expand(len(x))), mask=mask)
        return x + 0 * z


def rank(number, port, queue):
    """One of two processes: what its average becomes."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=number,
        world_size=2,
        timeout=timedelta(seconds=60),  # a collective call that only one makes fails
    )
    objective = DistributedDataParallel(sf.expectation(Offset()))
    x = torch.full((2 + 4 * number,), 10.0 * (1 + number))
    for counts in (None, torch.ones(len(x), dtype=torch.bool), torch.full((len(x),), number == 1)):
        objective(x, counts).backward()
        average = objective.module.fn.node.baseline
        queue.put((number, average.average.item(), average.mass.item()))
    torch.distributed.barrier()

    # Torch's threads are not always joined when the interpreter ends, which aborts the process.
    os._exit(0)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_processes_average_over_the_rows_of_all():
    """Ten rows of 2 · 10 + 6 · 20 and, in the second update, of the rank that draws twice alone."""
    queue = mp.get_context("spawn").SimpleQueue()
    mp.spawn(rank, (free_port(), queue), nprocs=2)
    told = [queue.get() for _ in range(6)]

    average = mass = 0.0
    wanted = []
    for mean in ((2 * 10 + 6 * 20) / 8, (2 * 10 + 6 * 20) / 8, 20.0):
        for update in (mean, 20.0):
            average, mass = 0.5 * average + 0.5 * update, 0.5 * mass + 0.5
        wanted.append((average, mass))
    for number in range(2):
        found = [(a, m) for rank, a, m in told if rank == number]
        for pair, want in zip(found, wanted, strict=True):
            assert pair == pytest.approx(want)


@pytest.mark.parametrize(
    "estimator",
    [
        sf.ScoreFunction(sf.MovingAverage()),
        sf.Antithetic(sf.Learned(nn.Linear(1, 1)), samples=2),
        sf.Relax(nn.Linear(1, 1)),
        sf.UnorderedSet(samples=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_replicas_of_data_parallel_draw_with_their_own_baseline(estimator):
    """What `torch.nn.parallel.replicate` does to a module and its children, without a device."""
    node = sf.StochasticNode(estimator)
    replica = node._replicate_for_data_parallel()
    replica.baseline = node.baseline._replicate_for_data_parallel()
    for name, child in node.baseline.named_children():
        setattr(replica.baseline, name, child)
    logits = torch.zeros(3, requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = replica(Bernoulli(logits=logits), context=torch.zeros(3, 1))
        sf.add_cost(z)
    assert next(iter(graph.nodes.values())).baseline is replica.baseline
    graph.loss().backward()
    assert logits.grad.isfinite().all()
    with pytest.raises(AttributeError, match="a node's baseline is that of its estimator"):
        node.baseline = sf.MovingAverage()
