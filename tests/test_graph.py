"""Credit, rows, replay: what the graph records and how it adds up."""

import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    Normal,
    TanhTransform,
    TransformedDistribution,
)

import sfgrad as sf

T, R = 5, 3


def chain(logits, seed=0, parents=None, baseline=None, **graph_options):
    """T steps of a Bernoulli draw and a cost that depends on all draws so far."""
    torch.manual_seed(seed)
    estimator = sf.ScoreFunction(baseline)
    with sf.StochasticGraph(**graph_options) as graph:
        state = torch.zeros(R, dtype=torch.float64)
        for t in range(T):
            dist = Bernoulli(logits=logits[t] + 0.1 * state)
            b = sf.sample(dist, estimator, name="b", parents=parents and parents("node", t))
            state = 0.5 * state + b
            sf.add_cost((state - 0.7) ** 2, parents=parents and parents("cost", t))
    return graph, graph.loss()


@pytest.fixture
def logits():
    return torch.linspace(-1, 1, T * R, dtype=torch.float64).reshape(T, R).requires_grad_()


def test_gradient_of_the_very_draws_is_score_times_cost_to_go(logits):
    graph, loss = chain(logits)
    values = torch.stack([node.draw.value for node in graph.nodes.values()])
    costs = torch.stack([cost.value for cost in graph.costs.values()])
    assert loss.item() == pytest.approx(costs.sum(0).mean().item(), rel=1e-12)

    state, log_prob = torch.zeros(R, dtype=torch.float64), []
    for t in range(T):
        log_prob.append(Bernoulli(logits=logits[t] + 0.1 * state).log_prob(values[t]))
        state = 0.5 * state + values[t]
    cost_to_go = costs.detach().flip(0).cumsum(0).flip(0)
    by_hand = (torch.stack(log_prob) * cost_to_go).sum(0).mean()
    wanted = torch.autograd.grad(by_hand, logits)[0]
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("baseline", [None, sf.Constant(0.3)])
def test_naming_all_parents_equals_the_order_of_recording(logits, baseline):
    def everything(kind, t):
        return [*["b", *[f"b.{k}" for k in range(1, T)]][: t + (kind == "cost")]]

    _, ordered = chain(logits, baseline=baseline)
    _, named = chain(logits, baseline=baseline, parents=everything)
    for order in (1, 2):
        ordered = torch.autograd.grad(ordered.sum(), logits, create_graph=True)[0]
        named = torch.autograd.grad(named.sum(), logits, create_graph=True)[0]
        torch.testing.assert_close(ordered, named, rtol=1e-10, atol=1e-12, msg=f"order {order}")


@pytest.mark.parametrize("named", [True, False])
def test_costs_to_go_agree_when_weights_are_not_one(named):
    """The cost to go carries the importance ratios after the node, in both kinds of credit."""
    p = torch.tensor([0.3, 0.6], dtype=torch.float64, requires_grad=True)
    b = torch.ones(2, dtype=torch.float64)
    ratio = 0.5
    recorded = {"a": (b, p.log().detach()), "b": (b, p.log().detach() - torch.tensor(ratio).log())}
    seen = []

    class Spy(sf.Constant):
        def read(self, cost_to_go, prediction):
            seen.append(cost_to_go.flatten())
            return super().read(cost_to_go, prediction)

    with sf.StochasticGraph(draws=recorded) as graph:
        sf.sample(Bernoulli(p), sf.ScoreFunction(Spy(0.0)), name="a")
        sf.add_cost(torch.full((2,), 10.0, dtype=torch.float64))
        sf.sample(Bernoulli(p), sf.ScoreFunction(Spy(0.0)), name="b")
        sf.add_cost(
            torch.full((2,), 3.0, dtype=torch.float64), parents=["a", "b"] if named else None
        )
    graph.loss()
    torch.testing.assert_close(seen[0], torch.full((2,), 10 + 3 * ratio, dtype=torch.float64))
    torch.testing.assert_close(seen[1], torch.full((2,), 3.0, dtype=torch.float64))


def test_parents_narrow_the_credit():
    logits = torch.zeros(2, 4, requires_grad=True)
    with sf.StochasticGraph() as graph:
        a = sf.sample(Bernoulli(logits=logits[0]), name="a")
        b = sf.sample(Bernoulli(logits=logits[1]), name="b", parents=[])
        sf.add_cost(3 + a, parents=[a], name="of a")
        sf.add_cost(5 + b, parents=["b"], name="of b")
    graph.loss().backward()
    score_a = (a - 0.5) / 4
    score_b = (b - 0.5) / 4
    torch.testing.assert_close(logits.grad, torch.stack([score_a * (3 + a), score_b * (5 + b)]))


