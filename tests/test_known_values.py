"""Known values of reinforcement learning, each with its source.

The truth is a closed form or a sum over all outcomes that knows nothing of the library. The oracle
and the mean of the loss and its gradient equal it to 1e-9; an estimator broken on purpose does not.
"""

import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal

import sfgrad as sf
from tests.comparison import (
    THRESHOLD,
    TOLERANCE,
    WrongScore,
    assert_known,
    constant,
    flat,
    is_close,
    leaf,
    mean_loss,
    oracle,
    standard_errors,
)
from tests.enumeration import ScriptedBernoulli
from tests.programs import Scripted

# ---------------------------------------------------------------- the short corridor

GOAL = 3
MOVES = torch.tensor([[0, 1], [2, 0], [1, GOAL], [GOAL, GOAL]])  # by state: left, right
BEST = 2 - math.sqrt(2)


def steps_to_goal(p):
    """Expected number of steps from each state, from Bellman's equation: `[3]`."""
    q, none = 1 - p, torch.zeros_like(p)
    transition = torch.stack([q, p, none, p, none, q, none, q, none]).view(3, 3)
    identity = torch.eye(3, dtype=p.dtype)
    return torch.linalg.solve(identity - transition, torch.ones_like(identity[0]))


def corridor(script, theta, estimator, short_sighted=False):
    """Five moves at a cost of 1 each; then the expected number of the others. One row.

    With `short_sighted` a move answers only for the cost that follows at once.
    """
    state = 0
    earlier = [] if short_sighted else None
    for _ in range(5):
        move = sf.sample(ScriptedBernoulli(script, theta), estimator, parents=earlier, name="move")
        causes = [move] if short_sighted else None
        sf.add_cost(torch.ones_like(theta), parents=causes)
        state = MOVES[state, int(move)].item()
        if state == GOAL:
            return

    # What is left has the derivative of its own closed form.
    sf.add_cost(steps_to_goal(theta[0].sigmoid())[state].reshape(1), parents=causes)


def corridor_truth(p):
    """Expected steps, and their derivative by the logit of going right."""
    value = 2 * (2 - p) / (p * (1 - p))
    slope = 2 * (4 * p - 2 - p**2) / (p * (1 - p)) ** 2
    return flat(value, slope * p * (1 - p))


@pytest.mark.parametrize("p", [0.05, 0.3, BEST, 0.95])
def test_short_corridor(p):
    """The states look alike, so a policy is one probability p of going right.

    From v₀ = −1 + p·v₁ + (1 − p)·v₀, v₁ = −1 + p·v₀ + (1 − p)·v₂ and v₂ = −1 + (1 − p)·v₁ follows
    v₀ = −2·(2 − p) / (p·(1 − p)), which is largest at p = 2 − √2, where it is −(6 + 4·√2).

    Source: Sutton & Barto (2018), Reinforcement Learning: An Introduction, example 13.1, which has
    .59 and −11.6.
    """
    theta = leaf(math.log(p / (1 - p)))
    truth = corridor_truth(p)
    assert_known(lambda s: corridor(s, theta, sf.ScoreFunction(sf.Constant(12.0))), [theta], truth)
    control = mean_loss(lambda s: corridor(s, theta, sf.ScoreFunction(), True), [theta])
    assert not is_close(control, truth)


def test_best_policy_of_the_short_corridor():
    """Source: Sutton & Barto (2018), Reinforcement Learning: An Introduction, example 13.1."""
    theta = leaf(math.log(BEST / (1 - BEST)))
    value, slope = oracle(lambda s: corridor(s, theta, sf.ScoreFunction()), [theta])
    assert value.item() == pytest.approx(6 + 4 * math.sqrt(2), rel=TOLERANCE)
    assert abs(slope.item()) < TOLERANCE
    assert (round(BEST, 2), round(value.item(), 2)) == (0.59, 11.66)


def episodes(theta, short_sighted=False):
    """Whole episodes, one a row: the surrogate of every row."""
    estimator = sf.ScoreFunction(sf.Constant(6.0))
    earlier = [] if short_sighted else None
    state = torch.zeros(len(theta), dtype=torch.long)
    with sf.StochasticGraph() as graph:
        while (state < GOAL).any():
            alive = state < GOAL
            move = sf.sample(Bernoulli(logits=theta), estimator, mask=alive, parents=earlier)
            sf.add_cost(alive.double(), parents=[move] if short_sighted else None)
            state = MOVES[state, move.long()]
    return graph.loss(reduction="none")


