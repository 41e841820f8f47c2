"""Straight-through, ReinMax and Gumbel-softmax: exact values, and derivatives as published."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal, OneHotCategorical
from torch.func import grad, vmap

import sfgrad as sf
from sfgrad.estimators.gumbel_softmax import perturbed_logits
from tests.comparison import THRESHOLD, leaf

HARD = [sf.StraightThrough(), sf.ReinMax(), sf.GumbelSoftmax(0.7, hard=True)]
ALL = [*HARD, sf.GumbelSoftmax(0.7)]
LOGITS = torch.tensor([[0.3, -0.4, 1.1], [-0.9, 0.2, 0.5]], dtype=torch.float64)


def by_name(estimator):
    return repr(estimator)


each = pytest.mark.parametrize("estimator", ALL, ids=by_name)
each_hard = pytest.mark.parametrize("estimator", HARD, ids=by_name)


def distributions(logits):
    """Of two rows, three elements or three categories each."""
    return [
        Bernoulli(logits=logits),
        Bernoulli(probs=logits.sigmoid()),
        Independent(Bernoulli(logits=logits), 1),
        OneHotCategorical(logits=logits),
        OneHotCategorical(probs=logits.softmax(-1)),
        Independent(OneHotCategorical(logits=logits.view(2, 1, 3).expand(2, 2, 3)), 1),
    ]


class Model(nn.Module):
    """Bits, then one category given the bits; quadratic in each value or not."""

    def __init__(self, first, second, power=2, rows=1):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.logits = nn.Parameter(torch.randn(2, 2, generator=generator).double())
        self.weight = nn.Parameter(torch.randn(2, 3, generator=generator).double())
        self.first = sf.StochasticNode(first, name="first")
        self.second = sf.StochasticNode(second, name="second")
        self.power, self.rows = power, rows

    def forward(self):
        logits = self.logits[:1].expand(self.rows, 2)
        bits = self.first(Independent(Bernoulli(logits=logits), 1))
        choice = self.second(OneHotCategorical(logits=sf.align(logits) @ self.weight))
        worth = choice @ torch.tensor([0.3, -1.2, 0.8], dtype=torch.float64)
        return (bits @ torch.tensor([0.7, -0.4], dtype=torch.float64) + worth - 0.2) ** self.power


# ---------------------------------------------------------------- values


@each_hard
@pytest.mark.parametrize("kind", range(6))
def test_values_are_to_the_last_bit_those_that_were_drawn(estimator, kind):
    distribution = distributions(LOGITS.clone().requires_grad_())[kind]
    for context in (sf.StochasticGraph(), torch.enable_grad(), torch.no_grad()):
        torch.manual_seed(5)
        wanted = distribution.sample()
        torch.manual_seed(5)
        with context:
            value = sf.sample(distribution, estimator)
        assert torch.equal(value, wanted)
        assert value.dtype == wanted.dtype


def test_the_common_way_to_write_it_is_off_by_rounding():
    """A control: why values are not `hard + path − stop(path)`."""
    path = torch.rand(1000)
    assert not torch.equal(1 + path - path, torch.ones(1000))


def test_soft_values_lie_in_between_and_sum_to_one():
    estimator = sf.GumbelSoftmax()
    bits = sf.sample(Bernoulli(logits=LOGITS), estimator)
    assert ((bits > 0) & (bits < 1)).all()
    choice = sf.sample(OneHotCategorical(logits=LOGITS), estimator)
    assert ((choice > 0) & (choice < 1)).all()
    torch.testing.assert_close(choice.sum(-1), torch.ones(2).double())


@each
def test_greedy_takes_the_likeliest(estimator):
    with sf.greedy():
        value = sf.sample(OneHotCategorical(logits=LOGITS), estimator)
    assert torch.equal(value, nn.functional.one_hot(LOGITS.argmax(-1), 3).double())


# ---------------------------------------------------------------- derivatives, draw by draw


def gradient_at(distribution_of, estimator, logits, value, slope):
    """The gradient by the logits of `slope · value`, where this value is drawn."""
    logits = logits.clone().requires_grad_()
    distribution = distribution_of(logits=logits)
    distribution.sample = lambda sample_shape=(): value
    drawn = sf.sample(distribution, estimator)
    assert torch.equal(drawn, value)
    return torch.autograd.grad((drawn * slope).sum(), logits)[0]


def jacobian(q):
    """Of a softmax with this value."""
    return q.diag() - torch.outer(q, q)


@pytest.mark.parametrize("category", range(3))
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_gradients_of_categories_are_those_of_the_formula(category, temperature):
    logits, slope = LOGITS[0], torch.tensor([0.4, -1.0, 2.0], dtype=torch.float64)
    p, z = logits.softmax(-1), torch.eye(3, dtype=torch.float64)[category]
    through = gradient_at(OneHotCategorical, sf.StraightThrough(), logits, z, slope)
    torch.testing.assert_close(through, jacobian(p) @ slope)

    q = (z + (logits / temperature).softmax(-1)) / 2
    second_order = gradient_at(OneHotCategorical, sf.ReinMax(temperature), logits, z, slope)
    torch.testing.assert_close(second_order, (2 * jacobian(q) - jacobian(p) / 2) @ slope)


@pytest.mark.parametrize("bit", [0.0, 1.0])
def test_gradients_of_bits_are_those_of_two_categories(bit):
    logits, z = torch.tensor([0.8], dtype=torch.float64), torch.tensor([bit], dtype=torch.float64)
    p = logits.sigmoid()
    through = gradient_at(Bernoulli, sf.StraightThrough(), logits, z, 3.0)
    torch.testing.assert_close(through, 3 * p * (1 - p))

    q = (z + p) / 2
    second_order = gradient_at(Bernoulli, sf.ReinMax(), logits, z, 3.0)
    torch.testing.assert_close(second_order, 3 * (2 * q * (1 - q) - p * (1 - p) / 2))


@pytest.mark.parametrize(("estimator", "share"), [(sf.StraightThrough(), 1), (sf.ReinMax(), 0.5)])
def test_probabilities_of_zero_and_one_still_have_a_derivative(estimator, share):
    """Of ReinMax a half: the other is that of a value of probability 0, which is never drawn."""
    probs = leaf(0, 1)
    value = sf.sample(Bernoulli(probs=probs), estimator)
    (gradient,) = torch.autograd.grad(((value - 0.2) ** 2).sum(), probs)
    torch.testing.assert_close(gradient, share * 2 * (probs.detach() - 0.2))


# ---------------------------------------------------------------- bias


@pytest.mark.parametrize("first", [sf.ReinMax(), sf.ScoreFunction(), sf.Enumerate()], ids=by_name)
def test_reinmax_is_exact_on_quadratic_costs(first):
    report = sf.check_unbiased(Model(first, sf.ReinMax()), mode="exact", repeats=30)
    assert report, report


def test_straight_through_is_exact_on_linear_costs():
    report = sf.check_unbiased(
        Model(sf.StraightThrough(), sf.StraightThrough(), 1), mode="exact", repeats=30
    )
    assert report, report


@pytest.mark.parametrize(
    ("estimator", "power"),
    [(sf.StraightThrough(), 2), (sf.ReinMax(2.0), 2), (sf.ReinMax(), 3)],
    ids=["straight-through", "reinmax at another temperature", "reinmax of a cubic"],
)
def test_the_check_names_the_biased_node(estimator, power):
    for place in ("first", "second"):
        pair = {"first": sf.ScoreFunction(), "second": sf.ScoreFunction(), place: estimator}
        report = sf.check_unbiased(Model(**pair, power=power), mode="exact", repeats=30)
        assert not report
        assert list(report.nodes) == [place]


@pytest.mark.parametrize("hard", [True, False])
def test_the_check_names_the_gumbel_softmax_by_monte_carlo(hard):
    model = Model(sf.ScoreFunction(), sf.GumbelSoftmax(2.0, hard=hard), power=3, rows=500)
    report = sf.check_unbiased(model, repeats=200, seed=0)
    assert report.mode == "monte_carlo"
    assert not report
    assert list(report.nodes) == ["second"]


@each_hard
def test_the_value_is_unbiased(estimator):
    """The first comparison of the report is that of the objective's value."""
    report = sf.check_unbiased(Model(sf.ScoreFunction(), estimator, 4), repeats=300, seed=0)
    assert not report.comparisons[0].biased


