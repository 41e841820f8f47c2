"""Trust regions whose parameters are frozen, or without a way to them."""

import pytest
import torch
from torch import nn

from sfgrad import optim


def test_names_are_no_parameters():
    with pytest.raises(TypeError, match="a parameter is of type tuple: give a tensor"):
        optim.TrustRegion(nn.Linear(1, 1).named_parameters())


@pytest.mark.parametrize("natural", [False, True])
def test_frozen_parameters_stay_until_they_are_not(natural):
    """The steps are those of a region that knows nothing of the frozen ones."""
    weights = {}
    for with_frozen in (True, False):
        weight, frozen = torch.ones(2, requires_grad=True), torch.ones(3)
        region = optim.TrustRegion([frozen, weight] if with_frozen else [weight], natural=natural)

        def surrogate(weight=weight, frozen=frozen):
            return weight.square().sum() * frozen.sum()

        def divergence(weight=weight, frozen=frozen):
            return (weight - 1).square().sum() + (frozen - 1).square().sum()

        assert region.step(surrogate, divergence).moved
        assert torch.equal(frozen, torch.ones(3))
        weights[with_frozen] = weight
    assert torch.equal(weights[True], weights[False])

    weight, frozen = torch.ones(2), torch.ones(3)
    region = optim.TrustRegion([frozen, weight], natural=natural)
    message = "all parameters are frozen .* call requires_grad_"
    with pytest.raises(ValueError, match=message):
        region.step(lambda: weight.sum(), lambda: (weight - 1).square().sum())
    weight.requires_grad_()
    assert region.step(lambda: weight.sum(), lambda: (weight - 1).square().sum()).moved


@pytest.mark.parametrize(
    ("surrogate", "kl", "what"),
    [
        (lambda w: w.detach().sum(), lambda w: w.sum() * 0, "surrogate"),
        (lambda w: w.sum(), lambda w: w.detach().sum() * 0, "divergence"),
        (lambda w: w.sum(), lambda w: w.sum() * 0, "slope of the divergence"),
    ],
)
def test_what_has_no_gradient_is_named(surrogate, kl, what):
    weight = torch.ones(2, requires_grad=True)
    region = optim.TrustRegion([weight], natural=True)
    with pytest.raises(ValueError, match=f"the {what} has no gradient: compute it from the"):
        region.step(lambda: surrogate(weight), lambda: kl(weight))
