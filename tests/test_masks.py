"""Masks, ragged rows, groups: which draws count, and for which row."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    Normal,
    TanhTransform,
    TransformedDistribution,
)

import sfgrad as sf

B, T, V = 3, 2, 2
MASK = torch.tensor([[True, True], [True, False], [False, False]])


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return torch.randn(B, T, V, dtype=torch.float64, requires_grad=True)


def cost(z):
    """Of the letters before the end, `[B]`."""
    return ((z + 1) * MASK * torch.tensor([1.0, 3.0])).sum(1) ** 2


def expected(logits):
    """The expected cost, by summing over all letters."""
    p, total = logits.softmax(-1), 0.0
    for letters in itertools.product(range(V), repeat=T):
        z = torch.tensor(letters).expand(B, T)
        total = total + p.gather(2, z.unsqueeze(-1)).squeeze(-1).prod(1) * cost(z)
    return total.mean()


def mean_gradient(logits, estimator, mask, independent):
    """Expectation of value and gradient over all replayed letters."""
    p, value, gradient = logits.detach().softmax(-1), 0.0, 0.0
    for letters in itertools.product(range(V), repeat=B * T):
        z = torch.tensor(letters).view(B, T)
        probability = p.gather(2, z.unsqueeze(-1)).prod()
        with sf.StochasticGraph(draws={"z": z}) as graph:
            distribution = Categorical(logits=logits)
            distribution = Independent(distribution, 1) if independent else distribution
            z = sf.sample(distribution, estimator, mask=mask, name="z")
            sf.add_cost(cost(z))
        loss = graph.loss()
        value = value + probability * loss.item()
        gradient = gradient + probability * torch.autograd.grad(loss, logits)[0]
    return value, gradient


@pytest.mark.parametrize("independent", [True, False])
@pytest.mark.parametrize("baseline", [None, sf.Constant(2.0)])
def test_masked_letters_leave_the_gradient_exact(logits, baseline, independent):
    truth = expected(logits)
    value, gradient = mean_gradient(logits, sf.ScoreFunction(baseline), MASK, independent)
    torch.testing.assert_close(value, truth.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(truth, logits)[0])
    assert not gradient[~MASK].any()


def test_negative_control_a_mask_over_a_draw_that_matters(logits):
    wrong = MASK.clone()
    wrong[0, 1] = False
    _, gradient = mean_gradient(logits, sf.ScoreFunction(), wrong, True)
    truth = torch.autograd.grad(expected(logits), logits)[0]
    assert not torch.allclose(gradient, truth, rtol=1e-3)


def test_the_check_names_a_mask_over_a_draw_that_matters():
    eta = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)

    def fn(mask):
        first = sf.sample(Bernoulli(logits=eta), name="first")
        second = sf.sample(Bernoulli(logits=eta), mask=torch.tensor([mask]), name="second")
        return (first + second - 0.7) ** 2

    assert sf.check_unbiased(lambda: fn(True), wrt=[eta], mode="exact", repeats=30)
    report = sf.check_unbiased(lambda: fn(False), wrt=[eta], mode="exact", repeats=30)
    assert not report
    assert set(report.nodes) == {"second"}


@pytest.mark.parametrize("independent", [True, False])
def test_enumerate_counts_a_masked_row_once(logits, independent):
    def fn():
        distribution = Categorical(logits=logits)
        distribution = Independent(distribution, 1) if independent else distribution
        z = sf.sample(distribution, sf.Enumerate(), mask=MASK)
        return ((z + 1) * MASK.repeat(4, 1) * torch.tensor([1.0, 3.0])).sum(1) ** 2

    loss, truth = sf.expectation(fn)(), expected(logits)
    torch.testing.assert_close(loss, truth.detach())
    found, wanted = (torch.autograd.grad(x, logits)[0] for x in (loss, truth))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("shape", ["rows", "elements"])
def test_a_masked_pathwise_value_is_detached(shape):
    loc = torch.zeros(B, T, requires_grad=True)
    mask = MASK.any(1) if shape == "rows" else MASK
    with sf.StochasticGraph() as graph:
        z = sf.sample(Independent(Normal(loc, 1.0), 1), sf.Pathwise(), mask=mask)
        sf.add_cost(z.sum(1))
    graph.loss().backward()
    kept = mask[:, None].expand(B, T) if shape == "rows" else mask
    torch.testing.assert_close(loc.grad, kept.float() / B)


def test_baselines_do_not_see_masked_rows():
    average, learned = sf.MovingAverage(0.5), sf.Learned(nn.Linear(1, 1))
    nn.init.zeros_(learned.module.weight)
    nn.init.zeros_(learned.module.bias)
    mask = torch.tensor([True, True, False])
    for baseline in (average, learned):
        with sf.StochasticGraph() as graph:
            z = sf.sample(
                Bernoulli(logits=torch.zeros(3, requires_grad=True)),
                sf.ScoreFunction(baseline),
                mask=mask,
                context=torch.ones(3, 1),
            )
            sf.add_cost(0 * z + torch.tensor([1.0, 3.0, 1e6]))
        graph.loss().backward()
    assert (average.average / average.mass).item() == pytest.approx(2)
    assert learned.module.bias.grad.item() == pytest.approx(-2 * 2)  # of the mean over two rows


@pytest.mark.parametrize("baseline", [sf.MovingAverage(), sf.Learned(nn.Linear(1, 1))])
def test_nothing_is_learned_where_no_row_counts(baseline):
    with sf.StochasticGraph() as graph:
        z = sf.sample(
            Bernoulli(logits=torch.zeros(2, requires_grad=True)),
            sf.ScoreFunction(baseline),
            mask=torch.zeros(2, dtype=torch.bool),
            context=torch.ones(2, 1),
        )
        sf.add_cost(z + 5)
    graph.loss().backward()
    if isinstance(baseline, sf.MovingAverage):
        assert baseline.mass == 0
    else:
        assert not baseline.module.weight.grad.any()


def test_leave_one_out_compares_with_masked_copies():
    logits = torch.zeros(2, requires_grad=True)
    costs = torch.tensor([1.0, 2.0, 5.0, 7.0])  # two copies of two rows
    mask = torch.tensor([True, True, False, True])
    with sf.StochasticGraph(draws={"z": torch.ones(4)}) as graph:
        x = sf.branch(logits, 2)
        sf.sample(Bernoulli(logits=x), sf.ScoreFunction(sf.LeaveOneOut()), mask=mask, name="z")
        sf.add_cost(costs)
    graph.loss().backward()
    score = 0.5
    wanted = torch.tensor([score * (1 - 5), score * (2 - 7) + score * (7 - 2)]) / 4
    torch.testing.assert_close(logits.grad, wanted)


def test_padding_is_never_looked_at(logits):
    """Values and recorded log-probabilities at masked places may be anything."""
    torch.manual_seed(1)
    z = Categorical(logits=logits).sample()
    found = []
    for padding in (-100, 0):
        padded = z.where(MASK, padding)
        state = torch.get_rng_state()
        log_q = Categorical(logits=logits).log_prob(z).detach().where(MASK, torch.nan)
        with sf.StochasticGraph(draws={"z": (padded, log_q)}) as graph:
            kept = sf.sample(
                Independent(Categorical(logits=logits, validate_args=True), 1), mask=MASK, name="z"
            )
            sf.add_cost(cost(z))
        assert torch.equal(kept, padded)
        assert torch.equal(state, torch.get_rng_state())  # no draw was spent on it
        found.append(torch.autograd.grad(graph.loss(), logits)[0])
    torch.testing.assert_close(found[0], found[1])
    assert found[0][MASK].any()


@pytest.mark.parametrize("kind", ["impossible", "no scale", "not a number"])
@pytest.mark.parametrize("estimator", [sf.ScoreFunction(), sf.Pathwise()])
def test_what_stands_at_a_masked_place_harms_nothing(kind, estimator):
    """Log-probabilities of −∞ and NaN, and derivatives that are infinite there."""
    loc = torch.zeros(2, requires_grad=True)
    scale = torch.ones(2, requires_grad=True)
    mask = torch.tensor([True, False])
    at = {"impossible": (math.inf, 1.0), "no scale": (0.0, 0.0), "not a number": (math.nan, 1.0)}
    other_loc, other_scale = at[kind]
    distribution = Normal(
        torch.where(mask, loc, loc * other_loc + other_loc),
        torch.where(mask, scale, scale * other_scale),
        validate_args=False,
    )
    with sf.StochasticGraph() as graph:
        z = sf.sample(distribution, estimator, mask=mask)
        sf.add_cost(torch.where(mask, z, 1.0) ** 2)
    loss = graph.loss()
    loss.backward()
    assert loss.isfinite()
    assert loc.grad[0] != 0
    assert scale.grad[0].isfinite()


class Tempered(sf.Estimator):
    """Draws from a density of its own."""

    def draw(self, distribution, batch_ndims):
        flat = Bernoulli(logits=distribution.logits.detach() / 2)
        value = flat.sample()
        log_prob = sf.row_log_prob(distribution, value, batch_ndims)
        return sf.Draw(value, log_prob, sf.row_log_prob(flat, value, batch_ndims))


def test_every_estimator_takes_a_mask_of_rows():
    logits = torch.ones(3, requires_grad=True)
    mask = torch.tensor([True, False, True])
    with sf.StochasticGraph() as graph:
        z = sf.sample(Bernoulli(logits=logits), Tempered(), mask=mask, name="z")
        sf.add_cost(z + 1)
    draw = graph.nodes["z"].draw
    weight = (draw.log_prob - draw.log_density).exp()
    assert weight[1] == 1
    assert (weight[mask] != 1).all()
    graph.loss().backward()
    assert logits.grad[1] == 0
    assert (logits.grad[mask] != 0).all()


class TwoArguments(sf.Constant):
    """A baseline as it was written before there were masks."""

    def update(self, cost_to_go, prediction):
        return None


REFUSALS = {
    "numbers": ({"mask": torch.ones(3)}, "the mask is of torch.float32: give booleans"),
    "a list": ({"mask": [True, True, True]}, "the mask is a list that begins with True: give"),
    "another shape": (
        {"mask": torch.ones(2, dtype=torch.bool)},
        r"mask has shape \[2\], but the rows have shape \[3\]",
    ),
    "an estimator without": (
        {"mask": torch.ones(3, 2, dtype=torch.bool), "estimator": Tempered()},
        "Tempered does not take a mask of single elements",
    ),
    "a baseline without": (
        {"mask": torch.ones(3, dtype=torch.bool), "estimator": sf.ScoreFunction(TwoArguments(1.0))},
        "TwoArguments.update takes none: let it take mask=None",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_of_masks(name):
    options, message = REFUSALS[name]
    with sf.StochasticGraph(), pytest.raises(ValueError, match=f"node 'z'.*{message}"):
        sf.sample(Bernoulli(logits=torch.zeros(3, 2)), name="z", **options)


# ---------------------------------------------------------------- ragged rows

LENGTHS = [2, 0, 3]
INDEX = torch.tensor([0, 0, 2, 2, 2])


def ragged_cost(z, rows=3):
    """Of the number of ones of every row, `[rows]`."""
    copies = len(z) // len(INDEX)
    ones = [z.view(copies, -1)[:, row == INDEX].sum(1) for row in range(rows)]
    return (torch.stack(ones, 1).flatten() - 0.6) ** 2


def ragged_expected(eta):
    total, p = 0.0, eta.sigmoid()
    for bits in itertools.product([0.0, 1.0], repeat=len(INDEX)):
        z = torch.tensor(bits, dtype=torch.float64)
        total = total + torch.where(z > 0, p, 1 - p).prod() * ragged_cost(z)
    return total.mean()


RAGGED = {
    "plain": lambda: sf.ScoreFunction(),
    "constant": lambda: sf.ScoreFunction(sf.Constant(0.5)),
    "two samples": lambda: sf.ScoreFunction(samples=2),
    "leave-one-out": lambda: sf.ScoreFunction(sf.LeaveOneOut(), samples=2),
}


@pytest.mark.parametrize("name", RAGGED)
def test_ragged_rows_are_exact(name):
    torch.manual_seed(0)
    eta = torch.randn(len(INDEX), dtype=torch.float64, requires_grad=True)

    def fn():
        sf.add_cost(torch.zeros(3, dtype=torch.float64), name="fixes the rows")
        z = sf.sample(Bernoulli(logits=eta), RAGGED[name](), index=INDEX, name="z")
        sf.add_cost(ragged_cost(z))

    truth = ragged_expected(eta)
    value, (gradient,) = sf.exact_gradient(fn, wrt=[eta])
    torch.testing.assert_close(value, truth.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(truth, eta)[0])
    report = sf.check_unbiased(fn, wrt=[eta], mode="exact", repeats=30)
    assert report, report


def test_the_first_index_fixes_the_rows_and_costs_may_be_ragged_too():
    with sf.StochasticGraph() as graph:
        z = sf.sample(Bernoulli(logits=torch.zeros(5)), index=INDEX, name="z")
        sf.add_cost(z + 1, index=INDEX, name="c")
    assert graph.rows == 3
    wanted = [(z + 1)[row == INDEX].sum().item() for row in range(3)]
    assert graph.costs["c"].value.tolist() == wanted
    assert graph.nodes["z"].draw.log_prob[1] == 0  # a row without elements has weight 1


def test_ragged_rows_after_a_branch_have_elements_of_their_own():
    eta = torch.zeros(5, requires_grad=True)
    with sf.StochasticGraph() as graph:
        sf.branch(torch.zeros(3), 2)
        mask = torch.tensor([True, True, True, False, True])  # of one copy, like the index
        z = sf.sample(Bernoulli(logits=eta.repeat(2)), index=INDEX, mask=mask, name="z")
        sf.add_cost(z * mask.repeat(2), index=INDEX)
    assert graph.rows == 6
    graph.loss().backward()
    total = torch.zeros(6).index_add(
        0, torch.cat([INDEX, INDEX + 3]), (z * mask.repeat(2)).detach()
    )
    score = (z - 0.5) * mask.repeat(2) * total[torch.cat([INDEX, INDEX + 3])] / 6
    torch.testing.assert_close(eta.grad, score.view(2, 5).sum(0))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (INDEX.float(), "the index is torch.float32"),
        (INDEX[None], r"the index is torch.int64 \[1, 5\]: give int64 \[N\]"),
        (INDEX[:4], "has 5 elements but its index names 4: give the row"),
        (INDEX - 1, "names row -1"),
        (INDEX + 2, "names row 4, but the graph has 3 rows"),
    ],
)
def test_refusals_of_an_index(index, message):
    with sf.StochasticGraph():
        sf.add_cost(torch.zeros(3))
        with pytest.raises(ValueError, match=f"node 'z'.*{message}"):
            sf.sample(Bernoulli(logits=torch.zeros(5)), index=index, name="z")


def test_an_own_estimator_of_masks_reads_the_parameters():
    class Inverse(sf.Estimator):
        """Draws by the inverse of the distribution function."""

        takes_masks = True

        def draw(self, distribution, batch_ndims):
            value = (torch.rand(distribution.batch_shape) < distribution.probs).float()
            log_prob = sf.row_log_prob(distribution, value, batch_ndims)
            return sf.Draw(value, log_prob, log_prob)

    torch.manual_seed(0)
    eta, mask = torch.zeros(4, 3, requires_grad=True), torch.rand(4, 3) < 0.5
    costs = torch.arange(1.0, 5.0)
    with sf.StochasticGraph() as graph:
        z = sf.sample(Bernoulli(logits=eta), Inverse(), mask=mask)
        sf.add_cost(costs)
    graph.loss().backward()
    torch.testing.assert_close(eta.grad, (z - 0.5) * mask * costs.unsqueeze(1) / 4)


def test_an_index_is_of_one_copy():
    with sf.StochasticGraph():
        sf.branch(torch.zeros(3), 2)
        with pytest.raises(ValueError, match="10 elements but .* names 10 for each of 2 copies"):
            sf.sample(Bernoulli(logits=torch.zeros(10)), index=INDEX.repeat(2))


def test_ragged_rows_are_not_enumerated_nor_repeated():
    with (
        sf.StochasticGraph(),
        pytest.raises(ValueError, match="Enumerate makes copies .* does not take index="),
    ):
        sf.sample(Bernoulli(logits=torch.zeros(5)), sf.Enumerate(), index=INDEX)

    def fn(x):
        return sf.sample(Bernoulli(logits=x), index=INDEX)

    with pytest.raises(ValueError, match=r"index= under expectation\(samples=\).*branch\(\)"):
        sf.expectation(fn, samples=2)(torch.zeros(5))
    with (
        sf.StochasticGraph(batch_ndims=2),
        pytest.raises(ValueError, match="an index, but the graph has batch_ndims=2"),
    ):
        sf.sample(Bernoulli(logits=torch.zeros(5, 2)), index=INDEX)


# ---------------------------------------------------------------- groups


def test_leave_one_out_within_groups_of_any_size_and_order():
    groups = torch.tensor([7, -1, 7, 7, -1])
    costs = torch.tensor([1.0, 2.0, 4.0, 9.0, 5.0], dtype=torch.float64)
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    z = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    with sf.StochasticGraph(groups=groups, draws={"z": z}) as graph:
        sf.sample(Bernoulli(logits=logits), sf.ScoreFunction(sf.LeaveOneOut()), name="z")
        sf.add_cost(costs)
    graph.loss().backward()
    others = torch.tensor([6.5, 5.0, 5.0, 2.5, 2.0], dtype=torch.float64)
    torch.testing.assert_close(logits.grad, (z - 0.5) * (costs - others) / 5)


def test_groups_compare_position_by_position():
    groups, costs = torch.tensor([0, 0]), torch.tensor([[1.0, 2.0, 3.0], [5.0, 8.0, 13.0]])
    logits = torch.zeros(2, 3, requires_grad=True)
    with sf.StochasticGraph(2, groups=groups, draws={"z": torch.ones(2, 3)}) as graph:
        sf.sample(Bernoulli(logits=logits), sf.ScoreFunction(sf.LeaveOneOut()), name="z")
        sf.add_cost(costs)
    graph.loss().backward()
    torch.testing.assert_close(logits.grad, 0.5 * (costs - costs.flip(0)) / 6)


class MeanOfOthers(sf.Baseline):
    """Leave-one-out written anew, without a thought of groups."""

    compares = True

    def read(self, cost_to_go, prediction):
        return sf.leave_one_out(cost_to_go, dim=1)


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_a_baseline_that_compares_is_read_group_by_group(shape):
    torch.manual_seed(0)
    groups, costs = torch.tensor([7, -1, 7, 7, -1]), torch.randn(shape)
    found = []
    for baseline in (MeanOfOthers(), sf.LeaveOneOut()):
        logits = torch.zeros(shape, requires_grad=True)
        recorded = {"z": torch.ones(shape)}
        with sf.StochasticGraph(len(shape), groups=groups, draws=recorded) as graph:
            sf.sample(Bernoulli(logits=logits), sf.ScoreFunction(baseline), name="z")
            sf.add_cost(costs)
        found.append(torch.autograd.grad(graph.loss(), logits)[0])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("baseline", [sf.Constant(1.0), sf.MovingAverage(), None])
def test_other_baselines_do_not_mind_groups(baseline):
    with sf.StochasticGraph(groups=torch.tensor([0, 1, 1])) as graph:
        z = sf.sample(Bernoulli(logits=torch.zeros(3)), sf.ScoreFunction(baseline))
        sf.add_cost(z)
    assert graph.loss().isfinite()


def test_refusals_of_groups():
    loo = sf.ScoreFunction(sf.LeaveOneOut())
    with (
        sf.StochasticGraph(groups=torch.tensor([0, 3, 0])),
        pytest.raises(ValueError, match="node 'z': row 1 is alone in group 3"),
    ):
        sf.sample(Bernoulli(logits=torch.zeros(3)), loo, name="z")
    with (
        sf.StochasticGraph(groups=torch.tensor([0, 0])),
        pytest.raises(ValueError, match="node 'z' has 3 rows but groups= names the group of 2"),
    ):
        sf.sample(Bernoulli(logits=torch.zeros(3)), name="z")
    with sf.StochasticGraph(groups=torch.tensor([0, 0])):
        for call in (
            lambda: sf.branch(torch.zeros(2), 2),
            lambda: sf.sample(Bernoulli(logits=torch.zeros(2)), sf.ScoreFunction(samples=2)),
            lambda: sf.sample(Bernoulli(logits=torch.zeros(2)), sf.Enumerate()),
        ):
            with pytest.raises(ValueError, match="groups= says already which rows"):
                call()
    with pytest.raises(ValueError, match=r"groups= must be int64 \[R\]"):
        sf.StochasticGraph(groups=torch.zeros(3))
    with pytest.raises(ValueError, match="batch_ndims=0 means a single row"):
        sf.StochasticGraph(batch_ndims=0, groups=torch.tensor([0]))


def test_a_mask_of_a_cached_transform():
    base = Normal(torch.full((4,), 12.0, requires_grad=True), 1.0)
    squashed = TransformedDistribution(base, [TanhTransform(cache_size=1)])
    mask = torch.tensor([True, False, True, False])
    with sf.StochasticGraph() as graph:
        sf.add_cost(sf.sample(squashed, mask=mask))
    assert graph.loss().isfinite()
