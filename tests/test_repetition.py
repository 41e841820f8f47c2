"""What `expectation(samples=)` repeats, what it passes as it is, and what it refuses by name."""

import copy
import dataclasses
import functools
import types
from collections import OrderedDict, UserDict, defaultdict, deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal

import sfgrad as sf

X = torch.tensor([0.5, -1.0, 2.0])
TWICE = [0.5, -1.0, 2.0] * 2


def seen(argument, samples=2, **settings):
    """What a model is given for an argument, beside three rows."""
    arguments = []

    def fn(x, argument):
        arguments.append(argument)
        sf.sample(Bernoulli(logits=x))
        return x

    sf.expectation(fn, samples=samples, **settings)(X, argument)
    return arguments[0]


class Encoding(UserDict):
    """As a tokenizer returns it."""

    def __init__(self, data=None, encoding=None):
        super().__init__(data)
        self.encoding = encoding

    def __getattr__(self, name):
        try:
            return self.data[name]
        except KeyError as error:
            raise AttributeError(name) from error


class Factory(defaultdict):
    pass


class Pair(NamedTuple):
    x: Any
    label: Any


@dataclasses.dataclass
class Batch:
    x: Any
    label: Any = "kept"


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    x: Any


@dataclasses.dataclass
class Derived:
    """Fields that are no arguments: computed, with a default, filled in later, and an attribute."""

    x: Any
    count: int = dataclasses.field(init=False)
    mean: Any = dataclasses.field(init=False)
    weight: Any = dataclasses.field(init=False, default=None)
    cache: dict = dataclasses.field(init=False, default_factory=dict)

    def __post_init__(self):
        self.count = len(self.x)
        self.mean = self.x.mean()

    @functools.cached_property
    def total(self):
        return self.x.sum()


