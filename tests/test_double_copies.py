"""The check runs a copy in double precision: what models make of that, and hide from it."""

import functools
from collections import UserDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Categorical

import sfgrad as sf

X = torch.tensor([[0.3, -0.5, 0.2]])


class Model(nn.Module):
    """A draw of whole numbers, and a cost of them."""

    def __init__(self, cost):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.cost = nn.Linear(3, 2), cost

    def forward(self, x):
        z = sf.sample(Categorical(logits=self.linear(x)), name="z")
        w = sf.sample(Categorical(logits=self.linear(x) + z.unsqueeze(1)), name="w")
        return self.cost(z) + 0.7 * self.cost(w)


COSTS = {
    "a number taken off": lambda z: (z - 1.3) ** 2,
    "a table": lambda z: torch.tensor([0.1, 0.7])[z],
    "a state of zeros": lambda z: (torch.zeros(len(z), 2) @ torch.ones(2)) + 0.3 * z,
    "constant": lambda z: torch.full((len(z),), 0.1),
}


@pytest.mark.parametrize("name", COSTS)
def test_numbers_that_a_model_makes_are_double_too(name):
    report = sf.check_unbiased(Model(COSTS[name]), X, mode="exact", repeats=30)
    assert report, report
    assert max(c.allowed for c in report.comparisons) < 1e-7
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("cost", [lambda z: (z.float() - 1.3) ** 2, lambda z: z.float().sqrt()])
def test_what_stays_in_single_precision_is_compared_as_such(cost):
    report = sf.check_unbiased(Model(cost), X, mode="exact", repeats=30)
    assert report, report
    assert report.basis.count("in single precision cost 'cost'") == 1

    class Half(sf.Estimator):
        def draw(self, distribution, batch_ndims):
            draw = sf.ScoreFunction().draw(distribution, batch_ndims)
            return draw._replace(log_prob=draw.log_prob / 2, log_density=draw.log_density / 2)

    eta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    report = sf.check_unbiased(
        lambda: sf.sample(Bernoulli(logits=eta), Half()).float(), wrt=[eta], repeats=30
    )
    assert report.verdict == "BIASED"


def test_types_that_do_not_match_are_explained():
    class Decoder(Model):
        def forward(self, x):
            z = sf.sample(Categorical(logits=self.linear(x)))
            return self.linear(F.one_hot(z, 3).float()).sum(1)

    with pytest.raises(RuntimeError) as error:
        sf.check_unbiased(Decoder(None), X)
    assert "the copy of the model that check_unbiased() runs in double" in error.value.__notes__[0]


def test_inference_mode_is_refused():
    model = Model(COSTS["a number taken off"])
    with torch.inference_mode():
        for check in (sf.check_unbiased, sf.exact_gradient):
            with pytest.raises(
                ValueError, match=r"inference_mode\(\) is on, so nothing has a grad"
            ):
                check(model, X)
    with torch.no_grad():
        assert sf.check_unbiased(model, X, repeats=30)


def test_parameters_that_a_baseline_shares_are_the_models():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.encoder, self.policy = nn.Linear(3, 2), nn.Linear(2, 1)
            critic = nn.Sequential(self.encoder, nn.Tanh(), nn.Linear(2, 1))
            self.node = sf.StochasticNode(sf.ScoreFunction(sf.Learned(critic)))

        def forward(self, x):
            logits = self.policy(self.encoder(x)).squeeze(1)
            return (self.node(Bernoulli(logits=logits), context=x) - 0.3) ** 2

    report = sf.check_unbiased(Shared(), X, repeats=30)
    assert report, report
    assert [c.parameter for c in report.comparisons[1:]] == [
        "encoder.weight",
        "encoder.bias",
        "policy.weight",
        "policy.bias",
    ]


@pytest.mark.parametrize("way", ["bound method", "partial", "partial of a method"])
def test_a_model_behind_a_function_is_the_one_that_is_copied(way):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.linear = nn.Linear(3, 1)

        def forward(self, x, scale=1.0):
            return scale * (sf.sample(Bernoulli(logits=self.linear(x).squeeze(1))) - 0.3) ** 2

        def costs(self, x, scale=1.0):
            return self(x, scale)

    model = Model()
    fn = {
        "bound method": model.costs,
        "partial": functools.partial(model, scale=0.5),
        "partial of a method": functools.partial(model.costs, scale=0.5),
    }[way]
    report = sf.check_unbiased(fn, X, repeats=30)
    assert report, report
    assert [c.parameter for c in report.comparisons[1:]] == ["linear.weight", "linear.bias"]
    value, gradients = sf.exact_gradient(fn, X)
    assert len(gradients) == 2
    assert model.linear.weight.dtype == torch.float32
    assert value.item() == pytest.approx(report.comparisons[0].wanted, rel=1e-5)


def test_sparse_gradients_are_compared():
    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.table = nn.Embedding(4, 1, sparse=True)

        def forward(self, tokens):
            return (sf.sample(Bernoulli(logits=self.table(tokens).squeeze(1))) - 0.3) ** 2

    report = sf.check_unbiased(Bag(), torch.tensor([1, 3]), repeats=30)
    assert report, report
    _, (gradient,) = sf.exact_gradient(Bag(), torch.tensor([1, 3]))
    assert gradient.shape == (4, 1)


def test_hidden_draws_are_said_to_be_unchecked():
    eta = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def fn():
        forgotten = Bernoulli(logits=eta).sample()
        return (sf.sample(Bernoulli(logits=eta)) - forgotten) ** 2

    with pytest.raises(
        ValueError, match=r"a draw that is not made by sf\.sample\(\), which then has"
    ):
        sf.check_unbiased(fn, wrt=[eta])
    report = sf.check_unbiased(fn, wrt=[eta], mode="monte_carlo", repeats=60, seed=0)
    assert "draws and noise outside sample() are not checked" in str(report)


def test_a_gradient_of_nothing_but_rounding_has_no_share():
    theta = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    report = sf.check_unbiased(
        lambda: 0 * sf.sample(Bernoulli(logits=theta)) + 0.1 + 1e-18 * theta,
        wrt=[theta],
        mode="monte_carlo",
        repeats=30,
        seed=0,
    )
    assert report, report
    assert "%" not in str(report.power) or report.power.bias < report.power.gradient


def test_attributes_of_a_mapping_stay_when_its_rows_are_repeated():
    class Encoding(UserDict):
        """As tokenizers have them: the members, and what made them."""

        def __init__(self, data=None, encodings=None):
            super().__init__(data)
            self.encodings = encodings

    seen = []

    def fn(batch):
        seen.append(batch)
        return sf.sample(Bernoulli(logits=batch["x"]))

    sf.expectation(fn, samples=2)(Encoding({"x": torch.zeros(3)}, encodings=["fast"]))
    assert seen[0].encodings == ["fast"]
    assert seen[0]["x"].shape == (6,)


@pytest.mark.parametrize(
    ("shape", "warns"), [((4, 4), True), ((4, 4, 3), True), ((4, 3, 4, 4), False)]
)
def test_pictures_as_large_as_the_batch_are_no_slip(shape, warns, recwarn):
    with sf.StochasticGraph() as graph:
        sf.sample(Bernoulli(logits=torch.zeros(4, requires_grad=True)))
        if warns:
            with pytest.warns(UserWarning, match="summed over a dimension as long as the first"):
                sf.add_cost(torch.ones(shape))
        else:
            sf.add_cost(torch.ones(shape))
    graph.loss()
