"""Costs: shapes that look like a slip, and the types of numbers they come in."""

import math
import warnings

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import sfgrad as sf

BROADCAST = "is summed over a dimension as long as the first"


def bernoulli(*shape):
    return Bernoulli(logits=torch.zeros(shape))


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("draw", "cost"),
    [
        (lambda: sf.sample(bernoulli(4)), lambda z: (z[:, None] - z) ** 2),
        (lambda: sf.sample(bernoulli(4, 3))[:, 0], lambda z: z[:, None] - z),
        (lambda: sf.sample(Independent(bernoulli(4, 3), 1))[:, 0], lambda z: z[:, None] - z),
        (lambda: sf.sample(bernoulli(4, 3)), lambda z: z[:, None] - z),  # [4, 4, 3]
        (lambda: torch.ones(4), lambda z: z[:, None] - z),
        (lambda: sf.sample(bernoulli(2), sf.ScoreFunction(samples=2)), lambda z: z[:, None] - z),
    ],
)
def test_a_cost_that_was_broadcast_warns_once(draw, cost):
    with sf.StochasticGraph() as graph:
        z = draw()
        with pytest.warns(UserWarning, match=rf"'far' has shape \[4, 4.*{BROADCAST}.*give the sum"):
            sf.add_cost(cost(z), name="far")
        sf.add_cost(cost(z))
        sf.add_cost(torch.ones(4))
    assert graph.costs["far"].value.shape == (4,)


def test_a_cost_that_a_model_returns_is_looked_at_too():
    objective = sf.expectation(lambda x: sf.sample(Bernoulli(logits=x))[:, None] - x.detach())
    with pytest.warns(UserWarning, match=rf"'cost' has shape \[3, 3\] and {BROADCAST}"):
        objective(torch.zeros(3, requires_grad=True))


def test_ragged_costs_and_rows_of_two_dimensions_are_looked_at_too():
    index = torch.tensor([0, 0, 1])
    with sf.StochasticGraph():
        z = sf.sample(bernoulli(3), index=index)
        with pytest.warns(UserWarning, match=rf"has shape \[3, 3\] and {BROADCAST}"):
            sf.add_cost(z[:, None] - z, index=index)
    with sf.StochasticGraph(batch_ndims=2):
        z = sf.sample(bernoulli(3, 3))
        with pytest.warns(UserWarning, match=rf"has shape \[3, 3, 3\] and {BROADCAST}"):
            sf.add_cost(z[..., None] - z)


@pytest.mark.parametrize(
    "distribution",
    [
        Independent(bernoulli(4, 4), 1),
        Independent(bernoulli(4, 2, 4), 2),
        Normal(torch.zeros(4, 2, 4), 1.0),
    ],
)
def test_square_costs_of_draws_that_have_such_a_dimension(distribution):
    with sf.StochasticGraph() as graph:
        z = sf.sample(distribution)
        sf.add_cost(z.reshape(4, -1, 4)[:, 0] - 1)
        sf.add_cost(torch.ones(4, 4))
    graph.loss()


def test_other_costs_with_more_dimensions_do_not_warn():
    with sf.StochasticGraph():
        sf.sample(bernoulli(1))
        sf.add_cost(torch.ones(1, 1))  # a single row
        sf.add_cost(torch.ones(1, 1, 1))
    with sf.StochasticGraph():
        sf.sample(bernoulli(4))
        sf.add_cost(torch.ones(4, 3))
        sf.add_cost(torch.ones(4, 1))
    with sf.StochasticGraph(batch_ndims=0):
        sf.sample(bernoulli(4))
        sf.add_cost(torch.ones(4, 4))


def test_a_node_that_comes_later_counts_from_then_on():
    with sf.StochasticGraph():
        sf.sample(bernoulli(4))
        sf.add_cost(torch.ones(4))
        sf.sample(Independent(bernoulli(4, 4), 1))
        sf.add_cost(torch.ones(4, 4))


# ---------------------------------------------------------------- numbers


def cost_of(value, index=None):
    with sf.StochasticGraph() as graph:
        sf.add_cost(value, index=index)
    return graph.costs["cost"].value


@pytest.mark.parametrize("value", [torch.ones(3) * 1j, torch.ones(3, 2, dtype=torch.complex128)])
def test_complex_costs_are_refused(value):
    with pytest.raises(ValueError, match=r"cost 'cost' is complex .*\.real or value.abs"):
        cost_of(value)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ([1, 2**24 + 1], 2**24 + 1),
        ([-(2**40) - 1, 1], -(2**40) - 1),
        ([0, 2**63 - 1], 2**63 - 1),
        ([[2**24, 1, 0], [0, 0, 0]], 2**24 + 1),  # as a sum
    ],
)
def test_whole_costs_that_float32_cannot_hold_are_refused(value, wrong):
    value = torch.tensor(value)
    message = rf"'cost' has the whole number {wrong}, which torch.float32 .* as value.double\(\)"
    with pytest.raises(ValueError, match=message):
        cost_of(value)
    assert cost_of(value.double()).dtype == torch.float64


