"""Rows of several dimensions: token by token, with copies, positions compared one by one."""

import itertools

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import sfgrad as sf

B, T, A = 2, 3, 2


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return torch.randn(T, A, dtype=torch.float64, requires_grad=True)


REWARD = torch.randn(T, A, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def costs_to_go(moves):
    """`[N, T]`."""
    cost = -REWARD[torch.arange(T), moves]
    return cost.flip(-1).cumsum(-1).flip(-1)


EPISODES = torch.tensor(list(itertools.product(range(A), repeat=T)))


def expected_gradient(weights, loss):
    """Of an estimator, over all episodes, weighed by their probability."""
    total = torch.zeros_like(weights)
    for moves in EPISODES:
        probability = weights.detach().softmax(-1)[torch.arange(T), moves].prod()
        total += probability * torch.autograd.grad(loss(moves[None]), weights)[0]
    return total


def truth(weights):
    return torch.autograd.grad(-(weights.softmax(-1) * REWARD).sum(), weights)[0]


def by_tokens(weights, moves, batch_ndims=2):
    with sf.StochasticGraph(batch_ndims, draws={"move": moves}) as graph:
        logits = weights.expand(len(moves), T, A)
        sf.sample(Categorical(logits=logits), name="move")
        sf.add_cost(costs_to_go(moves))
    return graph.loss() * T


def by_steps(weights, moves):
    names = ["move", *[f"move.{t}" for t in range(1, T)]]
    recorded = {name: moves[:, t] for t, name in enumerate(names)}
    with sf.StochasticGraph(draws=recorded) as graph:
        for t in range(T):
            sf.sample(Categorical(logits=weights[t].expand(len(moves), A)), name="move")
            sf.add_cost(-REWARD[t, moves[:, t]])
    return graph.loss()


def by_function(weights, moves):
    log_prob = Categorical(logits=weights.expand(len(moves), T, A)).log_prob(moves)
    return sf.score_function_loss(log_prob, -costs_to_go(moves)) * T


@pytest.mark.parametrize("way", [by_tokens, by_steps, by_function])
def test_three_ways_to_write_costs_of_tokens(weights, way):
    found = expected_gradient(weights, lambda moves: way(weights, moves))
    torch.testing.assert_close(found, truth(weights))


def test_with_one_dimension_of_rows_it_warns_once_at_the_users_line(weights):
    with pytest.warns(UserWarning, match="batch_ndims=2") as caught:
        by_tokens(weights, EPISODES, batch_ndims=1)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_graph_warns_once():
    def three_times():
        with sf.StochasticGraph():
            for _ in range(3):
                sf.add_cost(sf.sample(Normal(torch.zeros(2, 3), 1.0)))

    for _ in range(2):
        with pytest.warns(UserWarning, match="batch_ndims=2") as caught:
            three_times()
        assert len(caught) == 1


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 5)])
def test_other_costs_do_not_warn(shape):
    with sf.StochasticGraph() as graph:
        sf.sample(Independent(Normal(torch.zeros(4, 3), 1.0), 1))
        sf.sample(Normal(torch.zeros(4, 3), 1.0))
        sf.add_cost(torch.ones(shape))
    assert graph.loss().isfinite()


def test_negative_control_the_sum_is_something_else(weights):
    with pytest.warns(UserWarning, match="batch_ndims"):
        found = expected_gradient(weights, lambda moves: by_tokens(weights, moves, 1) / T)
    wanted = truth(weights)
    assert (found - wanted).norm() > 0.5 * wanted.norm()


SHAPES = {
    "plain": lambda: sf.ScoreFunction(),
    "constant": lambda: sf.ScoreFunction(sf.Constant(0.3)),
    "learned": lambda: sf.ScoreFunction(sf.Learned(nn.Linear(2, 1).double())),
    "two samples": lambda: sf.ScoreFunction(sf.LeaveOneOut(), samples=2),
    "enumerate": lambda: sf.Enumerate(),
}


COPIES = ("two samples", "enumerate")  # a single row has none


