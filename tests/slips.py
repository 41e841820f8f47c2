"""Slips that a beginner makes, and what it takes to end one well.

Each is a small function with a name in plain words. It must end in one whole sentence of the
library's own, not in an error that Python or torch raises on its behalf.
"""

import traceback
from pathlib import Path

import pytest
import torch
from torch.distributions import Bernoulli

import sfgrad as sf

LIBRARY = Path(sf.__file__).parent


class Slips:
    """A list of slips, each with what its message must match."""

    def __init__(self):
        self.cases = []

    def __call__(self, message):
        """Add the decorated function, which must be refused by this message."""

        def add(function):
            self.cases.append(pytest.param(function, message, id=function.__name__))
            return function

        return add

    @property
    def parametrize(self):
        """Run a test with every slip of the list, and its message."""
        return pytest.mark.parametrize(("make", "message"), self.cases)


def assert_refused(make, message):
    """The slip ends in a sentence that matches, and that the library itself raises."""
    with pytest.raises(
        (TypeError, ValueError, RuntimeError, AttributeError), match=message
    ) as info:
        make()
    where = traceback.extract_tb(info.value.__traceback__)[-1]
    assert LIBRARY in Path(where.filename).parents, f"raised in {where.filename}"
    assert where.line.startswith("raise"), f"no raise of ours: {where.line}"
    met, _, advice = str(info.value).partition(": ")
    assert len(met) > 3, "it does not say what was met"
    assert len(advice) > 12, "it does not say what was wanted"


def coins(rows=4):
    """A distribution of parameters that require a gradient."""
    return Bernoulli(logits=torch.zeros(rows, requires_grad=True), validate_args=True)


def train(estimator=None, distribution=None, **request):
    """One draw and a cost, up to the loss."""
    with sf.StochasticGraph() as graph:
        z = sf.sample(
            coins() if distribution is None else distribution,
            sf.ScoreFunction() if estimator is None else estimator,
            name="z",
            **request,
        )
        sf.add_cost(torch.arange(float(len(z))))
    return graph.loss()


def inside(function, *arguments, **named):
    """Call a function in a graph that has one node, of four rows."""
    with sf.StochasticGraph():
        sf.sample(coins(), name="z")
        return function(*arguments, **named)
