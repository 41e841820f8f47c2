"""One more run of a model, whose draws are all the likeliest values, for baselines that ask."""

from collections.abc import Callable
from typing import Any

import torch

from sfgrad.buffers import lent, modules_of
from sfgrad.controls import Control
from sfgrad.draws import Live
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.graph import StochasticGraph
from sfgrad.greedy import likeliest
from sfgrad.masks import Masked
from sfgrad.site import Site
from sfgrad.tape import Tape


class Likeliest(Live):
    """Every draw is the likeliest value, in as many copies as the usual run made of it.

    Args:
        tape: of the usual run.
    """

    learns = False

    def __init__(self, tape: Tape):
        self.tape = tape

    def draw(self, site: Site, estimator: Estimator) -> Draw:
        """The mode, in as many copies as the node had, or as its estimator makes."""
        distribution = site.distribution
        original = distribution.original if isinstance(distribution, Masked) else distribution
        value = likeliest(original, site.name)
        node = self.tape.nodes.get(site.name)
        copies = (estimator.samples or 1) if node is None else node.draw.copies
        if copies > 1:
            value = value.repeat(copies, *[1] * (value.dim() - 1))
        return Draw(value, copies=copies)


def run_greedily(tape: Tape, fn: Callable[..., Any], run: Callable[[StochasticGraph], Any]) -> None:
    """Record the likeliest run beside the usual one, if a baseline asks for it.

    Args:
        tape: of the usual run.
        fn: the model, whose buffers are left alone.
        run: runs it, on the same inputs, in a graph.

    Raises:
        ValueError: there are other rows than in the usual run.
    """
    baselines = [node.baseline for node in tape.nodes.values()]
    if not any(isinstance(b, Control) and b.uses_greedy for b in baselines):
        return
    device = tape.device
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices), lent(modules_of(fn)):
        graph = StochasticGraph(tape.rows.batch_ndims)
        graph.tape.source = Likeliest(tape)
        run(graph)

    rows, usual = graph.tape.rows.count, tape.rows.count
    if graph.costs and rows != usual:
        raise ValueError(
            f"the run with the likeliest values has {rows} rows but the usual one has {usual}, so "
            "SelfCritical cannot compare them: make the same copies whatever is drawn"
        )
    tape.greedy = graph.tape