@pytest.mark.parametrize(
    ("name", "batch_ndims"),
    [(name, n) for name in SHAPES for n in (0, 1, 2) if n or name not in COPIES],
)
def test_every_estimator_is_exact_for_any_number_of_row_dimensions(name, batch_ndims):
    rows = (1, 2)[:batch_ndims]
    torch.manual_seed(0)
    theta = torch.randn(*rows, 1, dtype=torch.float64, requires_grad=True)
    estimator = SHAPES[name]()
    context = torch.randn(*(rows or (1,)), 2, dtype=torch.float64)

    def fn():
        first = sf.sample(
            Independent(Bernoulli(logits=theta), 1), estimator, context=context, name="a"
        )
        logits = sf.align(theta)[..., 0] + first[..., 0]
        second = sf.sample(Bernoulli(logits=logits), name="b")
        return (first[..., 0] + 2 * second - 0.7) ** 2

    report = sf.check_unbiased(
        fn, wrt=[theta], mode="exact", repeats=30, batch_ndims=batch_ndims, max_outcomes=100_000
    )
    assert report, report


def test_copies_go_into_the_first_dimension_and_inputs_need_no_second():
    seen = {}

    def fn(x, tokens):
        seen.update(x=x, tokens=tokens)
        z = sf.sample(Bernoulli(logits=tokens), sf.ScoreFunction(sf.LeaveOneOut()), name="z")
        return z * x[:, None]

    x = torch.tensor([1.0, 2.0])
    tokens = torch.zeros(2, 3, requires_grad=True)
    objective = sf.expectation(fn, samples=4, batch_ndims=2, reduction="none")
    loss = objective(x, tokens)
    assert seen["x"].shape == (8,)
    assert seen["tokens"].shape == loss.shape == (8, 3)
    with sf.StochasticGraph(batch_ndims=2) as graph:
        sf.branch(x, 4)
        z = sf.sample(Bernoulli(logits=sf.align(tokens)), sf.ScoreFunction(sf.LeaveOneOut()))
        sf.add_cost(z * sf.align(x)[:, None])
    graph.loss().backward()
    cost = (z * sf.align(x).repeat(4)[:, None]).view(4, 2, 3)
    advantage = cost - (cost.sum(0) - cost) / 3
    torch.testing.assert_close(tokens.grad, ((z.view(4, 2, 3) - 0.5) * advantage).sum(0) / 24)


def test_refusals_of_rows():
    with sf.StochasticGraph(batch_ndims=2):
        sf.sample(Bernoulli(logits=torch.zeros(2, 3)), name="z")
        with pytest.raises(ValueError, match=r"rows \[2, 4\] but the graph has \[2, 3\]"):
            sf.add_cost(torch.zeros(2, 4))
        with pytest.raises(ValueError, match=r"shape \[2\] but the graph has 6 rows.*first 2 dim"):
            sf.add_cost(torch.zeros(2))
        with pytest.raises(ValueError, match=r"'w' has batch shape \[2\]: .*first 2 dimension"):
            sf.sample(Bernoulli(logits=torch.zeros(2)), name="w")


def test_a_discounted_row_of_costs_is_refused_by_the_oracle(weights):
    """Returns to go as costs are right to first order only; draw t + 1 moves cost t."""

    def fn():
        moves = sf.sample(Categorical(logits=weights[None]), name="move")
        return costs_to_go(moves)

    with pytest.raises(ValueError, match="interact"):
        sf.exact_gradient(fn, wrt=[weights], batch_ndims=2)


# ---------------------------------------------------------------- the surrogate of every row


@pytest.mark.parametrize("make", [lambda: None, lambda: sf.Constant(2.0), sf.MovingAverage])
def test_the_mean_of_the_rows_is_the_loss(make):
    logits = torch.zeros(5, requires_grad=True)
    found = []
    for reduction in ("mean", "none"):
        torch.manual_seed(0)
        estimator = sf.ScoreFunction(make())
        with sf.StochasticGraph() as graph:
            sf.add_cost(sf.sample(Bernoulli(logits=logits), estimator) + 1)
        loss = graph.loss(reduction=reduction).mean()
        found.append((loss, torch.autograd.grad(loss, logits)[0]))
    torch.testing.assert_close(*found)


def test_an_objective_over_rows_has_its_own_gradient():
    """The logarithm of a mean: d log E[c] = E[c · score] / E[c], over all outcomes of one row."""
    eta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    bits = torch.tensor([0.0, 1.0], dtype=torch.float64)
    probability = Bernoulli(logits=eta.detach()).log_prob(bits).exp()
    with sf.StochasticGraph(draws={"z": bits}) as graph:
        z = sf.sample(Bernoulli(logits=eta.expand(2)), name="z")
        sf.add_cost(1 + 2 * z)
    rows = graph.loss(reduction="none")
    risk = (probability * rows).sum().log()
    p = eta.sigmoid()
    wanted = (1 + 2 * p).log()
    torch.testing.assert_close(risk, wanted.detach())
    found, wanted = (torch.autograd.grad(x, eta)[0] for x in (risk, wanted))
    torch.testing.assert_close(found, wanted)


