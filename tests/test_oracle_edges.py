"""Models at the edges of what the oracle and the check take: ends, bounds, copies, shared costs."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Independent,
    Normal,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    Poisson,
)

import sfgrad as sf
from sfgrad.verify.outcomes import Outcomes


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def assert_close(result, wanted):
    torch.testing.assert_close(result, wanted.detach(), rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- rows that end


def until_all_have_ended(logits, price):
    """Three tosses at most; a row pays until its first tail, and draws until all have ended."""
    done = torch.zeros(len(logits), dtype=torch.bool)
    tosses = 0
    while not done.all() and tosses < 3:
        head = sf.sample(Bernoulli(logits=logits), name="head").bool()
        sf.add_cost(torch.where(done, 0.0, price))
        done, tosses = done | ~head, tosses + 1


def test_rows_may_end_one_by_one():
    logits, price = leaf(0.3, -0.8), torch.tensor([1.0, 5.0]).double()
    value, (gradient,) = sf.exact_gradient(
        lambda: until_all_have_ended(logits, price), wrt=[logits]
    )
    p = logits.sigmoid()
    truth = (price * (1 + p + p**2)).mean()
    assert_close(value, truth)
    assert_close(gradient, torch.autograd.grad(truth, logits)[0])
    report = sf.check_unbiased(
        lambda: until_all_have_ended(logits, price), wrt=[logits], mode="exact", repeats=30
    )
    assert report, report


@pytest.mark.parametrize("what", ["cost", "probability"])
def test_rows_that_interact_while_they_end_are_refused(what):
    logits = leaf(0.3, -0.8)

    def fn():
        done = torch.zeros(2, dtype=torch.bool)
        for _ in range(2):
            if done.all():
                break
            left = (~done).double().sum() if what == "probability" else torch.ones(())
            head = sf.sample(Bernoulli(logits=logits * left), name="head").bool()
            ended = done.double().sum() if what == "cost" else torch.zeros(())
            sf.add_cost(torch.ones(2).double() + ended)
            done = done | ~head

    with pytest.raises(ValueError, match=r"rows interact: .* by batch_ndims=0"):
        sf.exact_gradient(fn, wrt=[logits])


def test_a_cost_that_rows_share_is_exact_as_one_row():
    """Two experts of one place each: what is beyond it pays, whichever token it is."""
    logits = leaf(0.3, -0.8, 0.1)

    def shared():
        expert = sf.sample(Bernoulli(logits=logits), name="expert")
        return (expert.sum() - 1.5) ** 2

    with pytest.raises(ValueError, match="shared capacities"):
        sf.check_unbiased(lambda: shared().expand(3), wrt=[logits])
    report = sf.check_unbiased(shared, wrt=[logits], mode="exact", batch_ndims=0, repeats=30)
    assert report, report
    p = logits.sigmoid()
    truth = (p * (1 - p)).sum() + (p.sum() - 1.5) ** 2
    value, (gradient,) = sf.exact_gradient(shared, wrt=[logits], batch_ndims=0)
    assert_close(value, truth)
    assert_close(gradient, torch.autograd.grad(truth, logits)[0])


# ---------------------------------------------------------------- supports


@pytest.mark.parametrize("wrapped", [False, True])
def test_straight_through_keeps_its_path_along_a_script(wrapped):
    """Exact for a linear cost, biased for any other; the check tells which."""
    logits, worth = leaf(0.3, 0.1, -1.0), torch.tensor([1.0, 2.0, 4.0]).double()

    def total():
        shape = (1, 1, 3) if wrapped else (1, 3)
        distribution = OneHotCategoricalStraightThrough(logits=logits.view(shape))
        distribution = Independent(distribution, 1) if wrapped else distribution
        z = sf.sample(distribution, sf.Pathwise(), name="z")
        return (z * worth).flatten(1).sum(1)

    report = sf.check_unbiased(total, wrt=[logits], mode="exact", repeats=30)
    assert report, report
    report = sf.check_unbiased(lambda: total() ** 3, wrt=[logits], mode="exact", repeats=30)
    assert report.verdict == "BIASED"
    assert set(report.nodes) == {"z"}


def test_a_straight_through_draw_with_noise_of_its_own_is_never_taken_for_exact():
    logits = leaf(0.3, 0.1)

    class Relaxed(OneHotCategorical):
        has_rsample = True

        def rsample(self, sample_shape=()):
            noisy = (self.logits - torch.rand_like(self.logits).log().neg().log()).softmax(-1)
            hard = nn.functional.one_hot(noisy.argmax(-1), 2).to(noisy)
            return hard + noisy - noisy.detach()

    report = sf.check_unbiased(
        lambda: sf.sample(Relaxed(logits=logits.expand(4000, 2)), sf.Pathwise())[:, 0] ** 3,
        wrt=[logits],
        repeats=60,
        seed=0,
    )
    assert report.mode == "monte_carlo"
    assert report.verdict == "BIASED"


@pytest.mark.parametrize("kind", ["Bernoulli", "Categorical", "Normal", "MultivariateBernoulli"])
@pytest.mark.parametrize("check", ["oracle", "exact", "monte_carlo"])
def test_scalars_without_rows(kind, check):
    eta = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)

    def fn():
        distribution = {
            "Bernoulli": lambda: Bernoulli(logits=eta),
            "Categorical": lambda: Categorical(logits=eta * torch.arange(3)),
            "Normal": lambda: Normal(eta, 1.0),
            "MultivariateBernoulli": lambda: Independent(Bernoulli(logits=eta.expand(2)), 1),
        }[kind]()
        return (sf.sample(distribution, name="z") ** 2).sum().double()

    settings = {"wrt": [eta], "batch_ndims": 0, "quadrature": 3}
    if check == "oracle":
        value, (gradient,) = sf.exact_gradient(fn, **settings)
        assert value.shape == gradient.shape == ()
        assert gradient > 0
    else:
        report = sf.check_unbiased(fn, mode=check, repeats=60, seed=0, **settings)
        assert report, report


def test_supports_of_different_size_in_a_batch():
    probs, sizes = leaf(0.3, 0.6), torch.tensor([2.0, 4.0]).double()

    def epidemic():
        """The infected of two generations: the second is of those whom the first left."""
        first = sf.sample(Binomial(sizes, probs), name="first")
        second = sf.sample(Binomial(sizes - first, probs / 2), name="second")
        assert ((first <= sizes) & (second <= sizes - first)).all()
        return (first + 2 * second) ** 2

    value, (gradient,) = sf.exact_gradient(epidemic, wrt=[probs])
    singles = []
    for row in range(2):
        size, p = sizes[row : row + 1], probs[row : row + 1]

        def one(size=size, p=p):
            first = sf.sample(Binomial(size, p))
            return (first + 2 * sf.sample(Binomial(size - first, p / 2))) ** 2

        singles.append(sf.exact_gradient(one, wrt=[probs]))
    assert_close(value, (singles[0][0] + singles[1][0]) / 2)
    assert_close(gradient, (singles[0][1][0] + singles[1][1][0]) / 2)
    report = sf.check_unbiased(epidemic, wrt=[probs], mode="exact", repeats=30)
    assert report, report


def test_a_support_that_shrinks_with_another_rows_draw_is_no_interaction():
    """With one row's draw changed no row has a second value left."""
    probs = leaf(0.3, 0.6)

    def epidemic():
        first = sf.sample(Binomial(torch.ones(2).double(), probs), name="first")
        return first + 2 * sf.sample(Binomial(first, probs), name="second")

    value, (gradient,) = sf.exact_gradient(epidemic, wrt=[probs])
    p = probs.detach()
    assert_close(value, (p + 2 * p**2).mean())
    assert_close(gradient, (1 + 4 * p) / 2)