def test_parents_are_closed_over_their_ancestors():
    logits = torch.zeros(3, 4, requires_grad=True)
    with sf.StochasticGraph() as graph:
        a = sf.sample(Bernoulli(logits=logits[0]), name="a")
        b = sf.sample(Bernoulli(logits=logits[1] + a), name="b", parents=["a"])
        c = sf.sample(Bernoulli(logits=logits[2]), name="c", parents=[])
        sf.add_cost(b, parents=["b"])
        sf.add_cost(c, parents=["c"])
    graph.loss().backward()
    torch.testing.assert_close(logits.grad[0], (a - 0.5) * b / 4)
    torch.testing.assert_close(logits.grad[2], (c - 0.5) * c / 4)


def test_copies_fold_into_rows_newest_outermost():
    with sf.StochasticGraph() as graph:
        x = torch.arange(3.0)
        y = sf.branch(x, 2)
        assert y.tolist() == [0, 1, 2, 0, 1, 2]
        z = sf.sample(Categorical(logits=torch.zeros(6, 2)), sf.Enumerate(), name="z")
        assert z.tolist() == [0] * 6 + [1] * 6
        assert sf.align(x).tolist() == [0, 1, 2] * 4
        assert sf.align(y).tolist() == y.tolist() * 2
        sf.add_cost(z.float() + sf.align(x))
    assert graph.loss().item() == pytest.approx(0.5 + 1)


def test_leave_one_out_compares_within_the_nearest_independent_branch():
    seen = []

    class Spy(sf.LeaveOneOut):
        def read(self, cost_to_go, prediction):
            seen.append(tuple(cost_to_go.shape))
            return super().read(cost_to_go, prediction)

    with sf.StochasticGraph() as graph:
        x = sf.branch(torch.zeros(3), 2)
        sf.sample(Bernoulli(logits=x), sf.ScoreFunction(Spy()), name="two of the branch")
        e = sf.sample(Categorical(logits=torch.zeros(6, 5)), sf.Enumerate())
        sf.sample(Bernoulli(logits=e.float()), sf.ScoreFunction(Spy()), name="not the enumerated")
        z = sf.sample(
            Bernoulli(logits=e.float()), sf.ScoreFunction(Spy(), samples=4), name="its own"
        )
        sf.add_cost(z)
    graph.loss()
    assert seen == [(1, 2, 3), (5, 2, 3), (1, 4, 30)]


def test_all_baselines_are_read_before_any_is_updated():
    baseline = sf.MovingAverage(decay=0.5)
    estimator = sf.ScoreFunction(baseline)
    events = []
    baseline.read = lambda *a: events.append("read") or sf.MovingAverage.read(baseline, *a)
    baseline.update = lambda *a: events.append("update") or sf.MovingAverage.update(baseline, *a)
    with sf.StochasticGraph() as graph:
        for _ in range(2):
            sf.sample(Bernoulli(logits=torch.zeros(2)), estimator)
        sf.add_cost(torch.ones(2))
    graph.loss()
    assert events == ["read", "read", "update", "update"]


# ---------------------------------------------------------------- replay


def test_replay_scores_recorded_draws_with_the_present_parameters(logits):
    with torch.no_grad():
        rollout, _ = chain(logits)
    graph, loss = chain(logits, seed=1, draws=rollout.draws)
    for name, node in graph.nodes.items():
        assert torch.equal(node.draw.value, rollout.nodes[name].draw.value)
    _, direct = chain(logits)
    torch.testing.assert_close(loss, direct)
    for a, b in zip(*(torch.autograd.grad(x, logits) for x in (loss, direct)), strict=True):
        torch.testing.assert_close(a, b)


def test_replay_at_other_parameters_weighs_by_the_importance_ratio():
    """Off-policy: Σ_z q(z) · J(z) is the value and gradient at p, exactly."""
    q, p = torch.tensor([0.3]), torch.tensor([0.8], requires_grad=True)
    value, gradient = 0.0, 0.0
    for bit in (0.0, 1.0):
        recorded = Bernoulli(q)
        z = torch.tensor([bit])
        with sf.StochasticGraph(draws={"z": (z, recorded.log_prob(z))}) as graph:
            sf.add_cost((sf.sample(Bernoulli(p), name="z") - 0.45) ** 2)
        loss = graph.loss()
        probability = recorded.log_prob(z).exp().item()
        value += probability * loss.item()
        gradient += probability * torch.autograd.grad(loss, p)[0].item()
    assert value == pytest.approx(0.8 * 0.55**2 + 0.2 * 0.45**2, rel=1e-6)
    assert gradient == pytest.approx(0.55**2 - 0.45**2, rel=1e-6)


