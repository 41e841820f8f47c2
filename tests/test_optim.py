"""Trust regions and the cross-entropy method, against exact laws and by hand."""

import math
from functools import partial

import pytest
import torch
from torch import Generator, nn
from torch.autograd import gradcheck
from torch.distributions import Categorical, Normal, kl_divergence

import sfgrad as sf
from sfgrad import optim
from sfgrad.optim.trust_region import conjugate_gradient

# ---------------------------------------------------------------- clipped surrogate


def draws(rows=50):
    torch.manual_seed(0)
    log_prob, advantage = torch.randn(2, rows, dtype=torch.float64)
    return log_prob.requires_grad_(), advantage


def test_clipped_surrogate_by_hand():
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5, 1.1])
    advantage = torch.tensor([2.0, 2.0, -2.0, -2.0, 1.0])
    loss = optim.clipped_surrogate(ratio.log(), torch.zeros(5), advantage, clip=0.2)
    assert loss.item() == pytest.approx(-(1.2 * 2 + 0.5 * 2 - 1.5 * 2 - 0.8 * 2 + 1.1) / 5)


def test_clipped_surrogate_has_no_gradient_where_the_ratio_went_as_it_was_pushed():
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5, 1.1])
    advantage = torch.tensor([2.0, 2.0, -2.0, -2.0, 1.0])
    log_prob = ratio.log().requires_grad_()
    optim.clipped_surrogate(log_prob, torch.zeros(5), advantage, clip=0.2).backward()
    wanted = -torch.tensor([0, 0.5 * 2, -1.5 * 2, 0, 1.1]) / 5
    torch.testing.assert_close(log_prob.grad, wanted)


def test_clipped_surrogate_at_ratio_one_has_the_gradient_of_the_score_function():
    log_prob, advantage = draws()
    found, wanted = (
        torch.autograd.grad(loss, log_prob)[0]
        for loss in (
            optim.clipped_surrogate(log_prob, log_prob, advantage, clip=0.2),
            sf.score_function_loss(log_prob, advantage),
        )
    )
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=0)


def test_away_from_ratio_one_the_gradient_is_another():
    log_prob, advantage = draws()
    far = log_prob.detach() - 0.1
    found, wanted = (
        torch.autograd.grad(loss, log_prob)[0]
        for loss in (
            optim.clipped_surrogate(log_prob, far, advantage, clip=0.2),
            sf.score_function_loss(log_prob, advantage),
        )
    )
    assert ((found / wanted - math.exp(0.1)).abs() < 1e-9).all()


def test_clipped_surrogate_passes_gradcheck_and_leaves_the_rest_alone():
    log_prob, advantage = draws()
    loss = partial(optim.clipped_surrogate, advantage=advantage, clip=0.2)
    old = torch.zeros(50, dtype=torch.float64)
    assert gradcheck(loss, (log_prob, old))
    old.requires_grad_()
    advantage.requires_grad_()
    optim.clipped_surrogate(log_prob, old, advantage, clip=0.2).backward()
    assert old.grad is None
    assert advantage.grad is None


def test_clipped_surrogate_of_the_draws_that_count():
    torch.manual_seed(0)
    log_prob, old, advantage = torch.randn(3, 20)
    log_prob.requires_grad_()
    mask = torch.rand(20) < 0.5
    bad = advantage.where(mask, torch.nan)
    found = optim.clipped_surrogate(log_prob, old.where(mask, torch.nan), bad, 0.2, mask)
    wanted = optim.clipped_surrogate(log_prob[mask], old[mask], advantage[mask], 0.2)
    torch.testing.assert_close(found, wanted)
    found, wanted = (torch.autograd.grad(x, log_prob)[0] for x in (found, wanted))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("old", "advantage", "clip", "message"),
    [
        (torch.ones(1), torch.ones(3), 0.2, r"old_log_prob has shape \[1\] but log_prob has \[3\]"),
        (torch.ones(3), torch.ones(3, 1), 0.2, r"advantage has shape \[3, 1\] but log_prob has"),
        (torch.ones(3), torch.ones(3), 0.0, "clip is 0.0: it must be above 0"),
        (torch.ones(3), torch.ones(3), math.nan, "clip is nan: it must be above 0"),
    ],
)
def test_refusals_of_clipped_surrogate(old, advantage, clip, message):
    with pytest.raises(ValueError, match=message):
        optim.clipped_surrogate(torch.ones(3), old, advantage, clip)


