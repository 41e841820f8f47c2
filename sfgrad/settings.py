"""Checks of the arguments that users give, and their description in words."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import torch


def describe(value: object) -> str:
    """A value in words, such as "4.0", "the class Bernoulli" or "a tensor of shape [4]"."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        return f"the string {value!r}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if torch.is_tensor(value) and type(value) is not torch.nn.Parameter:
        return f"a tensor of shape {list(value.shape)}"
    kind = {"ndarray": "numpy array"}.get(type(value).__name__, type(value).__name__)
    article = "an" if kind[0] in "aeiouAEIOU" else "a"
    if isinstance(value, list | tuple | dict) and value:
        return f"{article} {kind} that begins with {describe(next(iter(value)))}"
    return f"{article} {kind}"


def whole_number(name: str, value: Any) -> int:
    """A count, as an int.

    Args:
        name: the argument's name, for errors.
        value: the argument.

    Raises:
        ValueError: it is below 1.
        TypeError: it is not a whole number, or is a bool.
    """
    if type(value) is int and value >= 1:
        return value
    if not is_whole(value):
        raise TypeError(
            f"{name} is {describe(value)}: it must be a whole number, at least 1, as in {name}=2"
        )
    if value < 1:
        raise ValueError(f"{name} is {value}: it must be at least 1")
    return int(value)


def is_whole(value: object) -> bool:
    """Whether it is a whole number, but not a bool or a tensor."""
    if type(value) is int:
        return True
    return not isinstance(value, bool) and isinstance(value, Integral)


def is_number(value: object) -> bool:
    """Whether it is a real number, but not a bool or a tensor."""
    return not isinstance(value, bool) and isinstance(value, Real)


def positive_number(name: str, value: Any) -> float:
    """A finite number above 0, as it is.

    Args:
        name: the argument's name, for errors.
        value: the argument.

    Raises:
        ValueError: it is 0, below, infinite or not a number.
        TypeError: it is not a number, or is a bool or a tensor.
    """
    if not is_number(value):
        raise TypeError(f"{name} is {describe(value)}: it must be a number above 0, as in {name}=1")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}: it must be a finite number above 0")
    return value


def list_of_names(what: str, value: Any) -> list[str]:
    """Names, as a list.

    Raises:
        TypeError: it is something else.
    """
    if torch.is_tensor(value) or not isinstance(value, Iterable):
        raise TypeError(f"{what} is {describe(value)}: give a list of names")
    names: list[Any] = list(value)
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise TypeError(f"{what} holds {describe(wrong[0])}: give a list of names")
    return names


def row_dimensions(batch_ndims: Any) -> int:
    """How many leading dimensions are rows, as an int.

    Raises:
        ValueError: it is below 0.
        TypeError: it is not a whole number, or is a bool.
    """
    if is_whole(batch_ndims) and batch_ndims >= 0:
        return int(batch_ndims)
    error = ValueError if is_whole(batch_ndims) else TypeError
    raise error(
        f"batch_ndims is {describe(batch_ndims)}: it must be 1 (rows first), 0 (one row) or the "
        "number of leading dimensions that are rows"
    )


def check_replay(draws: Any, max_ratio: Any) -> None:
    """Refuse draws without names, and a largest ratio that is not a number above 0.

    Args:
        draws: to replay, or None.
        max_ratio: largest importance ratio, or None.

    Raises:
        ValueError: the ratio is not above 0.
        TypeError: a setting has the wrong type.
    """
    are_named = isinstance(draws, Mapping) and all(isinstance(name, str) for name in draws)
    if draws is not None and not are_named:
        advice = "; those of a graph are graph.draws" if hasattr(draws, "draws") else ""
        raise TypeError(
            f"draws= is {describe(draws)}: give a dict of what each node drew, by its name, as in "
            f"draws={{'move': value}}{advice}"
        )
    if max_ratio is None:
        return
    if not is_number(max_ratio):
        raise TypeError(f"max_ratio is {describe(max_ratio)}: it must be a number above 0")
    if not max_ratio > 0:
        raise ValueError(f"max_ratio is {max_ratio}: it must be above 0")


def accepts(function: Callable[..., Any], *arguments: object) -> bool:
    """Whether a function can be called with this number of arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # builtins may have no signature
        return True
    return True