def test_replay_keeps_the_copies_of_the_recording():
    logits = torch.zeros(3, requires_grad=True)

    def run(draws=None):
        with sf.StochasticGraph(draws=draws) as graph:
            dist = Bernoulli(logits=logits)
            z = sf.sample(dist, sf.ScoreFunction(sf.LeaveOneOut(), samples=4), name="z")
            sf.add_cost(z)
        return graph, torch.autograd.grad(graph.loss(), logits)[0]

    recorded, direct = run()
    replayed, again = run(recorded.draws)
    assert replayed.rows == 12
    torch.testing.assert_close(direct, again)


def test_replay_of_an_enumerated_node_stays_exact():
    logits = torch.tensor([0.4], requires_grad=True)

    def run(draws=None):
        with sf.StochasticGraph(draws=draws) as graph:
            sf.add_cost(sf.sample(Bernoulli(logits=logits), sf.Enumerate(), name="z"))
        return graph, graph.loss()

    recorded, direct = run()
    _, again = run(recorded.draws)
    assert again.item() == pytest.approx(direct.item()) == pytest.approx(logits.sigmoid().item())


def test_a_single_row_without_batch_dimension():
    loc = torch.tensor([0.1, 0.2], requires_grad=True)
    with sf.StochasticGraph(batch_ndims=0) as graph:
        z = sf.sample(Independent(Normal(loc, 1.0), 1))
        sf.add_cost(z.square().sum())
    graph.loss().backward()
    torch.testing.assert_close(loc.grad, (z - loc.detach()) * z.square().sum())


def test_one_copy_of_a_single_row_is_the_row():
    with sf.StochasticGraph(batch_ndims=0):
        x = torch.ones(5)
        assert sf.branch(x, 1) is x


@pytest.mark.filterwarnings("ignore:cost 'cost' has shape")  # what it is about
def test_trailing_dimensions_are_summed():
    loc = torch.zeros(2, 3, requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = sf.sample(Normal(loc, 1.0))
        sf.add_cost(z.square())
    graph.loss().backward()
    torch.testing.assert_close(loc.grad, z * z.square().sum(1, keepdim=True) / 2)


def test_costs_of_whole_numbers_are_taken():
    with sf.StochasticGraph() as graph:
        z = sf.sample(Categorical(logits=torch.zeros(4, 3)))
        sf.add_cost(z)
        sf.add_cost(z > 1)
    assert graph.loss().item() == pytest.approx((z + (z > 1)).float().mean().item())


def test_graphs_nest_and_threads_do_not_share_them():
    import threading

    outside = []
    with sf.StochasticGraph() as outer:
        with sf.StochasticGraph() as inner:
            sf.sample(Bernoulli(logits=torch.zeros(2)))
        thread = threading.Thread(
            target=lambda: outside.append(sf.sample(Bernoulli(logits=torch.zeros(2))))
        )
        thread.start()
        thread.join()
    assert len(inner.nodes) == 1
    assert not outer.nodes
    assert outside[0].shape == (2,)


def test_repeated_names_are_counted_apart_for_nodes_and_costs():
    with sf.StochasticGraph() as graph:
        for _ in range(3):
            z = sf.sample(Bernoulli(logits=torch.zeros(2)), name="step")
            sf.add_cost(z, name="step")
    assert list(graph.nodes) == list(graph.costs) == ["step", "step.1", "step.2"]


def test_a_cached_transform_scores_the_draw_that_it_made():
    """Far out a float32 has no atanh, so the Gaussian's draw can only come from the cache."""
    loc = torch.full((100,), 12.0, requires_grad=True)
    base = Normal(loc, 1.0)
    torch.manual_seed(0)
    wanted = (base.sample() - loc.detach()) / 100
    squashed = TransformedDistribution(base, [TanhTransform(cache_size=1)])
    torch.manual_seed(0)
    with sf.StochasticGraph() as graph:
        sf.add_cost(sf.sample(squashed))
    graph.loss().backward()
    torch.testing.assert_close(loc.grad, wanted)
