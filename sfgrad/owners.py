"""Whether a module has an owner, from the interpreter's references: slow, so rarely called."""

import gc
import sys
from typing import Any

from torch import nn


def is_kept(module: nn.Module) -> bool:
    """Whether the state of a module outlives the call that made it.

    It does if another module has it as a submodule; or if it has no parameters or buffers of its
    own, and its submodules are referenced elsewhere too (the model's own critic, say).
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
    """Whether a dictionary is the `_modules` of a module."""
    for holder in gc.get_referrers(submodules):
        # Either the module itself, or the dictionary of its attributes.
        attributes = vars(holder) if isinstance(holder, nn.Module) else holder
        if isinstance(attributes, dict) and attributes.get("_modules") is submodules:
            return True
    return False


def _is_shared(modules: dict[str, Any], name: str) -> bool:
    """Whether an entry is referenced elsewhere too, be it by a local variable."""
    alone = {name: nn.Identity()}
    return sys.getrefcount(modules[name]) > sys.getrefcount(alone[name])
