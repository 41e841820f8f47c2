"""The transform, the words inside a model, a new estimator, compilation."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import sfgrad as sf


def one_draw(x):
    return (sf.sample(Bernoulli(logits=x)) - 0.45) ** 2


def test_costs_may_be_returned_registered_or_both():
    def both(x):
        sf.sample(Bernoulli(logits=x))
        sf.add_cost(x)
        return 2 * x

    def registered(x):
        sf.sample(Bernoulli(logits=x))
        sf.add_cost(3 * x)

    x = torch.tensor([1.0, 2.0])
    assert sf.expectation(both)(x).item() == sf.expectation(registered)(x).item() == 4.5


def test_has_aux():
    def fn(x):
        sf.sample(Bernoulli(logits=x))
        return x, "seen"

    loss, aux = sf.expectation(fn, has_aux=True)(torch.ones(2))
    assert (loss.item(), aux) == (1.0, "seen")


def test_samples_repeat_nested_inputs_along_in_dims():
    seen = {}

    def fn(x, nest, fixed, *, extra):
        seen.update(x=x, nest=nest, fixed=fixed, extra=extra)
        sf.sample(Bernoulli(logits=x[0]))
        return x[0]

    x = torch.arange(6.0).reshape(2, 3)  # rows along dimension 1
    nest = {"a": (torch.arange(3.0).reshape(1, 3), [torch.ones(1, 3)])}
    objective = sf.expectation(fn, samples=2, in_dims=(1, 1, None))
    assert objective(x, nest, torch.ones(5), extra=torch.arange(3)).item() == 1.0
    assert seen["x"].tolist() == [[0, 1, 2] * 2, [3, 4, 5] * 2]
    assert seen["nest"]["a"][0].tolist() == [[0, 1, 2] * 2]
    assert seen["fixed"].shape == (5,)
    assert seen["extra"].tolist() == [0, 1, 2] * 2


def test_named_tuples_are_repeated():
    from typing import NamedTuple

    class Pair(NamedTuple):
        x: torch.Tensor
        label: str

    def fn(pair):
        sf.sample(Bernoulli(logits=pair.x))
        return pair.x

    loss = sf.expectation(fn, samples=3)(Pair(torch.ones(2), "kept"))
    assert loss.item() == 1


def test_a_module_becomes_a_module_with_named_nodes():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Module()
            self.inner.gate = sf.StochasticNode()
            self.mine = sf.StochasticNode(name="chosen")

    model = Model()
    objective = sf.expectation(model)
    assert (model.inner.gate.name, model.mine.name) == ("inner.gate", "chosen")
    assert isinstance(objective, nn.Module)
    assert "ScoreFunction, name='chosen'" in repr(objective)


def test_it_prints_its_settings():
    def cost(x):
        return x

    assert repr(sf.expectation(cost)) == (
        "Expectation(fn=cost, samples=1, in_dims=0, batch_ndims=1, has_aux=False, reduction='mean')"
    )
    objective = sf.expectation(
        nn.Identity(), 4, (0, None), has_aux=True, reduction="none", draws={"gate": torch.ones(3)}
    )
    first, second, *_ = repr(objective).splitlines()
    assert first == "Expectation("
    assert second.strip() == (
        "samples=4, in_dims=(0, None), batch_ndims=1, has_aux=True, reduction='none', draws of gate"
    )
    assert objective.in_dims == (0, None)


def test_outside_a_graph_everything_just_draws():
    x = torch.zeros(3, requires_grad=True)
    assert sf.sample(Bernoulli(logits=x), sf.ScoreFunction(samples=5)).shape == (3,)
    assert sf.sample(Bernoulli(logits=x), sf.Enumerate()).shape == (3,)
    assert not sf.sample(Normal(x, 1.0)).requires_grad
    assert sf.sample(Normal(x, 1.0), sf.Pathwise()).requires_grad
    assert sf.branch(x, 4) is x
    assert sf.align(x) is x


def test_inside_a_graph_draws_are_detached_unless_pathwise():
    x = torch.zeros(3, requires_grad=True)
    with sf.StochasticGraph():
        assert not sf.sample(Normal(x, 1.0)).requires_grad
        assert not sf.sample(Normal(x, 1.0), sf.ScoreFunction(samples=2)).requires_grad
        assert sf.sample(Normal(torch.cat([x, x]), 1.0), sf.Pathwise()).requires_grad


def test_samples_of_the_expectation_and_of_the_node_are_the_same_estimator():
    x = torch.tensor([0.3, -0.5], requires_grad=True)
    loo = sf.ScoreFunction(sf.LeaveOneOut())

    def outer(x):
        return (sf.sample(Bernoulli(logits=x), loo) - 0.45) ** 2

    def inner(x):
        node = sf.ScoreFunction(sf.LeaveOneOut(), samples=4)
        return (sf.sample(Bernoulli(logits=x), node) - 0.45) ** 2

    found = []
    for objective in (sf.expectation(outer, samples=4), sf.expectation(inner)):
        torch.manual_seed(0)
        found.append(torch.autograd.grad(objective(x), x)[0])
    torch.testing.assert_close(*found)


@pytest.mark.training
def test_learns_a_hard_gate():
    """The loss falls below what the best constant gate can reach."""
    torch.manual_seed(0)

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(4, 8), nn.Linear(8, 4)
            self.gate = sf.StochasticNode(sf.ScoreFunction(sf.LeaveOneOut()))

        def forward(self, x):
            z = self.gate(Independent(Bernoulli(logits=self.encode(x)), 1))
            return F.mse_loss(self.decode(z), x, reduction="none").sum(-1)

    x = torch.tensor([[i >> k & 1 for k in range(4)] for i in range(16)]).float()
    objective = sf.expectation(Gated(), samples=8)
    optimizer = torch.optim.Adam(objective.parameters(), 0.03)
    for _ in range(400):
        optimizer.zero_grad()
        objective(x).backward()
        optimizer.step()
    assert objective(x).item() < 0.3  # 1.0 without any information through the gate


# [new estimator]
class Tempered(sf.Estimator):
    """Draw from a flatter density and weigh by the ratio: exploration, still unbiased."""

    def __init__(self, temperature):
        self.temperature = temperature

    def draw(self, distribution, batch_ndims):
        flat = Categorical(logits=distribution.logits.detach() / self.temperature)
        value = flat.sample()
        log_prob = sf.row_log_prob(distribution, value, batch_ndims)
        return sf.Draw(value, log_prob, sf.row_log_prob(flat, value, batch_ndims))


# [/new estimator]


def test_a_new_estimator_is_one_small_class():
    with open(__file__) as file:
        lines = file.read().split("# [new estimator]\n")[1].split("# [/new")[0].splitlines()
    assert len([line for line in lines if line.strip()]) < 25

    logits = torch.tensor([[0.5, -1.0, 2.0]] * 4000, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)

    def fn():
        return (sf.sample(Categorical(logits=logits), Tempered(3.0)).double() - 0.3) ** 2

    gradient = torch.autograd.grad(sf.expectation(fn)(), logits)[0] * len(logits)
    wanted = torch.autograd.grad(sf.expectation(lambda: _enumerated(logits))(), logits)[0]
    z = (gradient.mean(0) - wanted[0] * len(logits)) / (gradient.std(0) / len(logits) ** 0.5)
    assert z.abs().max() < 5.5  # a false alarm below 1.2e-7 for three coordinates


def _enumerated(logits):
    z = sf.sample(Categorical(logits=logits), sf.Enumerate())
    return (z.double() - 0.3) ** 2


class Compiled(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.encode, self.kind = nn.Linear(5, 3), kind
        estimator = {
            "pathwise": sf.Pathwise(),
            "leave-one-out": sf.ScoreFunction(sf.LeaveOneOut()),
        }.get(kind.split()[0], sf.ScoreFunction())
        self.node = sf.StochasticNode(estimator)

    def forward(self, x):
        h = self.encode(x)
        if "Bernoulli" in self.kind:
            dist = Independent(Bernoulli(logits=h, validate_args=False), 1, validate_args=False)
        elif "Categorical" in self.kind:
            dist = Categorical(logits=h, validate_args=False)
        else:
            dist = Normal(h, 1.0, validate_args=False)
        z = self.node(dist).float()
        return (z.reshape(len(x), -1).sum(1) - 1) ** 2


@pytest.mark.parametrize(
    "kind",
    [
        "pathwise Normal",
        *[
            f"{e} {d}"
            for e in ("score", "leave-one-out")
            for d in ("Bernoulli", "Categorical", "Normal")
        ],
    ],
)
def test_compiles_as_one_graph(kind):
    """The eager backend traces everything and keeps eager arithmetic, so the draws agree."""
    torch._dynamo.reset()  # else what other tests compiled counts towards its limit
    torch.manual_seed(0)
    model = Compiled(kind)
    samples = 3 if kind.startswith("leave") else 1
    eager = sf.expectation(model, samples=samples)
    compiled = torch.compile(
        sf.expectation(copy.deepcopy(model), samples=samples), fullgraph=True, backend="aot_eager"
    )
    x = torch.randn(4, 5)
    for objective in (eager, compiled):
        torch.manual_seed(1)
        objective(x).backward()
    gradients = ([p.grad for p in o.parameters()] for o in (eager, compiled))
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted)