@pytest.mark.parametrize("p", [0.3, 0.8])
def test_short_corridor_by_whole_episodes(p):
    """REINFORCE meets the closed form. The largest of a hundred seeds: 3.1 standard errors.

    Source: Sutton & Barto (2018), Reinforcement Learning: An Introduction, section 13.3.
    """
    torch.manual_seed(0)
    theta = leaf(*[math.log(p / (1 - p))] * 4000)
    truth = corridor_truth(p)
    assert standard_errors(episodes(theta), [theta], truth).abs().max() < THRESHOLD

    control = standard_errors(episodes(theta, short_sighted=True), [theta], truth)
    assert control.abs().max() > THRESHOLD


# ---------------------------------------------------------------- characteristic eligibilities


def row_gradients(distribution, estimator, cost, wrt):
    """A draw, and the gradients of every row's own cost."""
    with sf.StochasticGraph() as graph:
        draw = sf.sample(distribution, estimator)
        sf.add_cost(cost)
    return draw, torch.autograd.grad(graph.loss(reduction="none").sum(), wrt)


def bernoulli_units(estimator):
    """By the weights, and (r − b)·(y − p)·x: 50 rows, two units with three inputs."""
    torch.manual_seed(0)
    x = torch.randn(50, 3).double()
    cost = torch.randn(50).double()
    weights = torch.randn(50, 2, 3).double().requires_grad_()
    logits = (weights @ x.unsqueeze(2)).squeeze(2)
    y, gradients = row_gradients(Bernoulli(logits=logits), estimator, cost, [weights])
    eligibility = (y - 1 / (1 + (-logits.detach()).exp())).unsqueeze(2) * x.unsqueeze(1)
    return flat(*gradients), flat((cost - 0.3).view(-1, 1, 1) * eligibility)


def gaussian_units(estimator):
    """By μ and σ, and (r − b)·(y − μ)/σ² and (r − b)·((y − μ)² − σ²)/σ³: 50 rows."""
    torch.manual_seed(0)
    cost = torch.randn(50).double()
    mean = torch.randn(50).double().requires_grad_()
    deviation = torch.rand(50).double().add(0.5).requires_grad_()
    y, gradients = row_gradients(Normal(mean, deviation), estimator, cost, [mean, deviation])
    mean, deviation = mean.detach(), deviation.detach()
    of_mean = (y - mean) / deviation**2
    of_deviation = ((y - mean) ** 2 - deviation**2) / deviation**3
    return flat(*gradients), flat((cost - 0.3) * of_mean, (cost - 0.3) * of_deviation)


@pytest.mark.parametrize("units", [bernoulli_units, gaussian_units])
def test_characteristic_eligibilities(units):
    """Draw by draw: reinforcement minus baseline, times the characteristic eligibility.

    Source: Williams (1992), Simple statistical gradient-following algorithms for connectionist
    reinforcement learning, section 4 (Bernoulli-logistic units) and section 6 (Gaussian units).
    """
    assert is_close(*units(sf.ScoreFunction(sf.Constant(0.3))))
    assert not is_close(*units(WrongScore(-1)))


def test_eligibilities_average_to_the_gradient():
    """E[r₀ + (r₁ − r₀)·y] = r₀ + (r₁ − r₀)·p, and E[(y − a)²] = (μ − a)² + σ².

    Source: Williams (1992), Simple statistical gradient-following algorithms for connectionist
    reinforcement learning, theorem 1.
    """
    weights = leaf(0.5, -1.0)
    x = constant(2.0, 0.3)
    p = 1 / (1 + math.exp(-0.7))

    def unit(script, estimator):
        return 2 + 3 * sf.sample(ScriptedBernoulli(script, (x @ weights).view(1)), estimator)

    truth = flat(2 + 3 * p, 3 * p * (1 - p) * x)
    assert_known(lambda s: unit(s, sf.ScoreFunction()), [weights], truth)
    assert not is_close(mean_loss(lambda s: unit(s, WrongScore(-1)), [weights]), truth)

    mean = leaf(0.4)
    deviation = leaf(0.7)
    value, gradients = sf.exact_gradient(
        lambda: (sf.sample(Normal(mean, deviation)) - 1.5) ** 2, wrt=[mean, deviation], quadrature=4
    )
    assert is_close(flat(value, *gradients), flat(1.1**2 + 0.7**2, -2 * 1.1, 2 * 0.7))


