"""Score-function gradients for stochastic computation graphs.

Every sampling node is a draw and a weight, and one formula turns the weights and the costs into a
loss. A node w draws z from a density q and carries the differentiable weight ω = p(z) / stop(q(z));
with c the costs and b_w what node w's cost to go is compared with,

    J = mean over rows of  Σ_c (Π_{w before c} ω_w)·c  +  Σ_w Ω_before(w)·(1 − ω_w)·b_w

has the expected cost as the expectation of its value, and its gradient as that of its gradient.
"""

from sfgrad.baselines import Baseline, Constant, LeaveOneOut, MovingAverage
from sfgrad.control_variates.double_cv import DoubleCV
from sfgrad.control_variates.rodeo import Rodeo
from sfgrad.control_variates.self_critical import SelfCritical
from sfgrad.estimators.antithetic import Antithetic, Stratified
from sfgrad.estimators.base import Draw, Estimator
from sfgrad.estimators.disarm import ARMS, DisARM
from sfgrad.estimators.enumerate import Enumerate
from sfgrad.estimators.gumbel_softmax import GumbelSoftmax
from sfgrad.estimators.log_prob import row_log_prob
from sfgrad.estimators.measure_valued import MeasureValued
from sfgrad.estimators.pathwise import Pathwise
from sfgrad.estimators.rebar import Rebar
from sfgrad.estimators.relax import Relax
from sfgrad.estimators.score_function import ScoreFunction
from sfgrad.estimators.straight_through import ReinMax, StraightThrough
from sfgrad.estimators.sum_and_sample import SumAndSample
from sfgrad.estimators.unordered_set import UnorderedSet
from sfgrad.expectation import Expectation, expectation
from sfgrad.functional import leave_one_out, magic_box, score_function_loss, standardize
from sfgrad.graph import StochasticGraph
from sfgrad.greedy import greedy
from sfgrad.group_normalized import GroupNormalized
from sfgrad.joins import VIMCO, Join
from sfgrad.learned import Learned
from sfgrad.node import StochasticNode, add_cost, align, branch, sample
from sfgrad.parameter_noise import ParameterNoise
from sfgrad.plackett_luce import PlackettLuce
from sfgrad.returns import discounted_return, generalized_advantage
from sfgrad.verify.check import check_unbiased
from sfgrad.verify.oracle import exact_gradient
from sfgrad.verify.report import BiasReport

__version__ = "0.1.0"

# fmt: off
__all__ = [  # noqa: RUF022 (ARMS and VIMCO are classes)
    "ARMS", "Antithetic", "Baseline", "BiasReport", "Constant", "DisARM", "DoubleCV", "Draw",
    "Enumerate", "Estimator", "Expectation", "GroupNormalized", "GumbelSoftmax", "Join", "Learned",
    "LeaveOneOut", "MeasureValued", "MovingAverage", "ParameterNoise", "Pathwise", "PlackettLuce",
    "Rebar", "ReinMax", "Relax", "Rodeo", "ScoreFunction", "SelfCritical", "StochasticGraph",
    "StochasticNode", "StraightThrough", "Stratified", "SumAndSample", "UnorderedSet", "VIMCO",
    "add_cost", "align", "branch", "check_unbiased", "discounted_return", "exact_gradient",
    "expectation", "generalized_advantage", "greedy", "leave_one_out", "magic_box", "row_log_prob",
    "sample", "score_function_loss", "standardize",
]
# fmt: on
