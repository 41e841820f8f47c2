"""The baseline of GRPO: costs normalised within a group of draws."""

import torch
from torch import Tensor

from sfgrad.baselines import Baseline
from sfgrad.functional import standardize
from sfgrad.settings import describe, is_number


class GroupNormalized(Baseline):
    """Makes the advantage of a draw its cost to go, normalised within its group.

    `cost_to_go − b = (cost_to_go − mean) / (deviation + eps)`

    Groups are those of `LeaveOneOut`: the copies of a row made by the nearest branch, or the rows
    of a group, where the graph has `groups=`. The deviation is the population's. Copies whose draw
    is masked count too.

    Args:
        eps: added to the deviation, in the unit of the cost; at least 0.

    Raises:
        ValueError: `eps` is below 0; or, at the draw, there is only one.
        TypeError: `eps` is not a number.

    Unbiased: no. Mean and deviation include the draw itself, and the unit of the cost is lost:
    groups count alike, whether their costs are far apart or close. The value of the loss is
    unbiased.

    Source: Shao et al. (2024), DeepSeekMath, section 4.1.2.
    """

    compares = True
    order = 0

    def __init__(self, eps: float = 1e-4):
        super().__init__()
        if not is_number(eps):
            raise TypeError(
                f"eps of GroupNormalized is {describe(eps)}: it must be a number, at least 0"
            )
        if not eps >= 0:
            raise ValueError(f"eps of GroupNormalized is {eps}: it must be at least 0")
        self.eps = eps

    def extra_repr(self) -> str:
        """The number that is added to the deviation."""
        return f"eps={self.eps}"

    def read(self, cost_to_go: Tensor, prediction: Tensor | None) -> Tensor:
        """What leaves the normalised cost when it is subtracted."""
        return cost_to_go - standardize(cost_to_go, self.eps, dim=1)

    def read_groups(self, cost_to_go: Tensor, groups: Tensor) -> Tensor:
        """The same within groups, all at once."""
        mean = _means(cost_to_go, groups)

        # As in `standardize`: the mean of equal numbers may be a rounding off, so it is taken
        # twice, and a deviation of a few units of rounding counts as that many.
        centred = cost_to_go - mean
        centred = centred - _means(centred, groups)
        floor = mean.abs() * (4 * torch.finfo(mean.dtype).eps)
        deviation = torch.maximum(_means(centred.square(), groups).sqrt(), floor)
        return cost_to_go - centred / (deviation + self.eps)


def _means(x: Tensor, groups: Tensor) -> Tensor:
    """The mean of its group in every row of `[B, ...]`."""
    sizes = groups.bincount().to(x.dtype)
    sums = x.new_zeros(len(sizes), *x.shape[1:]).index_add(0, groups, x)
    return (sums / sizes.view(-1, *[1] * (x.dim() - 1)))[groups]
