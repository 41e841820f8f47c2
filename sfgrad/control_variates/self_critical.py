"""Self-critical training: what is compared with is the cost of the likeliest run."""

from torch import Tensor

from sfgrad.controls import Control, Evidence


class SelfCritical(Control):
    """The cost to go of a run of the model whose draws are all the likeliest values.

    `b_w` is the cost to go that a node of the same name has in that run, on the same inputs; 0
    where that run does not reach the node, after an early end, say. It is free of every draw.

    `expectation` makes the run, after the usual one: once more forward, without gradient. Masked
    draws take the likeliest value too. The run leaves the buffers of the model, such as running
    means of batch norm, and the random state as they were; whatever else the model writes down in
    a call, a list of its own say, it writes down twice.

    Raises:
        ValueError: at the draw, if no `expectation` runs the model; in the run, if a distribution
            has no mode, or if there are other rows than in the usual one.

    Unbiased: yes, to any order.

    Source: Rennie et al. (2017), Self-Critical Sequence Training for Image Captioning, eq. 8.
    """

    uses_greedy = True

    def pair(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """The cost to go of the likeliest run, twice."""
        assert evidence.greedy is not None
        return evidence.greedy, evidence.greedy
