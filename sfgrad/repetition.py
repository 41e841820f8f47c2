"""Repetition of the inputs: every row of a call's arguments is repeated."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from sfgrad.containers import OPAQUE, PLAIN, RebuildError, is_array, map_members, tensor_path
from sfgrad.in_dims import Key, RowDims, argument_label
from sfgrad.rows import Rows

PASSING = PLAIN + OPAQUE
"""Types of arguments that pass without a look inside."""


class Place(NamedTuple):
    """Where a value is: in which argument, and at which path inside it."""

    key: Key
    path: str = ""


class Repetition:
    """Repeats the rows of the arguments of one call, newest copies outermost.

    Tensors are repeated along their row dimension, also inside tuples, lists, mappings and
    dataclasses. Numbers, strings, None, modules, functions and distributions pass as they are. What
    could hold rows but cannot be repeated is refused.

    Args:
        fn: the function, for the names of its arguments.
        dims: their row dimensions.
        samples: how often every row is repeated.
        rows: the graph's; the first tensor fixes their number.
    """

    def __init__(self, fn: Callable[..., Any], dims: RowDims, samples: int, rows: Rows):
        self.fn, self.dims, self.samples, self.rows = fn, dims, samples, rows
        self.places: list[Place] = []
        """Of the repeated tensors."""
        self._count = 0  # of the rows before the repetition
        self._positional = 0
        self._sequences: list[tuple[Place, Sequence[Any]]] = []  # rows, if as long as the batch

    def arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with their rows repeated.

        Raises:
            ValueError: there is nothing to repeat, or an argument cannot be repeated.
        """
        self._positional = len(args)
        self.dims.check_names(len(args), kwargs.keys())
        dims = self.dims.positional(len(args))
        args = tuple(
            self._repeat(argument, dim, Place(position))
            for position, (argument, dim) in enumerate(zip(args, dims, strict=True))
        )
        kwargs = {
            name: self._repeat(argument, self.dims.keyword(name), Place(name))
            for name, argument in kwargs.items()
        }

        if not self.places:
            raise ValueError(
                f"expectation(samples={self.samples}) found no tensor to repeat among the "
                "arguments: pass the inputs as arguments, and mark only those without rows None in "
                "in_dims"
            )
        self._count = self.rows.first or 0
        for place, sequence in self._sequences:
            if len(sequence) == self._count:
                self._refuse(place, f"{_kind(sequence)} with an entry for each row")
        return args, kwargs

    def summary(self) -> str:
        """What was repeated, as a note on a later error."""
        keys = dict.fromkeys(place.key for place in self.places)
        labels = " and ".join(argument_label(self.fn, key) for key in keys)
        return (
            f"expectation(samples={self.samples}) repeated the {self._count} rows of {labels} to "
            f"{self._count * self.samples}: if one of them has no rows and only happens to be as "
            "long as the batch, mark it None in in_dims"
        )

    # ------------------------------------------------------------ values

    def _repeat(self, value: Any, dim: int | None, place: Place) -> Any:
        """A value whose rows are along `dim`; None leaves it as it is."""
        if dim is None:
            return value
        if isinstance(value, Tensor):
            return self._repeat_tensor(value, dim, place)
        if isinstance(value, PASSING):
            return value
        if isinstance(value, PackedSequence):
            self._refuse(place, "a PackedSequence")
        if isinstance(value, Sequence) and self._is_settled(value, place):
            return value

        def change(member: Any, path: str) -> Any:
            return self._repeat(member, dim, Place(place.key, place.path + path))

        try:
            container = map_members(value, change)
        except RebuildError as error:
            self._refuse(place, f"{_kind(value)} that cannot be rebuilt ({error})")
        if not isinstance(value, tuple | list) and container is value:
            self._check_object(value, place)
        return container

    def _repeat_tensor(self, tensor: Tensor, dim: int, place: Place) -> Tensor:
        """The tensor with every row repeated `samples` times along `dim`."""
        if tensor.is_nested:
            self._refuse(place, "a nested tensor")
        if tensor.layout not in (torch.strided, torch.sparse_coo):
            self._refuse(place, f"a tensor of layout {tensor.layout}")
        shape = tensor.shape
        if not -len(shape) <= dim < len(shape):
            self._refuse(place, f"a tensor of shape {list(shape)} without dimension {dim}")

        if not self.places:
            self.rows.check("an argument of the objective", (shape[dim],))
        elif shape[dim] != self.rows.first:
            self._refuse_other_rows(place, tensor, dim)
        self.places.append(place)
        return torch.cat([tensor] * self.samples, dim)

    def _is_settled(self, value: Sequence[Any], place: Place) -> bool:
        """Whether a sequence passes unchanged; a list of numbers or of strings is refused."""
        if isinstance(value, torch.Size) or hasattr(value, "_fields"):
            return False  # a size or a named tuple is not a list of rows
        if not isinstance(value, list | tuple | deque):
            self._sequences.append((place, value))
            return False
        if not _is_plain(value):
            return False

        # A tuple of numbers is often a size or a range, so its length decides.
        if not isinstance(value, tuple):
            self._refuse(place, _kind(value))
        self._sequences.append((place, value))
        return True

    def _check_object(self, value: Any, place: Place) -> None:
        """Refuse an object that could hold rows."""
        if is_array(value):
            self._refuse(place, f"an array of type {type(value).__name__}")
        path = tensor_path(value)
        if path is not None:
            self._refuse(place, f"{_kind(value)} with a tensor at {path}")

    # ------------------------------------------------------------ refusals

    def _refuse_other_rows(self, place: Place, tensor: Tensor, dim: int) -> NoReturn:
        """Refuse a tensor whose length differs from the first one's; either may be without rows."""
        first = self.places[0]
        label = argument_label(self.fn, first.key)
        shape = list(tensor.shape)
        self._refuse(
            place,
            f"a tensor of shape {shape}, which has {shape[dim]} rows where {label} has "
            f"{self.rows.first}",
            first,
        )

    def _refuse(self, place: Place, what: str, other: Place | None = None) -> NoReturn:
        """Raise an error that says what cannot be repeated, and what to do.

        Args:
            place: where the value is.
            what: a description of it.
            other: the place of another value that may be the one without rows.
        """
        label = argument_label(self.fn, place.key)
        if place.path:
            raise ValueError(
                f"{label} holds at {place.path} {what}, which expectation(samples={self.samples}) "
                "cannot repeat: give tensors with rows, or, if it has no rows, pass it as a "
                "separate argument and mark that None in in_dims"
            )

        keys = [place.key]
        if other is not None and other.key != place.key and not other.path:
            keys.append(other.key)
        settings = [self.dims.without(self.fn, key, self._positional) for key in keys]
        raise ValueError(
            f"{label} is {what}, so expectation(samples={self.samples}) cannot repeat it: give "
            "tensors with rows, or mark the argument without rows None in in_dims, as in "
            f"{' or '.join(settings)}"
        )


def _is_plain(value: Sequence[Any]) -> bool:
    """Whether a sequence is not empty and holds only numbers, strings and None."""
    members = [member for member in value if member is not None]
    return bool(members) and all(isinstance(member, PLAIN) for member in members)


def _kind(value: Any) -> str:
    """A description of an argument, for errors."""
    name = type(value).__name__
    if not isinstance(value, list | tuple | deque) or not _is_plain(value):
        return f"an object of type {name}"
    strings = any(isinstance(member, str | bytes) for member in value)
    return f"a {name} of {'strings' if strings else 'numbers'}"
