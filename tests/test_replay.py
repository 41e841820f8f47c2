"""Replay: ratios and their limit, log-probabilities by element, what is refused."""

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import sfgrad as sf


def recorded(log_q, **options):
    """The graph of one replayed bit a row, drawn at log q."""
    p = torch.tensor([0.9, 0.3], dtype=torch.float64, requires_grad=True)
    z = torch.ones(2, dtype=torch.float64)
    with sf.StochasticGraph(draws={"z": (z, log_q)}, **options) as graph:
        sf.sample(Bernoulli(p), name="z")
        sf.add_cost(torch.tensor([2.0, 5.0], dtype=torch.float64))
    return graph.loss(reduction="none"), p


def test_a_ratio_counts_up_to_the_limit():
    log_q = torch.tensor([0.1, 0.3], dtype=torch.float64).log()  # ratios 9 and 1
    for limit, ratio in ((None, 9.0), (4.0, 4.0), (20.0, 9.0)):
        rows, p = recorded(log_q, max_ratio=limit)
        torch.testing.assert_close(rows, torch.tensor([2 * ratio, 5.0], dtype=torch.float64))
        gradient = torch.autograd.grad(rows.sum(), p)[0]
        wanted = torch.tensor([2 * ratio / 0.9, 5 / 0.3], dtype=torch.float64)
        torch.testing.assert_close(gradient, wanted)


def test_a_ratio_that_overflows_says_so():
    log_q = torch.tensor([-800.0, -1.0], dtype=torch.float64)
    with pytest.raises(ValueError, match="ratio of node 'z'.*1 of 2 rows.*overflows.*max_ratio="):
        recorded(log_q)
    rows, _ = recorded(log_q, max_ratio=10.0)
    assert rows[0].item() == pytest.approx(20)


@pytest.mark.parametrize("limit", [0, -1.0])
def test_a_limit_that_makes_no_sense(limit):
    with pytest.raises(ValueError, match="max_ratio is .*: it must be above 0"):
        sf.StochasticGraph(max_ratio=limit)


@pytest.mark.parametrize("independent", [True, False])
@pytest.mark.parametrize("copies", [1, 3])
def test_log_probabilities_by_element_are_summed_like_ours(independent, copies):
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, requires_grad=True)
    old = Categorical(logits=torch.randn(2 * copies, 4, 3))
    z = old.sample()
    found = []
    for log_q in (old.log_prob(z), old.log_prob(z).sum(1)):
        with sf.StochasticGraph(draws={"z": (z, log_q)}) as graph:
            distribution = Categorical(logits=logits)
            distribution = Independent(distribution, 1) if independent else distribution
            sf.sample(distribution, sf.ScoreFunction(samples=copies), name="z")
            sf.add_cost(z.float().sum(1))
        loss = graph.loss()
        found.append((loss.detach(), torch.autograd.grad(loss, logits)[0]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_recorded_log_probability_that_is_not_finite(bad):
    with (
        sf.StochasticGraph(draws={"z": (torch.ones(2), torch.tensor([0.0, bad]))}),
        pytest.raises(ValueError, match="node 'z': the recorded log-probability is NaN or inf"),
    ):
        sf.sample(Bernoulli(torch.full((2,), 0.5)), name="z")


def test_a_value_that_the_distribution_refuses_names_the_node():
    with (
        sf.StochasticGraph(draws={"z": torch.full((2,), 7.0)}),
        pytest.raises(ValueError, match="node 'z': the distribution refuses the replayed value"),
    ):
        sf.sample(Bernoulli(torch.full((2,), 0.5), validate_args=True), name="z")


def test_an_expectation_replays_too():
    logits = torch.zeros(3, requires_grad=True)
    z = torch.tensor([1.0, 0.0, 1.0])

    def fn(x):
        return sf.sample(Bernoulli(logits=x), name="z") + 1

    loss = sf.expectation(fn, draws={"z": z}, reduction="none")(logits)
    assert loss.tolist() == (z + 1).tolist()


@pytest.mark.parametrize("check", [sf.exact_gradient, sf.check_unbiased])
def test_an_objective_that_replays_is_not_checked(check):
    objective = sf.expectation(lambda x: x, draws={"z": torch.ones(2)})
    with pytest.raises(ValueError, match="the objective replays z, but here all draws are made"):
        check(objective, torch.ones(2), wrt=[torch.ones(2)])


def test_an_expectation_of_another_reduction_is_refused():
    with pytest.raises(ValueError, match="reduction is 'sum': it must be"):
        sf.expectation(lambda x: x, reduction="sum")


# ---------------------------------------------------------------- without gradient


def test_a_roll_out_without_gradient_is_replayed_with_copies_of_groups():
    logits = torch.zeros(4, requires_grad=True)
    loo, groups = sf.ScoreFunction(sf.LeaveOneOut()), torch.tensor([0, 0, 1, 1])
    with torch.no_grad(), sf.StochasticGraph() as rollout:
        sf.add_cost(sf.sample(Bernoulli(logits=logits), loo, name="z"))
    with sf.StochasticGraph(draws=rollout.draws, groups=groups) as graph:
        sf.add_cost(sf.sample(Bernoulli(logits=logits), loo, name="z"))
    assert graph.loss().isfinite()


# ---------------------------------------------------------------- what a custom estimator returns


class Returns(sf.Estimator):
    """A draw that has been tampered with."""

    def __init__(self, change):
        self.change = change

    def draw(self, distribution, batch_ndims):
        return self.change(sf.ScoreFunction().draw(distribution, batch_ndims))


SHAPES = {
    "value": (
        lambda d: d._replace(value=d.value[:2], log_prob=None, log_density=None),
        r"Returns returned a Draw whose value has shape \[2\] for 1 copies of rows \[3\]",
    ),
    "log_prob": (
        lambda d: d._replace(log_prob=d.log_prob[:, None]),
        r"whose log_prob has shape \[3, 1\] and .*: both must be \[3\]",
    ),
    "both logarithms": (
        lambda d: d._replace(log_prob=d.log_prob.sum(), log_density=d.log_prob.sum()),
        r"whose log_prob has shape \[\] and whose log_density has \[\]: both must be \[3\]",
    ),
    "copies": (
        lambda d: d._replace(copies=2),
        r"whose .* \[3\]: both must be \[6\]|value has shape \[3\] for 2 copies",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_draw_of_another_shape_names_its_estimator(name):
    change, message = SHAPES[name]
    with sf.StochasticGraph(), pytest.raises(ValueError, match=f"node 'z'.*{message}"):
        sf.sample(Normal(torch.zeros(3), 1.0), Returns(change), name="z")


def test_enumeration_has_a_limit_on_all_nodes_together():
    logits = torch.zeros(1)
    with sf.StochasticGraph():
        for bits in range(4):
            sf.sample(
                Bernoulli(logits=sf.align(logits)), sf.Enumerate(max_size=16), name=f"z{bits}"
            )
        with pytest.raises(ValueError, match=r"make 32 copies.*z0: 2, z1: 2.*max_size=16"):
            sf.sample(Bernoulli(logits=sf.align(logits)), sf.Enumerate(max_size=16), name="z4")


@pytest.mark.parametrize("parents", ["abc", torch.ones(3)])
def test_parents_that_are_no_list(parents):
    with sf.StochasticGraph():
        sf.sample(Bernoulli(logits=torch.zeros(3)), name="abc")
        with pytest.raises(ValueError, match=r"cost 'c': parents is .*: give a list of names"):
            sf.add_cost(torch.ones(3), parents=parents, name="c")
