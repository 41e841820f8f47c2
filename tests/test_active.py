"""Which graph records: threads, tasks, generators, and acting greedily."""

import asyncio
import contextlib
import functools
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Distribution,
    Independent,
    Normal,
    Poisson,
    TanhTransform,
    TransformedDistribution,
)

import sfgrad as sf


def in_a_thread(test):
    """Run a test in a thread of its own: another test may have left an event loop running here."""

    @functools.wraps(test)
    def run():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(test).result()

    return run


def record(scale):
    """A draw and a cost of its own size, by which a graph's records are known."""
    z = sf.sample(Bernoulli(logits=torch.zeros(3)), name=f"z{scale}")
    sf.add_cost(0 * z + scale, name=f"c{scale}")


async def training(scale, losses):
    with sf.StochasticGraph() as graph:
        for _ in range(3):
            record(scale)
            await asyncio.sleep(0)
            await step(scale)
    losses[scale] = graph.loss().item()


async def step(scale):
    await asyncio.sleep(0)
    record(scale)


@in_a_thread
def test_tasks_take_turns_and_record_each_into_its_own():
    losses = {}

    async def main():
        await asyncio.gather(*[training(scale, losses) for scale in (1, 10, 100)])

    asyncio.run(main())
    assert losses == {1: 6, 10: 60, 100: 600}


@in_a_thread
def test_a_task_started_inside_of_another_tasks_graph_is_refused():
    async def child():
        sf.sample(Bernoulli(logits=torch.zeros(3)))

    async def main():
        with sf.StochasticGraph() as graph:
            record(1)
            with pytest.raises(RuntimeError, match="started inside another task's graph"):
                await asyncio.gather(child())
            record(2)
        assert list(graph.nodes) == ["z1", "z2"]

    asyncio.run(main())
    assert sf.sample(Bernoulli(logits=torch.zeros(3))).shape == (3,)


@in_a_thread
def test_a_task_that_has_nothing_to_do_with_a_graph_just_draws():
    drawn = []

    async def serve():
        for _ in range(3):
            drawn.append(sf.sample(Bernoulli(logits=torch.zeros(7))))
            await asyncio.sleep(0)

    async def main():
        losses = {}
        server = asyncio.create_task(serve())
        await training(1, losses)
        await server
        assert losses == {1: 6}

    asyncio.run(main())
    assert [z.shape for z in drawn] == [(7,)] * 3


@in_a_thread
def test_a_graph_outside_of_tasks_is_open_for_those_inside():
    with sf.StochasticGraph() as graph:
        asyncio.run(step(1))
    assert list(graph.nodes) == ["z1"]


def rollout(scale, losses):
    with sf.StochasticGraph() as graph:
        for _ in range(3):
            record(scale)
            yield
    losses[scale] = graph.loss().item()


def test_generators_take_turns_and_record_each_into_its_own():
    losses = {}
    running = [rollout(scale, losses) for scale in (1, 10, 100)]
    while running:
        for generator in list(running):
            if next(generator, "end") == "end":
                running.remove(generator)
    assert losses == {1: 3, 10: 30, 100: 300}


def test_a_graph_beside_a_suspended_generator():
    losses = {}
    generator = rollout(1, losses)
    next(generator)
    with sf.StochasticGraph() as graph:
        record(5)
        next(generator)  # takes its turn inside of this block
        record(5)
    assert graph.loss().item() == 10
    list(generator)
    assert losses == {1: 3}


@contextlib.contextmanager
def recording():
    with sf.StochasticGraph() as graph:
        yield graph


def test_a_context_manager_opens_a_graph_for_the_block_around_it():
    losses = {}

    def nested(scale):
        with recording() as graph:
            for _ in range(2):
                record(scale)
                yield
            with recording() as inner:
                record(7)
            assert list(inner.nodes) == ["z7"]
        losses[scale] = graph.loss().item()

    with recording() as outer:
        record(3)
        with recording() as inner:
            record(4)
        for _ in zip(nested(1), nested(10), strict=True):
            pass
        record(3)
    assert list(inner.nodes) == ["z4"]
    assert outer.loss().item() == 6
    assert losses == {1: 2, 10: 20}


def test_an_abandoned_generator_takes_nothing_along():
    generator = rollout(1, {})
    next(generator)
    with sf.StochasticGraph() as graph:
        record(2)
        del generator
        gc.collect()
        record(2)
    assert graph.loss().item() == 4


