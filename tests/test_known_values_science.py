"""Known values of finance, queueing, physics and experimental design, each with its source.

The truth is a closed form or linear algebra, met to 1e-9 or within standard errors; a control,
biased on purpose, misses it. Continuous draws are replayed at the points of a quadrature rule: if
they are recorded as of density 1/(R·w), w their weights, the mean over the R rows of p(x)·R·w·f(x)
is the integral of p·f. The control takes them as drawn from p.
"""

import itertools
import math
from contextlib import nullcontext
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Exponential, Geometric, Normal

import sfgrad as sf
from tests.comparison import (
    THRESHOLD,
    WrongScore,
    assert_known,
    constant,
    flat,
    is_close,
    leaf,
    mean_loss,
    standard_errors,
    value_and_gradient,
)
from tests.enumeration import ScriptedBernoulli
from tests.programs import Scripted

# ---------------------------------------------------------------- Greeks of options

PRICE, VOLATILITY, STRIKE, RATE, YEARS = 100.0, 0.25, 110.0, 0.03, 0.75


def option(kind, price, volatility, estimator, draws=None):
    """A graph of the discounted payoffs of rows; the logarithm of the price is Gaussian."""
    drift = (RATE - volatility**2 / 2) * YEARS
    with sf.StochasticGraph(draws=draws) as graph:
        distribution = Normal(price.log() + drift, volatility * math.sqrt(YEARS))
        excess = sf.sample(distribution, estimator, name="log price").exp() - STRIKE
        payoff = excess.clamp(min=0) if kind == "call" else (torch.sign(excess) + 1) / 2
        sf.add_cost(math.exp(-RATE * YEARS) * payoff)
    return graph


def option_truth(kind):
    """Value, delta, vega and gamma by Black and Scholes."""
    root = VOLATILITY * math.sqrt(YEARS)
    d1 = (math.log(PRICE / STRIKE) + (RATE + VOLATILITY**2 / 2) * YEARS) / root
    d2 = d1 - root
    discount = math.exp(-RATE * YEARS)
    cdf, pdf = NormalDist().cdf, NormalDist().pdf
    if kind == "call":
        value = PRICE * cdf(d1) - STRIKE * discount * cdf(d2)
        return flat(value, cdf(d1), PRICE * pdf(d1) * math.sqrt(YEARS), pdf(d1) / (PRICE * root))
    delta = discount * pdf(d2) / (PRICE * root)
    vega = -discount * pdf(d2) * d1 / VOLATILITY
    return flat(discount * cdf(d2), delta, vega, -delta * d1 / (PRICE * root))


@pytest.mark.parametrize("kind", ["call", "digital"])
def test_greeks_by_the_likelihood_ratio(kind):
    """By Gauss–Legendre quadrature above the strike, where the payoff is smooth.

    Source: Glasserman (2003), Monte Carlo Methods in Financial Engineering, section 7.3.
    """
    price, volatility = leaf(PRICE), leaf(VOLATILITY)
    points, weights = np.polynomial.legendre.leggauss(80)
    log_price = torch.tensor(math.log(STRIKE) + 1.5 * (1 + points))  # up to 13 deviations
    density = 1 / torch.tensor(1.5 * weights * len(weights))

    def greeks(recorded):
        rows = price.expand(len(points)), volatility.expand(len(points))
        loss = option(kind, *rows, sf.ScoreFunction(), {"log price": recorded}).loss()
        (delta,) = torch.autograd.grad(loss, price, create_graph=True)
        (gamma,) = torch.autograd.grad(delta, price, retain_graph=True)
        return flat(value_and_gradient(loss, [price, volatility]), gamma)

    assert is_close(greeks((log_price, density.log())), option_truth(kind))
    assert not is_close(greeks(log_price), option_truth(kind))


@pytest.mark.parametrize("kind", ["call", "digital"])
def test_greeks_by_simulation(kind):
    """A pathwise derivative is right for the call and 0 for the digital option, which jumps.

    The largest of a hundred seeds: 3.7 standard errors.

    Source: Broadie & Glasserman (1996), Estimating security price derivatives using simulation.
    """
    truth = option_truth(kind)[:3]
    for estimator, is_right in ((sf.ScoreFunction(), True), (sf.Pathwise(), kind == "call")):
        torch.manual_seed(0)
        price, volatility = leaf(*[PRICE] * 50_000), leaf(*[VOLATILITY] * 50_000)
        graph = option(kind, price, volatility, estimator)
        with nullcontext() if is_right else pytest.warns(UserWarning, match="no cost is a diff"):
            loss = graph.loss(reduction="none")
        errors = standard_errors(loss, [price, volatility], truth)
        assert bool(errors.abs().max() < THRESHOLD) == is_right


# ---------------------------------------------------------------- the queue M/M/1

ARRIVALS, SERVICE = 0.3, 1.0  # rates


