"""Verification on the user's own model: the exact gradient, and the test for bias."""

from sfgrad.verify.check import check_unbiased
from sfgrad.verify.oracle import exact_gradient
from sfgrad.verify.report import BiasReport, Comparison

__all__ = ["BiasReport", "Comparison", "check_unbiased", "exact_gradient"]