# ---------------------------------------------------------------- trust region


class Choice:
    """A categorical policy over a few states; every action's advantage is known."""

    def __init__(self, states=4, actions=3, dtype=torch.float32):
        generator = Generator().manual_seed(0)
        self.logits = torch.randn(states, actions, generator=generator, dtype=dtype)
        self.advantage = torch.randn(states, actions, generator=generator, dtype=dtype)
        self.old = Categorical(logits=self.logits.clone())
        self.parameters = [self.logits.requires_grad_()]

    def surrogate(self):
        """Minus the expected advantage, exactly."""
        return -(Categorical(logits=self.logits).probs * self.advantage).sum(1).mean()

    def kl(self):
        return kl_divergence(self.old, Categorical(logits=self.logits)).mean()


class Lever:
    """A Gaussian policy: a mean linear in the state, a free deviation."""

    def __init__(self):
        generator = Generator().manual_seed(1)
        self.state = torch.randn(20, 3, generator=generator, dtype=torch.float64)
        self.weight = torch.randn(3, generator=generator, dtype=torch.float64).requires_grad_()
        self.log_std = torch.tensor(-0.5, dtype=torch.float64, requires_grad=True)
        self.parameters = [self.weight, self.log_std]
        self.old = Normal(*(t.detach().clone() for t in (self.law().loc, self.law().scale)))
        self.action = self.old.mean + self.old.stddev * torch.randn(
            20, generator=generator, dtype=torch.float64
        )
        self.advantage = -(self.action - 2).square()

    def law(self):
        return Normal(self.state @ self.weight, self.log_std.exp().expand(20))

    def surrogate(self):
        ratio = self.law().log_prob(self.action) - self.old.log_prob(self.action)
        return -(ratio.exp() * self.advantage).mean()

    def kl(self):
        return kl_divergence(self.old, self.law()).mean()

    def fisher(self):
        """E ∇log p ∇log pᵀ over states and actions, known for a Gaussian: `[4, 4]`."""
        exact = torch.zeros(4, 4, dtype=torch.float64)
        exact[:3, :3] = self.state.T @ self.state / 20 / self.log_std.exp() ** 2
        exact[3, 3] = 2
        return exact.detach()


def flat(tensors):
    return torch.cat([t.detach().flatten() for t in tensors])


@pytest.mark.parametrize("natural", [False, True])
@pytest.mark.parametrize("policy", [Choice, Lever])
@pytest.mark.parametrize("bound", [1e-4, 1e-2, 0.5])
@pytest.mark.training
def test_a_step_improves_within_the_bound(policy, natural, bound):
    policy = policy()
    region = optim.TrustRegion(policy.parameters, bound, natural)
    start = policy.surrogate().item()
    report = region.step(policy.surrogate, policy.kl)
    assert report.moved
    assert report.surrogate == start
    assert report.gain == start - policy.surrogate().item() > 0
    assert report.kl == policy.kl().item() <= bound


@pytest.mark.parametrize("natural", [False, True])
@pytest.mark.training
def test_steps_from_the_same_draws_stay_within_the_bound_together(natural):
    policy = Choice()
    region = optim.TrustRegion(policy.parameters, 0.01, natural)
    gain = sum(region.step(policy.surrogate, policy.kl).gain for _ in range(20))
    assert gain > 0
    assert 0.005 < policy.kl().item() <= 0.01


def test_without_the_line_search_the_bound_is_broken():
    """Negative control: a narrower Gaussian diverges faster than the quadratic says."""
    policy, blind = Lever(), Lever()
    policy.advantage = -(policy.action - policy.old.mean).square()
    region = optim.TrustRegion(policy.parameters, bound=0.5, damping=0, natural=True)
    report = region.step(policy.surrogate, policy.kl)
    assert report.halvings > 0
    assert policy.kl() <= 0.5
    step = (flat(policy.parameters) - flat(blind.parameters)) * 2**report.halvings
    with torch.no_grad():
        blind.weight += step[:3]
        blind.log_std += step[3]
    assert blind.kl() > 0.5


