"""Copies of models in double precision, with all tensors that they hold."""

import contextlib
import copy
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from sfgrad.buffers import hidden_modules
from sfgrad.containers import map_tensors

Model = TypeVar("Model", bound=nn.Module)


def double_copy(model: Model, known: dict[int, Any]) -> Model:
    """A copy in double precision.

    Tensors that the model holds beside its parameters and buffers are copied too; results of a
    computation (the last logits, an old `weight_norm`) lose their autograd graph.

    Args:
        model: left unchanged.
        known: filled with the copies, by the id of the original.

    Raises:
        ValueError: an attribute cannot be copied; the error names it.
    """
    for tensor in _kept_tensors(model, set()):
        twin = double(tensor.detach().clone())
        known[id(tensor)] = twin.requires_grad_(tensor.requires_grad and tensor.is_leaf)
    try:
        result = copy.deepcopy(model, known).double()
        for inner in hidden_modules(getattr(result, "fn", None)):
            inner.double()
        return result
    except Exception as error:
        path, value = _culprit(model, known)
        raise ValueError(
            f"the check runs a copy of the model, but {path} ({type(value).__name__}) cannot be "
            f"copied ({error}): keep it outside the model, or give its class __deepcopy__"
        ) from error


@contextlib.contextmanager
def double_by_default() -> Generator[None]:
    """Numbers that a model makes by itself, `torch.zeros(3)` or `z - 0.3`, are double as well."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    except RuntimeError as error:
        error.add_note(
            "It happened in the copy of the model that check_unbiased() runs in double precision. "
            "If types do not match, let what the model computes follow its input, as in z.to(x) in "
            "place of z.float()."
        )
        raise
    finally:
        torch.set_default_dtype(before)


def double(tensor: Tensor) -> Tensor:
    """The tensor in double precision, unless it holds whole numbers."""
    return tensor.double() if tensor.is_floating_point() else tensor


def double_all(nest: Any) -> Any:
    """A nested container with every tensor in double precision."""
    return map_tensors(nest, double)


def _kept_tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """The tensors in an object, except parameters, which a copy covers anyway."""
    if id(value) in seen or isinstance(value, type | str | bytes):
        return
    seen.add(id(value))
    if torch.is_tensor(value):
        if not isinstance(value, nn.Parameter):
            yield value
    elif isinstance(value, dict):
        for item in list(value.values()):
            yield from _kept_tensors(item, seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _kept_tensors(item, seen)
    elif hasattr(value, "__self__"):  # a bound method, which is copied with its object
        yield from _kept_tensors(value.__self__, seen)
    elif hasattr(value, "__dict__") and not callable(getattr(value, "__get__", None)):
        yield from _kept_tensors(vars(value), seen)


def _culprit(model: nn.Module, known: dict[int, Any]) -> tuple[str, Any]:
    """The path and value of the first attribute that cannot be copied."""
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_") and name in vars(nn.Module()):
                continue
            try:
                copy.deepcopy(value, dict(known))
            except Exception:
                place = path.removeprefix("fn").removeprefix(".")
                return f"attribute {'.'.join(part for part in (place, name) if part)!r}", value
    return "it", model
