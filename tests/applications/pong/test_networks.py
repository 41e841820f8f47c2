"""Look-ups and the networks that are made of them."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Generator
from torch.autograd import gradcheck, gradgradcheck
from torch.distributions import Bernoulli, Categorical

from applications.pong import policy
from applications.pong.frames import SIGHTS, Frames
from applications.pong.policy import NETWORKS, ActorCritic, gathered, look_up


def listed(values):
    """Seven frames of 20 pixels, the first, the fourth and the last of them empty."""
    random = np.random.default_rng(0)
    counts = np.array([0, 3, 5, 0, 1, 12, 0])
    pixels = [random.choice(20, count, replace=False) for count in counts]
    levels = random.integers(1, 256, counts.sum()) if values else None
    return Frames.of(np.concatenate(pixels).astype(np.int16), levels, counts, 1 / 255)


def looked_up_and_dense(frames, by=look_up):
    """The look-up and the dense product, each with its gradient for the same weights."""
    random = Generator().manual_seed(0)
    table = torch.randn(20, 3, dtype=torch.float64, generator=random, requires_grad=True)
    dense = frames.dense(20).double() @ table
    weights = torch.randn(dense.shape, dtype=torch.float64, generator=random)
    for product in by(frames, table), dense:
        yield product, torch.autograd.grad(product, table, weights)[0]


NONE = Frames.of(np.zeros(0, np.int16), None, np.zeros(4, np.int64), 1.0)
FRAMES = pytest.mark.parametrize(
    "frames", [listed(True), listed(False), NONE], ids=["values", "ones", "empty"]
)


WAYS = pytest.mark.parametrize("by", [look_up, gathered], ids=["sorted", "any-device"])


@FRAMES
@WAYS
def test_a_look_up_is_the_dense_product(frames, by):
    for got, wanted in zip(*looked_up_and_dense(frames, by), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


@FRAMES
@WAYS
def test_a_look_up_can_be_differentiated_twice(frames, by):
    table = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(partial(by, frames), table)
    assert gradgradcheck(partial(by, frames), table)


def test_the_way_back_must_sort(monkeypatch):
    monkeypatch.setattr(policy.np, "argsort", lambda pixels, kind: np.arange(len(pixels)))
    (got, gradient), (wanted, right) = looked_up_and_dense(listed(True))
    torch.testing.assert_close(got, wanted)
    with pytest.raises(AssertionError, match="not close"):
        torch.testing.assert_close(gradient, right)


@pytest.mark.parametrize("moves", [2, 6])
@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_choose_and_judge(network, sight, moves):
    torch.manual_seed(0)
    size = SIGHTS[sight].size
    model = NETWORKS[network](moves, 8, size)
    pixels = np.array([5, 70, size - 1, 6, 3000], np.int16)
    frames = Frames.of(pixels, None, np.array([3, 0, 2]), 1.0)
    dist, value = model(frames)
    assert isinstance(dist, Bernoulli if moves == 2 else Categorical)
    draws = dist.sample((200,))
    assert set(draws.unique().tolist()) == set(range(moves))
    assert value.shape == dist.log_prob(draws[0]).shape == (3,)
    np.testing.assert_allclose(dist.entropy().detach(), np.log(moves), rtol=0.01)  # at first
    assert len(set(value.tolist())) == 3  # each frame is seen
    assert torch.equal(model.choose(frames).logits, dist.logits)
    assert model.out.shape == (1 if moves == 2 else moves, 8)


def test_the_dense_network_is_the_formula():
    torch.manual_seed(0)
    model, frames = ActorCritic(6, 4, 20), listed(True)
    torch.nn.init.normal_(model.b1)
    hidden = (frames.dense(20) @ model.w1 + model.b1).relu()
    dist, value = model(frames)
    weight, bias = model.heads.weight, model.heads.bias
    torch.testing.assert_close(value, hidden @ weight[0] + bias[0])
    torch.testing.assert_close(dist.probs, (hidden @ weight[1:].T + bias[1:]).softmax(1))
