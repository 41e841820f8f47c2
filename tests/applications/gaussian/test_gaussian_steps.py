"""The step of the Gaussian: the natural gradient, whatever the axes."""

import pytest
import torch

from applications.gaussian.gaussian import START, Gaussian

TILTED = Gaussian(
    torch.tensor([0.4, -0.3], dtype=torch.float64),
    torch.tensor([[0.8, 0.0], [0.5, 0.6]], dtype=torch.float64),
)


@pytest.mark.parametrize("degrees", [10, 45, 90, 200])
def test_the_step_turns_with_its_gradient(degrees):
    """A Gaussian and its draws, turned: the step is the same but for the turn."""
    turn = rotation_by(degrees)
    torch.manual_seed(0)
    points, weights = TILTED.sample(12), torch.randn(12, dtype=torch.float64)
    covariance = turn @ TILTED.factor @ TILTED.factor.T @ turn.T
    turned = Gaussian(turn @ TILTED.mean, torch.linalg.cholesky(covariance))
    after, other = step_along(TILTED, points, weights), step_along(turned, points @ turn.T, weights)
    close = {"rtol": 0, "atol": 1e-9}
    torch.testing.assert_close(other.mean, turn @ after.mean, **close)
    torch.testing.assert_close(
        other.factor @ other.factor.T, turn @ after.factor @ after.factor.T @ turn.T, **close
    )


def test_the_test_above_catches_a_step_by_the_plain_gradient_of_the_factor():
    """The negative control: `moved` by that gradient depends on which axis comes first."""
    turn = rotation_by(45)
    torch.manual_seed(0)
    points, weights = START.sample(12), torch.randn(12, dtype=torch.float64)
    moved = [
        START.moved(torch.zeros(2, dtype=torch.float64), moment_of(START, x, weights))
        for x in (points, START.mean + (points - START.mean) @ turn.T)
    ]
    covariances = [gaussian.factor @ gaussian.factor.T for gaussian in moved]
    assert (covariances[1] - turn @ covariances[0] @ turn.T).abs().max() > 1e-2


def test_a_step_halves_the_diagonal_to_first_order():
    """The natural gradient: the Fisher information of the factor's entries is 2, 1, 2."""
    shift = torch.zeros(2, dtype=torch.float64)
    bend = torch.tensor([[0.3, 0.0], [0.5, -0.7]], dtype=torch.float64) * 1e-6
    halved = bend - bend.diagonal().diag() / 2
    covariances = [
        gaussian.factor @ gaussian.factor.T
        for gaussian in (TILTED.stepped(shift, bend), TILTED.moved(shift, halved))
    ]
    torch.testing.assert_close(*covariances, rtol=0, atol=1e-11)


def rotation_by(degrees):
    angle = torch.deg2rad(torch.tensor(float(degrees), dtype=torch.float64))
    return torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)


def moment_of(gaussian, points, weights):
    """The gradient by the bend: the mean of weight · (z zᵀ − 1)."""
    z = torch.linalg.solve(gaussian.factor, (points - gaussian.mean).T)
    return (weights * z) @ z.T / len(weights) - weights.mean() * torch.eye(2, dtype=torch.float64)


def step_along(gaussian, points, weights):
    z = torch.linalg.solve(gaussian.factor, (points - gaussian.mean).T)
    return gaussian.stepped(0.7 * z @ weights / 12, 0.7 * moment_of(gaussian, points, weights))
