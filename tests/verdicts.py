"""Random models, right and broken on purpose, through `exact_gradient` and `check_unbiased`.

    .venv/bin/python -m tests.verdicts --programs 2000

Whether a break moves the expectation of value or gradient is decided by enumeration of the tests'
own, which scripts every draw. If it does, the report must be BIASED and name nodes at fault, and no
others; if it does not, the report must be true.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Binomial, Distribution, Normal

import sfgrad as sf
from tests.breaks import RIGHT, Broken, random_break
from tests.enumeration import Script
from tests.library_models import Changes, make_estimators, write
from tests.models import ORDER, Model, brute_force, outcomes, random_model

FAR, NEAR = 1e-6, 1e-9
"""Distances from the truth, relative to the largest figure: a bias, and none."""


def script_draws(script: Script) -> Callable[[str, Distribution], None]:
    """Lets distributions draw what the script says."""

    def scripted(name: str, distribution: Distribution) -> None:
        def choices(weights: Tensor, sample_shape: Any) -> Tensor:
            weights = copies_of(weights, sample_shape)
            rows = weights.reshape(-1, weights.shape[-1]).tolist()
            possible = [[weight for weight in row if weight > 0] for row in rows]  # the first ones
            return torch.tensor([script.choose(row) for row in possible]).reshape(
                weights.shape[:-1]
            )

        def points(sample_shape=()):
            equal = torch.as_tensor(script.weights).expand(*distribution.loc.shape, ORDER)
            noise = torch.as_tensor(script.points)[choices(equal, sample_shape)]
            return distribution.loc + distribution.scale * noise

        def sample(sample_shape=()):
            if isinstance(distribution, Normal):
                return points(sample_shape).detach()
            probs = distribution.probs
            if isinstance(distribution, Bernoulli):
                return choices(torch.stack([1 - probs, probs], -1), sample_shape).to(probs)
            if isinstance(distribution, Binomial):
                return choices(binomial_weights(distribution), sample_shape).to(probs)
            drawn = choices(probs, sample_shape)
            if distribution.event_shape:
                return torch.nn.functional.one_hot(drawn, 3).to(probs)
            return drawn

        distribution.sample = sample
        if isinstance(distribution, Normal):
            distribution.rsample = points

    return scripted


def mean_of_estimator(model: Model, broken: Broken = RIGHT) -> Tensor:
    """The mean of value and gradient over all draws, `[1 + P]`."""
    script = Script(ORDER)
    estimators = estimators_of(model, broken)
    baselines = [e.baseline for e in estimators if e.baseline is not None]
    before = [{k: v.clone() for k, v in b.state_dict().items()} for b in baselines]
    usual, broken.changes.draws = broken.changes.draws, script_draws(script)

    def once() -> Tensor:
        theta = model.theta.clone().requires_grad_()
        fn = write(model, theta, estimators, broken.changes)
        objective = sf.expectation(fn, model.samples, batch_ndims=model.batch_ndims)
        loss = objective(model.inputs())
        (gradient,) = torch.autograd.grad(loss, theta)
        for baseline, state in zip(baselines, before, strict=True):
            baseline.load_state_dict(state)
        return torch.cat([loss.detach().reshape(1), gradient.flatten()])

    try:
        return script.mean(once)
    finally:
        broken.changes.draws = usual


def estimators_of(model: Model, broken: Broken) -> list[sf.Estimator]:
    """The model's, and the broken ones among them."""
    estimators = make_estimators(model)
    return [broken.estimators.get(i, estimator) for i, estimator in enumerate(estimators)]


def moves_expectation(model: Model, broken: Broken) -> bool | None:
    """Whether a break moves the expectation; None if it can hardly be told."""
    if broken.scored is not None:
        return broken.scored
    truth = brute_force(model)
    distance = (mean_of_estimator(model, broken) - truth).abs().max() / truth.abs().max()
    return None if NEAR < distance < FAR else bool(distance >= FAR)


def copies_of(weights: Tensor, sample_shape: tuple[int, ...]) -> Tensor:
    """As many of them as are to be drawn, without their gradient."""
    return weights.detach().expand(*sample_shape, *weights.shape)


def binomial_weights(distribution: Binomial) -> Tensor:
    """The probability of every count up to the largest, `[..., M]`."""
    n, p = distribution.total_count, distribution.logits.sigmoid()
    n = torch.as_tensor(n).double().expand(p.shape)
    counts = range(int(n.max()) + 1)
    weights = [
        torch.tensor([math.comb(int(m), k) for m in n.flatten().tolist()]).reshape(n.shape)
        * p**k
        * (1 - p) ** (n - k).clamp(min=0)
        for k in counts
    ]
    return torch.stack(weights, -1)


# ---------------------------------------------------------------- verdicts


def check(model: Model, broken: Broken = RIGHT, mode: str = "exact", repeats: int = 30) -> Any:
    """The report of `check_unbiased`."""
    theta = model.theta.clone().requires_grad_()
    return sf.check_unbiased(
        write(model, theta, estimators_of(model, broken), broken.changes),
        model.inputs(),
        samples=model.samples,
        wrt=[theta],
        mode=mode,
        repeats=repeats,
        quadrature=ORDER,
        batch_ndims=model.batch_ndims,
        seed=model.seed,
    )