def test_graphs_closed_out_of_order_are_refused_and_none_stays_open():
    first, second = sf.StochasticGraph(), sf.StochasticGraph()
    first.__enter__()
    second.__enter__()
    with pytest.raises(RuntimeError, match="closed out of order"):
        first.__exit__(None, None, None)
    with pytest.warns(UserWarning, match=r"add_cost\(\) was called where no graph is open"):
        sf.add_cost(torch.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="the graph is not open in this thread"):
        second.__exit__(None, None, None)


def test_an_error_in_a_block_closes_its_graphs():
    def fails():
        with sf.StochasticGraph(), sf.StochasticGraph():
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails()
    with pytest.warns(UserWarning, match=r"add_cost\(\) was called where no graph is open"):
        sf.add_cost(torch.ones(2, requires_grad=True))


# ---------------------------------------------------------------- threads


def test_a_loss_without_any_draw_warns_and_names_the_cause():
    drawn = []

    def model(x):
        thread = threading.Thread(target=lambda: drawn.append(sf.sample(Bernoulli(logits=x))))
        thread.start()
        thread.join()
        return drawn[0] * x

    x = torch.zeros(4, requires_grad=True)
    with pytest.warns(UserWarning, match="recorded no draw.*another thread or task") as caught:
        sf.expectation(model)(x)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_graph_in_each_thread_works():
    found = {}

    def work(scale):
        with sf.StochasticGraph() as graph:
            record(scale)
        found[scale] = graph.loss().item()

    threads = [threading.Thread(target=work, args=(scale,)) for scale in (1, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1: 1, 10: 10}


# ---------------------------------------------------------------- greedy


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.move = sf.StochasticNode(sf.ScoreFunction(sf.LeaveOneOut(), samples=2), name="move")

    def forward(self, x):
        z = self.move(Categorical(logits=sf.align(x)))
        sf.add_cost(z)
        sf.branch(x, 3)
        return z


def test_greedy_acts_by_the_likeliest_values_of_a_whole_model():
    x = torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]], requires_grad=True)
    with sf.greedy():
        assert Policy()(x).tolist() == [1, 0]
    assert sf.sample(Categorical(logits=x)).shape == (2,)  # it is over


class Loaded(Distribution):
    """A die without a mode of its own."""

    def enumerate_support(self, expand=True):
        return torch.arange(3).view(3, 1).expand(3, *self.batch_shape)

    def log_prob(self, value):
        return torch.tensor([0.2, 0.5, 0.3]).log()[value]


@pytest.mark.parametrize(
    ("distribution", "wanted"),
    [
        (Bernoulli(torch.tensor([0.2, 0.5, 0.8])), [0, 0, 1]),
        (Independent(Bernoulli(torch.tensor([[0.2, 0.8]])), 1), [[0, 1]]),
        (Categorical(torch.tensor([[0.2, 0.3, 0.5]])), [2]),
        (Normal(torch.tensor([1.5]), 1.0), [1.5]),
        (Binomial(4, torch.tensor([0.5])), [2]),
        (Poisson(torch.tensor([2.5])), [2]),
        (Loaded(torch.Size([2]), validate_args=False), [1, 1]),
    ],
)
def test_mode(distribution, wanted):
    assert sf.StochasticNode().mode(distribution).tolist() == wanted


def test_refusals_of_greedy():
    node = sf.StochasticNode(name="gate")
    with sf.StochasticGraph():
        with pytest.raises(ValueError, match=r"greedy\(\) inside a graph"), sf.greedy():
            pass
        with pytest.raises(ValueError, match=r"mode\(\) of node 'gate' inside a graph"):
            node.mode(Bernoulli(torch.ones(2)))
    with (
        sf.greedy(),
        pytest.raises(RuntimeError, match=r"a graph under greedy\(\)"),
        sf.StochasticGraph(),
    ):
        pass
    with pytest.raises(ValueError, match="'gate': TransformedDistribution has no mode"):
        node.mode(TransformedDistribution(Normal(torch.zeros(2), 1.0), [TanhTransform()]))
    with pytest.warns(UserWarning, match=r"add_cost\(\) was called where no graph is open"):
        sf.add_cost(torch.ones(2, requires_grad=True))
