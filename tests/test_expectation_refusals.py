"""What `expectation` refuses to be made of, and what a function may not return."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli

import sfgrad as sf


def one_draw(x):
    return (sf.sample(Bernoulli(logits=x)) - 0.45) ** 2


@pytest.mark.parametrize(
    ("output", "has_aux", "message"),
    [
        ((torch.ones(2), "aux"), False, "a tuple of 2 as its costs: .* has_aux=True"),
        (
            torch.ones(2),
            True,
            r"a Tensor, but with has_aux=True it must return a pair, \(costs, aux\)",
        ),
        ((torch.ones(2), 1, 2), True, "a tuple of 3, but with has_aux=True"),
        ({"costs": torch.ones(2), "aux": 1}, True, "a dict, but with has_aux=True"),
        (None, True, "a NoneType, but with has_aux=True"),
        (0.5, False, "a float as its costs: return one tensor, one cost per row"),
        ([0.5, 1.0], False, "a list as its costs: return one tensor"),
        (
            {"a": torch.ones(2)},
            False,
            r"a dict as its costs: .* or record each of several costs by add_cost\(cost, name=…\)",
        ),
        ("cost", False, "a str as its costs: return one tensor"),
        ((0.5, "aux"), True, "a float as its costs: return one tensor"),
    ],
)
def test_what_a_function_may_not_return(output, has_aux, message):
    def fn(x):
        sf.sample(Bernoulli(logits=x))
        return output

    with pytest.raises(TypeError, match=f"fn returned {message}"):
        sf.expectation(fn, has_aux=has_aux)(torch.ones(2))


def test_a_pair_may_be_a_list_and_its_costs_none():
    def fn(x):
        sf.add_cost(sf.sample(Bernoulli(logits=x)))
        return [None, "seen"]

    assert sf.expectation(fn, has_aux=True)(torch.full((2,), 50.0))[1] == "seen"


@pytest.mark.parametrize("samples", [4.0, True, "4", None, torch.ones(2)])
def test_samples_that_are_no_whole_number(samples):
    with pytest.raises(TypeError, match="samples is .*: give a whole number"):
        sf.expectation(one_draw, samples=samples)


def test_samples_of_other_integers():
    assert repr(sf.expectation(one_draw, samples=torch.tensor(4)).samples) == "4"


def test_what_is_no_function():
    class Model(nn.Module):
        pass

    with pytest.raises(TypeError, match=r"got a Tensor: give it the model.*expectation\(model\)"):
        sf.expectation(torch.ones(2))
    with pytest.raises(
        TypeError, match=r"the class Model: give a module, expectation\(Model\(\)\)"
    ):
        sf.expectation(Model)


def test_an_argument_may_be_called_graph():
    def fn(x, *, graph):
        return sf.sample(Bernoulli(logits=x)) * 0 + graph

    assert sf.expectation(fn)(torch.ones(2), graph=1.0) == 1.0
