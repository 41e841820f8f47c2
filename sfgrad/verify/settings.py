"""The settings of the oracle and the check, refused where they make no sense."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from sfgrad.settings import describe, is_number, is_whole, whole_number

MODES = ("auto", "exact", "monte_carlo")

FEWEST = 30
"""Runs, below which a standard error says little."""


def check_mode(mode: Any) -> None:
    """Refuse a mode that does not exist."""
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}: it must be 'auto', 'exact' or 'monte_carlo'")


def check_chance(rtol: Any, error_rate: Any, repeats: Any, seed: Any) -> None:
    """Refuse what makes no sense of tolerance, error rate, runs and seed.

    Raises:
        ValueError: a number is out of its range.
        TypeError: it is no number.
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
            f"repeats is {repeats}: standard errors of fewer than {FEWEST} runs say too little, "
            "give at least that many"
        )
    if seed is not None and not is_whole(seed):
        raise TypeError(f"seed is {describe(seed)}: it must be a whole number, or None for none")


def check_quadrature(quadrature: Any) -> None:
    """Refuse what is neither an order nor a dict of orders by name.

    Raises:
        ValueError: an order is below 1.
        TypeError: it is no whole number.
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
        integrated: the Gaussian nodes that were met.
    """
    names = quadrature if isinstance(quadrature, dict) else {}
    if unknown := [name for name in names if name not in set(integrated)]:
        known = ", ".join(sorted(integrated)) or "none"
        raise ValueError(
            f"quadrature= names {unknown[0]!r}, which is no Gaussian node of the model: name only "
            f"those that are ({known})"
        )


def check_targets(wrt: Any) -> None:
    """Refuse what cannot be differentiated by.

    Raises:
        ValueError: a tensor does not require a gradient.
        TypeError: it is no list of tensors.
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
                f"wrt[{position}] does not require a gradient: make it by requires_grad_() before "
                "the model uses it"
            )