CONTAINERS = {
    "tuple": ((X, 3), lambda c: c[0]),
    "named tuple": (Pair(X, "kept"), lambda c: c.x),
    "list": ([X, None], lambda c: c[0]),
    "dict": ({"x": X, "n": 3}, lambda c: c["x"]),
    "ordered": (OrderedDict(x=X), lambda c: c["x"]),
    "default": (defaultdict(list, x=X), lambda c: c["x"]),
    "default of another class": (Factory(list, x=X), lambda c: c["x"]),
    "user dict": (Encoding({"x": X}), lambda c: c["x"]),
    "proxy": (types.MappingProxyType({"x": X}), lambda c: c["x"]),
    "deque": (deque([X], maxlen=4), lambda c: c[0]),
    "result of torch": (X[:, None].max(1), lambda c: c.values),
    "dataclass": (Batch(X), lambda c: c.x),
    "frozen": (Frozen(X), lambda c: c.x),
    "slots": (Slots(X), lambda c: c.x),
    "nested": ({"a": [Batch((Encoding({"x": X}),))]}, lambda c: c["a"][0].x[0]["x"]),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_rows_inside_of_containers_are_repeated(name):
    container, read = CONTAINERS[name]
    repeated = seen(container)
    assert type(repeated) is type(container)
    assert read(repeated).tolist() == TWICE
    assert read(container).tolist() == X.tolist()  # the user's own is as it was


def test_what_is_beside_the_rows_of_a_container_is_kept():
    assert seen(defaultdict(list, x=X))["another"] == []
    assert seen(deque([X], maxlen=4)).maxlen == 4
    assert seen(Batch(X)).label == "kept"


def test_fields_that_are_no_arguments_of_a_dataclass():
    batch = Derived(X)
    batch.weight, batch.cache["x"], batch.note = X, X, "mine"
    assert batch.total == 1.5
    repeated = seen(batch)
    assert (repeated.count, repeated.mean, repeated.note) == (6, X.mean(), "mine")
    assert repeated.weight.tolist() == repeated.cache["x"].tolist() == TWICE
    assert repeated.total == 3.0


def test_the_gradient_is_that_of_plain_arguments():
    """Exact: the same draws, the same sums."""
    weight = torch.tensor([1.0, 3.0, -2.0], dtype=torch.float64)
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def fn(logits, batch):
        x = batch if torch.is_tensor(batch) else batch["x"]
        z = sf.sample(Bernoulli(logits=logits), sf.ScoreFunction(sf.LeaveOneOut()))
        return (z - 0.3 * x) ** 2

    gradients = []
    for batch in (weight, Encoding({"x": weight})):
        torch.manual_seed(0)
        loss = sf.expectation(fn, samples=4)(logits, batch)
        gradients.append(torch.autograd.grad(loss, logits)[0])
    assert gradients[0].abs().min() > 0
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("make", [Batch, Frozen, lambda x: Encoding({"x": x})])
def test_the_check_takes_containers(make):
    """Exact: all outcomes, in double precision inside of the containers, too."""
    torch.manual_seed(0)

    class Model(nn.Linear):
        def forward(self, batch):
            logits = super().forward(batch.x[:, None])[:, 0]
            return (sf.sample(Bernoulli(logits=logits), name="z") - 0.3) ** 2

    report = sf.check_unbiased(Model(1, 1), make(X), samples=2, mode="exact", repeats=30, rtol=1e-9)
    assert report, report


class Rigid(Mapping):
    """A mapping that is not made from a dict."""

    def __init__(self, x, y):
        self.members = {"x": x, "y": y}

    def __getitem__(self, key):
        return self.members[key]

    def __iter__(self):
        return iter(self.members)

    def __len__(self):
        return len(self.members)


PASSING = {
    "flag": True,
    "number": 3,
    "numpy number": np.float32(0.5),
    "numpy flag": np.bool_(True),
    "string": "abc",
    "none": None,
    "module": nn.Linear(3, 3),
    "node": sf.StochasticNode(),
    "estimator": sf.ScoreFunction(sf.LeaveOneOut()),
    "function": lambda x: x,
    "partial": functools.partial(torch.add, X),
    "method": X.sum,
    "class": Batch,
    "distribution": Normal(X, 1.0),
    "type": torch.float64,
    "generator": torch.Generator(),
    "size": torch.Size([3, 3]),
    "pair of numbers": (28, 28),
    "range": range(5),
    "set of options": {"a", "b", "c"},
    "empty list": [],
    "list of modules": [nn.ReLU()],
    "settings": Batch(3, "mine"),
    "mapping of settings": Rigid(1, "mine"),
    "object": types.SimpleNamespace(rate=0.1, options=[1, 2, 3]),
    "object with a number": types.SimpleNamespace(temperature=torch.tensor(2.0)),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_has_no_rows_passes_as_it_is(name):
    argument = PASSING[name]
    received = seen(argument)
    assert received is argument or received == argument


def test_containers_compile_as_one_graph():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.node = nn.Linear(5, 3), sf.StochasticNode()

        def forward(self, batch, weight, flag):
            h = self.linear(batch.x["x"][0] if flag else batch.x)
            z = self.node(Bernoulli(logits=h, validate_args=False))
            return (z.sum(1) - 1) ** 2 * weight.sum()

    torch._dynamo.reset()  # else what other tests compiled counts towards its limit
    torch.manual_seed(0)
    model, settings = Model(), {"samples": 3, "in_dims": {"weight": None}}
    eager = sf.expectation(model, **settings)
    compiled = torch.compile(
        sf.expectation(copy.deepcopy(model), **settings), fullgraph=True, backend="aot_eager"
    )
    batch = Batch({"x": (torch.randn(4, 5), 2)})
    for objective in (eager, compiled):
        torch.manual_seed(1)
        objective(batch, torch.ones(7), flag=True).backward()
    gradients = ([p.grad for p in o.parameters()] for o in (eager, compiled))
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted)