def test_whole_costs_of_ragged_rows_are_summed_exactly():
    index = torch.tensor([0, 0, 1])
    assert cost_of(torch.tensor([2**40 + 1, 1 - 2**40, 3]), index).tolist() == [2, 3]
    with pytest.raises(ValueError, match=f"has the whole number {2**24 + 1}"):
        cost_of(torch.tensor([2**24, 1, 3]), index)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.int32, torch.int64])
def test_other_whole_costs_are_taken(dtype):
    value = torch.tensor([[1, 1, 0], [0, 1, 0]]).to(dtype)
    assert cost_of(value).tolist() == [2, 1]
    assert cost_of(value[:, 0]).dtype == torch.float32
    assert cost_of(torch.tensor([2**24, 2**30])).tolist() == [2**24, 2**30]


def test_the_default_type_says_what_can_be_held():
    torch.set_default_dtype(torch.float64)
    try:
        assert cost_of(torch.tensor([2**24 + 1])).item() == 2**24 + 1
        with pytest.raises(ValueError, match=r"which torch.float64 cannot hold"):
            cost_of(torch.tensor([2**53 + 1]))
    finally:
        torch.set_default_dtype(torch.float32)


def test_values_are_not_looked_at_where_they_cannot_be():
    whole = torch.tensor([[2**24 + 1]])
    assert torch.func.vmap(cost_of)(whole).tolist() == [[2**24]]
    compiled = torch.compile(cost_of, fullgraph=True, backend="eager")
    assert compiled(whole[0]).tolist() == [2**24]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_costs_of_half_types_are_summed_in_single_precision(dtype):
    value = torch.ones(2, 4099, dtype=dtype)
    assert cost_of(value).tolist() == [4099, 4099]  # bfloat16 rounds it to 4096
    assert cost_of(100 * value).tolist() == [409900, 409900]  # float16 ends at 65504
    ragged = cost_of(value.flatten(), torch.tensor([0, 1]).repeat_interleave(4099))
    assert ragged.tolist() == [4099, 4099]
    assert cost_of(value[:, 0]).dtype == torch.float32


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda d: d,
        lambda d: Independent(d, 1),
        lambda d: Independent(Independent(d, 1), 0),
        lambda d: Independent(Independent(Independent(d, 1), 0), 0),
    ],
)
@pytest.mark.parametrize("mask", [None, torch.ones(2, dtype=torch.bool)])
def test_log_probabilities_of_half_types_are_summed_in_single_precision(wrapped, mask):
    logits = torch.full((2, 4099), 0.3, dtype=torch.bfloat16, requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = sf.sample(wrapped(Bernoulli(logits=logits)), mask=mask, name="z")
        sf.add_cost(z.float().sum(1))
    elements = Bernoulli(logits=logits).log_prob(z).float()
    torch.testing.assert_close(graph.nodes["z"].draw.log_prob, elements.sum(1))
    loss = graph.loss()
    assert loss.dtype == torch.float32
    assert loss.item() == z.float().sum(1).mean()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.dtype == torch.bfloat16

    # Recorded by element, as inference engines do.
    recorded = {"z": (z, elements.detach().bfloat16())}
    with sf.StochasticGraph(draws=recorded) as replay:
        sf.sample(wrapped(Bernoulli(logits=logits)), mask=mask, name="z")
        sf.add_cost(z.float().sum(1))
    torch.testing.assert_close(replay.loss(), loss)


def test_ratios_of_half_types_are_multiplied_in_single_precision():
    """An estimator of one's own that returns half types: the logarithms are widened first."""

    class Half(sf.Estimator):
        def draw(self, distribution, batch_ndims):
            log_prob = torch.tensor([-100.0], dtype=torch.bfloat16)
            return sf.Draw(torch.zeros(1), log_prob, log_prob + 1)

    with sf.StochasticGraph() as graph:
        for _ in range(3):
            sf.sample(Categorical(logits=torch.zeros(1, 2)), Half())
        sf.add_cost(torch.ones(1))
    loss = graph.loss()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.exp(-3), rel=1e-6)


# ---------------------------------------------------------------- outside of any graph


def test_a_cost_outside_of_any_graph_does_nothing():
    def model(x):
        z = sf.sample(Bernoulli(logits=x))
        sf.add_cost(z * x)
        return z

    x = torch.zeros(3, requires_grad=True)
    with torch.no_grad():
        assert model(x).shape == (3,)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            model(x)
    assert len(caught) == 1
    assert str(caught[0].message).startswith("add_cost() was called where no graph is open")
    assert caught[0].filename == __file__
    sf.add_cost(1.0)  # not even looked at