# ---------------------------------------------------------------- the law of the Gumbel noise


def errors(sample, truth):
    """By how many standard errors the mean of `[N, ...]` is off."""
    return (sample.mean(0) - truth) / (sample.var(0) / len(sample)).sqrt()


def test_noise_given_the_category_is_gumbel_noise():
    torch.manual_seed(0)
    log_probs = LOGITS[0].log_softmax(-1).expand(200_000, 3)
    one_hot = OneHotCategorical(logits=log_probs).sample()
    perturbed = perturbed_logits(log_probs, one_hot)
    assert torch.equal(perturbed.argmax(-1), one_hot.argmax(-1))

    # E exp(−g) = 1 for standard Gumbel noise g, E exp(−2g) = 2, and elements are independent.
    noise = (log_probs - perturbed).exp()
    joint = noise[:, [0, 0, 1]] * noise[:, [1, 2, 2]]
    both = torch.cat([errors(noise, 1), errors(noise**2, 2), errors(joint, 1)])
    assert both.abs().max() < THRESHOLD

    # A control: categories that are not drawn from p.
    uniform = OneHotCategorical(logits=torch.zeros_like(log_probs)).sample()
    other = (log_probs - perturbed_logits(log_probs, uniform)).exp()
    assert errors(other, 1).abs().max() > THRESHOLD


