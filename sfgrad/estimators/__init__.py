"""Estimators: one small file per family behind the protocol in `base`."""

from sfgrad.estimators.base import Draw, Estimator, row_log_prob
from sfgrad.estimators.enumerate import Enumerate
from sfgrad.estimators.pathwise import Pathwise
from sfgrad.estimators.score_function import ScoreFunction

__all__ = ["Draw", "Enumerate", "Estimator", "Pathwise", "ScoreFunction", "row_log_prob"]