def test_natural_step_is_along_the_inverse_fisher_and_as_long_as_the_bound_allows():
    policy = Lever()
    torch.testing.assert_close(hessian(policy), policy.fisher(), rtol=1e-9, atol=1e-9)
    gradient = flat(torch.autograd.grad(policy.surrogate(), policy.parameters))
    wanted = -torch.linalg.solve(policy.fisher(), gradient)
    before = flat(policy.parameters)
    optim.TrustRegion(policy.parameters, 1e-6, natural=True, damping=0).step(
        policy.surrogate, policy.kl
    )
    step = flat(policy.parameters) - before
    torch.testing.assert_close(step / step.norm(), wanted / wanted.norm(), rtol=1e-8, atol=1e-8)
    plain = -gradient / gradient.norm()
    assert torch.dot(step / step.norm(), plain) < 0.95  # which the test can tell from it


def hessian(policy):
    """Of the divergence at the policy of the draws, with nothing of the library."""

    def divergence(parameters):
        law = Normal(policy.state @ parameters[:3], parameters[3].exp().expand(20))
        return kl_divergence(policy.old, law).mean()

    return torch.autograd.functional.hessian(divergence, flat(policy.parameters))


@pytest.mark.parametrize("iterations", [1, 2, 10])
def test_natural_proposal_has_the_quadratic_divergence_of_the_bound(iterations):
    policy, bound = Lever(), 0.01
    before, damped = (
        flat(policy.parameters),
        policy.fisher() + 0.3 * torch.eye(4, dtype=torch.float64),
    )
    region = optim.TrustRegion(
        policy.parameters, bound, natural=True, damping=0.3, iterations=iterations
    )
    report = region.step(policy.surrogate, policy.kl)
    proposal = (flat(policy.parameters) - before) * 2**report.halvings
    assert (proposal @ damped @ proposal / 2).item() == pytest.approx(bound, rel=1e-9)


def test_plain_step_is_along_the_gradient_and_its_length_is_remembered():
    policy = Choice(dtype=torch.float64)
    region = optim.TrustRegion(policy.parameters, 1e-3)
    before = flat(policy.parameters)
    gradient = flat(torch.autograd.grad(policy.surrogate(), policy.parameters))
    first = region.step(policy.surrogate, policy.kl)
    step = flat(policy.parameters) - before
    torch.testing.assert_close(step / step.norm(), -gradient / gradient.norm())
    assert step.norm().item() == pytest.approx(2.0 / 2**first.halvings)
    assert region.state_dict() == {"length": pytest.approx(step.norm().item())}

    fresh = Choice(dtype=torch.float64)
    again = optim.TrustRegion(fresh.parameters, 1e-3)
    again.load_state_dict(region.state_dict())
    assert again.step(fresh.surrogate, fresh.kl).halvings == 1


def test_where_nothing_helps_parameters_are_restored_bit_for_bit():
    """A surrogate that is lower nowhere, though its gradient says otherwise."""
    weight = nn.Parameter(torch.tensor([0.1, -0.0, 1e-30]))
    before = weight.detach().clone()

    def surrogate():
        return weight.sum() - 2 * (weight - before).sum().detach()

    region = optim.TrustRegion([weight])
    report = region.step(surrogate, lambda: torch.zeros(()))
    assert report == optim.StepReport(False, pytest.approx(0.1), 0.0, 0.0, 20)
    assert torch.equal(weight.view(torch.int32), before.view(torch.int32))
    assert region.length == 1


@pytest.mark.parametrize("natural", [False, True])
def test_at_a_stationary_point_nothing_moves(natural):
    weight = torch.zeros(3, requires_grad=True)
    region = optim.TrustRegion([weight], natural=natural)
    report = region.step(lambda: weight.square().sum(), lambda: weight.square().sum())
    assert report == optim.StepReport(False, 0.0, 0.0, 0.0, 0)
    assert not weight.any()


def test_a_closure_that_fails_in_the_search_leaves_the_parameters_as_they_were():
    weight = torch.ones(3, requires_grad=True)

    def divergence():
        if not torch.equal(weight, torch.ones(3)):
            raise RuntimeError("out of memory")
        return torch.zeros(())

    with pytest.raises(RuntimeError, match="out of memory"):
        optim.TrustRegion([weight]).step(lambda: weight.sum(), divergence)
    assert torch.equal(weight, torch.ones(3))


def test_proposals_that_are_not_finite_are_halved():
    weight = torch.ones(1, requires_grad=True)
    region = optim.TrustRegion([weight])
    report = region.step(lambda: (weight + 0.4).sqrt().sum(), lambda: torch.zeros(()))
    assert report.moved  # 1 − 2 has no root; 1 − 1 has
    assert report.halvings == 1


