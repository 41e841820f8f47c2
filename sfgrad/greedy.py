"""Acting by the likeliest values, at inference."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution

from sfgrad import active
from sfgrad.diagnosis import check_distribution
from sfgrad.graph import GREEDY, active_graph
from sfgrad.masks import base_distribution


@contextmanager
def greedy() -> Generator[None]:
    """Within the block every node of a model returns its likeliest value instead of a draw.

    `with greedy(): model(x)`

    Costs that the model adds are ignored, and `branch` and `align` do nothing, as outside any
    graph. Threads that the model starts are not reached.

    Raises:
        ValueError: a graph is open, in which a value that is not drawn would have no gradient; or
            a distribution of the model has no mode.

    Unbiased: no. This is not the policy that is trained, but usually the one that is put to use.

    Examples:
        >>> from torch.distributions import Bernoulli
        >>> with greedy():
        ...     sf.sample(Bernoulli(torch.tensor([0.4, 0.6])))
        tensor([0., 1.])
    """
    if active_graph() is not None:
        raise ValueError("greedy() inside a graph: leave the graph first, its values are drawn")
    active.enter(GREEDY)
    try:
        yield
    except BaseException as error:
        active.leave(GREEDY, type(error))
        raise
    active.leave(GREEDY, None)


def likeliest(distribution: Distribution, name: str = "node") -> Tensor:
    """The mode: the value of largest probability or density, element by element.

    Args:
        distribution: any with a `mode`, or with a finite support.
        name: the node, for errors.

    Returns:
        `[*batch_shape, *event_shape]`, without gradient; the first of several that are as likely.

    Raises:
        ValueError: its mode is not known.
        TypeError: it is no distribution.
    """
    check_distribution(f"node {name!r}", distribution)
    base = base_distribution(distribution)
    try:
        # torch has NaN for a Bernoulli of probability one half.
        if isinstance(base, Bernoulli):
            return (base.probs > 0.5).to(base.probs.dtype).detach()
        mode: Tensor = base.mode.detach()
        if torch.compiler.is_compiling() or not mode.isnan().any():
            return mode
    except (NotImplementedError, AttributeError):
        pass

    try:
        support = base.enumerate_support()  # [m, *batch_shape, *event_shape]
    except (NotImplementedError, AttributeError) as error:
        raise ValueError(
            f"node {name!r}: {type(base).__name__} has no mode and no finite support: draw from it "
            "instead, or let its class have a mode"
        ) from error
    best = base.log_prob(support).argmax(0)
    ones = [1] * len(base.event_shape)
    index = best.view(1, *best.shape, *ones).expand(1, *support.shape[1:])
    return torch.gather(support, 0, index)[0].detach()
