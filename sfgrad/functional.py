"""Pure functions on plain tensors, for people who keep their own training loop."""

from torch import Tensor


def score_function_loss(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """Loss whose gradient is the score-function estimate of what raises the advantage.

    `loss = −mean(log_prob · stop(advantage))`

    Sign: the advantage is good when large (return minus baseline; for costs pass their negative).
    Reduction: the mean over all elements. The value of the loss means nothing; its gradient does.

    Args:
        log_prob: any shape, nats: log-probability of each draw under the present parameters.
        advantage: same shape, in the unit of the return; no gradient flows into it.

    Returns:
        `[]`, to be minimised.

    Raises:
        ValueError: the two shapes differ; nothing is broadcast.

    Unbiased: yes, if what was subtracted from the return does not depend on the draw.

    Source: Williams (1992), Simple statistical gradient-following algorithms, eq. 5.

    Examples:
        >>> log_prob = torch.tensor([-1.0, -2.0], requires_grad=True)
        >>> score_function_loss(log_prob, torch.tensor([3.0, -1.0])).backward()
        >>> log_prob.grad
        tensor([-1.5000,  0.5000])
    """
    if log_prob.shape != advantage.shape:
        shapes = f"{list(log_prob.shape)} but advantage has {list(advantage.shape)}"
        raise ValueError(f"log_prob has shape {shapes}: give one advantage per draw")
    return -(log_prob * advantage.detach()).mean()


def magic_box(log_prob: Tensor) -> Tensor:
    """One, with the derivatives of the likelihood: `exp(log_prob − stop(log_prob))`.

    A cost times the magic box of the draws that it depends on has the cost's value, and the
    derivatives of its expectation to any order.

    Args:
        log_prob: any shape, nats: the summed log-probability of the draws.

    Returns:
        Same shape, all ones.

    Unbiased: yes, to any order of differentiation.

    Source: Foerster et al. (2018), DiCE: The Infinitely Differentiable Monte Carlo Estimator,
    eq. 5.

    Examples:
        >>> log_prob = torch.tensor([-1.0, -2.0], requires_grad=True)
        >>> magic_box(log_prob)
        tensor([1., 1.], grad_fn=<ExpBackward0>)
    """
    return (log_prob - log_prob.detach()).exp()


def leave_one_out(cost: Tensor, dim: int = 0) -> Tensor:
    """Mean of the *other* samples' costs: a baseline free of the own draw.

    `baseline[k] = (Σ_j cost[j] − cost[k]) / (S − 1)`

    Args:
        cost: `[..., S, ...]`, samples along `dim`, in any unit.
        dim: the axis of the samples.

    Returns:
        Same shape and unit, without gradient.

    Raises:
        ValueError: there are fewer than two samples.

    Unbiased: yes as a baseline, if the samples are independent draws.

    Source: Kool et al. (2019), Buy 4 REINFORCE samples, get a baseline for free!, eq. 8.

    Examples:
        >>> leave_one_out(torch.tensor([1.0, 2.0, 6.0]))
        tensor([4.0000, 3.5000, 1.5000])
    """
    samples = cost.shape[dim] if cost.dim() else 1
    if samples < 2:
        raise ValueError(f"leave-one-out over {samples} sample: it needs at least two to compare")
    return ((cost.sum(dim, keepdim=True) - cost) / (samples - 1)).detach()


def standardize(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Shift to mean 0 and scale to deviation 1 over all elements: `(x − mean) / (deviation + eps)`.

    Args:
        x: any shape and unit, at least two elements; the deviation is the population's (divided by
            their number).
        eps: added to the deviation, in the unit of `x`.

    Returns:
        Same shape, no unit.

    Raises:
        ValueError: there are fewer than two elements.

    Unbiased: no. Mean and deviation depend on every draw of the batch, the own one included, so
    gradients scaled by them are biased; a common and often useful trade in reinforcement learning.

    Source: Karpathy (2016), Deep Reinforcement Learning: Pong from Pixels.

    Examples:
        >>> standardize(torch.tensor([1.0, 3.0]))
        tensor([-1.,  1.])
    """
    if x.numel() < 2:
        raise ValueError(f"standardize got {x.numel()} element: it needs at least two")
    centred = x - x.mean()
    return centred / (centred.square().mean().sqrt() + eps)
