"""Warnings that point at the user's own line."""

import sys
import warnings
from pathlib import Path
from types import FrameType

import torch

OURS = tuple(f"{Path(file).parent}/" for file in (__file__, torch.__file__))
"""Where calls go through on their way from the user's line."""


def warn_user(message: str) -> None:
    """Warn at the innermost line that is neither of this library nor of torch."""
    if torch.compiler.is_compiling():
        return
    level = 1
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame.f_code.co_filename.startswith(OURS):
        level += 1
        frame = frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level + 1)