@pytest.mark.parametrize("hard", [True, False])
def test_gradients_have_the_mean_of_the_usual_construction(hard):
    """Two samples of the same law, of which one is written by hand."""
    torch.manual_seed(0)
    n, temperature = 100_000, 0.6

    def gradients(draw):
        logits = LOGITS[0].expand(n, 3).clone().requires_grad_()
        value = draw(logits)
        (gradient,) = torch.autograd.grad(value.pow(2).mul(slope).sum(), logits)
        return torch.cat([gradient, value.detach() ** 2], 1)

    def by_hand(logits):
        noise = -torch.empty_like(logits).exponential_().log()
        soft = ((logits + noise) / temperature).softmax(-1)
        if not hard:
            return soft
        return nn.functional.one_hot(soft.argmax(-1), 3) + soft - soft.detach()

    slope = torch.tensor([0.4, -1.0, 2.0], dtype=torch.float64)
    estimator = sf.GumbelSoftmax(temperature, hard)
    ours = gradients(lambda logits: sf.sample(OneHotCategorical(logits=logits), estimator))
    theirs = gradients(by_hand)
    variance = (ours.var(0) + theirs.var(0)) / n
    assert ((ours.mean(0) - theirs.mean(0)) / variance.sqrt()).abs().max() < THRESHOLD


def test_soft_bits_have_the_law_of_a_logistic():
    torch.manual_seed(0)
    logits = torch.full((100_000,), 0.8, dtype=torch.float64)
    value = sf.sample(Bernoulli(logits=logits), sf.GumbelSoftmax(0.5))
    for level in (0.1, 0.5, 0.9):
        truth = torch.sigmoid(0.8 - 0.5 * torch.tensor(level).logit().double())
        assert errors((value > level).double().unsqueeze(1), truth).abs().max() < THRESHOLD


# ---------------------------------------------------------------- learning


@each
def test_it_learns(estimator):
    """Over twenty seeds the right category had .995 or more, and bits were off by .042 at most."""
    torch.manual_seed(0)
    logits = nn.Parameter(torch.zeros(6))
    optimizer = torch.optim.Adam([logits], 0.1)
    worth = torch.tensor([0.5, 0.2, 0.9])

    def costs():
        choice = sf.sample(OneHotCategorical(logits=logits[:3].expand(20, 3)), estimator)
        bits = sf.sample(Bernoulli(logits=logits[3:].expand(20, 3)), estimator)
        return (choice @ worth) ** 2 + (bits - torch.tensor([0.1, 0.8, 0.9])).pow(4).sum(1)

    for _ in range(150):
        optimizer.zero_grad()
        sf.expectation(costs)().backward()
        optimizer.step()
    assert logits[:3].softmax(0)[1] > 0.8
    assert (logits[3:].sigmoid() - torch.tensor([0.0, 1.0, 1.0])).abs().max() < 0.2


# ---------------------------------------------------------------- masks, rows, replays


@each
def test_categories_that_are_ruled_out_stay_out(estimator):
    logits = torch.tensor([[0.3, -math.inf, 1.0]] * 50, requires_grad=True)
    for kind in (Bernoulli, OneHotCategorical):
        value = sf.sample(kind(logits=logits), estimator)
        assert not value[:, 1].any()
        (gradient,) = torch.autograd.grad((value - 0.3).pow(2).sum(), logits)
        assert gradient.isfinite().all()
        assert not gradient[:, 1].any()


@each
@pytest.mark.parametrize("of_rows", [True, False])
def test_masked_elements_have_no_gradient_whatever_stands_there(estimator, of_rows):
    logits = LOGITS.clone().requires_grad_()
    mask = torch.tensor([True, False]) if of_rows else LOGITS > 0
    counts = mask.unsqueeze(1).expand(2, 3) if of_rows else mask
    with sf.StochasticGraph() as graph:
        distribution = Independent(Bernoulli(logits=logits), 1)
        value = sf.sample(distribution, estimator, mask=mask)
        # Where it does not count, the slope of the cost is infinite.
        sf.add_cost(((value - 0.3) ** 4 + (0 * value).where(~counts, 1).sqrt()).sum(1))
    (gradient,) = torch.autograd.grad(graph.loss(), logits)
    assert torch.equal(gradient != 0, counts)


