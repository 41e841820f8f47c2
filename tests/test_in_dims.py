"""`in_dims`: which dimension of which argument is its rows."""

import functools

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli

import sfgrad as sf

X = torch.arange(3.0)


def shapes(*args, in_dims, **kwargs):
    """Of `x`, `weight`, `scale` as a model is given them."""
    received = []

    def fn(x, weight=None, *, scale=None):
        received.extend(None if a is None else list(a.shape) for a in (x, weight, scale))
        sf.sample(Bernoulli(logits=torch.zeros(6)))
        return torch.ones(6)

    sf.expectation(fn, samples=2, in_dims=in_dims)(*args, **kwargs)
    return received


@pytest.mark.parametrize(
    ("in_dims", "wanted"),
    [
        (0, [[6, 3], [6, 3], [6, 3]]),
        (1, [[3, 6], [3, 6], [6, 3]]),
        (-1, [[3, 6], [3, 6], [6, 3]]),
        ((1, None), [[3, 6], [3, 3], [6, 3]]),
        ({"weight": None}, [[6, 3], [3, 3], [6, 3]]),
        ({"x": 1, "scale": None}, [[3, 6], [6, 3], [3, 3]]),
        ({"weight": 1, "scale": 1}, [[6, 3], [3, 6], [3, 6]]),
        ({}, [[6, 3], [6, 3], [6, 3]]),
    ],
)
def test_by_one_number_by_position_and_by_name(in_dims, wanted):
    square = torch.ones(3, 3)
    assert shapes(square, square, in_dims=in_dims, scale=square) == wanted


def test_a_name_holds_however_the_argument_is_passed():
    in_dims = {"weight": None}
    assert shapes(X, torch.ones(5), in_dims=in_dims)[1] == [5]
    assert shapes(X, weight=torch.ones(5), in_dims=in_dims)[1] == [5]


def test_names_of_the_forward_of_a_module_and_of_a_partial():
    class Model(nn.Module):
        def forward(self, x, weight):
            sf.sample(Bernoulli(logits=x))
            return x + weight.sum()

    weight = torch.ones(5)
    objective = sf.expectation(Model(), samples=2, in_dims={"weight": None})
    assert objective(X, weight) == objective(X, weight=weight) == 6.0

    def fn(shift, x, weight):
        return Model()(x, weight) + shift

    objective = sf.expectation(functools.partial(fn, 1.0), samples=2, in_dims={"weight": None})
    assert objective(X, weight) == 7.0


def test_any_name_where_the_function_takes_any():
    def fn(*args, **kwargs):
        sf.sample(Bernoulli(logits=args[0]))
        return args[0] + kwargs["weight"].sum()

    objective = sf.expectation(fn, samples=2, in_dims={"weight": None})
    assert objective(X, weight=torch.ones(5)) == 6.0
    with pytest.raises(ValueError, match="the argument 'weight', but the signature .* by keyword"):
        objective(X, torch.ones(5))


@pytest.mark.parametrize(
    ("in_dims", "message"),
    [
        ([0, None], r"in_dims is \[0, None\]: give the dimension of the rows"),
        (0.0, r"in_dims is 0\.0: give"),
        (True, "in_dims is True: give"),
        ("x", "in_dims is 'x': give"),
        ((0, 0.5), r"in_dims\[1\] is 0\.5: give a whole number, or None"),
        ((0, (0, None)), r"in_dims\[1\] is \(0, None\).* the entry of a container holds for every"),
        ({"x": True}, r"in_dims\['x'\] is True: give"),
        ({1: None}, "in_dims has the key 1: the keys of a dict are names"),
    ],
)
def test_another_type_is_refused(in_dims, message):
    with pytest.raises(TypeError, match=message):
        sf.expectation(lambda x: x, in_dims=in_dims)


def test_a_name_that_the_function_does_not_take():
    with pytest.raises(ValueError, match="the argument 'wieght', but fn takes x, weight: use"):
        sf.expectation(lambda x, weight: x, in_dims={"wieght": None})
    with pytest.raises(ValueError, match="the argument 'rest', but fn takes x: use"):
        sf.expectation(lambda x, *rest: x, in_dims={"rest": None})


def test_a_tuple_of_another_length():
    with pytest.raises(ValueError, match="has 2 entries for 1 arguments: .* or a dict, which can"):
        shapes(X, in_dims=(0, None), weight=torch.ones(5))


def test_a_dimension_that_a_tensor_has_not():
    with pytest.raises(ValueError, match=r"'x' is a tensor of shape \[3\] without dimension 1"):
        shapes(X, in_dims=1)
    with pytest.raises(ValueError, match=r"'x' is a tensor of shape \[3\] without dimension -2"):
        shapes(X, in_dims=-2)


def advice(*args, fn=None, in_dims=0, **kwargs):
    """What an error says to write instead."""
    fn = fn or (lambda x, weight, scale=None: x)
    with pytest.raises(ValueError, match="None in in_dims, as in") as caught:
        sf.expectation(fn, samples=2, in_dims=in_dims)(*args, **kwargs)
    return str(caught.value).split("as in ")[1]


def test_errors_say_what_to_write_beside_what_is_said_already():
    two, five = torch.ones(2), torch.ones(5)
    either = "in_dims={'weight': None} or in_dims={'x': None}"
    assert advice(two, five) == advice(two, weight=five) == either
    assert advice(two, five, in_dims=(0, 0)) == "in_dims=(0, None) or in_dims=(None, 0)"
    assert advice(two, [1], in_dims=(0, 0)) == "in_dims=(0, None)"
    named = "in_dims={'weight': None, 'scale': None}"
    assert advice(two, [1], five, in_dims={"scale": None}) == named
    column = two[:, None].T
    assert advice(column, two, scale=[1], in_dims=(1, 0)) == "in_dims={'x': 1, 'scale': None}"
    assert advice(two, [1], fn=lambda *args: args[0]) == "in_dims=(0, None)"


def test_an_error_after_a_repetition_says_what_was_repeated():
    """Weights of classes, as many as there are rows, are repeated like them; torch refuses that."""

    def fn(x, weight):
        sf.sample(Bernoulli(logits=x[:, 0]))
        return (x * weight).sum(1)

    rows = torch.ones(3, 3)
    with pytest.raises(RuntimeError, match="must match the size") as caught:
        sf.expectation(fn, samples=2)(rows, X)
    (note,) = caught.value.__notes__
    assert note == (
        "expectation(samples=2) repeated the 3 rows of argument 'x' and argument 'weight' to 6: if "
        "one of them has no rows and only happens to be as long as the batch, mark it None in "
        "in_dims"
    )
    assert sf.expectation(fn, samples=2, in_dims={"weight": None})(rows, X) == 3.0


def test_other_errors_get_no_note():
    def fn(x, weight):
        raise RuntimeError("its own")

    for objective, arguments in (
        (sf.expectation(fn), (X, X)),
        (sf.expectation(fn, samples=2, in_dims=(0, None)), (X, X)),
    ):
        with pytest.raises(RuntimeError, match="its own") as caught:
            objective(*arguments)
        assert not hasattr(caught.value, "__notes__")
