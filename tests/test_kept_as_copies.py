"""Nothing is kept by reference: what the user writes to afterwards changes nothing."""

import numpy as np
import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Bernoulli,
    Categorical,
    ComposeTransform,
    Independent,
    Normal,
    TanhTransform,
    TransformedDistribution,
)

import sfgrad as sf

GOALS = (3.0, 1.0, 0.1)


def play(logits, how):
    """Three moves against a simulator, its cost in a buffer or in a tensor of its own."""
    torch.manual_seed(0)
    buffer, array = torch.zeros(len(logits)), np.zeros(len(logits), dtype=np.float32)
    with sf.StochasticGraph() as graph:
        for goal in GOALS:
            move = sf.sample(Bernoulli(logits=logits), name="move")
            cost = (move - goal) ** 2
            if how == "buffer":
                sf.add_cost(buffer.copy_(cost))
            elif how == "numpy buffer":
                array[:] = cost.numpy()
                sf.add_cost(torch.from_numpy(array))
            elif how == "changed afterwards":
                sf.add_cost(cost)
                cost.mul_(100)
            elif how == "changed move":
                sf.add_cost(cost)
                move.fill_(7)
            elif how == "changed move by numpy":
                sf.add_cost(cost)
                move.numpy()[:] = 7
            elif how == "its own cost":
                sf.add_cost(cost)
    loss = graph.loss()
    return loss, torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize(
    "how", ["buffer", "numpy buffer", "changed afterwards", "changed move", "changed move by numpy"]
)
def test_costs_and_draws_are_copies(how):
    logits = torch.full((50,), 0.3, requires_grad=True)
    wanted, found = play(logits, "its own cost"), play(logits, how)
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def by_torch(value):
    value.mul_(0)


def by_numpy(value):
    array = value.detach().numpy()
    array *= 0


DISTRIBUTIONS = {
    "Bernoulli": lambda p: Bernoulli(logits=p),
    "Categorical": lambda p: Categorical(logits=torch.stack([p, -p], 1)),
    "Normal": lambda p: Normal(p, 1.0),
    "Independent": lambda p: Independent(Normal(p[:, None].expand(-1, 2), 1.0), 1),
    "cached tanh": lambda p: TransformedDistribution(Normal(p, 1.0), [TanhTransform(cache_size=1)]),
    "cached part": lambda p: TransformedDistribution(
        Normal(p, 1.0), [ComposeTransform([AffineTransform(0.0, 2.0), TanhTransform(cache_size=1)])]
    ),
}


@pytest.mark.parametrize("change", [by_torch, by_numpy])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("samples", [1, 2])
def test_a_change_of_the_draw_changes_neither_score_nor_record(name, change, samples):
    parameter = torch.linspace(-1, 1, 5, requires_grad=True)
    found = []
    for changes in (False, True):
        torch.manual_seed(0)
        with sf.StochasticGraph() as graph:
            z = sf.sample(
                DISTRIBUTIONS[name](parameter), sf.ScoreFunction(samples=samples), name="z"
            )
            sf.add_cost(z.float().reshape(len(z), -1).sum(1) + 1)
            if changes:
                change(z)
        recorded, log_q = graph.draws["z"]
        gradient = torch.autograd.grad(graph.loss(), parameter)[0]
        found.append((recorded, log_q, gradient))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_the_user_gets_the_very_tensor_that_was_drawn():
    drawn = []

    class Keeps(Normal):
        def sample(self, sample_shape=()):
            drawn.append(super().sample(sample_shape))
            return drawn[-1]

    with sf.StochasticGraph():
        assert sf.sample(Keeps(torch.zeros(3), 1.0)) is drawn[0]


@pytest.mark.parametrize("change", [by_torch, by_numpy])
def test_a_clipped_roll_out_is_replayed_at_what_was_drawn(change):
    loc = torch.full((100,), 0.9, requires_grad=True)
    with torch.no_grad(), sf.StochasticGraph() as rollout:
        z = sf.sample(Normal(loc, 0.5), name="z")
        drawn = z.clone()
        change(z)
        sf.add_cost((z - 0.2) ** 2)
    value, log_q = rollout.draws["z"]
    assert torch.equal(value, drawn)
    torch.testing.assert_close(log_q, Normal(loc, 0.5).log_prob(drawn).detach())

    with sf.StochasticGraph(draws=rollout.draws) as graph:
        again = sf.sample(Normal(loc, 0.5), name="z")
        assert torch.equal(again, drawn)
        sf.add_cost((again.clamp(-0.1, 0.1) - 0.2) ** 2)
        change(again)  # nor does the replay keep it, or touch the roll-out's
    gradient = torch.autograd.grad(graph.loss(), loc)[0]
    cost = (drawn.clamp(-0.1, 0.1) - 0.2) ** 2
    torch.testing.assert_close(gradient, cost * (drawn - 0.9) / 0.25 / 100)
    assert torch.equal(rollout.draws["z"][0], drawn)


