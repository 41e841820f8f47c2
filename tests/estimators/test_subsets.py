"""Different values for the copies of a row: sets without replacement, and sums with a sample."""

import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, OneHotCategorical, Poisson
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import sfgrad as sf
from sfgrad.estimators import subsets, sum_and_sample, unordered_set
from sfgrad.estimators.unordered_set import leave_out
from tests.comparison import constant, leaf

COSTS = constant(0.3, -1.2, 2.0, 0.9, -0.4)
LOGITS = constant(0.5, -0.3, 1.1, 0.0, -1.4)


def set_probability(probs, values, removed=()):
    """Of drawing these values first, in any order, where some are not in the support."""
    total = 0.0
    for order in itertools.permutations(values):
        rest = 1 - sum(probs[i] for i in removed)
        product = 1.0
        for i in order:
            product, rest = product * probs[i] / rest, rest - probs[i]
        total += product
    return total


def ordered_probability(probs, order):
    """Of drawing these values first, in this order."""
    rest, product = 1.0, 1.0
    for i in order:
        product, rest = product * probs[i] / rest, rest - probs[i]
    return product


def ratio(probs, values, left_out, removed=()):
    """The leave-one-out ratio R."""
    others = [i for i in values if i != left_out]
    above = set_probability(probs, others, [*removed, left_out])
    return above / set_probability(probs, values, removed)


# ---------------------------------------------------------------- leave-one-out ratios


@pytest.mark.parametrize("copies", [2, 3, 4, 5])
def test_ratios_are_those_of_the_definition(copies):
    probs = LOGITS.softmax(0).tolist()
    for chosen in itertools.combinations(range(5), copies):
        logs = LOGITS.log_softmax(0)
        others = [i for i in range(5) if i not in chosen]
        rest = logs[others].logsumexp(0) if others else torch.tensor(-torch.inf).double()
        log_ratio, second = leave_out((logs[list(chosen)] - rest).unsqueeze(1))
        first = constant(*[ratio(probs, chosen, s) for s in chosen])
        torch.testing.assert_close(log_ratio.exp().squeeze(1), first, rtol=1e-9, atol=1e-9)
        for (a, s), (b, t) in itertools.permutations(enumerate(chosen), 2):
            without = [i for i in chosen if i != s]
            wanted = ratio(probs, without, t, [s])
            assert second[a, b].item() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("odds", [-280.0, -60.0, 60.0, 280.0])
def test_ratios_stay_finite(odds):
    log_ratio, second = leave_out(torch.tensor([[odds], [0.0], [-odds]]).double())
    assert log_ratio.isfinite().all()
    assert second.isfinite().all()


# ---------------------------------------------------------------- exact


def rows_for(estimator, monkeypatch, orders):
    """Estimates, one row for every order: value, gradient, Hessian, with the logits of a row."""
    rows = len(orders)
    keys = torch.zeros(5, 1, rows, dtype=torch.float64)
    for row, order in enumerate(orders):
        for rank, i in enumerate(order):
            keys[i, 0, row] = 10 - rank
    for module in (unordered_set, sum_and_sample):
        monkeypatch.setattr(module, "gumbel_keys", lambda log_probs: keys)
    logits = LOGITS.expand(rows, 5).clone().requires_grad_()
    copies = estimator.samples or 3
    with sf.StochasticGraph() as graph:
        rows_of_logits = logits if estimator.samples else sf.branch(logits, copies)
        z = sf.sample(Categorical(logits=rows_of_logits), estimator)
        sf.add_cost(COSTS[z])
        loss = graph.loss(reduction="none").view(copies, rows).mean(0)
    (gradient,) = torch.autograd.grad(loss.sum(), logits, create_graph=True)
    hessian = [
        torch.autograd.grad(gradient[:, i].sum(), logits, retain_graph=True)[0] for i in range(5)
    ]
    return loss.detach(), gradient.detach(), torch.stack(hessian, 1)


def weights_of(estimator_class, copies):
    """Every order that matters, and its probability."""
    probs = LOGITS.softmax(0).tolist()
    if estimator_class is sf.UnorderedSet:
        orders = list(itertools.permutations(range(5), copies))
        return orders, constant(*[ordered_probability(probs, order) for order in orders])
    likeliest = LOGITS.topk(copies - 1).indices.tolist()
    rest = [i for i in range(5) if i not in likeliest]
    total = sum(probs[i] for i in rest)
    return [(i,) for i in rest], constant(*[probs[i] / total for i in rest])


