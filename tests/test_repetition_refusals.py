"""Arguments that `expectation(samples=)` cannot repeat: each is refused by its name and type."""

import array
import dataclasses
import warnings
from collections import UserList, deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from tests.test_repetition import Batch, Encoding, Pair, Rigid, X, seen


class Holder:
    def __init__(self, x):
        self.x = x


class SlotHolder:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


@dataclasses.dataclass
class Unrepeatable:
    x: Any
    length: dataclasses.InitVar[int]


class Forgetful(Mapping):
    """A mapping whose class takes a dict and keeps nothing of it."""

    def __init__(self, members):
        self.x = X

    __getitem__ = Rigid.__getitem__

    def items(self):
        return [("x", X)]

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


def packed():
    return torch.nn.utils.rnn.pack_sequence([torch.ones(2), torch.ones(1)])


def ragged():
    return torch.nested.nested_tensor([torch.ones(2)] * 3, layout=torch.jagged)


def compressed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it beta
        return torch.eye(3).to_sparse_csr()


REFUSED = {
    "numpy array": (lambda: np.ones(3), "an array of type ndarray"),
    "packed": (packed, "a PackedSequence"),
    "nested tensor": (ragged, "a nested tensor"),
    "sparse": (compressed, r"a tensor of layout torch\.sparse_csr"),
    "object": (lambda: Holder(X), r"an object of type Holder with a tensor at \.x"),
    "object of objects": (lambda: Holder(Holder({"a": [X]})), r"a tensor at \.x\.x\['a'\]\[0\]"),
    "object of an array": (lambda: Holder(np.ones(3)), r"Holder with a tensor at \.x"),
    "slots": (lambda: SlotHolder(X), r"SlotHolder with a tensor at \.x"),
    "set": (lambda: {X}, r"an object of type set with a tensor at \[0\]"),
    "user list": (lambda: UserList([X]), r"UserList with a tensor at \.data\[0\]"),
    "numbers": (lambda: [1, 2, 3], "a list of numbers"),
    "other numbers": (lambda: [1, 2], "a list of numbers"),
    "strings": (lambda: ["a", None, "b"], "a list of strings"),
    "deque of numbers": (lambda: deque([1, 2]), "a deque of numbers"),
    "strings of a loader": (lambda: ("a", "b", "c"), "a tuple of strings with an entry for each"),
    "array": (lambda: array.array("d", [1, 2, 3]), "of type array with an entry for each row"),
    "vector": (
        lambda: torch.ones(5),
        r"a tensor of shape \[5\], which has 5 rows where argument 'x'",
    ),
    "scalar": (lambda: torch.tensor(1.0), r"a tensor of shape \[\] without dimension 0"),
    "mapping": (lambda: Rigid(X, 1), r"an object of type Rigid that .* \(Rigid\(dict\) fails"),
    "empty mapping": (lambda: Forgetful({}), r"Forgetful\(dict\) does not keep the keys"),
    "dataclass": (lambda: Unrepeatable(X, 3), r"dataclasses\.replace\(Unrepeatable\) fails"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_hold_rows_and_is_not_repeated_is_refused_by_name(name):
    make, message = REFUSED[name]
    argument = make()
    with pytest.raises(ValueError, match=f"argument 'argument' is .*{message}.*in_dims={{'arg"):
        seen(argument)
    assert seen(argument, samples=1) is argument
    assert seen(argument, in_dims={"argument": None}) is argument
    assert seen(argument, in_dims=(0, None)) is argument


def test_what_is_refused_inside_of_a_container_is_named_by_its_path():
    with pytest.raises(ValueError, match=r"'argument' holds at \['ids'\]\[0\] a list of numbers"):
        seen(Encoding({"ids": [[1, 2], [3]]}))
    with pytest.raises(
        ValueError, match=r"'argument' holds at \.label an array .* a separate argument"
    ):
        seen(Pair(X, np.ones(3)))
    with pytest.raises(ValueError, match=r"'argument' holds at \.label a tensor of shape \[7\]"):
        seen(Batch(X, torch.ones(7)))


def test_none_holds_for_the_whole_of_a_container():
    batch = {"x": torch.ones(7), "names": ["a", "b"]}
    assert seen(batch, in_dims={"argument": None}) is batch