@pytest.mark.parametrize("kind", ["cost", "its derivative"])
def test_the_cost_of_an_impossible_value_is_never_looked_at(kind):
    logits, slope = leaf(0.3, -math.inf, 0.2), leaf(1.0)
    prices = torch.tensor([1.0, math.nan if kind == "cost" else 0.0, 3.0]).double()

    def fn():
        z = sf.sample(Categorical(logits=logits.unsqueeze(0)), name="z")
        return (prices[z] * slope) if kind == "cost" else (prices[z] * slope).sqrt()

    value, (by_logits, by_slope) = sf.exact_gradient(fn, wrt=[logits, slope])
    p = logits.detach().softmax(0)
    worth = prices if kind == "cost" else prices.sqrt()
    assert_close(value, p[0] * worth[0] + p[2] * worth[2])
    assert torch.isfinite(by_logits).all()
    assert torch.isfinite(by_slope).all()
    assert by_logits[1] == 0


PROBS = {
    "Bernoulli": lambda p: Bernoulli(p),
    "Categorical": lambda p: Categorical(torch.stack([p, 1 - p], -1)),
    "OneHotCategorical": lambda p: OneHotCategorical(torch.stack([p, 1 - p], -1)),
    "Binomial": lambda p: Binomial(2, p),
    "Independent": lambda p: Independent(Bernoulli(p.unsqueeze(-1)), 1),
}


