"""Is the gradient unbiased? Tests any estimator on the user's own model."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from sfgrad.estimators.base import Estimator
from sfgrad.verify import oracle
from sfgrad.verify.bias import BiasTest, Exact, Sampled
from sfgrad.verify.outcomes import HiddenRandomnessError, IntractableError, Quadrature
from sfgrad.verify.report import BiasReport
from sfgrad.verify.runs import Runs, flat
from sfgrad.verify.scores import ScoreTest
from sfgrad.verify.settings import check_chance, check_mode


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
    """Test whether value and gradient of the loss have the right expectation.

    Exact mode sums the loss and its gradient over every joint outcome of the estimator's own draws
    (all rows, all copies), weighed by its probability, on a copy in double precision, and compares
    with `exact_gradient`. Monte Carlo mode compares the mean of independent runs, coordinate by
    coordinate, with `exact_gradient`, or, where that is not to be had, with the mean of a
    reference estimator. Baselines do not learn meanwhile. When there is a bias, each node is
    tested alone, all others made plainly unbiased, to name those that cause it.

    Neither sees whether a distribution draws what it scores: a sampler that clips, or explores, or
    whose support moves with a parameter. So both modes also test, with real draws, that the mean
    score of every scored node is 0. Pathwise values and masked elements have no score.

    Chance: a distance beyond Student's t quantile, but below 20 standard errors or of fewer than
    100 runs, counts only if it comes again with 16 times as many fresh draws, since the estimates
    may be far from Gaussian.
    Where all runs agree on something else than the truth the report is inconclusive: false, but
    not called biased.

    Args:
        fn: a model or function as `expectation` takes it, or an `expectation`.
        *inputs: its arguments; rows first.
        samples: as in `expectation`.
        wrt: the tensors to differentiate by; the parameters of `fn` except its baselines' if None.
            Tensors that are not parameters of `fn` are used as they are: make them float64.
        mode: "exact", "monte_carlo", or "auto": exact if there are few enough outcomes.
        rtol: tolerance for rounding, relative to the mean magnitude of the estimate.
        error_rate: probability that a right program is called biased, at most, over all random
            comparisons together (Bonferroni).
        repeats: runs of the model with real draws, at least 30; in exact mode for the scores alone.
            Of every node at least 2,000 draws are scored.
        reference: in Monte Carlo mode, compare with this estimator at every node (credited with
            every cost) instead of the exact gradient; where there is none, `ScoreFunction()`.
        max_outcomes: refuse exact mode above this; also the oracle's limit of trajectories.
        quadrature: as in `exact_gradient`; exact mode then covers Gaussian nodes too.
        batch_ndims: as in `expectation`.
        seed: of Monte Carlo mode, after which torch's generator is as before; None goes on with
            it. Exact mode never moves it.

    Returns:
        A report, true if no bias was found, which prints what was compared with what, the
        parameters and nodes at fault, the size of the bias, and in Monte Carlo mode how large a
        bias could have been seen.

    Raises:
        TypeError: a setting is of another type.
        ValueError: exact mode was asked for and is impossible; there is nothing to differentiate
            by; `repeats` is below 30; the model cannot be copied; `samples` or `batch_ndims` differ
            from those of an `expectation`; and what `exact_gradient` refuses.

    Unbiased: this is the test of it.

    Source: exact mode is the gradient check of Zaremba & Sutskever (2015), Reinforcement Learning
    Neural Turing Machines, section 6, carried from the model to the estimator.

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
    runs = Runs(oracle.as_objective(fn, batch_ndims, samples), inputs, wrt)

    # The exact gradient is what to compare with, unless there is none or another is asked for.
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
    """The exact value and gradient, or None where they are not to be had.

    Raises:
        ValueError: they were asked for, or the model is random without telling the graph.
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
            return None
        raise ValueError(
            f"{error}; mode='monte_carlo' compares with a reference estimator instead"
        ) from error
    return Exact(flat([value, *gradients]), max_outcomes, quadrature)


@contextlib.contextmanager
def _seeded(seed: int | None, device: torch.device) -> Generator[None]:
    """With a seed, random numbers of their own; the generators are as before afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices, enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
            for used in devices:
                with torch.cuda.device(used):
                    torch.cuda.manual_seed(seed)
        yield
