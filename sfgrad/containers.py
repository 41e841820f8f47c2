"""Containers of tensors, which can be rebuilt around other members, and tensors in objects."""

import dataclasses
import functools
import types
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from numbers import Number
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution, Transform
from torch.utils._pytree import tree_flatten, tree_unflatten

Change = Callable[[Any, str], Any]
"""Maps a member and its path in the container, `[0]` or `.x`, to the new member."""

PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, Number)
"""None, flags, numbers and strings."""

OPAQUE = (
    nn.Module,
    Distribution,
    Transform,
    type,
    types.ModuleType,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    functools.partial,
)
"""Types whose tensors, if any, are not rows of a batch."""

ARRAYS = ("__array__", "__array_interface__", "__dlpack__")
"""Attributes that mark arrays of other libraries, tables and images."""

DEPTH = 4
"""How deep to look for tensors inside an object, as in `.store.batch['x'][0]`."""


class RebuildError(TypeError):
    """A container cannot be rebuilt around other members."""


# ---------------------------------------------------------------- the same around other members


def map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The value with the function applied to every tensor in it.

    A container that cannot be rebuilt is left unchanged.
    """
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, PLAIN + OPAQUE):
        return value
    try:
        return map_members(value, lambda member, _: map_tensors(member, function))
    except RebuildError:
        return value


def map_members(value: Any, change: Change) -> Any:
    """A container like this one, with every member changed.

    Containers are tuples, named tuples, lists, mappings, dataclasses, and classes registered with
    `torch.utils._pytree`. Anything else is returned unchanged, and so is a container of a class
    other than `tuple`, `list` or `dict` if no member changes.

    Raises:
        RebuildError: its class cannot be called with the members.
    """
    kind = type(value)
    if isinstance(value, tuple | list):
        return _map_sequence(value, change)
    if kind is dict:
        return {key: change(member, f"[{key!r}]") for key, member in value.items()}
    if kind in (OrderedDict, defaultdict):
        return _map_mapping(value, change)

    # A registered class says itself how to rebuild it.
    members, structure = tree_flatten(value, is_leaf=lambda member: member is not value)
    if not (len(members) == 1 and members[0] is value):
        changed = [change(member, f"[{i}]") for i, member in enumerate(members)]
        return tree_unflatten(changed, structure)
    if isinstance(value, Mapping):
        return _map_mapping(value, change)
    return _map_dataclass(value, change) if dataclasses.is_dataclass(value) else value


def _map_sequence(value: Any, change: Change) -> Any:
    """A tuple or list of the same class."""
    kind = type(value)
    fields = getattr(value, "_fields", None)  # of a named tuple
    paths = [f"[{i}]" for i in range(len(value))] if fields is None else [f".{f}" for f in fields]
    members = [change(member, path) for member, path in zip(value, paths, strict=True)]
    if kind in (tuple, list):
        return kind(members)
    if _is_same(members, value):
        return value
    try:
        return kind._make(members) if hasattr(kind, "_make") else kind(members)
    except Exception as error:
        raise RebuildError(f"{kind.__name__} of a list of members: {error}") from error


def _map_mapping(value: Any, change: Change) -> Any:
    """A mapping of the same class, from a dict."""
    kind = type(value)
    before = dict(value.items())
    members = {key: change(member, f"[{key!r}]") for key, member in before.items()}
    if _is_same(members.values(), before.values()):
        return value

    try:
        if isinstance(value, defaultdict):
            return kind(value.default_factory, members)
        mapping = kind(members)
        is_complete = mapping.keys() == members.keys()
    except Exception as error:
        raise RebuildError(f"{kind.__name__}(dict) fails: {error}") from error
    if not is_complete:
        raise RebuildError(f"{kind.__name__}(dict) does not keep the keys of the dict")

    # Attributes beside the members, such as a tokenizer's encodings, unless the class set them.
    for name, attribute in attributes(value):
        holds_members = isinstance(attribute, Mapping) and attribute.keys() == members.keys()
        if not holds_members and getattr(mapping, name, None) is None:
            object.__setattr__(mapping, name, attribute)
    return mapping


def _map_dataclass(value: Any, change: Change) -> Any:
    """A dataclass of the same class, by `dataclasses.replace`, frozen or not."""
    kind = type(value)
    given = [field.name for field in dataclasses.fields(value) if field.init]
    before = {name: getattr(value, name) for name in given}
    members = {name: change(member, f".{name}") for name, member in before.items()}
    others = {name: member for name, member in attributes(value) if name not in before}
    if _is_same(members.values(), before.values()) and tensor_path(others) is None:
        return value

    try:
        copy = dataclasses.replace(value, **members)
    except Exception as error:
        raise RebuildError(f"dataclasses.replace({kind.__name__}) fails: {error}") from error

    # Fields that are not constructor arguments, and attributes that are not fields, are lost unless
    # __post_init__ computes them.
    for name, member in others.items():
        if not _is_computed(copy, name):
            object.__setattr__(copy, name, change(member, f".{name}"))
    return copy


def _is_computed(copy: Any, name: str) -> bool:
    """Whether the class itself computes this attribute from its other fields."""
    kind = type(copy)
    if isinstance(getattr(kind, name, None), functools.cached_property):
        return True
    if not hasattr(kind, "__post_init__") or not hasattr(copy, name):
        return False
    field = kind.__dataclass_fields__.get(name)
    if field is None:
        return True
    is_default = getattr(copy, name) is field.default
    return not is_default and field.default_factory is dataclasses.MISSING


def _is_same(members: Any, before: Any) -> bool:
    """Whether no member changed."""
    return all(new is old for new, old in zip(members, before, strict=True))


# ---------------------------------------------------------------- what is inside


def tensor_path(value: Any, depth: int = DEPTH) -> str | None:
    """The path to the first tensor or array with dimensions in an object; None without any."""
    if isinstance(value, Tensor):
        return "" if value.dim() else None
    if is_array(value):
        return ""
    if not depth or isinstance(value, PLAIN + OPAQUE):
        return None
    for name, member in _inside(value):
        path = tensor_path(member, depth - 1)
        if path is not None:
            return name + path
    return None


def is_array(value: Any) -> bool:
    """Whether it is an array of another library, with at least one dimension."""
    kind = type(value)
    return any(hasattr(kind, name) for name in ARRAYS) and getattr(value, "ndim", 1) != 0


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """Members and attributes, each with its path, `[0]` or `.x`."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            yield f"[{key!r}]", member
    elif isinstance(value, tuple | list | Set):
        for i, member in enumerate(value):
            yield f"[{i}]", member
    for name, member in attributes(value):
        yield f".{name}", member


def attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes in an object's `__dict__` and `__slots__`, by name."""
    yield from list(getattr(value, "__dict__", {}).items())
    for kind in type(value).__mro__:
        for name, slot in vars(kind).items():
            if isinstance(slot, types.MemberDescriptorType) and hasattr(value, name):
                yield name, getattr(value, name)