def test_another_reduction_is_refused():
    with sf.StochasticGraph() as graph:
        sf.add_cost(sf.sample(Bernoulli(logits=torch.zeros(2))))
    with pytest.raises(ValueError, match="reduction is 'sum': it must be 'mean' or 'none'"):
        graph.loss(reduction="sum")


# ---------------------------------------------------------------- the loss of some of the costs


def two_players(baseline=None, shared=None):
    """A move of each, costs of each; `shared` is drawn before both."""
    logits = torch.zeros(3, 4, requires_grad=True)
    with sf.StochasticGraph() as graph:
        deal = sf.sample(Bernoulli(logits=logits[2]), sf.ScoreFunction(shared), name="deal")
        a = sf.sample(Bernoulli(logits=logits[0]), sf.ScoreFunction(baseline), name="a")
        b = sf.sample(Bernoulli(logits=logits[1]), name="b", parents=["deal"])
        sf.add_cost(3 + a + deal, name="of a", parents=[a])
        sf.add_cost(5 - b, name="of b", parents=[b])
        sf.add_cost(b * 2, name="again of b", parents=[b])
    return graph, logits, (deal, a, b)


def test_several_losses_of_one_roll_out():
    graph, logits, (deal, a, b) = two_players(sf.MovingAverage())
    first = graph.loss(costs=["of a"])
    second = graph.loss(costs=["of b", "again of b"])
    assert first.item() == pytest.approx((3 + a + deal).mean().item())
    assert second.item() == pytest.approx((5 + b).mean().item())
    grad = torch.autograd.grad(first, logits, retain_graph=True)[0]
    torch.testing.assert_close(grad[0], (a - 0.5) * (3 + a + deal) / 4)
    assert not grad[1].any()
    torch.testing.assert_close(grad[2], (deal - 0.5) * (3 + a + deal) / 4)
    grad = torch.autograd.grad(second, logits)[0]
    assert not grad[0].any()
    torch.testing.assert_close(grad[1], (b - 0.5) * (5 + b) / 4)


def test_a_baseline_sees_the_costs_that_were_chosen_alone():
    average = sf.MovingAverage(0.5)
    graph, _, (deal, a, _) = two_players(average)
    graph.loss(costs=["of b"])
    assert average.mass == 0  # none of them is of a's move
    graph.loss(costs=["of a"])
    assert (average.average / average.mass).item() == pytest.approx((3 + a + deal).mean().item())


def test_refusals_of_choices():
    graph, *_ = two_players()
    graph.loss(costs=["of a"])
    for names, message in (
        (["of a", "of b"], "cost 'of a' is in a loss that was taken before"),
        (["of c"], r"names 'of c', which is not in the graph: it has of a, of b"),
        ("of b", "costs is the string 'of b': give a list"),
        ([], r"loss\(costs=\[\]\) has no cost"),
        (None, r"loss\(\) was called twice"),
    ):
        with pytest.raises(ValueError, match=message):
            graph.loss(costs=names)
    with pytest.raises(ValueError, match=r"cost 'late' comes after loss\(\)"), graph:
        sf.add_cost(torch.ones(4), name="late")


@pytest.mark.parametrize("baseline", [sf.MovingAverage(), sf.Learned(nn.Linear(1, 1))])
def test_a_baseline_with_a_state_serves_one_loss(baseline):
    logits = torch.zeros(2, requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = sf.sample(
            Bernoulli(logits=logits), sf.ScoreFunction(baseline), context=torch.ones(2, 1)
        )
        sf.add_cost(z, name="a")
        sf.add_cost(z, name="b")
    graph.loss(costs=["a"])
    with pytest.raises(ValueError, match="would learn from two losses.*Constant, LeaveOneOut"):
        graph.loss(costs=["b"])


def test_a_baseline_without_a_state_serves_several():
    graph, *_ = two_players(shared=sf.Constant(1.0))
    graph.loss(costs=["of a"])
    graph.loss(costs=["of b", "again of b"])