def expected_cost(logits):
    return logits.softmax(0) @ COSTS


BOTH = pytest.mark.parametrize("kind", [sf.UnorderedSet, sf.SumAndSample])


@BOTH
@pytest.mark.parametrize("samples", [2, 3, 4, 5, None])
def test_value_gradient_and_hessian_are_exact(kind, samples, monkeypatch):
    orders, weights = weights_of(kind, samples or 3)
    assert weights.sum().item() == pytest.approx(1)
    if kind is sf.SumAndSample:  # of the values in the sum the keys are out of the choice
        likeliest = LOGITS.topk((samples or 3) - 1).indices.tolist()
        assert all(order[0] not in likeliest for order in orders)
    found = rows_for(kind(samples), monkeypatch, orders)
    truth = [
        expected_cost(LOGITS),
        torch.autograd.functional.jacobian(expected_cost, LOGITS),
        torch.autograd.functional.hessian(expected_cost, LOGITS),
    ]
    for estimates, wanted in zip(found, truth, strict=True):
        mean = torch.tensordot(weights, estimates, 1)
        torch.testing.assert_close(mean, wanted, rtol=1e-9, atol=1e-9)


def test_negative_control_a_comparison_by_one_minus_the_weight_is_found(monkeypatch):
    class OneMinusWeight(subsets.Comparison):
        def pair(self, evidence):
            _, h = super().pair(evidence)
            return h, h

    estimator = sf.UnorderedSet(3)
    estimator.baseline = OneMinusWeight()
    orders, weights = weights_of(sf.UnorderedSet, 3)
    loss, gradient, _ = rows_for(estimator, monkeypatch, orders)
    assert abs(float(weights @ loss - expected_cost(LOGITS))) > 1e-3
    wanted = torch.autograd.functional.jacobian(expected_cost, LOGITS)
    torch.testing.assert_close(weights @ gradient, wanted)  # the value alone is wrong


def test_negative_control_the_sum_with_the_drawn_value_in_its_baseline(monkeypatch):
    class SeesItsOwnDraw(sum_and_sample.SumAndSample):
        def choose(self, log_probs, copies):
            subset = super().choose(log_probs, copies)
            return subset._replace(comparison=torch.full_like(subset.comparison, 1 / copies))

    orders, weights = weights_of(sf.SumAndSample, 3)
    _, gradient, _ = rows_for(SeesItsOwnDraw(3), monkeypatch, orders)
    wanted = torch.autograd.functional.jacobian(expected_cost, LOGITS)
    assert (weights @ gradient - wanted).abs().max() > 1e-3


def test_of_every_set_the_gradient_is_that_of_equation_18(monkeypatch):
    orders, _ = weights_of(sf.UnorderedSet, 3)
    _, gradient, _ = rows_for(sf.UnorderedSet(3), monkeypatch, orders)
    probs = LOGITS.softmax(0)
    slopes = probs.diag() - torch.outer(probs, probs)  # ∂p(s) by the logits
    p = probs.tolist()
    for row, chosen in enumerate(orders):
        wanted = torch.zeros(5, dtype=torch.float64)
        for s in chosen:
            without = [i for i in chosen if i != s]
            baseline = p[s] * COSTS[s]
            for t in without:
                baseline = baseline + p[t] * ratio(p, without, t, [s]) * COSTS[t]
            wanted += slopes[s] * ratio(p, chosen, s) * (COSTS[s] - baseline)
        torch.testing.assert_close(gradient[row], wanted, rtol=1e-9, atol=1e-9)


@BOTH
def test_variance_falls_with_the_number_of_values(kind, monkeypatch):
    """To 0 where all are drawn. Of leave-one-out with as many draws it is larger (enumerated)."""
    variances = []
    for copies in (2, 3, 4, 5):
        orders, weights = weights_of(kind, copies)
        _, gradient, _ = rows_for(kind(copies), monkeypatch, orders)
        mean = weights @ gradient
        variances.append((weights @ (gradient - mean).square()).sum().item())
    assert variances[0] > variances[1] > variances[2] > variances[3]
    assert variances[3] < 1e-20

    probs = LOGITS.softmax(0)
    scores = torch.eye(5, dtype=torch.float64) - probs
    a, b = torch.cartesian_prod(torch.arange(5), torch.arange(5)).unbind(1)
    pairs = 0.5 * (COSTS[a] - COSTS[b]).unsqueeze(1) * (scores[a] - scores[b])
    weight = probs[a] * probs[b]
    with_replacement = (weight @ (pairs - weight @ pairs).square()).sum().item()
    if kind is sf.UnorderedSet:
        assert variances[0] < 0.8 * with_replacement


