"""The clipped surrogate: several updates from the same draws."""

import torch
from torch import Tensor

from sfgrad.functional import check_draws, check_mask
from sfgrad.tensors import check_tensor, single


def clipped_surrogate(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    clip: float,
    mask: Tensor | None = None,
) -> Tensor:
    """Loss that lets the same draws be used for several updates, while the policy stays near.

    `ratio = exp(log_prob − stop(old_log_prob))`,
    `loss = −mean(min(ratio · A, clamp(ratio, 1 − clip, 1 + clip) · A))` with `A = stop(advantage)`

    Sign: the advantage is good when large (return minus baseline); the loss is to be minimised. A
    draw whose ratio has left the interval on the side that its advantage pushes to has no gradient.

    Args:
        log_prob: `[R]`, nats: log-probability of each draw under the present parameters.
        old_log_prob: `[R]`, nats: the same under the parameters that made the draws.
        advantage: `[R]`, in the unit of the return; no gradient flows into it.
        clip: largest |ratio − 1| that is still rewarded, above 0; 0.2 is usual.
        mask: `[R]`, boolean: True where a draw counts; the mean is over these. None for all.

    Returns:
        `[]`, to be minimised, in single precision at least; 0 where the mask lets no draw count.

    Raises:
        TypeError: an argument is not a tensor.
        ValueError: the shapes differ (nothing is broadcast), `clip` is not above 0, the mask is
            not boolean, or there is no draw and no mask.

    Unbiased: at ratio 1, where its gradient is that of `score_function_loss`; away from it no.

    Source: Schulman et al. (2017), Proximal Policy Optimization Algorithms, eq. 7.

    Examples:
        >>> log_ratio = torch.tensor([0.0, 0.5], requires_grad=True)
        >>> clipped_surrogate(log_ratio, torch.zeros(2), torch.ones(2), clip=0.2)
        tensor(-1.1000, grad_fn=<NegBackward0>)
    """
    check_tensor("log_prob", log_prob)
    for name, tensor in (("old_log_prob", old_log_prob), ("advantage", advantage)):
        check_tensor(name, tensor)
        if tensor.shape != log_prob.shape:
            raise ValueError(
                f"{name} has shape {list(tensor.shape)} but log_prob has {list(log_prob.shape)}: "
                "give one per draw"
            )
    if not clip > 0:
        raise ValueError(f"clip is {clip}: it must be above 0")
    if mask is None:
        check_draws(log_prob)
    log_prob, old_log_prob = single(log_prob), single(old_log_prob)
    advantage = single(advantage.detach())

    # What does not count is replaced, so that neither its value nor its derivative can be NaN.
    if mask is not None:
        check_mask(mask, log_prob)
        log_prob, old_log_prob = log_prob.where(mask, 0), old_log_prob.where(mask, 0)
        advantage = advantage.where(mask, 0)
    ratio = (log_prob - old_log_prob.detach()).exp()
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    return -(gain.mean() if mask is None else gain.sum() / mask.sum().clamp(min=1))