@pytest.mark.parametrize("name", PROBS)
@pytest.mark.parametrize("way", ["oracle", "Enumerate", "Enumerate, masked"])
def test_probabilities_of_exactly_0_and_1_have_their_derivative(name, way):
    """Source: of the expected cost, by the same figures just inside, where nothing is clamped."""

    def loss(probs):
        mask = torch.ones(3, dtype=torch.bool) if "masked" in way else None
        z = sf.sample(PROBS[name](probs), sf.Enumerate(), mask=mask)
        z = z.reshape(len(z), -1).double() @ torch.tensor([1.0, 3.0]).double()[: z[0].numel()]
        return (z - 0.3) ** 2 + z**3

    def gradient(probs):
        if way == "oracle":
            return sf.exact_gradient(lambda: loss(probs), wrt=[probs])[1][0]
        return torch.autograd.grad(sf.expectation(lambda: loss(probs))(), probs)[0]

    result = gradient(leaf(0.0, 1.0, 0.4))
    inside = gradient(leaf(1e-7, 1 - 1e-7, 0.4))
    torch.testing.assert_close(result, inside, rtol=1e-5, atol=1e-5)
    assert (result != 0).all()


def test_a_poisson_rate_of_zero_is_refused():
    rate = torch.tensor([0.0, 1.0], requires_grad=True)
    model = sf.expectation(lambda mask: sf.sample(Poisson(rate), mask=mask, name="count"))
    with pytest.raises(ValueError, match="node 'count': a Poisson rate is exactly 0 in 1 of 2 ele"):
        model(None)
    loss = model(torch.tensor([False, True]))
    assert torch.isfinite(torch.autograd.grad(loss, rate)[0]).all()
    sf.expectation(lambda: sf.sample(Poisson(rate.detach())))()


def test_a_gradient_that_is_nan_is_refused():
    eta = leaf(0.0)
    with pytest.raises(ValueError, match="the gradient of a cost or of a log-probability is NaN"):
        sf.exact_gradient(lambda: sf.sample(Bernoulli(logits=eta)) * eta.sqrt() * 0, wrt=[eta])


# ---------------------------------------------------------------- models that keep things


class Keeps(nn.Module):
    """Keeps its last logits, in an attribute and in a list, and a mask of another type."""

    def __init__(self):
        super().__init__()
        self.linear = nn.utils.weight_norm(nn.Linear(2, 1))
        self.last_logits, self.history = None, []
        self.scale = torch.tensor([2.0])

    def forward(self, x):
        self.last_logits = self.linear(x).squeeze(1) * self.scale
        self.history = [self.last_logits.exp()]
        return (sf.sample(Bernoulli(logits=self.last_logits), name="z") - 0.3) ** 2


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_models_that_keep_results_can_be_checked():
    model, x = Keeps(), torch.randn(2, 2)
    model(x)
    kept = model.last_logits
    assert kept.grad_fn is not None
    report = sf.check_unbiased(model, x, mode="exact", repeats=30)
    assert report, report
    assert {c.parameter for c in report.comparisons[1:]} == {
        name for name, _ in model.named_parameters()
    }
    assert model.last_logits is kept
    assert kept.grad_fn is not None