def wrong_oracle(model: Model) -> str:
    """How `exact_gradient` differs from brute force; empty if it does not."""
    theta = model.theta.clone().requires_grad_()
    fn = write(model, theta, make_estimators(model), Changes())
    settings = {"wrt": [theta], "quadrature": ORDER, "batch_ndims": model.batch_ndims}
    value, (gradient,) = sf.exact_gradient(fn, model.inputs(), **settings)
    distance = torch.cat([value.reshape(1), gradient.flatten()]) - brute_force(model)
    return f"off by {distance.abs().max():.1e}" if distance.abs().max() > 1e-9 else ""


def wrong_verdict(model: Model, broken: Broken, report: Any, biased: bool) -> str:
    """What is wrong about a report; empty if nothing is."""
    wanted = "BIASED" if biased else "unbiased"
    if report.verdict != wanted or bool(report) == biased:
        return f"{report.verdict}, not {wanted}"
    names = {name.partition(".")[0] for name in report.nodes}
    if biased and not names and not set(report.untested) & broken.at_fault:
        return "no node is named"
    if not names <= (broken.at_fault if biased else set()):
        return f"names {sorted(names)}, not {sorted(broken.at_fault)}"
    return ""


def wrong_refusal(model: Model) -> str:
    """What is wrong where rows interact, or a cost has noise; empty if nothing is."""
    cases = [(Changes(noise=True), "two replays with the same draws differ")]
    if model.period > 1 and model.nodes[0].kind != "ragged" and all(model.nodes[0].counts):
        cases.append((Changes(rows_interact=True), "rows interact"))
    for changes, words in cases:
        try:
            report = check(model, Broken("refused", set(), changes=changes))
        except ValueError as error:
            if words not in str(error):
                return f"refused by {error}"
        else:
            return f"{report.verdict} where it should say {words!r}"
    return ""


def report_of(model: Model, broken: Broken, checked: Callable[..., Any]) -> Any:
    """The report on a broken model; draws off their density may take more runs to be seen."""
    if not broken.scored:
        return checked(model, broken)
    report = checked(model, broken, repeats=100)
    return report if report.verdict == "BIASED" else checked(model, broken, repeats=1000)


def verdicts(model: Model, checked: Callable[..., Any] = check) -> dict[str, str]:
    """What is wrong, by what was tried: an empty string if nothing is.

    Args:
        model: right.
        checked: what makes the reports.
    """

    def attempt(trial: Callable[[], str]) -> str:
        try:
            return trial()
        except Exception as error:  # a crash is a finding like any other
            return f"{type(error).__name__}: {error}"

    result = {
        "oracle": attempt(lambda: wrong_oracle(model)),
        "right": attempt(lambda: wrong_verdict(model, RIGHT, checked(model), biased=False)),
        "refusal": attempt(lambda: wrong_refusal(model)),
    }
    broken = random_break(model)
    if broken is not None:
        biased = moves_expectation(model, broken)
        kind = f"{broken.kind}{'' if biased else ', without effect'}"
        if biased is not None:
            result[kind] = attempt(
                lambda: wrong_verdict(model, broken, report_of(model, broken, checked), biased)
            )
    return result


def wrong_monte_carlo(
    model: Model, checked: Callable[..., Any] = check, repeats: int = 60
) -> dict[str, str]:
    """As `verdicts`, by Monte Carlo mode on many rows, wherever chance leaves no doubt.

    A bias that exact mode finds must be found if it is above twice what chance explains.
    """
    many = replace(model, tiles=64 if model.batch_ndims else 1)
    result = {"right": ""}
    if (report := checked(many, RIGHT, "monte_carlo", repeats)).verdict == "BIASED":
        result["right"] = f"{report.verdict}: {report.nodes}"

    broken = random_break(model)
    if broken is None or broken.kind == "updates before it reads":  # rows share that bias
        return result
    report = checked(many, broken, "monte_carlo", repeats)
    exact = check(model, broken)
    figures = [*exact.comparisons, *exact.scores.values()]
    chance = [*report.comparisons, *report.scores.values()]
    pairs = list(zip(figures, chance, strict=True))
    biased = any(truth.bias > 2 * found.allowed and truth.biased for truth, found in pairs)
    names = {name.partition(".")[0] for name in report.nodes}
    result[broken.kind if biased else "small"] = ""
    if biased and report.verdict != "BIASED":
        result[broken.kind] = f"{report.verdict}, not BIASED"
    elif not names <= broken.at_fault:
        result[broken.kind] = f"names {sorted(names)}, not {sorted(broken.at_fault)}"
    return result


def main() -> None:
    """Try many models, and tell what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--outcomes", type=int, default=64, help="leave out larger ones")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tried: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    models, seed = 0, options.first
    while models < options.programs:
        model = random_model(seed)
        seed += 1
        if outcomes(model) > options.outcomes:
            continue
        models += 1
        for what, problem in verdicts(model).items():
            tried[what] += 1
            if problem:
                wrong[what] += 1
                print(f"seed {model.seed}, {what}: {problem}", flush=True)
    for what, count in tried.items():
        print(f"{what}: {count} tried, {wrong[what]} wrong")
    print(f"{models} programs, seeds {options.first} to {seed - 1}, {time.process_time():.0f} s")


if __name__ == "__main__":
    main()
