"""Who keeps a module, as the interpreter knows it: slow, and only for what looks suspicious."""

import gc
import sys
from typing import Any

from torch import nn


def is_kept(module: nn.Module) -> bool:
    """Whether what a module learns outlives the call that made it.

    It does if another module has it as a submodule; or if it has no parameters and buffers of its
    own, and its submodules are held by somebody else as well (a critic of the model, say).
    """
    if _has_owner(module):
        return True
    states = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    children: dict[str, Any] = module._modules  # pyright: ignore[reportPrivateUsage]
    return bool(children) and not states and all(_is_shared(children, name) for name in children)


def _has_owner(module: nn.Module) -> bool:
    """Whether it is a submodule of any module."""
    for holder in gc.get_referrers(module):
        if isinstance(holder, dict) and _is_of_module(holder):
            return True
    return False


def _is_of_module(submodules: dict[Any, Any]) -> bool:
    """Whether a dictionary is that of the submodules of a module."""
    for holder in gc.get_referrers(submodules):
        # Either the module itself, or the dictionary of its attributes.
        attributes = vars(holder) if isinstance(holder, nn.Module) else holder
        if isinstance(attributes, dict) and attributes.get("_modules") is submodules:
            return True
    return False


def _is_shared(modules: dict[str, Any], name: str) -> bool:
    """Whether anybody else holds an entry, also as a local variable."""
    alone = {name: nn.Identity()}
    return sys.getrefcount(modules[name]) > sys.getrefcount(alone[name])