@each_hard
def test_a_recorded_value_is_replayed_and_scored(estimator):
    logits = LOGITS.clone().requires_grad_()
    with sf.StochasticGraph() as graph:
        value = sf.sample(OneHotCategorical(logits=logits), estimator, name="z")
        sf.add_cost(value[:, 0])
    with sf.StochasticGraph(draws=graph.draws) as again:
        replayed = sf.sample(OneHotCategorical(logits=logits), estimator, name="z")
        sf.add_cost(replayed[:, 0])
    assert torch.equal(replayed, value)
    assert not replayed.requires_grad
    score = torch.autograd.grad(again.loss(), logits)[0]
    wanted = value[:, :1] * (value - logits.softmax(-1)) / 2
    torch.testing.assert_close(score, wanted.detach())


@pytest.mark.parametrize("validate", [True, False])
def test_soft_values_cannot_be_replayed(validate):
    """Without validation the distribution would score them all the same."""
    distribution = Bernoulli(logits=LOGITS, validate_args=validate)
    with sf.StochasticGraph() as graph:
        sf.add_cost(sf.sample(distribution, sf.GumbelSoftmax(), name="z")[:, 0])
    refusal = "node 'z': the (recorded log-probability is NaN|distribution refuses the replayed)"
    with sf.StochasticGraph(draws=graph.draws), pytest.raises(ValueError, match=refusal):
        sf.sample(distribution, sf.GumbelSoftmax(), name="z")


def test_what_was_drawn_may_be_written_to():
    logits = LOGITS.clone().requires_grad_()
    for estimator in ALL:
        with sf.StochasticGraph() as graph:
            value = sf.sample(Bernoulli(logits=logits), estimator, name="z")
            before = value.detach().clone()
            value.mul_(2)
            sf.add_cost(value.sum(1))
        assert torch.equal(graph.draws["z"][0], before)
        graph.loss().backward()


# ---------------------------------------------------------------- traced


@each
def test_under_vmap_and_grad(estimator):
    """Logits that leave nothing to chance but soft noise, of which the gradient is as good as 0."""
    logits = torch.tensor([[30.0, -30.0, 30.0], [-30.0, 30.0, 30.0]], dtype=torch.float64)

    def loss(row):
        with sf.StochasticGraph() as graph:
            value = sf.sample(Bernoulli(logits=row, validate_args=False), estimator)
            sf.add_cost((value + 2 * row - 0.4) ** 2)
        return graph.loss()

    gradients = vmap(grad(loss), randomness="different")(logits)
    looped = torch.stack([grad(loss)(row) for row in logits])
    torch.testing.assert_close(gradients, looped, rtol=1e-6, atol=1e-6)


