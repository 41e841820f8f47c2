"""`in_dims`: which dimension of each argument of a call holds the rows."""

import inspect
from collections.abc import Callable, Collection, Mapping
from inspect import Parameter
from typing import Any

from torch import nn

InDims = int | None | tuple[int | None, ...] | Mapping[str, int | None]

Key = int | str
"""An argument of a call: its position, or its name where it is passed by keyword."""

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class RowDims:
    """The row dimension of every argument of a function.

    Args:
        fn: the function or module.
        in_dims: one dimension for all positional arguments; a tuple with one for each; or a dict of
            dimensions by the argument names in the signature of `fn`, 0 for those not named. None
            means that an argument has no rows.

    Raises:
        TypeError: `in_dims` is something else.
        ValueError: it names an argument that `fn` does not take.
    """

    def __init__(self, fn: Callable[..., Any], in_dims: InDims):
        _check_type(in_dims)
        self.in_dims = in_dims
        self.names: list[str] = []
        """The names of positional arguments, if dimensions are given by name."""
        if isinstance(in_dims, Mapping):
            _check_names(fn, in_dims)
            self.names = _positional_names(fn)

    def check_names(self, count: int, keywords: Collection[str]) -> None:
        """Refuse a name that cannot be matched because `fn` does not name all its arguments.

        Args:
            count: how many positional arguments there are.
            keywords: the names of the others.
        """
        if not isinstance(self.in_dims, Mapping) or count <= len(self.names):
            return
        known = {*self.names, *keywords}
        if unknown := [name for name in self.in_dims if name not in known]:
            raise ValueError(
                f"in_dims names the argument {unknown[0]!r}, but the signature of fn does not name "
                "all positional arguments (a compiled model, say, takes *args): pass it by "
                "keyword, or give in_dims as a tuple"
            )

    def positional(self, count: int) -> list[int | None]:
        """The dimension of each of `count` positional arguments."""
        dims = self.in_dims
        if isinstance(dims, Mapping):
            return [dims.get(_name(self.names, position), 0) for position in range(count)]
        if not isinstance(dims, tuple):
            return [dims] * count
        if len(dims) != count:
            raise ValueError(
                f"in_dims has {len(dims)} entries for {count} arguments: give a tuple with an "
                "entry for each positional argument, or a dict, which can also name arguments "
                "passed by keyword"
            )
        return list(dims)

    def keyword(self, name: str) -> int | None:
        """The dimension of an argument passed by keyword."""
        return self.in_dims.get(name, 0) if isinstance(self.in_dims, Mapping) else 0

    def without(self, fn: Callable[..., Any], key: Key, count: int) -> str:
        """The `in_dims` to write so that one more argument has no rows.

        Args:
            fn: the function.
            key: the argument.
            count: how many positional arguments there are.
        """
        dims = self.positional(count)
        names = _positional_names(fn)
        name = key if isinstance(key, str) else _name(names, key)
        if isinstance(key, int) and (isinstance(self.in_dims, tuple) or not name):
            dims[key] = None
            return f"in_dims={tuple(dims)}"

        named: dict[str, int | None] = {}
        for position, dim in enumerate(dims):
            named[_name(names, position)] = dim
        if isinstance(self.in_dims, Mapping):
            named.update(self.in_dims)
        named[name] = None
        return f"in_dims={ {name: dim for name, dim in named.items() if name and dim != 0} }"


def argument_label(fn: Callable[..., Any], key: Key) -> str:
    """The name or number of an argument, for errors."""
    name = key if isinstance(key, str) else _name(_positional_names(fn), key)
    return f"argument {name!r}" if name else f"argument {int(key) + 1}"


def _check_type(in_dims: InDims) -> None:
    """Refuse what is neither a dimension nor a tuple or dict of dimensions."""
    if _is_dim(in_dims):
        return
    if not isinstance(in_dims, tuple | Mapping):
        raise TypeError(
            f"in_dims is {in_dims!r}: give the dimension of the rows, a whole number or None, a "
            "tuple with one for each positional argument, or a dict of them by the names of the "
            "arguments"
        )

    is_named = isinstance(in_dims, Mapping)
    entries = in_dims.items() if isinstance(in_dims, Mapping) else enumerate(in_dims)
    for key, dim in entries:
        if is_named and not isinstance(key, str):
            raise TypeError(
                f"in_dims has the key {key!r}: the keys of a dict are names of arguments, and a "
                "tuple has an entry for each positional one"
            )
        if not _is_dim(dim):
            raise TypeError(
                f"in_dims[{key!r}] is {dim!r}: give a whole number, or None for an argument "
                "without rows; the entry of a container holds for everything in it"
            )


def _is_dim(dim: Any) -> bool:
    """Whether it is a whole number or None."""
    return dim is None or (isinstance(dim, int) and not isinstance(dim, bool))


def _check_names(fn: Callable[..., Any], in_dims: Mapping[str, int | None]) -> None:
    """Refuse names missing from the signature, unless it takes any name or cannot be read."""
    parameters = _parameters(fn)
    if not parameters or any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return
    names = [parameter.name for parameter in parameters if parameter.kind not in VARIADIC]
    if unknown := [name for name in in_dims if name not in names]:
        raise ValueError(
            f"in_dims names the argument {unknown[0]!r}, but fn takes {', '.join(names)}: use the "
            "names in its signature"
        )


def _parameters(fn: Callable[..., Any]) -> list[Parameter]:
    """The parameters in the signature; none if it cannot be read."""
    try:
        signature = inspect.signature(fn.forward if isinstance(fn, nn.Module) else fn)
    except (TypeError, ValueError):
        return []
    return list(signature.parameters.values())


def _positional_names(fn: Callable[..., Any]) -> list[str]:
    """Names of the parameters that take positional arguments, without `*args`."""
    return [parameter.name for parameter in _parameters(fn) if parameter.kind in POSITIONAL]


def _name(names: list[str], position: int) -> str:
    """The name of a positional argument; empty where it has none."""
    return names[position] if position < len(names) else ""
