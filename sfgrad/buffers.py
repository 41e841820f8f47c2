"""Buffers of modules: running statistics that keep their precision, and those lent to a run."""

import contextlib
import functools
from collections.abc import Callable, Generator, Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn


class Precise(nn.Module):
    """A module whose own buffers are kept in single precision at least."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move, or change the precision, but not to one that forgets small changes."""
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, value in before.items():
            moved: Tensor = getattr(self, name)
            if moved.is_floating_point() and moved.dtype.itemsize < value.dtype.itemsize:
                dtype = torch.promote_types(moved.dtype, torch.float32)
                setattr(self, name, value.to(moved.device, dtype))
        return self


@contextlib.contextmanager
def lent(modules: Iterable[nn.Module]) -> Generator[None]:
    """Within the block modules have copies of their buffers, which are dropped afterwards.

    The buffers themselves are not touched, so that gradients which need them can still be taken.
    """
    owners = {owner for module in modules for owner in module.modules()}
    buffers = [(owner, *named) for owner in owners for named in owner.named_buffers(recurse=False)]
    copies = {id(buffer): buffer.clone() for _, _, buffer in buffers}
    try:
        for owner, name, buffer in buffers:
            setattr(owner, name, copies[id(buffer)])
        yield
    finally:
        for owner, name, buffer in buffers:
            setattr(owner, name, buffer)


def modules_of(fn: Any) -> list[nn.Module]:
    """A model's modules, as far as they can be seen: itself, what it is bound to, its closure."""
    if isinstance(fn, nn.Module):
        return [fn]
    cells = getattr(fn, "__closure__", None) or ()
    enclosed = [cell.cell_contents for cell in cells if _is_filled(cell)]
    return [*hidden_modules(fn), *(part for part in enclosed if isinstance(part, nn.Module))]


def _is_filled(cell: Any) -> bool:
    """Whether the variable that a closure refers to has a value."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def hidden_modules(fn: Any) -> list[nn.Module]:
    """The modules behind a bound method or a `functools.partial`, which torch does not see."""
    if isinstance(fn, functools.partial):
        parts = [fn.func, *fn.args, *fn.keywords.values()]
    else:
        parts = [getattr(fn, "__self__", None)]
    if fn is None or isinstance(fn, nn.Module) or parts == [None]:
        return []
    modules = [part for part in parts if isinstance(part, nn.Module)]
    return modules + [module for part in parts for module in hidden_modules(part)]
