"""Checks of the settings of `exact_gradient` and `check_unbiased`."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from sfgrad.settings import describe, is_number, is_whole, whole_number

MODES = ("auto", "exact", "monte_carlo")

FEWEST = 30
"""The smallest number of runs whose standard error means something."""


def check_mode(mode: Any) -> None:
    """Refuse a mode that does not exist."""
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}: it must be 'auto', 'exact' or 'monte_carlo'")


def refuse_inference() -> None:
    """Refuse a mode in which nothing has a gradient."""
    if torch.is_inference_mode_enabled():
        raise ValueError(
            "inference_mode() is on, so nothing has a gradient to check: leave it, or use "
            "no_grad(), which the check switches off for itself"
        )


def check_chance(rtol: Any, error_rate: Any, repeats: Any, seed: Any) -> None:
    """Refuse an invalid tolerance, error rate, number of runs or seed.

    Raises:
        ValueError: a number is out of its range.
        TypeError: the runs or the seed are not a whole number.
    """
    if not is_number(rtol) or not rtol >= 0:
        raise ValueError(f"rtol is {describe(rtol)}: it must be a number, at least 0, as in 1e-9")
    if not is_number(error_rate) or not 0 < error_rate < 1:
        raise ValueError(
            f"error_rate is {describe(error_rate)}: it must be a probability above 0 and below 1, "
            "as in 1e-6"
        )
    if whole_number("repeats", repeats) < FEWEST:
        raise ValueError(
            f"repeats is {repeats}: it must be at least {FEWEST}, since the standard error of "
            "fewer runs says too little"
        )
    if seed is not None and not is_whole(seed):
        raise TypeError(f"seed is {describe(seed)}: it must be a whole number or None")


def check_quadrature(quadrature: Any) -> None:
    """Refuse anything but an order or a dict of orders by name.

    Raises:
        ValueError: an order is below 1.
        TypeError: an order is not a whole number.
    """
    if quadrature is None:
        return
    if not isinstance(quadrature, dict):
        whole_number("quadrature", quadrature)
        return
    for name, order in quadrature.items():
        whole_number(f"quadrature[{name!r}]", order)


def check_integrated(quadrature: Any, integrated: Iterable[str]) -> None:
    """Refuse orders for nodes that are not Gaussian, or that do not exist.

    Args:
        quadrature: the setting.
        integrated: the names of the Gaussian nodes in the model.
    """
    names = quadrature if isinstance(quadrature, dict) else {}
    if unknown := [name for name in names if name not in set(integrated)]:
        known = ", ".join(sorted(integrated)) or "none"
        raise ValueError(
            f"quadrature= names {unknown[0]!r}, which is not a Gaussian node of the model: name "
            f"only Gaussian nodes ({known})"
        )


def check_targets(wrt: Any) -> None:
    """Refuse anything but tensors that require a gradient.

    Raises:
        ValueError: a tensor does not require a gradient.
        TypeError: it is not a list of tensors.
    """
    if torch.is_tensor(wrt) or not isinstance(wrt, Iterable):
        raise TypeError(f"wrt is {describe(wrt)}: give a list of tensors, as in wrt=[tensor]")
    for position, tensor in enumerate(wrt):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"wrt[{position}] is {describe(tensor)}: give the tensor itself, as in wrt=[tensor]"
            )
        if not tensor.requires_grad:
            raise ValueError(
                f"wrt[{position}] does not require a gradient: call requires_grad_() on it before "
                "the model uses it"
            )