def test_a_changed_pathwise_draw_is_recorded_as_it_was():
    loc = torch.zeros(3, requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = sf.sample(Normal(loc, 1.0), sf.Pathwise(), name="z")
        drawn = z.detach().clone()
        z = z.clamp_(-0.1, 0.1)
        sf.add_cost(z)
    assert torch.equal(graph.draws["z"][0], drawn)
    assert not graph.draws["z"][0].requires_grad
    graph.loss().backward()
    torch.testing.assert_close(loc.grad, (drawn.abs() < 0.1).float() / 3)


def test_a_parent_is_known_by_identity_also_when_written_to():
    logits = torch.zeros(2, 4, requires_grad=True)
    with sf.StochasticGraph() as graph:
        a = sf.sample(Bernoulli(logits=logits[0]), name="a")
        b = sf.sample(Bernoulli(logits=logits[1]), name="b", parents=[])
        drawn = a.clone()
        a.fill_(3)
        sf.add_cost(torch.ones(4), parents=[a])
        sf.add_cost(torch.zeros(4), parents=[b])
    graph.loss().backward()
    torch.testing.assert_close(logits.grad[0], (drawn - 0.5) / 4)


# ---------------------------------------------------------------- replay


def test_draws_of_inference_mode_are_replayed():
    logits = torch.zeros(4, requires_grad=True)
    with torch.inference_mode(), sf.StochasticGraph() as rollout:
        sf.sample(Bernoulli(logits=logits), name="z")
        sf.sample(Normal(logits, 1.0), sf.Pathwise(), name="path")
        cost = torch.ones(4)
        sf.add_cost(cost)
    with sf.StochasticGraph(draws=rollout.draws) as graph:
        z = sf.sample(Bernoulli(logits=logits), name="z")
        path = sf.sample(Normal(logits, 1.0), sf.Pathwise(), name="path")
        sf.add_cost(cost)
        sf.add_cost(z + path)
    loss = graph.loss()
    loss.backward()
    score = (z - 0.5) + path
    torch.testing.assert_close(logits.grad, score * (1 + z + path) / 4)


def pathwise_estimates(old, new, rows=200_000):
    """Value and gradient at `new` of E[z²], from draws that were made pathwise at `old`."""
    torch.manual_seed(0)
    old_loc = torch.full((rows,), old)
    with torch.no_grad(), sf.StochasticGraph() as rollout:
        sf.sample(Normal(old_loc, 1.0), sf.Pathwise(), name="z")
    loc = torch.full((rows,), new, dtype=torch.float64, requires_grad=True)
    with sf.StochasticGraph(draws=rollout.draws) as graph:
        z = sf.sample(Normal(loc, 1.0), sf.Pathwise(), name="z")
        sf.add_cost(z.double() ** 2)
    weight = graph.nodes["z"].draw.log_prob - graph.nodes["z"].draw.log_density
    terms = weight.exp() * z.double() ** 2
    loss = graph.loss()
    gradients = torch.autograd.grad(loss, loc)[0] * rows
    return terms.detach(), gradients


def test_pathwise_draws_of_older_parameters_are_weighed():
    """Draws of N(0, 1) at N(.5, 1): value 1.25, gradient 1; |z| < 6, a false alarm below 2e-9."""
    terms, gradients = pathwise_estimates(0.0, 0.5)
    for found, wanted in ((terms, 1.25), (gradients, 1.0)):
        z = (found.mean() - wanted) / (found.var() / len(found)).sqrt()
        assert abs(z) < 6
        control = (found.mean() - (1.0 if wanted == 1.25 else -0.5)) / (found.std() / 447)
        assert abs(control) > 6  # what a replay at weight 1 gave


def test_pathwise_draws_of_the_same_parameters_keep_weight_one():
    terms, _ = pathwise_estimates(0.5, 0.5)
    assert terms.mean().item() == pytest.approx(1.25, abs=0.02)
    with sf.StochasticGraph() as rollout:
        sf.sample(Normal(torch.ones(3), 1.0), sf.Pathwise(), name="z")
    with sf.StochasticGraph(draws=rollout.draws) as graph:
        sf.sample(Normal(torch.ones(3), 1.0), sf.Pathwise(), name="z")
    draw = graph.nodes["z"].draw
    assert torch.equal(draw.log_prob, draw.log_density)


class NoDensity(Normal):
    """As pathwise people write their own."""

    def log_prob(self, value):
        raise NotImplementedError


def test_only_the_replay_of_what_has_no_density_is_refused():
    loc = torch.zeros(3, requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = sf.sample(NoDensity(loc, 1.0), sf.Pathwise(), name="z")
        sf.add_cost(z)
    graph.loss().backward()
    with (
        sf.StochasticGraph(draws=graph.draws),
        pytest.raises(ValueError, match="node 'z'.*it has no log_prob"),
    ):
        sf.sample(NoDensity(loc, 1.0), sf.Pathwise(), name="z")
    with (
        sf.StochasticGraph(draws=graph.draws),
        pytest.raises(ValueError, match="node 'z': the recorded log-probability is NaN"),
    ):
        sf.sample(Normal(loc, 1.0), sf.Pathwise(), name="z")


def squashed(loc, cache=0):
    return TransformedDistribution(Normal(loc, 1.0), [TanhTransform(cache_size=cache)])


def test_a_saturated_tanh_draws_and_says_why_it_is_not_replayed():
    loc = torch.full((3,), 20.0, requires_grad=True)
    with sf.StochasticGraph() as graph:
        z = sf.sample(squashed(loc), sf.Pathwise(), name="z")
        sf.add_cost(z)
    assert graph.loss().isfinite()
    with (
        sf.StochasticGraph(draws=graph.draws),
        pytest.raises(ValueError, match="node 'z'.*draw before squashing, squash outside"),
    ):
        sf.sample(squashed(loc), sf.Pathwise(), name="z")


def test_a_replayed_tanh_that_saturates_says_what_to_do():
    loc = torch.full((3,), 20.0, requires_grad=True)
    with torch.no_grad(), sf.StochasticGraph() as rollout:
        sf.sample(squashed(loc, cache=1), name="z")
    assert rollout.draws["z"][1].isfinite().all()  # known while the cache remembers
    with sf.StochasticGraph(draws=rollout.draws) as graph:
        sf.add_cost(sf.sample(squashed(loc, cache=1), name="z"))
    with pytest.raises(ValueError, match="node 'z'.*draw before squashing, squash outside"):
        graph.loss()
