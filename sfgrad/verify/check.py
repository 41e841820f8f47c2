"""Is the gradient unbiased? A test of any estimator on the user's own model."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from sfgrad.estimators.base import Estimator
from sfgrad.verify import oracle
from sfgrad.verify.bias import BiasTest, Exact, Sampled
from sfgrad.verify.copies import double_by_default
from sfgrad.verify.outcomes import HiddenRandomnessError, IntractableError, Quadrature
from sfgrad.verify.report import BiasReport
from sfgrad.verify.runs import Runs, flat
from sfgrad.verify.scores import ScoreTest
from sfgrad.verify.settings import check_chance, check_mode, refuse_inference


def check_unbiased(
    fn: Callable[..., Any],
    *inputs: Any,
    samples: int = 1,
    wrt: Sequence[Tensor] | None = None,
    mode: Literal["auto", "exact", "monte_carlo"] = "auto",
    rtol: float = 1e-9,
    error_rate: float = 1e-6,
    repeats: int = 1000,
    reference: Estimator | None = None,
    max_outcomes: int = 10_000,
    quadrature: Quadrature = None,
    batch_ndims: int = 1,
    seed: int | None = None,
) -> BiasReport:
    """Test whether the value and the gradient of the loss have the right expectation.

    Exact mode sums the loss and its gradient over every joint outcome of the estimator's own draws
    (all rows, all copies), weighted by its probability, on a copy in double precision. It compares
    the sums with `exact_gradient`. Monte Carlo mode compares the mean of independent runs,
    coordinate by coordinate, with `exact_gradient`, or with the mean of a reference estimator if
    the exact gradient is not available. Baselines do not learn during the check. If there is a
    bias, each node is tested alone, with unbiased estimators at all others, to name the causes.

    Neither comparison tells whether draws follow the density that scores them. They do not if the
    sampler clips or explores, and the score misses a support that moves with a parameter. So both
    modes also test, with real draws, that the mean score of every scored node is 0. Pathwise values
    and masked elements have no score.

    Chance: a distance beyond Student's t quantile counts only if it recurs with 16 times as many
    fresh draws, since the estimates may be far from Gaussian; one beyond 20 standard errors of at
    least 100 runs counts at once. If all runs agree on a value other than the truth, the report is
    inconclusive: false, but not called biased.

    Args:
        fn: a model or function as `expectation` takes it, or an `expectation`.
        *inputs: its arguments; rows first.
        samples: as in `expectation`.
        wrt: with respect to which tensors; the parameters of `fn` except its baselines' if None.
            Tensors that are not parameters of `fn` are used as they are: make them float64.
        mode: "exact", "monte_carlo", or "auto": exact if there are few enough outcomes.
        rtol: tolerance for rounding, relative to the mean magnitude of the estimate.
        error_rate: the probability, at most, that a correct program is called biased, over all
            random comparisons together (Bonferroni).
        repeats: runs of the model with real draws, at least 30; in exact mode for the scores alone.
            At least 2,000 draws of every node are scored.
        reference: in Monte Carlo mode, the estimator to compare with, used at every node (credited
            with every cost) instead of the exact gradient. None compares with the exact gradient,
            or with `ScoreFunction()` if that is not available.
        max_outcomes: refuse exact mode above this; also the limit of `exact_gradient`.
        quadrature: as in `exact_gradient`; exact mode then covers Gaussian nodes too.
        batch_ndims: as in `expectation`.
        seed: of Monte Carlo mode, which then restores torch's generator; None draws from that
            generator. Exact mode leaves the generator untouched.

    Returns:
        A report, true if no bias was found, which prints what was compared with what, the
        parameters and nodes at fault, the size of the bias, and in Monte Carlo mode how large a
        bias could have gone unseen.

    Raises:
        TypeError: a setting has the wrong type.
        ValueError: exact mode is requested but impossible; there is no tensor to
            differentiate with respect to; `repeats` is below 30; the model cannot be copied;
            `samples` or `batch_ndims` differ from those of an `expectation`; or `exact_gradient`
            refuses the model.

    Unbiased: this tests it.

    Source: exact mode is the gradient check of Zaremba & Sutskever (2015), Reinforcement Learning
    Neural Turing Machines, section 6, applied to the estimator instead of the model.

    Examples:
        >>> from torch.distributions import Bernoulli
        >>> import sfgrad as sf
        >>> eta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        >>> fn = lambda: (sf.sample(Bernoulli(logits=eta)) - 0.45) ** 2
        >>> bool(sf.check_unbiased(fn, wrt=[eta]))
        True
    """
    check_mode(mode)
    check_chance(rtol, error_rate, repeats, seed)
    refuse_inference()
    with double_by_default():
        runs = Runs(oracle.as_objective(fn, batch_ndims, samples), inputs, wrt)
        settings = _Settings(mode, rtol, error_rate, repeats, reference, seed)
        return _report(runs, settings, max_outcomes, quadrature)


class _Settings(NamedTuple):
    """Those of a check."""

    mode: str
    rtol: float
    error_rate: float
    repeats: int
    reference: Estimator | None
    seed: int | None


def _report(
    runs: Runs, settings: _Settings, max_outcomes: int, quadrature: Quadrature
) -> BiasReport:
    """The report in the mode that was asked for, or is possible."""
    mode, rtol, error_rate, repeats, reference, seed = settings

    # Compare with the exact gradient, unless there is none or another reference is requested.
    exact = None
    if mode != "monte_carlo" or reference is None:
        exact = _exact(runs, mode, max_outcomes, quadrature)
    if exact is not None and mode != "monte_carlo":
        try:
            report = BiasTest(runs, exact, rtol, error_rate, repeats=None).report()
        except IntractableError:
            if mode == "exact":
                raise
        else:
            with _seeded(0, runs.device):
                return ScoreTest(runs, rtol, error_rate, repeats).complete(report)

    # Half of the error rate is for the gradient, half for the scores.
    with _seeded(seed, runs.device):
        compared = exact or Sampled(runs, reference, repeats)
        report = BiasTest(runs, compared, rtol, error_rate / 2, repeats).report()
        return ScoreTest(runs, rtol, error_rate / 2, repeats).complete(report)


def _exact(runs: Runs, mode: str, max_outcomes: int, quadrature: Quadrature) -> Exact | None:
    """The exact value and gradient, or None if they are not available.

    Raises:
        ValueError: exact mode is requested, or the graph does not know of some randomness.
    """
    try:
        value, gradients = oracle.exact_gradient(
            runs.model,
            *runs.inputs,
            wrt=runs.wrt,
            max_trajectories=max_outcomes,
            quadrature=quadrature,
        )
    except IntractableError:
        if mode == "exact":
            raise
        return None
    except HiddenRandomnessError as error:
        if mode == "monte_carlo":
            runs.hidden = True
            return None
        raise ValueError(
            f"{error}; mode='monte_carlo' compares with a reference estimator instead"
        ) from error
    return Exact(flat([value, *gradients]), max_outcomes, quadrature)


@contextlib.contextmanager
def _seeded(seed: int | None, device: torch.device) -> Generator[None]:
    """Seed the generators inside the block and restore them afterwards; None does nothing."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices, enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
            for used in devices:
                with torch.cuda.device(used):
                    torch.cuda.manual_seed(seed)
        yield