# ---------------------------------------------------------------- supports


@BOTH
def test_copies_are_different_values(kind):
    logits = torch.zeros(6, 9, requires_grad=True)
    with sf.StochasticGraph():
        z = sf.sample(Categorical(logits=logits), kind(samples=5)).view(5, 6)
    assert all(len(row.unique()) == 5 for row in z.T)


@BOTH
def test_one_hot_values_and_bits(kind):
    with sf.StochasticGraph():
        one_hot = OneHotCategorical(logits=torch.zeros(6, 4, requires_grad=True))
        z = sf.sample(one_hot, kind(samples=3))
        assert z.shape == (18, 4)
        assert (z.sum(1) == 1).all()
    with sf.StochasticGraph():
        bits = Independent(Bernoulli(logits=torch.zeros(6, 3, requires_grad=True)), 1)
        assert sf.sample(bits, kind(samples=8)).shape == (48, 3)


@BOTH
def test_all_values_are_as_many_as_enumerated(kind):
    logits = leaf(0.4, -0.3, 1.0)
    losses = []
    for estimator in (kind(samples=3), sf.Enumerate()):
        with sf.StochasticGraph() as graph:
            z = sf.sample(Categorical(logits=logits.expand(2, 3)), estimator)
            sf.add_cost(COSTS[z])
            loss = graph.loss()
        losses.append(torch.cat([loss.detach().reshape(1), *torch.autograd.grad(loss, logits)]))
    torch.testing.assert_close(*losses)


@BOTH
def test_impossible_values_have_weight_zero(kind):
    """Two possible values, three copies."""
    logits = torch.tensor([[0.3, -torch.inf, -0.4, -torch.inf]], dtype=torch.float64)
    logits.requires_grad_()
    with sf.StochasticGraph() as graph:
        z = sf.sample(Categorical(logits=logits), kind(samples=3))
        sf.add_cost(COSTS[z])
        loss = graph.loss()
    loss.backward()
    probs = torch.tensor([0.3, -0.4]).double().softmax(0)
    torch.testing.assert_close(loss.detach(), probs @ COSTS[[0, 2]])
    assert logits.grad.isfinite().all()


@BOTH
def test_twenty_of_three_hundred_values(kind):
    torch.manual_seed(0)
    logits = (3 * torch.randn(4, 300)).requires_grad_()
    with sf.StochasticGraph() as graph:
        z = sf.sample(Categorical(logits=logits), kind(samples=20))
        sf.add_cost((z.float() / 300).square())
        graph.loss().backward()
    assert logits.grad.isfinite().all()


@BOTH
def test_more_copies_than_values_are_refused(kind):
    match = f"{kind.__name__} draws 4 different values, but Categorical has 3: set samples=3"
    categories = Categorical(logits=torch.zeros(2, 3, requires_grad=True))
    with sf.StochasticGraph(), pytest.raises(ValueError, match=match):
        sf.sample(categories, kind(samples=4))


@BOTH
@pytest.mark.parametrize("samples", [None, 3])
def test_the_only_value_stands_in_all_copies(kind, samples):
    """Beside a draw that there is something to estimate of: its gradient is that without it."""
    objectives = []
    for certain in (kind(samples=samples), sf.Enumerate()):
        logits = torch.randn(2, 1, dtype=torch.float64).requires_grad_()
        others = torch.tensor([[0.3, -0.4], [1.0, 0.2]], dtype=torch.float64, requires_grad=True)

        def cost(logits, others, certain=certain):
            only = sf.sample(OneHotCategorical(logits=logits), certain, name="only")
            bits = sf.sample(Bernoulli(logits=sf.align(others)), sf.Enumerate(), name="bits")
            return (bits + sf.align(only) + 0.7).square().prod(1)

        copies = 3 if samples is None else 1
        loss = sf.expectation(cost, samples=copies)(logits, others)
        objectives.append([loss.detach(), *torch.autograd.grad(loss, [logits, others])])
    torch.testing.assert_close(*objectives, rtol=1e-12, atol=1e-12)
    assert not objectives[0][1].any()
    assert objectives[0][2].all()


