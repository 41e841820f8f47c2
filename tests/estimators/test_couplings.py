"""Estimators that draw the copies of a row together: Antithetic, Stratified, DisARM, ARMS."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Exponential,
    Gumbel,
    Independent,
    LogNormal,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Uniform,
)

import sfgrad as sf
from sfgrad.estimators.copula import bernoulli_ratio, category_ratios, random_order, uniforms
from sfgrad.estimators.quantiles import quantile

COUPLINGS = {
    "antithetic": sf.Antithetic,
    "stratified": sf.Stratified,
    "DisARM": sf.DisARM,
    "ARMS": sf.ARMS,
}
PROBS = torch.tensor([0.15, 0.5, 0.05, 0.3], dtype=torch.float64)


# ---------------------------------------------------------------- quantiles


def grid(count=20_000):
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


def test_quantiles_of_categories_have_their_probabilities():
    drawn = quantile(Categorical(PROBS), grid())
    frequencies = drawn.bincount(minlength=4) / len(drawn)
    torch.testing.assert_close(frequencies.double(), PROBS, rtol=0, atol=1e-4)
    one_hot = quantile(OneHotCategorical(PROBS), grid())
    assert torch.equal(one_hot.argmax(-1), drawn)
    assert one_hot.dtype == PROBS.dtype


def test_no_category_of_probability_0_is_drawn():
    probs = torch.tensor([0.0, 0.3, 0.7, 0.0])
    ends = torch.tensor([0.0, 1e-30, 0.5, 1 - 1e-12, 1.0], dtype=torch.float64)
    assert set(quantile(Categorical(probs), ends).tolist()) <= {1, 2}


@pytest.mark.parametrize(
    "distribution",
    [
        Normal(0.3, 2.0),
        Exponential(torch.tensor(0.7)),
        Gumbel(0.1, 1.5),
        LogNormal(0.0, 0.5),
        Uniform(-1.0, 3.0),
    ],
    ids=lambda d: type(d).__name__,
)
def test_quantiles_of_continuous_distributions_invert_their_cdf(distribution):
    uniform = grid(200)
    value = quantile(distribution, uniform)
    assert value.dtype == torch.float32
    torch.testing.assert_close(distribution.cdf(value).double(), uniform, rtol=0, atol=1e-5)


def test_a_gaussian_of_several_dimensions_takes_noise_for_each():
    scale = torch.tensor([[1.0, 0.0], [0.5, 2.0]], dtype=torch.float64)
    base = MultivariateNormal(torch.zeros(2, dtype=torch.float64), scale_tril=scale)
    value = quantile(base, torch.tensor([0.5, 0.975], dtype=torch.float64))
    wanted = scale @ torch.tensor([0.0, 1.959964], dtype=torch.float64)
    torch.testing.assert_close(value, wanted, rtol=0, atol=1e-5)


# ---------------------------------------------------------------- the copula


def test_two_uniform_numbers_are_antithetic():
    numbers = uniforms((6, 50), 2, torch.device("cpu"))
    torch.testing.assert_close(numbers[0::2] + numbers[1::2], torch.ones(3, 50).double())


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("logit", [-2.0, -0.3, 0.0, 1.0])
def test_draws_differ_as_often_as_the_ratio_says(size, logit):
    """A z-test with an error rate of 1e-7 each."""
    logits = torch.full((200_000,), logit, dtype=torch.float64)
    ratio, flipped = bernoulli_ratio(logits[:1], size)
    numbers = uniforms((size, len(logits)), size, torch.device("cpu"))
    if flipped is not None:
        numbers = torch.where(flipped, 1 - numbers, numbers)
    draws = quantile(Bernoulli(logits=logits), numbers)
    p = torch.sigmoid(logits[0])
    wanted = p * (1 - p) / ratio[0]
    frequency = ((draws[0] == 1) & (draws[1] == 0)).double().mean()
    error = (wanted * (1 - wanted) / len(logits)).sqrt()
    assert (frequency - wanted).abs() < 5.4 * error


def test_the_ratio_of_a_pair_is_the_one_of_disarm():
    logits = torch.tensor([-40.0, -3.0, 0.0, 0.7, 40.0], dtype=torch.float64)
    ratio, _ = bernoulli_ratio(logits, 2)
    torch.testing.assert_close(ratio, torch.sigmoid(logits.abs()), rtol=1e-9, atol=0)


def orders(count):
    """The orders of which `random_order` draws one."""
    for first, last in itertools.permutations(range(count), 2):
        rest = [c for c in range(count) if c not in (first, last)]
        yield [first, *rest, last]


def test_orders_are_drawn_evenly():
    drawn = {tuple(order) for order in random_order(PROBS.expand(2_000, 4)).tolist()}
    assert drawn == {tuple(order) for order in orders(4)}


def test_the_joint_probability_of_categories_is_the_mean_over_orders():
    """For two copies by the overlap of intervals of u and of 1 − u, order by order."""
    count = len(PROBS)
    joint = torch.zeros(count, count, dtype=torch.float64)
    for order in orders(count):
        ends = torch.cat([torch.zeros(1).double(), PROBS[order].cumsum(0)]).tolist()
        bounds = {c: (ends[i], ends[i + 1]) for i, c in enumerate(order)}
        for a, b in itertools.product(range(count), repeat=2):
            low = max(bounds[a][0], 1 - bounds[b][1])
            joint[a, b] += max(0.0, min(bounds[a][1], 1 - bounds[b][0]) - low)
    joint /= count * (count - 1)
    torch.testing.assert_close(joint.sum(1), PROBS)

    numbers = torch.cartesian_prod(torch.arange(count), torch.arange(count)).T.unsqueeze(0)
    ratios = category_ratios(PROBS, numbers, 2)[0, 0, 1].reshape(count, count)
    differ = ~torch.eye(count, dtype=torch.bool)
    wanted = PROBS.unsqueeze(1) * PROBS / joint
    torch.testing.assert_close(ratios[differ], wanted[differ], rtol=1e-9, atol=0)
    assert not ratios[~differ].any()


# ---------------------------------------------------------------- unbiased, and how much it varies


def toy(estimator, samples=1, rows=100_000, eta=1.0, t=0.499):
    """One estimate of d/dη E[(b − t)²] a row."""
    logits = torch.full((rows,), eta, dtype=torch.float64, requires_grad=True)

    def cost(logits):
        return (sf.sample(Bernoulli(logits=logits), estimator) - t) ** 2

    loss = sf.expectation(cost, samples=samples)(logits)
    return torch.autograd.grad(loss, logits)[0] * rows


@pytest.mark.parametrize(
    ("estimator", "samples", "variance"),
    [
        (sf.ScoreFunction(sf.LeaveOneOut()), 2, 2.386e-7),
        (sf.DisARM(), 2, 1.328e-7),
        (sf.DisARM(samples=2), 1, 1.328e-7),
        (sf.ARMS(samples=2), 1, 1.328e-7),
        (sf.ScoreFunction(sf.LeaveOneOut()), 4, 6.78e-8),
        (sf.ARMS(), 4, 1.42e-8),
        (sf.ARMS(samples=4), 1, 1.42e-8),
    ],
    ids=repr,
)
def test_table_of_variances(estimator, samples, variance):
    """Means at |z| < 6; variances within 3 %, ten of their standard errors."""
    torch.manual_seed(0)
    estimates = toy(estimator, samples)
    error = estimates.std() / len(estimates) ** 0.5
    assert (estimates.mean() - 3.93224e-4).abs() < 6 * error
    assert abs(estimates.var().item() / variance - 1) < 0.03


def test_disarm_has_no_variance_at_one_half():
    estimates = toy(sf.DisARM(samples=2), rows=500, eta=0.0)
    torch.testing.assert_close(estimates, torch.full_like(estimates, 5e-4), rtol=1e-9, atol=0)


class Chain(nn.Module):
    """Two nodes: bits, and after them categories, with a cost that is not quadratic."""

    def __init__(self, first, second):
        super().__init__()
        self.bits = sf.StochasticNode(first)
        self.choice = sf.StochasticNode(second)
        self.logits = nn.Parameter(torch.tensor([0.4, -0.7]))
        self.weights = nn.Parameter(torch.tensor([[0.5, -1.0, 0.2], [0.1, 0.3, -0.6]]))

    def forward(self, x):
        bits = self.bits(Independent(Bernoulli(logits=x * self.logits), 1))
        sf.add_cost(bits.prod(-1) * self.logits.sum())
        choice = self.choice(OneHotCategorical(logits=bits @ self.weights))
        return torch.exp(0.3 * choice @ torch.tensor([1.0, -1.0, 2.0]).to(choice)) * sf.align(
            bits
        ).sum(-1)


X = torch.ones(50, 1)


@pytest.mark.parametrize(
    ("first", "second", "samples"),
    [
        (sf.DisARM(), sf.ScoreFunction(), 2),
        (sf.DisARM(), sf.ScoreFunction(sf.LeaveOneOut()), 2),
        (sf.DisARM(samples=2), sf.ARMS(samples=3), 1),
        (sf.ARMS(), sf.Antithetic(), 4),
        (sf.Antithetic(), sf.Antithetic(), 2),
        (sf.Antithetic(), sf.Stratified(), 4),
        (sf.Stratified(sf.MovingAverage()), sf.Enumerate(), 3),
        (sf.ScoreFunction(sf.LeaveOneOut()), sf.Stratified(), 2),
        (sf.Enumerate(), sf.DisARM(samples=2), 1),
    ],
    ids=repr,
)
def test_chains_are_unbiased(first, second, samples):
    model = Chain(first, second)
    report = sf.check_unbiased(
        model, X, samples=samples, mode="monte_carlo", seed=0, repeats=100, error_rate=1e-6
    )
    assert report, report


class Unweighted(sf.DisARM):
    """Pairs as if they were independent: without the ratio."""

    def couple(self, distribution, batch_ndims, copies):
        draw = super().couple(distribution, batch_ndims, copies)
        log_prob = draw.log_prob * 2
        return draw._replace(log_prob=log_prob, log_density=log_prob)


def test_negative_control_a_wrong_ratio_is_found_and_named():
    model = Chain(Unweighted(), sf.ScoreFunction())
    rows = X.repeat(40, 1)
    report = sf.check_unbiased(model, rows, samples=2, mode="monte_carlo", seed=0, repeats=100)
    assert not report
    assert "bits" in report.nodes


def test_leave_one_out_over_antithetic_copies_would_be_biased():
    """Why it is refused: E[(b − .3)²] by hand, where pairs are 1 − b in half of the draws."""
    logits = torch.zeros(40_000, dtype=torch.float64, requires_grad=True)
    numbers = torch.rand(len(logits), dtype=torch.float64)
    pair = torch.stack([numbers < 0.5, 1 - numbers < 0.5]).double()
    costs = (pair - 0.3) ** 2
    scores = Bernoulli(logits=logits).log_prob(pair)
    loss = ((costs - costs.flip(0)) * scores).mean()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert abs(gradient.sum().item() - 0.1) > 0.05  # .1 is exact


# ---------------------------------------------------------------- copies, masks


@pytest.mark.parametrize("name", COUPLINGS)
def test_pairs_of_a_row_are_coupled_and_rows_are_not(name):
    """Copies of a row differ at logit 0, where drawn by pairs, and rows are independent."""
    logits = torch.zeros(2_000, requires_grad=True)
    with sf.StochasticGraph():
        value = sf.sample(Bernoulli(logits=logits), COUPLINGS[name](samples=2)).view(2, -1)
    assert torch.equal(value[0], 1 - value[1])
    assert 800 < value[0].sum() < 1_200
    assert (value[0, :-1] == value[0, 1:]).float().mean() < 0.6


@pytest.mark.parametrize("name", COUPLINGS)
@pytest.mark.parametrize("kind", ["rows", "elements"])
def test_what_is_masked_has_no_gradient(name, kind):
    logits = torch.tensor([[0.5, -1.0], [0.2, math.nan]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([True, False])
    if kind == "elements":
        mask = torch.tensor([[True, False], [True, False]])
    with sf.StochasticGraph() as graph:
        base = Bernoulli(logits=logits, validate_args=False)
        value = sf.sample(Independent(base, 1), COUPLINGS[name](samples=2), mask=mask)
        sf.add_cost((value * torch.tensor([1.0, 3.0]).double()).sum(-1).square())
    (gradient,) = torch.autograd.grad(graph.loss(), logits)
    shown = mask if kind == "elements" else mask.unsqueeze(1).expand(2, 2)
    assert (gradient[~shown] == 0).all()
    assert gradient.isfinite().all()


def test_gaussians_are_mirrored_and_unbiased():
    loc = torch.tensor([0.3, -1.0], dtype=torch.float64, requires_grad=True)
    with sf.StochasticGraph():
        value = sf.sample(Normal(loc, 2.0), sf.Antithetic(samples=2)).view(2, 2)
    torch.testing.assert_close(value.mean(0), loc.detach())

    def model():
        z = sf.sample(Normal(loc, 0.7), sf.Antithetic(samples=2), name="z")
        return torch.sin(z) + z

    report = sf.check_unbiased(model, wrt=[loc], quadrature=24, seed=0, repeats=500)
    assert report, report


def test_strata_have_one_copy_each():
    with sf.StochasticGraph():
        probs = torch.full((100, 5), 0.2, requires_grad=True)
        value = sf.sample(Categorical(probs), sf.Stratified(samples=5)).view(5, 100)
    assert torch.equal(value.sort(0).values, torch.arange(5).unsqueeze(1).expand(5, 100))


def test_it_learns_bits_that_only_count_together():
    torch.manual_seed(0)
    logits = nn.Parameter(torch.zeros(6))
    target = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    optimizer = torch.optim.Adam([logits], lr=0.2)

    def cost(logits):
        bits = sf.sample(Independent(Bernoulli(logits=logits), 1), sf.ARMS())
        return (bits - target).abs().sum(-1) ** 1.5

    objective = sf.expectation(cost, samples=4)
    for _ in range(60):
        optimizer.zero_grad()
        objective(logits.expand(8, 6)).backward()
        optimizer.step()
    # Over twenty seeds the lowest probability of the right bits is .93.
    assert torch.sigmoid(logits * (2 * target - 1)).min() > 0.8


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", ["antithetic", "stratified"])
def test_leave_one_out_is_refused_as_the_own_baseline(name):
    with pytest.raises(ValueError, match="compares copies, but they are drawn together"):
        COUPLINGS[name](sf.LeaveOneOut())
    with pytest.raises(TypeError, match=r"call the class, MovingAverage\(\)"):
        COUPLINGS[name](sf.MovingAverage)


@pytest.mark.parametrize("name", ["antithetic", "DisARM"])
def test_pairs_need_an_even_number(name):
    with pytest.raises(ValueError, match="samples is 3: .* draws pairs: give an even number"):
        COUPLINGS[name](samples=3)
    with pytest.raises(ValueError, match="the nearest branch made 3 copies"):
        sf.expectation(lambda x: sf.sample(Bernoulli(logits=x), COUPLINGS[name]()), samples=3)(
            torch.zeros(2, requires_grad=True)
        )


@pytest.mark.parametrize("name", COUPLINGS)
def test_ragged_rows_take_own_copies_of_scored_draws_only(name):
    index = torch.tensor([0, 0, 1])
    logits = torch.zeros(3, requires_grad=True)
    with sf.StochasticGraph() as graph:
        sf.sample(Bernoulli(logits=logits), COUPLINGS[name](samples=2), index=index, name="z")
        sf.add_cost(torch.zeros(4))
    graph.loss()
    with sf.StochasticGraph():
        elements = sf.branch(logits, 2, index=index)
        with pytest.raises(ValueError, match="does not take index="):
            sf.sample(Bernoulli(logits=elements), COUPLINGS[name](), index=index, name="z")


def test_three_copies_are_coupled_under_vmap():
    """Of logits that are the same for all of the batch."""
    torch.manual_seed(0)

    def loss(logits, cost):
        bits = Bernoulli(logits=logits.unsqueeze(0), validate_args=False)
        with sf.StochasticGraph() as graph:
            sf.add_cost(cost * sf.sample(bits, sf.ARMS(samples=3)))
        return graph.loss()

    gradient = torch.func.vmap(torch.func.grad(loss), (None, 0), randomness="different")
    found = gradient(torch.tensor(0.4), torch.ones(300))
    probability = torch.tensor(0.4).sigmoid()
    wanted = probability * (1 - probability)
    assert abs(found.mean() - wanted) < 6 * found.std() / 300**0.5


@pytest.mark.parametrize("estimator", [sf.Antithetic(samples=2), sf.ARMS(samples=3)], ids=repr)
def test_one_hot_vectors_are_coupled_under_vmap(estimator):
    """The gradient of the share of the last category, over 300 parts, to six standard errors."""
    torch.manual_seed(0)
    logits = torch.tensor([0.4, -0.3, 0.9])

    def loss(logits, cost):
        vectors = OneHotCategorical(logits=logits.unsqueeze(0), validate_args=False)
        with sf.StochasticGraph() as graph:
            sf.add_cost(cost * sf.sample(vectors, estimator)[:, 2])
        return graph.loss()

    gradient = torch.func.vmap(torch.func.grad(loss), (None, 0), randomness="different")
    found = gradient(logits, torch.ones(300))
    p = logits.softmax(0)
    wanted = p[2] * (torch.eye(3)[2] - p)
    assert ((found.mean(0) - wanted).abs() < 6 * found.std(0) / 300**0.5).all()


def test_many_copies_of_half_precision_are_exact_for_a_constant():
    """bfloat16 counts to 256 only: 301 copies are counted in single precision."""
    torch.manual_seed(0)
    logits = torch.ones(50, dtype=torch.bfloat16, requires_grad=True)

    def cost(logits):
        return 0 * sf.sample(Bernoulli(logits=logits), sf.ARMS(samples=301)).float() + 1000

    sf.expectation(cost)(logits).backward()
    assert logits.grad.abs().max() < 1e-4