def test_parameters_without_influence_stay():
    weight, idle = torch.ones(2, requires_grad=True), torch.ones(5, requires_grad=True)
    region = optim.TrustRegion([idle, weight], natural=True)
    assert region.step(lambda: weight.sum(), lambda: (weight - 1).square().sum()).moved
    assert torch.equal(idle, torch.ones(5))


def test_conjugate_gradient_solves_in_as_many_iterations_as_there_are_dimensions():
    torch.manual_seed(0)
    root, target = torch.randn(6, 6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    matrix = root @ root.T + torch.eye(6)
    wanted = torch.linalg.solve(matrix, target)
    found = conjugate_gradient(matrix.matmul, target, 6)
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)
    assert (conjugate_gradient(matrix.matmul, target, 2) - wanted).norm() > 1e-3
    assert conjugate_gradient(matrix.matmul, target, 1000).isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bound": 0}, "bound is 0: it must be above 0 nats"),
        ({"bound": math.nan}, "bound is nan"),
        ({"damping": -1.0}, "damping is -1.0: it must be at least 0"),
        ({"iterations": 0}, "iterations is 0 and halvings is 20: both must be at least 1"),
        ({"halvings": 0}, "iterations is 10 and halvings is 0"),
        ({"parameters": []}, "there are no parameters to move"),
    ],
)
def test_refusals_of_a_trust_region(options, message):
    with pytest.raises(ValueError, match=message):
        optim.TrustRegion(**({"parameters": [torch.ones(1)]} | options))


def test_a_tensor_is_no_list_of_parameters():
    with pytest.raises(ValueError, match="no parameters to move: give a list of tensors"):
        optim.TrustRegion(torch.ones(2, requires_grad=True))


@pytest.mark.parametrize(
    ("surrogate", "kl", "message"),
    [
        (lambda w: w.sum() * math.nan, lambda w: w.sum() * 0, "the surrogate is nan"),
        (
            lambda w: (w - 1).sqrt().sum(),
            lambda w: w.sum() * 0,
            "its gradient is not finite: check",
        ),
        (lambda w: w.sum(), lambda w: w.sum(), "divergence is 2 before the step, and the bound"),
        (lambda w: w.sum(), lambda w: w.sum() * math.nan, "divergence is nan before the step"),
        (lambda w: w.sum(), lambda w: -(w - 1).square().sum(), "no positive curvature"),
    ],
)
def test_refusals_of_a_step(surrogate, kl, message):
    weight = torch.ones(2, requires_grad=True)
    region = optim.TrustRegion([weight], natural=True)
    with pytest.raises(ValueError, match=message):
        region.step(lambda: surrogate(weight), lambda: kl(weight))
    assert torch.equal(weight, torch.ones(2))


# ---------------------------------------------------------------- cross-entropy


GOAL = torch.tensor([3.0, -2.0, 0.5])


def search(elite, noise=0.0, seed=0):
    """Look for `GOAL` from afar."""
    generator = Generator().manual_seed(seed)
    search = optim.CrossEntropyMethod(
        torch.zeros(3), 1.0, 40, elite, noise, fade=20, generator=generator
    )
    for _ in range(60):
        search.tell(-(search.ask() - GOAL).square().sum(1))
    return search


@pytest.mark.training
def test_cross_entropy_finds_the_top_of_a_quadratic():
    torch.testing.assert_close(search(elite=8, noise=1.0).mean, GOAL, rtol=0, atol=1e-3)


@pytest.mark.training
def test_with_all_for_elite_it_does_not():
    """Negative control: no selection, no search."""
    assert (search(elite=40, noise=1.0).mean - GOAL).norm() > 1


def test_an_update_by_hand():
    search = optim.CrossEntropyMethod(torch.tensor([1.0, 5.0]), 2.0, 4, 2, noise=8.0, fade=4)
    asked = search.ask()
    search.tell(torch.tensor([0.0, 3.0, -math.inf, 2.0]))
    best = asked[[1, 3]]
    torch.testing.assert_close(search.mean, (best[0] + best[1]) / 2)
    variance = ((best[0] - best[1]) / 2).square() + 8 * (1 - 1 / 4)
    torch.testing.assert_close(search.std, variance.sqrt())
    assert search.iteration == 1