def test_what_cannot_be_copied_is_named():
    class Open(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(1, 1)
            self.body.stream = (line for line in ())

        def forward(self, x):
            return sf.sample(Bernoulli(logits=self.body(x).squeeze(1)))

    with pytest.raises(ValueError, match=r"attribute 'body.stream' \(generator\) cannot be copied"):
        sf.check_unbiased(Open(), torch.zeros(2, 1))


@pytest.mark.parametrize("check", [sf.exact_gradient, sf.check_unbiased])
def test_state_that_is_carried_is_named_as_a_cause(check):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.logits, self.calls = nn.Parameter(torch.zeros(2)), 0

        def forward(self):
            self.calls += 1
            return sf.sample(Bernoulli(logits=self.logits)) * self.calls

    with pytest.raises(ValueError, match="carries state from one call to the next"):
        check(Counter())


@pytest.mark.parametrize("check", [sf.exact_gradient, sf.check_unbiased])
@pytest.mark.parametrize("what", ["draw", "branch"])
def test_rows_whose_number_changes_from_call_to_call_are_refused(check, what):
    class Growing(nn.Module):
        def __init__(self):
            super().__init__()
            self.logits, self.calls = nn.Parameter(torch.zeros(1)), 0

        def forward(self):
            self.calls += 1
            rows = self.calls if what == "draw" else 1
            z = sf.sample(Bernoulli(logits=self.logits.expand(rows)))
            return sf.branch(z, self.calls) if what == "branch" else z

    with pytest.raises(ValueError, match="two replays with the same draws differ"):
        check(Growing())


@pytest.mark.parametrize(("size", "others"), [(2, 1), (3, 2)])
def test_choices_that_change_between_passes_are_refused(size, others):
    """In the second pass the second node is gone, or the first one has another size."""
    outcomes = Outcomes(limit=100)

    def walk():
        for count in outcomes:
            outcomes.choose("z", 2 if count == 0 else size)
            if count < others:
                outcomes.choose("other", 2)

    with pytest.raises(ValueError, match="two replays with the same draws differ"):
        walk()


def test_buffers_are_put_back_between_replays():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = nn.Parameter(torch.zeros(2))
            self.register_buffer("calls", torch.ones(()))

        def forward(self):
            self.calls += 1
            return sf.sample(Bernoulli(logits=self.logits)) * self.calls

    model = Counter()
    value, _ = sf.exact_gradient(model)
    assert value.item() == 1.0
    assert model.calls.item() == 1


# ---------------------------------------------------------------- settings, modes, devices


def test_monte_carlo_mode_takes_models_with_noise_of_their_own():
    eta = leaf(0.2, 0.2)

    def noisy():
        return (sf.sample(Bernoulli(logits=eta), name="z") - torch.rand(2).double()) ** 2

    report = sf.check_unbiased(noisy, wrt=[eta], mode="monte_carlo", repeats=200, seed=0)
    assert report, report
    assert "against ScoreFunction() at every node" in report.basis
    with pytest.raises(ValueError, match="mode='monte_carlo' compares with a reference estimator"):
        sf.check_unbiased(noisy, wrt=[eta])
    with pytest.raises(ValueError) as refusal:
        sf.exact_gradient(noisy, wrt=[eta])
    assert "monte_carlo" not in str(refusal.value)


@pytest.mark.parametrize("setting", [{"samples": 4}, {"batch_ndims": 2}])
def test_settings_beside_those_of_an_expectation_are_refused(setting):
    eta = leaf(0.2)
    objective = sf.expectation(lambda x: sf.sample(Bernoulli(logits=x)))
    name, value = next(iter(setting.items()))
    with pytest.raises(
        ValueError, match=f"{name}={value}, but the expectation passed as the model has"
    ):
        sf.check_unbiased(objective, eta, wrt=[eta], **setting)


def test_the_default_device_does_not_matter():
    eta = leaf(0.2, -0.3)

    def fn():
        z = sf.sample(Bernoulli(logits=eta), name="z")
        w = sf.sample(Normal(z, torch.ones(2, device="cpu").double()), name="w")
        return w**2

    usual = sf.exact_gradient(fn, wrt=[eta], quadrature=3)
    torch.set_default_device("meta")
    try:
        other = sf.exact_gradient(fn, wrt=[eta], quadrature=3)
        report = sf.check_unbiased(fn, wrt=[eta], quadrature=3, mode="exact", repeats=30)
    finally:
        torch.set_default_device(None)
    assert_close(other[0], usual[0])
    assert_close(other[1][0], usual[1][0])
    assert report, report


def test_rows_of_no_element_have_one_outcome():
    theta = leaf(0.3, 0.4)
    value, (gradient,) = sf.exact_gradient(
        lambda: sf.sample(Normal(theta[:, None][:, :0], 1.0)).sum(1) + theta,
        wrt=[theta],
        quadrature=3,
    )
    assert_close(value, theta.mean())
    assert_close(gradient, torch.full((2,), 0.5).double())
