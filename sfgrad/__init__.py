"""sfgrad."""

from sfgrad.functional import leave_one_out, magic_box, score_function_loss, standardize
from sfgrad.returns import discounted_return, generalized_advantage

__all__ = [
    "discounted_return",
    "generalized_advantage",
    "leave_one_out",
    "magic_box",
    "score_function_loss",
    "standardize",
]