def test_noise_fades_to_nothing():
    search = optim.CrossEntropyMethod(torch.zeros(5), 1.0, 4, 2, noise=100.0, fade=3)
    least = []
    for _ in range(4):
        asked = search.ask()
        search.tell(-torch.arange(4.0))  # the first two
        own = (asked[0] - asked[1]).square() / 4
        least.append((search.std.square() - own).mean().item())
    assert least == pytest.approx([200 / 3, 100 / 3, 0, 0], abs=1e-3)


def test_the_draws_have_the_law_they_should():
    """z of mean and variance over 2·10⁵ draws a coordinate; false alarm 1e-6 a figure."""
    mean, std = torch.tensor([1.0, -4.0]), torch.tensor([0.5, 3.0])
    generator = Generator().manual_seed(0)
    asked = optim.CrossEntropyMethod(mean, std, 200_000, 2, generator=generator).ask()
    z = (asked - mean) / std
    assert (z.mean(0).abs() * 200_000**0.5 < 4.9).all()
    assert ((z.square().mean(0) - 1).abs() * 100_000**0.5 < 4.9).all()
    assert ((asked / std).mean(0).abs() * 200_000**0.5 > 4.9).all()  # the control


def test_what_was_asked_may_be_changed_by_the_caller():
    search = optim.CrossEntropyMethod(torch.zeros(2), 1.0, 3, 3)
    search.ask().fill_(1000)
    search.tell(torch.zeros(3))
    assert search.mean.abs().max() < 10


def test_a_search_goes_on_from_its_state():
    def go(search, times):
        for _ in range(times):
            search.tell(-(search.ask() - GOAL).square().sum(1))

    def new(mean):
        return optim.CrossEntropyMethod(mean, 1.0, 10, 3, noise=1.0, generator=generator)

    generator = Generator().manual_seed(0)
    whole = new(torch.zeros(3))
    go(whole, 3)
    state, rng = whole.state_dict(), generator.get_state()
    go(whole, 5)
    generator.set_state(rng)
    resumed = new(torch.ones(3))
    resumed.load_state_dict(state)
    go(resumed, 5)
    assert torch.equal(resumed.mean, whole.mean)
    assert torch.equal(resumed.std, whole.std)
    assert resumed.iteration == whole.iteration == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": torch.zeros(2, 3)}, r"mean has shape \[2, 3\] and dtype torch.float32"),
        ({"mean": torch.zeros(2, dtype=torch.long)}, r"mean has shape \[2\] and dtype torch.int64"),
        ({"std": torch.ones(3)}, r"std has shape \[3\] but mean has \[2\]"),
        ({"std": 0.0}, "the smallest std is 0.0: all must be above 0"),
        ({"elite": 1}, "elite is 1: it must be from 2 to the population, 5"),
        ({"elite": 6}, "elite is 6: it must be from 2 to the population, 5"),
        ({"noise": -1.0}, "noise is -1.0: a variance must be at least 0"),
        ({"fade": 0}, "fade is 0: it must be at least 1 population"),
    ],
)
def test_refusals_of_a_search(options, message):
    usual = {"mean": torch.zeros(2), "std": 1.0, "population": 5, "elite": 2}
    with pytest.raises(ValueError, match=message):
        optim.CrossEntropyMethod(**(usual | options))


def test_refusals_of_rewards_and_states():
    search = optim.CrossEntropyMethod(torch.zeros(2), 1.0, 5, 2)
    with pytest.raises(RuntimeError, match="no population to judge: ask"):
        search.tell(torch.zeros(5))
    search.ask()
    with pytest.raises(
        ValueError, match=r"rewards have shape \[4\]: give one .* population, \[5\]"
    ):
        search.tell(torch.zeros(4))
    with pytest.raises(ValueError, match="2 rewards are not a number"):
        search.tell(torch.tensor([0, math.nan, 1, math.nan, 2]))
    search.tell(torch.zeros(5))
    with pytest.raises(RuntimeError, match="no population to judge"):
        search.tell(torch.zeros(5))
    other = optim.CrossEntropyMethod(torch.zeros(3), 1.0, 5, 2)
    with pytest.raises(ValueError, match=r"mean has shape \[3\] but this search has \[2\]"):
        search.load_state_dict(other.state_dict())