@BOTH
def test_supports_that_are_infinite_or_large_are_refused(kind):
    counts = Poisson(torch.ones(2, requires_grad=True))
    with sf.StochasticGraph(), pytest.raises(ValueError, match=r"Poisson.*needs a small support"):
        sf.sample(counts, kind(samples=2))
    bits = Independent(Bernoulli(logits=torch.zeros(2, 13, requires_grad=True)), 1)
    with sf.StochasticGraph(), pytest.raises(ValueError, match="8192 values are more than 4096"):
        sf.sample(bits, kind(samples=2))


@BOTH
def test_a_single_copy_is_refused(kind):
    with pytest.raises(ValueError, match=f"samples of {kind.__name__} is 1"):
        kind(samples=1)


@BOTH
def test_values_that_are_replayed_alone_have_no_comparison(kind):
    """They count as independent draws from the present parameters."""
    logits = leaf(0.4, -0.3, 1.0)
    values = torch.tensor([0, 2, 2, 1])
    losses = []
    for estimator in (kind(samples=2), sf.ScoreFunction(samples=2)):
        with sf.StochasticGraph(draws={"z": values}) as graph:
            z = sf.sample(Categorical(logits=logits.expand(2, 3)), estimator, name="z")
            sf.add_cost(COSTS[z])
            losses.append(torch.autograd.grad(graph.loss(), logits)[0])
    torch.testing.assert_close(*losses)


def test_ragged_rows_and_the_built_in_baseline():
    """Also where an estimator makes no copies: what it keeps is known row by row."""

    class Alone(sf.ScoreFunction):
        def draw(self, distribution, batch_ndims):
            draw = super().draw(distribution, batch_ndims)
            return draw._replace(observation=torch.ones(3))

    bits = Bernoulli(logits=torch.zeros(3, requires_grad=True))
    index = torch.tensor([0, 0, 1])
    with sf.StochasticGraph(), pytest.raises(ValueError, match="does not take index="):
        sf.sample(bits, Alone(subsets.Comparison()), index=index)


def test_the_mean_cost_of_likely_values_is_the_baseline_of_the_sum():
    subset = sf.SumAndSample(3).choose(LOGITS.log_softmax(0).view(5, 1, 1), 3)
    assert subset.chosen[:2].flatten().tolist() == [2, 0]
    probs = LOGITS.softmax(0)
    wanted = torch.tensor([probs[2], probs[0], 0]) / (probs[2] + probs[0])
    torch.testing.assert_close(subset.comparison.flatten(), wanted)
    assert subset.log_density[0].item() == pytest.approx(-math.log(3))


# ---------------------------------------------------------------- large supports


class Sizes(TorchDispatchMode):
    """Keeps the largest number of elements that an operation returned."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [part for part in tree_leaves(result) if torch.is_tensor(part)]
        self.largest = max([self.largest, *(tensor.numel() for tensor in tensors)])
        return result


@pytest.mark.parametrize("kind", [sf.UnorderedSet, sf.SumAndSample])
def test_memory_grows_with_the_support_but_not_with_its_square(kind):
    """A derivative of the log-probabilities of all values would take 3,000² numbers a row."""
    logits = torch.zeros(2, 3000, requires_grad=True)

    def cost(logits):
        return sf.sample(Categorical(logits=logits), kind()).float()

    loss = sf.expectation(cost, samples=5)(logits)
    with Sizes() as sizes:
        loss.backward()
    assert sizes.largest <= 3000 * 10


@pytest.mark.parametrize("kind", [sf.UnorderedSet, sf.SumAndSample])
def test_values_are_drawn_under_vmap(kind):
    """Of logits that are the same for all of the batch."""
    torch.manual_seed(0)

    def loss(logits, cost):
        distribution = Categorical(logits=logits.unsqueeze(0), validate_args=False)
        with sf.StochasticGraph() as graph:
            value = sf.sample(distribution, kind(samples=2))
            sf.add_cost(torch.where(value == 2, cost, 0.0))
        return graph.loss()

    gradient = torch.func.vmap(torch.func.grad(loss), (None, 0), randomness="different")
    found = gradient(LOGITS, torch.ones(300))
    probs = LOGITS.softmax(0)
    wanted = probs[2] * (torch.eye(5)[2] - probs)
    error = found.std(0) / 300**0.5 + 1e-9
    assert ((found.mean(0) - wanted) / error).abs().max() < 6