def test_wait_in_a_queue_from_the_number_that_is_met():
    """A customer meets a geometric number of others, who take 1/μ each: together λ/(μ·(μ − λ)).

    Source: Kleinrock (1975), Queueing Systems, volume 1, section 3.2.
    """
    arrivals, service = leaf(ARRIVALS), leaf(SERVICE)
    number = torch.arange(60).double()

    def wait(recorded):
        with sf.StochasticGraph(draws={"number": recorded}) as graph:
            idle = 1 - arrivals / service
            sf.add_cost(sf.sample(Geometric(idle.expand(60)), name="number") / service)
        return value_and_gradient(graph.loss(), [arrivals, service])

    spare = SERVICE - ARRIVALS
    by_service = -ARRIVALS * (2 * SERVICE - ARRIVALS) / (SERVICE * spare) ** 2
    truth = flat(ARRIVALS / (SERVICE * spare), 1 / spare**2, by_service)
    assert is_close(wait((number, torch.full_like(number, -math.log(60)))), truth)
    assert not is_close(wait(number), truth)


def test_wait_of_the_second_customer():
    """E[max(S − A, 0)] = λ/(μ·(λ + μ)): Gauss–Laguerre in A, and in S − A where that is positive.

    Source: Lindley (1952), The theory of queues with a single server, for the recursion.
    """
    arrivals, service = leaf(ARRIVALS), leaf(SERVICE)
    total = ARRIVALS + SERVICE
    rates = constant(total, SERVICE)  # of the two integrals
    points, weights = map(torch.tensor, np.polynomial.laguerre.laggauss(6))
    gap, beyond = (torch.cartesian_prod(points, points) / rates).T
    density = (-points).exp() / (6 * weights)
    gap_density, beyond_density = (torch.cartesian_prod(density, density) * rates).log().T

    def wait(draws):
        with sf.StochasticGraph(draws=draws) as graph:
            gap = sf.sample(Exponential(arrivals.expand(36)), name="gap")
            time = sf.sample(Exponential(service.expand(36)), name="time")
            sf.add_cost((time - gap).clamp(min=0))
        return value_and_gradient(graph.loss(), [arrivals, service])

    by_service = -ARRIVALS * (total + SERVICE) / (SERVICE * total) ** 2
    truth = flat(ARRIVALS / (SERVICE * total), 1 / total**2, by_service)
    time = gap + beyond
    assert is_close(wait({"gap": (gap, gap_density), "time": (time, beyond_density)}), truth)
    assert not is_close(wait({"gap": gap, "time": time}), truth)


def busy_cycle(script, rates, estimator, short_sighted=False):
    """Five arrivals or departures after the first arrival, then the expected rest. One row.

    A cost is the number that waits times 1/(λ + μ), the mean time to the next of these events. With
    `short_sighted` an event answers only for the cost that follows at once.
    """
    arrivals, service = rates.split(1)
    logit = (arrivals / service).log()
    earlier = [] if short_sighted else None
    number = 1
    for _ in range(5):
        arrival = sf.sample(ScriptedBernoulli(script, logit), estimator, parents=earlier)
        causes = [arrival] if short_sighted else None
        number += 2 * int(arrival) - 1
        sf.add_cost(max(number - 1, 0) / (arrivals + service), parents=causes)
        if number == 0:
            return

    # From here on n customers wait for n·(n − 1)/(2·(μ − λ)) + n·λ/(μ − λ)², less the cost above.
    spare = service - arrivals
    rest = number * (number - 1) / (2 * spare) + number * arrivals / spare**2
    sf.add_cost(rest - (number - 1) / (arrivals + service), parents=causes)


def test_wait_in_a_queue_by_busy_cycles():
    """The customers of a busy cycle, μ/(μ − λ) on average, wait for λ/(μ − λ)² together.

    Source: Reiman & Weiss (1989), Sensitivity analysis for simulations via likelihood
    ratios, on regenerative cycles.
    """
    rates = leaf(ARRIVALS, SERVICE)
    spare = SERVICE - ARRIVALS
    truth = flat(ARRIVALS / spare**2, constant(SERVICE + ARRIVALS, -2 * ARRIVALS) / spare**3)
    assert_known(lambda s: busy_cycle(s, rates, sf.ScoreFunction()), [rates], truth)
    control = mean_loss(lambda s: busy_cycle(s, rates, sf.ScoreFunction(), True), [rates])
    assert not is_close(control, truth)


# ---------------------------------------------------------------- three Ising spins

SPINS = constant(*itertools.product([1.0, -1.0], repeat=3))  # [8, 3]
NEIGHBOURS = (SPINS * SPINS.roll(1, 1)).sum(1)  # [8]
FLIPS = ((SPINS.unsqueeze(0) != SPINS.unsqueeze(1)).sum(2) == 1).double()  # [8, 8]
FEATURES = torch.stack([SPINS.sum(1), NEIGHBOURS, SPINS[:, 0]], 1)  # log ψ is linear in them


