"""Whether the values of tensors can be looked at, which tracing and function transforms forbid."""

from typing import Any

import torch
from torch import Tensor


def is_readable(tensor: Tensor) -> bool:
    """Whether a branch may depend on the values: not while compiled, on meta, or in torch.func."""
    if torch.compiler.is_compiling() or tensor.is_meta:
        return False
    transforms: Any = torch._C._functorch  # pyright: ignore
    return transforms.peek_interpreter_stack() is None
