"""Orders of items: probabilities by enumeration, draws by Monte Carlo, gradients exactly."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent
from torch.func import grad, vmap

import sfgrad as sf
from tests.comparison import THRESHOLD

LOGITS = torch.tensor([0.3, -0.4, 1.1, 0.7], dtype=torch.float64)
VALUES = torch.tensor([0.4, 1.3, -0.7, 2.0], dtype=torch.float64)


def by_hand(logits, order):
    """The probability of an order, place by place."""
    weights, result = logits.exp(), 1.0
    left = set(range(len(logits)))
    for item in order:
        result = result * weights[item] / weights[sorted(left)].sum()
        left.remove(item)
    return result


# ---------------------------------------------------------------- probabilities


@pytest.mark.parametrize("k", [1, 2, 3, 4, None])
def test_probabilities_are_those_of_placing_one_item_after_the_other(k):
    distribution = sf.PlackettLuce(LOGITS, k)
    orders = distribution.enumerate_support()
    assert orders.tolist() == [list(o) for o in itertools.permutations(range(4), k or 4)]
    probability = distribution.log_prob(orders).exp()
    wanted = torch.stack([by_hand(LOGITS, order) for order in orders.tolist()])
    torch.testing.assert_close(probability, wanted)
    torch.testing.assert_close(probability.sum(), torch.ones(()).double())


def test_of_one_place_it_is_a_categorical():
    choice = torch.arange(4)
    found = sf.PlackettLuce(LOGITS, 1).log_prob(choice.unsqueeze(1))
    torch.testing.assert_close(found, Categorical(logits=LOGITS).log_prob(choice))


def third_derivative(function):
    """At the logits, `[4, 4, 4]`."""
    jacrev = torch.func.jacrev
    return jacrev(jacrev(jacrev(function)))(LOGITS)


def test_derivatives_of_the_log_probability_are_right_to_third_order():
    order = torch.tensor([2, 0, 3])

    def log_prob(logits):
        return sf.PlackettLuce(logits, 3).log_prob(order)

    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(log_prob, logits)
    assert torch.autograd.gradgradcheck(log_prob, logits)
    third = third_derivative(log_prob)
    by_definition = third_derivative(lambda x: by_hand(x, [2, 0, 3]).log())
    torch.testing.assert_close(third, by_definition)


def test_draws_follow_the_probabilities():
    torch.manual_seed(0)
    for k in (2, 4):
        distribution = sf.PlackettLuce(LOGITS, k)
        drawn = distribution.sample((100_000,))
        assert drawn.dtype == torch.int64
        orders = distribution.enumerate_support()
        counts = (drawn.unsqueeze(1) == orders).all(-1).double()
        truth = distribution.log_prob(orders).exp()
        errors = (counts.mean(0) - truth) / (counts.var(0) / len(counts)).sqrt()
        assert errors.abs().max() < THRESHOLD

        # A control: other logits.
        other = sf.PlackettLuce(LOGITS + VALUES / 10, k).log_prob(orders).exp()
        errors = (counts.mean(0) - other) / (counts.var(0) / len(counts)).sqrt()
        assert errors.abs().max() > THRESHOLD


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_mode_is_the_likeliest_order(k):
    distribution = sf.PlackettLuce(LOGITS, k)
    orders = distribution.enumerate_support()
    assert torch.equal(distribution.mode, orders[distribution.log_prob(orders).argmax()])
    with sf.greedy():
        assert torch.equal(sf.sample(distribution), distribution.mode)


# ---------------------------------------------------------------- shapes and types


def test_batches_have_their_own_logits():
    logits = torch.randn(2, 3, 4, dtype=torch.float64)
    distribution = sf.PlackettLuce(logits, 2)
    assert (distribution.batch_shape, distribution.event_shape) == ((2, 3), (2,))
    value = distribution.sample((5,))
    assert value.shape == (5, 2, 3, 2)
    log_prob = distribution.log_prob(value)
    assert log_prob.shape == (5, 2, 3)
    for index in itertools.product(range(5), range(2), range(3)):
        alone = sf.PlackettLuce(logits[index[1:]], 2).log_prob(value[index])
        torch.testing.assert_close(log_prob[index], alone)


def test_expanded_it_is_the_same_in_every_row():
    logits = LOGITS.clone().requires_grad_()
    distribution = sf.PlackettLuce(logits, 3).expand((2, 5))
    assert (distribution.batch_shape, distribution.event_shape) == ((2, 5), (3,))
    value = distribution.sample()
    wanted = sf.PlackettLuce(logits, 3).log_prob(value)
    torch.testing.assert_close(distribution.log_prob(value), wanted)
    assert distribution.enumerate_support().shape == (24, 2, 5, 3)
    assert distribution.enumerate_support(expand=False).shape == (24, 1, 1, 3)
    assert distribution.mode.shape == (2, 5, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_large_logits_stay_finite(dtype):
    logits = torch.tensor([40.0, -40.0, 0.0], dtype=dtype, requires_grad=True)
    distribution = sf.PlackettLuce(logits)
    orders = distribution.enumerate_support()
    log_prob = distribution.log_prob(orders)
    assert log_prob.dtype == (dtype if dtype.itemsize > 2 else torch.float32)
    assert log_prob.isfinite().all()
    assert torch.equal(distribution.sample(), torch.tensor([0, 2, 1]))
    (gradient,) = torch.autograd.grad(log_prob.sum(), logits)
    assert gradient.isfinite().all()
    assert gradient.dtype == dtype


def test_items_that_are_ruled_out_are_not_placed():
    logits = torch.tensor([[0.3, -math.inf, 1.0]] * 50, requires_grad=True)
    distribution = sf.PlackettLuce(logits, 2)
    value = distribution.sample()
    assert (value != 1).all()
    log_prob = distribution.log_prob(value)
    assert log_prob.isfinite().all()
    assert torch.autograd.grad(log_prob.sum(), logits)[0].isfinite().all()


# ---------------------------------------------------------------- as a node


def cost(order):
    """Discounted by place, and not linear: `[R]`."""
    discount = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64)
    return (VALUES[order] * discount[: order.shape[-1]]).sum(-1) ** 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sf.ScoreFunction(sf.Constant(0.4)), sf.ScoreFunction()),
        (sf.ScoreFunction(sf.LeaveOneOut(), 2), sf.ScoreFunction()),
        (sf.ScoreFunction(), sf.Enumerate()),
    ],
    ids=repr,
)
def test_gradients_are_exact_over_all_orders(one, other):
    logits = LOGITS[:3].clone().requires_grad_()

    def model():
        first = sf.sample(sf.PlackettLuce(logits.expand(1, 3), 2), one, name="first")
        shift = nn.functional.one_hot(first[:, 0], 3)
        second = sf.sample(sf.PlackettLuce(logits + shift, 2), other, name="second")
        return cost(sf.align(first)) + cost(second)

    report = sf.check_unbiased(model, wrt=[logits], mode="exact", repeats=30, max_outcomes=2000)
    assert report, report


def test_the_exact_gradient_is_that_of_the_sum_over_orders():
    logits = LOGITS[:3].clone().requires_grad_()
    value, (gradient,) = sf.exact_gradient(
        lambda: cost(sf.sample(sf.PlackettLuce(logits.expand(1, 3)))), wrt=[logits]
    )
    orders = [*itertools.permutations(range(3))]
    wanted = sum(by_hand(logits, order) * cost(torch.tensor(order)) for order in orders)
    torch.testing.assert_close(value, wanted.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, logits)[0])


def test_masks_replays_and_several_dimensions_of_rows():
    logits = LOGITS.expand(2, 3, 4).clone().requires_grad_()
    mask = torch.tensor([[True, False, True], [False, True, True]])
    with sf.StochasticGraph(batch_ndims=2) as graph:
        order = sf.sample(sf.PlackettLuce(logits, 2), mask=mask, name="order")
        sf.add_cost(VALUES[order].sum(-1))
    gradient = torch.autograd.grad(graph.loss(), logits)[0]
    assert torch.equal(gradient.any(-1), mask)

    with sf.StochasticGraph(batch_ndims=2, draws=graph.draws) as again:
        replayed = sf.sample(sf.PlackettLuce(logits, 2), mask=mask, name="order")
        sf.add_cost(VALUES[replayed].sum(-1))
    assert torch.equal(replayed, order)
    assert torch.equal(torch.autograd.grad(again.loss(), logits)[0], gradient)


def test_elements_of_a_row_are_enumerated_together():
    logits = LOGITS[:3].expand(1, 2, 3).clone().requires_grad_()
    with sf.StochasticGraph() as graph:
        orders = sf.sample(Independent(sf.PlackettLuce(logits, 2), 1), sf.Enumerate())
        sf.add_cost(cost(orders[:, 0]) * cost(orders[:, 1]))
    assert orders.shape == (36, 2, 2)
    with sf.StochasticGraph() as alone:
        sf.add_cost(cost(sf.sample(sf.PlackettLuce(logits[:, 0], 2), sf.Enumerate())))
    torch.testing.assert_close(graph.loss(), alone.loss() ** 2)


def test_it_learns_an_order():
    """Chance is 1/24. Over twenty seeds the right order had .97 or more."""
    torch.manual_seed(0)
    logits = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.Adam([logits], 0.1)

    def costs():
        order = sf.sample(
            sf.PlackettLuce(logits.expand(50, 4)), sf.ScoreFunction(sf.LeaveOneOut(), 2)
        )
        return (order != torch.tensor([2, 0, 3, 1])).sum(1)

    for _ in range(200):
        optimizer.zero_grad()
        sf.expectation(lambda: costs().float())().backward()
        optimizer.step()
    assert sf.PlackettLuce(logits).log_prob(torch.tensor([2, 0, 3, 1])).exp() > 0.5
    assert sf.PlackettLuce(logits).mode.tolist() == [2, 0, 3, 1]


def test_under_vmap_and_grad():
    logits = torch.tensor([[60.0, 0.0, 30.0], [0.0, 60.0, 30.0]], dtype=torch.float64)

    def loss(row):
        with sf.StochasticGraph(batch_ndims=0) as graph:
            order = sf.sample(sf.PlackettLuce(row, validate_args=False))
            sf.add_cost(((order + 1) * row).sum())
        return graph.loss()

    gradients = vmap(grad(loss), randomness="different")(logits)
    torch.testing.assert_close(gradients, torch.stack([grad(loss)(row) for row in logits]))


# ---------------------------------------------------------------- errors


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(TypeError, match="the logits of PlackettLuce are a list that begins with 1"):
        sf.PlackettLuce([1.0, 2.0])
    with pytest.raises(ValueError, match=r"the logits of PlackettLuce have shape \[\]: give one"):
        sf.PlackettLuce(torch.tensor(1.0))
    with pytest.raises(ValueError, match="k is 5, but there are 4 items: it must be at most that"):
        sf.PlackettLuce(LOGITS, 5)
    with pytest.raises(ValueError, match="k is 0: it must be at least 1"):
        sf.PlackettLuce(LOGITS, 0)
    with pytest.raises(TypeError, match=r"k is 2\.0: it must be a whole number"):
        sf.PlackettLuce(LOGITS, 2.0)
    with pytest.raises(ValueError, match="parameter logits .* to satisfy the constraint"):
        sf.PlackettLuce(LOGITS * math.nan, validate_args=True)


@pytest.mark.parametrize(
    "value", [[0, 0, 1, 2], [0, 1, 2, 4], [-1, 0, 1, 2], [0.5, 1.0, 2.0, 3.0]], ids=str
)
def test_what_is_no_order_is_refused(value):
    with pytest.raises(ValueError, match="to be within the support"):
        sf.PlackettLuce(LOGITS, validate_args=True).log_prob(torch.tensor(value))


def test_support_of_another_length():
    support = sf.PlackettLuce(LOGITS, 2).support
    assert repr(support) == "Order(n=4, k=2)"
    assert not support.check(torch.tensor([0, 1, 2]))
    assert support.check(torch.tensor([[0, 1], [1, 1]])).tolist() == [True, False]


def test_too_many_orders_are_refused_by_name():
    with sf.StochasticGraph(), pytest.raises(ValueError, match="PlackettLuce cannot be enumerated"):
        sf.sample(sf.PlackettLuce(torch.zeros(1, 30)), sf.Enumerate())
    with pytest.raises(NotImplementedError, match=r"3 of 200 items have 7880400 orders, more than"):
        sf.PlackettLuce(torch.zeros(200), 3).enumerate_support()
    with (
        sf.StochasticGraph(),
        pytest.raises(ValueError, match="node 'z': PlackettLuce has no rsample: use ScoreFunction"),
    ):
        sf.sample(sf.PlackettLuce(torch.zeros(1, 3)), sf.Pathwise(), name="z")


def test_whole_numbers_as_logits_are_refused():
    with pytest.raises(TypeError, match=r"logits of PlackettLuce are of torch\.int64: give"):
        sf.PlackettLuce(torch.arange(3))


# ---------------------------------------------------------------- as torch has distributions


@pytest.mark.parametrize("k", [1, 2, 4])
def test_entropy_is_that_of_all_orders(k):
    logits = torch.stack([LOGITS, -2 * LOGITS]).requires_grad_()
    entropy = sf.PlackettLuce(logits, k).entropy()
    for row, found in zip(logits, entropy, strict=True):
        chances = [by_hand(row, order) for order in itertools.permutations(range(4), k)]
        wanted = -sum(chance * chance.log() for chance in chances)
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)
        slopes = [torch.autograd.grad(x, logits, retain_graph=True)[0] for x in (found, wanted)]
        torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-12)
    if k == 1:
        torch.testing.assert_close(entropy, Categorical(logits=logits).entropy())


def test_entropy_leaves_out_what_is_ruled_out():
    logits = torch.cat([LOGITS, torch.tensor([-math.inf])]).requires_grad_()
    entropy = sf.PlackettLuce(logits, 2).entropy()
    torch.testing.assert_close(entropy, sf.PlackettLuce(logits[:4], 2).entropy())
    (gradient,) = torch.autograd.grad(entropy, logits)
    assert gradient.isfinite().all()
    assert not gradient[4]


def test_what_there_is_not_is_refused_by_name():
    distribution = sf.PlackettLuce(torch.zeros(2, 12))
    with pytest.raises(NotImplementedError, match=r"sum over all orders, but .* -log_prob\("):
        distribution.entropy()
    with pytest.raises(NotImplementedError, match="PlackettLuce has no mean.*use mode"):
        _ = distribution.mean
    with pytest.raises(NotImplementedError, match=r"PlackettLuce has no variance.*use entropy\("):
        _ = distribution.stddev


@pytest.mark.parametrize("logits", [[0.0, math.inf, 0.0], [0.0, -math.inf, -math.inf]])
def test_logits_without_enough_items_are_refused(logits):
    with pytest.raises(ValueError, match="at least 2 above -infinity"):
        sf.PlackettLuce(torch.tensor(logits), 2)


def test_the_class_says_what_its_values_are():
    support = sf.PlackettLuce.support
    assert (support.is_discrete, support.event_dim) == (True, 1)
    assert sf.PlackettLuce(LOGITS, 2).support.check(torch.tensor([[3, 1], [3, 3]])).tolist() == [
        True,
        False,
    ]