# ---------------------------------------------------------------- the greedy roll-out baseline

CITIES = constant(  # [R, N, 2]
    [[0.0, 0.0], [1.0, 0.2], [0.3, 0.9], [0.8, 0.7]],
    [[0.5, 0.1], [0.0, 1.0], [1.0, 1.0], [0.1, 0.2]],
)
DISTANCES = (CITIES.unsqueeze(1) - CITIES.unsqueeze(2)).norm(dim=3)  # [R, N, N]


def preference(theta, from_city, from_start):
    """The logits of the cities ahead."""
    return theta[1] * from_start - theta[0] * from_city


def tour(script, theta, estimator, rollout=None):
    """Length of a closed tour of all cities, in every row: `[R]`."""
    rows = torch.arange(len(CITIES))
    city = torch.zeros_like(rows)
    ahead = torch.arange(1, CITIES.shape[1]).expand(len(rows), -1)
    length = torch.zeros_like(DISTANCES[:, 0, 0])
    while ahead.shape[1]:
        steps = DISTANCES[rows, city].gather(1, ahead)
        logits = preference(theta, steps, DISTANCES[:, 0].gather(1, ahead))
        choice = sf.sample(Scripted(script, logits), estimator, context=rollout, name="city")
        length = length + steps[rows, choice]
        city = ahead[rows, choice]
        ahead = ahead[ahead != city.unsqueeze(1)].view(len(rows), -1)
    return length + DISTANCES[rows, city, 0]


def plain_tour(theta, distances, order):
    """Probability and length of a tour, and whether each city is the likeliest; no library."""
    probability = 1.0
    length = 0.0
    is_greedy = True
    city = 0
    for position, following in enumerate(order):
        ahead = sorted(order[position:])
        chances = preference(theta, distances[city, ahead], distances[0, ahead]).softmax(0)
        choice = ahead.index(following)
        probability = probability * chances[choice]
        is_greedy = is_greedy and chances.argmax().item() == choice
        length = length + distances[city, following]
        city = following
    return probability, length + distances[city, 0], is_greedy


def plain_tours(theta):
    """Of every row, all its tours."""
    orders = list(itertools.permutations(range(1, CITIES.shape[1])))
    return [[plain_tour(theta, distances, order) for order in orders] for distances in DISTANCES]


class Rollout(sf.Baseline):
    """The length of a tour that was made before the draw."""

    def at_draw(self, name, context, samples):
        return context

    def read(self, cost_to_go, prediction):
        return prediction


class OwnTour(sf.Baseline):
    """A control, biased: half the length of the very tour that is drawn."""

    def read(self, cost_to_go, prediction):
        return cost_to_go / 2


@pytest.mark.parametrize("older", [(1.3, 0.4), (-0.5, 1.0)])
def test_greedy_rollout_baseline(older):
    """The roll-out of a policy, with the same parameters or older ones, leaves the gradient exact.

    Source: Kool, van Hoof & Welling (2019), Attention, Learn to Solve Routing Problems!, section 4.
    """
    theta = leaf(1.3, 0.4)
    older = constant(*older)
    with sf.greedy():
        rollout = tour(None, older, sf.ScoreFunction())
    lengths = [length for row in plain_tours(older) for _, length, is_greedy in row if is_greedy]
    assert is_close(rollout, flat(*lengths))

    expected = sum(p * length for row in plain_tours(theta) for p, length, _ in row) / len(CITIES)
    truth = flat(expected.detach(), *torch.autograd.grad(expected, theta))
    assert_known(lambda s: tour(s, theta, sf.ScoreFunction(Rollout()), rollout), [theta], truth)
    control = mean_loss(lambda s: tour(s, theta, sf.ScoreFunction(OwnTour())), [theta])
    assert not is_close(control, truth)