@each
def test_compiled_as_one_graph(estimator):
    torch._dynamo.reset()  # else what other tests compiled counts towards its limit

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(5, 3)
            self.node = sf.StochasticNode(estimator)

        def forward(self, x):
            distribution = Bernoulli(logits=self.linear(x), validate_args=False)
            z = self.node(Independent(distribution, 1, validate_args=False))
            return (z @ torch.tensor([0.3, 1.0, 2.0])) ** 3

    torch.manual_seed(0)
    model, x = Net(), torch.randn(4, 5)
    eager = sf.expectation(model)
    compiled = torch.compile(
        sf.expectation(copy.deepcopy(model)), fullgraph=True, backend="aot_eager"
    )
    for loss in (eager, compiled):
        torch.manual_seed(1)
        loss(x).backward()
    for found, wanted in zip(compiled.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(found.grad, wanted.grad)


# ---------------------------------------------------------------- settings and errors


def test_settings_are_shown_and_may_be_assigned():
    node = sf.StochasticNode(sf.GumbelSoftmax(2.0), name="gate")
    node.estimator.temperature = 0.5
    node.estimator.hard = True
    assert repr(node.estimator) == "GumbelSoftmax(temperature=0.5, hard=True)"
    assert "temperature=0.5" in repr(node)
    assert repr(sf.ReinMax()) == "ReinMax(temperature=1.0)"
    assert repr(sf.StraightThrough()) == "StraightThrough()"
    assert not node.state_dict()


@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("kind", [sf.ReinMax, sf.GumbelSoftmax])
def test_a_temperature_must_be_above_zero(kind, value):
    with pytest.raises(ValueError, match=f"temperature is {value}: it must be a finite number"):
        kind(value)
    with pytest.raises(ValueError, match=f"temperature is {value}: it must be a finite number"):
        kind().temperature = value


def test_a_temperature_must_be_a_number():
    with pytest.raises(TypeError, match=r"temperature is a tensor of shape \[\]: it must be a num"):
        sf.ReinMax(torch.tensor(1.0))
    with pytest.raises(TypeError, match="hard is 1: it must be True or False"):
        sf.GumbelSoftmax(1.0, 1)


@each
def test_it_says_which_distribution_does_not_fit(estimator):
    kind = type(estimator).__name__
    indices = f"node 'z': Categorical draws indices, .* and {kind} needs .*: use OneHotCategorical"
    with sf.StochasticGraph(), pytest.raises(ValueError, match=indices):
        sf.sample(Categorical(logits=LOGITS), estimator, name="z")
    with pytest.raises(ValueError, match=f"node 'z': {kind} does not draw from Normal, only from"):
        sf.sample(Normal(LOGITS, 1.0), estimator, name="z")


# ---------------------------------------------------------------- costs that are cut off

CUTS = {
    "item": lambda z: torch.tensor([x.item() for x in z.sum(1)]),
    "numpy": lambda z: torch.from_numpy(z.detach().numpy()).sum(1),
    "comparison": lambda z: (z > 0.5).double().sum(1),
    "round": lambda z: z.round().sum(1),
    "sign": lambda z: (z.sum(1) - 1.5).sign(),
}
WARNS = pytest.warns(UserWarning, match="no cost is a differentiable function of the value of node")


def recorded(estimator, cost, mask=None):
    """A graph of one node of bits, or of normal numbers where it is pathwise."""
    logits = LOGITS.clone().requires_grad_()
    pathwise = isinstance(estimator, sf.Pathwise)
    distribution = Normal(logits, 1.0) if pathwise else Bernoulli(logits=logits)
    with sf.StochasticGraph() as graph:
        z = sf.sample(distribution, estimator, mask=mask, name="z")
        sf.add_cost(cost(z, logits))
    return graph, logits


@pytest.mark.parametrize("estimator", [*ALL, sf.Pathwise()], ids=by_name)
@pytest.mark.parametrize("cut", CUTS)
def test_a_cost_that_is_cut_off_warns(estimator, cut):
    graph, _ = recorded(estimator, lambda z, logits: CUTS[cut](z))
    with pytest.warns(UserWarning, match=r"value of node 'z', .*draw by ScoreFunction\(\)"):
        graph.loss()


def test_a_cost_that_is_cut_off_warns_though_it_has_another_gradient():
    graph, logits = recorded(sf.Pathwise(), lambda z, logits: (z.detach() + logits**2).sum(1))
    with WARNS:
        graph.loss().backward()
    assert logits.grad.any()


def test_the_score_function_needs_no_derivative_of_the_cost():
    graph, logits = recorded(sf.ScoreFunction(), lambda z, logits: CUTS["item"](z))
    graph.loss().backward()
    assert logits.grad.any()


@pytest.mark.parametrize("estimator", [sf.StraightThrough(), sf.Pathwise()], ids=by_name)
def test_values_that_matter_to_some_cost_do_not_warn(estimator):
    """By one of several costs, after a write, by a later draw's parameters, or in no row."""
    noise = torch.zeros(2, dtype=torch.float64)
    graph, _ = recorded(estimator, lambda z, logits: z.square().sum(1))
    with graph:
        sf.add_cost(noise, name="other")
    graph.loss(["other"])
    graph.loss(["cost"])

    graph, _ = recorded(estimator, lambda z, logits: z.clamp_(max=0.9).sum(1))
    graph.loss()

    graph, _ = recorded(estimator, lambda z, logits: noise, mask=torch.tensor([False, False]))
    graph.loss()

    with sf.StochasticGraph() as graph:
        loc = LOGITS.clone().requires_grad_()
        distribution = Normal(loc, 1) if estimator.order > 0 else Bernoulli(logits=loc)
        z = sf.sample(distribution, estimator)
        bits = sf.sample(Bernoulli(logits=z))
        sf.add_cost(bits.sum(1))
    graph.loss().backward()
    assert loc.grad.any()

    with torch.no_grad():
        graph, _ = recorded(estimator, lambda z, logits: CUTS["numpy"](z))
        graph.loss()
