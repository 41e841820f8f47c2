"""A module around a model, and its place in a larger module."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from sfgrad.warn import warn_user


class Wrapper(nn.Module):
    """Holds a function or a module as `fn`.

    As an attribute of the very module that it holds it would form a cycle, in which torch recurses
    without end; this is refused. Beside that module in a larger one, it puts every parameter into
    the `state_dict` twice; this warns.

    Args:
        fn: the function or module.
    """

    _is_apart = False  # True once it is known to be outside `fn`

    def __init__(self, fn: Callable[..., Any]):
        super().__init__()
        self.fn = fn
        self.register_state_dict_post_hook(_warn_of_copies)

    def check_apart(self) -> None:
        """Refuse to be a submodule of `fn`."""
        path = self._path_inside()
        if path is not None:
            name = type(self.fn).__name__
            raise ValueError(
                f"{name}.{path} is an expectation of the {name} that it is a part of, so neither "
                "can be run, moved or saved: call expectation(model) outside the model"
            )

    def check_apart_once(self) -> None:
        """Refuse to be a submodule of `fn`, on the first call."""
        if not torch.compiler.is_compiling() and not self._is_apart:
            self.check_apart()
            self._is_apart = True

    def _path_inside(self) -> str | None:
        """Where it is inside `fn`; None if it is not."""
        if isinstance(self.fn, nn.Module):
            for path, module in self.fn.named_modules():
                if module is self:
                    return path
        return None

    # ------------------------------------------------------------ where torch visits submodules

    def train(self, mode: bool = True) -> Self:
        """As of any module."""
        self.check_apart()
        return super().train(mode)

    def apply(self, fn: Callable[[nn.Module], None]) -> Self:
        """As of any module."""
        self.check_apart()
        return super().apply(fn)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As of any module."""
        self.check_apart()
        return super().state_dict(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As of any module, for `to`, `cuda`, `double` and so on."""
        self.check_apart()
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """As of any module, for `load_state_dict`."""
        self.check_apart()
        super()._load_from_state_dict(*args, **kwargs)

    def __repr__(self) -> str:
        """As of any module; without `fn` if it is a part of `fn`."""
        if self._path_inside() is None:
            return super().__repr__()
        return f"{type(self).__name__}({self.extra_repr()}, fn: {type(self.fn).__name__} around it)"


def _warn_of_copies(
    wrapper: Wrapper, state: dict[str, Any], prefix: str, _metadata: dict[str, Any]
) -> None:
    """Warn if all that the wrapped module saves is in the `state_dict` already."""
    own = f"{prefix}fn."
    entries = {
        key.removeprefix(own): value
        for key, value in state.items()
        if key.startswith(own) and isinstance(value, Tensor) and value.numel()
    }
    if not entries:
        return

    first = next(iter(entries))
    others = [key.removesuffix(first) for key in state if key.endswith(first)]
    for other in others:
        if other == own or not (other == "" or other.endswith(".")):
            continue
        if all(_is_same(state.get(f"{other}{key}"), value) for key, value in entries.items()):
            warn_user(
                f"the state_dict has all of {type(wrapper.fn).__name__} twice, under {other!r} and "
                f"{own!r}, since the module holds both the model and an expectation of it: call "
                "expectation(model) outside the module, or hold the model only as the fn of "
                "the expectation"
            )
            return


def _is_same(tensor: Any, other: Tensor) -> bool:
    """Whether both are the same object or share memory."""
    if tensor is other:
        return True
    plain = (Tensor, nn.Parameter)  # subclasses may have no address
    if type(tensor) not in plain or type(other) not in plain:
        return False
    if tensor.layout != torch.strided or other.layout != torch.strided:
        return False
    return tensor.data_ptr() == other.data_ptr() != 0 and tensor.shape == other.shape
