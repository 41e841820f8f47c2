"""Batches without rows, rows without elements, and what each part of the library makes of them."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import sfgrad as sf
from sfgrad.optim import clipped_surrogate

NONE = torch.zeros(0)
NO_INDEX = torch.zeros(0, dtype=torch.int64)
NO_ROWS = "no rows"


class Model(nn.Module):
    """One draw of every row."""

    def __init__(self, baseline=None):
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.node = sf.StochasticNode(sf.ScoreFunction(baseline))

    def forward(self, x):
        return (self.node(Bernoulli(logits=self.linear(x)[:, 0])) - 0.4) ** 2


@pytest.mark.parametrize(
    "record",
    [
        lambda: sf.sample(Bernoulli(logits=NONE)),
        lambda: sf.sample(Bernoulli(logits=torch.zeros(0, 3))),
        lambda: sf.sample(Independent(Bernoulli(logits=torch.zeros(0, 3)), 1)),
        lambda: sf.sample(Categorical(logits=torch.zeros(0, 3), validate_args=False)),
        lambda: sf.sample(Bernoulli(logits=NONE), sf.ScoreFunction(sf.LeaveOneOut(), samples=2)),
        lambda: sf.sample(Bernoulli(logits=NONE), sf.Enumerate()),
        lambda: sf.sample(Normal(NONE, 1.0), sf.Pathwise()),
        lambda: sf.sample(Bernoulli(logits=NONE), mask=NONE.bool()),
        lambda: sf.sample(Bernoulli(logits=NONE), index=NO_INDEX),
        lambda: sf.sample(Bernoulli(logits=torch.zeros(0, 3)), index=NO_INDEX),
        lambda: sf.add_cost(NONE),
        lambda: sf.add_cost(torch.zeros(0, 3)),
        lambda: sf.add_cost(torch.zeros(0, 3), index=NO_INDEX),
        lambda: sf.branch(torch.zeros(0, 3), 2),
        lambda: sf.branch(torch.zeros(0, 3), 2, index=NO_INDEX),
    ],
)
def test_the_first_record_of_a_graph(record):
    with sf.StochasticGraph(), pytest.raises(ValueError, match=NO_ROWS):
        record()


@pytest.mark.parametrize("shape", [(0, 2), (2, 0)])
def test_rows_of_two_dimensions(shape):
    with sf.StochasticGraph(batch_ndims=2), pytest.raises(ValueError, match=NO_ROWS):
        sf.sample(Bernoulli(logits=torch.zeros(shape)))
    with sf.StochasticGraph(batch_ndims=2), pytest.raises(ValueError, match=NO_ROWS):
        sf.add_cost(torch.zeros(shape))


@pytest.mark.parametrize("make", [lambda: None, sf.MovingAverage, sf.LeaveOneOut])
@pytest.mark.parametrize(
    "run",
    [
        lambda model, x: sf.expectation(model)(x),
        lambda model, x: sf.expectation(model, samples=2)(x),
        lambda model, x: sf.expectation(model, reduction="none")(x),
        lambda model, x: torch.no_grad()(sf.expectation(model))(x),
        lambda model, x: sf.exact_gradient(model, x),
        lambda model, x: sf.check_unbiased(model, x),
        lambda model, x: sf.check_unbiased(model, x, samples=2),
        lambda model, x: sf.check_unbiased(model, x, mode="exact"),
        lambda model, x: sf.check_unbiased(model, x, mode="monte_carlo"),
    ],
)
def test_objectives_and_checks(run, make):
    with pytest.raises(ValueError, match=NO_ROWS):
        run(Model(make()), torch.zeros(0, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: sf.score_function_loss(x, x),
        lambda x: clipped_surrogate(x, x, x, 0.2),
        lambda x: sf.leave_one_out(x),
        lambda x: sf.leave_one_out(x, groups=NO_INDEX),
        lambda x: sf.standardize(x),
        lambda x: sf.standardize(x, mask=x.bool()),
    ],
)
@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_functions_that_compare_rows_or_take_their_mean(call, shape):
    with pytest.raises(ValueError, match=NO_ROWS):
        call(torch.zeros(shape))


def test_functions_of_every_row_alone():
    rows = torch.zeros(0, 3)
    assert sf.magic_box(rows).shape == (0, 3)
    assert sf.standardize(rows, dim=1).shape == (0, 3)
    assert sf.leave_one_out(rows.T).shape == (3, 0)
    for distribution in (Bernoulli(logits=rows), Independent(Bernoulli(logits=rows), 1)):
        assert sf.row_log_prob(distribution, rows, 1).shape == (0,)
    nothing = sf.score_function_loss(NONE, NONE, NONE.bool())  # no draw counts
    assert nothing.item() == clipped_surrogate(NONE, NONE, NONE, 0.2, NONE.bool()).item() == 0


# ---------------------------------------------------------------- rows without elements


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("samples", [1, 2])
def test_ragged_rows_of_which_none_has_an_element(samples, mask):
    """A batch of graphs without edges, say: nothing is drawn, and costs are 0."""
    logits = torch.zeros(0, 3, requires_grad=True)

    def play(draws=None):
        with sf.StochasticGraph(draws=draws) as graph:
            sf.add_cost(torch.ones(2))
            z = sf.sample(
                Bernoulli(logits=logits),
                sf.ScoreFunction(samples=samples),
                index=NO_INDEX,
                mask=torch.zeros(0, 3, dtype=torch.bool) if mask else None,
                name="z",
            )
            sf.add_cost(z, index=NO_INDEX)
            sf.add_cost(torch.ones(2 * samples))
        return graph

    graph = play()
    assert graph.nodes["z"].draw.log_prob.tolist() == [0] * 2 * samples
    assert graph.loss().item() == 2
    if samples == 1:
        assert play(graph.draws).loss().item() == 2


@pytest.mark.parametrize("batch_ndims", [0, 1])
def test_rows_of_no_elements_have_one_value(batch_ndims):
    logits = torch.zeros(2, 0, dtype=torch.float64, requires_grad=True)
    weight = torch.ones(2, dtype=torch.float64, requires_grad=True)

    def fn():
        z = sf.sample(Bernoulli(logits=logits), sf.Enumerate())
        return z.sum(1) + 3 * weight

    loss = sf.expectation(fn, batch_ndims=batch_ndims)()
    assert loss.item() == 3 * (1 if batch_ndims else 2)
    assert sf.check_unbiased(fn, wrt=[weight], batch_ndims=batch_ndims)


def test_a_support_of_no_values():
    with (
        sf.StochasticGraph(),
        pytest.raises(ValueError, match="Categorical cannot be enumerated: .* has no values"),
    ):
        sf.sample(Categorical(logits=torch.zeros(2, 0), validate_args=False), sf.Enumerate())


@pytest.mark.parametrize(
    "run",
    [
        lambda fn, x: sf.expectation(fn)(x),
        lambda fn, x: sf.exact_gradient(fn, x, wrt=[x]),
        lambda fn, x: sf.check_unbiased(fn, x, wrt=[x]),
    ],
)
def test_distributions_that_torch_refuses_to_make(run):
    """Where arguments are checked, torch ends in an error of `reshape`."""
    x = torch.zeros(0, 3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"argument 1 .* shape \[0, 3\]: the batch has no rows"):
        run(lambda x: sf.sample(Categorical(logits=x)).double(), x)