def hamiltonian(field):
    """−Σ σᶻσᶻ − h·Σ σˣ on a ring: `[8, 8]`."""
    return -NEIGHBOURS.diag() - field * FLIPS


def local_energy(script, log_psi, field, estimator, detach=False):
    """Configurations from ψ², each at the cost of (Hψ)(s)/ψ(s). One row."""
    psi = log_psi.exp()
    energies = (hamiltonian(field) @ psi) / psi
    state = sf.sample(Scripted(script, 2 * log_psi.unsqueeze(0)), estimator)
    return (energies.detach() if detach else energies)[state]


@pytest.mark.parametrize("detach", [False, True])
def test_energy_gradient_of_three_spins(detach):
    """Rayleigh's quotient E = ψᵀHψ/ψᵀψ has the gradient 2·Σ ψ·(Hψ − Eψ)·∇log ψ / ψᵀψ.

    H is symmetric, so that the derivative of the local energy has mean zero and may be cut. The
    control scores ψ, from whose square it draws.

    Source: Toulouse & Umrigar (2007), Optimization of quantum Monte Carlo wave functions by energy
    minimization, on the gradient.
    """
    weights = leaf(0.2, 0.3, -0.1)
    psi = (FEATURES @ weights).detach().exp()
    image = hamiltonian(0.8) @ psi
    energy = psi @ image / (psi @ psi)
    truth = flat(energy, 2 * FEATURES.T @ (psi * (image - energy * psi)) / (psi @ psi))

    def model(script, estimator):
        return local_energy(script, FEATURES @ weights, 0.8, estimator, detach)

    assert_known(lambda s: model(s, sf.ScoreFunction()), [weights], truth)
    assert not is_close(mean_loss(lambda s: model(s, WrongScore(0.5)), [weights]), truth)


@pytest.mark.parametrize("strength", [0.4, 1.0, 1.7])
def test_ground_state_of_three_spins(strength):
    """There the local energy is E₀ everywhere, ∂E/∂ψ is 0, and ∂E/∂h is ∂E₀/∂h.

    E₀ = −(1 + h) − 2·√(1 − h + h²), from free fermions of momenta π and ±π/3.

    Source: Pfeuty (1970), The one-dimensional Ising model with a transverse field; Feynman (1939),
    Forces in molecules, for ∂E/∂h.
    """
    field = leaf(strength)
    root = math.sqrt(1 - strength + strength**2)
    lowest = -(1 + strength) - 2 * root
    energies, states = torch.linalg.eigh(hamiltonian(strength))
    assert is_close(energies[:1], flat(lowest))

    log_psi = states[:, 0].abs().log().requires_grad_()
    truth = flat(lowest, torch.zeros(8), -1 - (2 * strength - 1) / root)
    wrt = [log_psi, field]
    assert_known(lambda s: local_energy(s, log_psi, field, sf.ScoreFunction()), wrt, truth)


# ---------------------------------------------------------------- information of an experiment

PRIOR = constant(0.7, 0.3)  # of two states of nature
SLOPES, CENTRES = constant(1.2, 2.5), constant(0.5, -0.4)


def experiment(script, design, estimator):
    """Minus the information of an outcome, 0 or 1, about the state, nats. One row."""
    prior_logit = (PRIOR[1:] / PRIOR[:1]).log()
    state = sf.sample(ScriptedBernoulli(script, prior_logit), name="state").long()
    logits = SLOPES * (design - CENTRES)
    outcome = sf.sample(ScriptedBernoulli(script, logits[state]), estimator, name="outcome")

    likelihood = Bernoulli(logits=logits).log_prob(outcome).exp()
    return -(likelihood[state] / (PRIOR @ likelihood)).log()


def experiment_truth(design):
    """Minus the expected information, and its derivative by the design."""
    p = 1 / (1 + (-SLOPES * (design - CENTRES)).exp())
    slopes = SLOPES * p * (1 - p)
    marginal = PRIOR @ p
    slope = PRIOR @ (slopes * (1 / p - 1).log()) - PRIOR @ slopes * (1 / marginal - 1).log()
    return flat(PRIOR @ entropy(p) - entropy(marginal), slope)


def entropy(p):
    return -p * p.log() - (1 - p) * (1 - p).log()


@pytest.mark.parametrize("place", [-1.0, 0.4])
def test_information_gain_of_a_two_outcome_experiment(place):
    """The information about the state is H(outcome) − H(outcome | state).

    Source: Lindley (1956), On a measure of the information provided by an experiment; Cover &
    Thomas (2006), Elements of Information Theory, section 2.4, for the closed form.
    """
    design = leaf(place)
    truth = experiment_truth(place)
    assert_known(lambda s: experiment(s, design, sf.ScoreFunction()), [design], truth)
    assert not is_close(mean_loss(lambda s: experiment(s, design, WrongScore(-1)), [design]), truth)
