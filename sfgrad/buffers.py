"""Buffers of modules: running statistics that keep their precision, and those of one more run."""

import contextlib
from collections.abc import Callable, Generator, Iterable
from typing import Self

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
