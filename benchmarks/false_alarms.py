"""How often Monte Carlo mode calls a right program biased, and whether it finds broken ones.

Right programs of several families go through the decision of `check_unbiased`, at a stated error
rate, on estimates that are drawn from a closed form, all runs at once; some hundreds more go
through `check_unbiased` as it is, test of the scores included. Beside them the rate of Student's t
alone, without the fresh draws that have to repeat an alarm. Broken programs have a gradient that is
30 % too large, and four times the runs that the report asks for to see that much.

    python -m benchmarks.false_alarms --programs 10000
"""

import argparse
import math
import random
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import sfgrad as sf
from benchmarks.programs import FAMILIES, Program
from benchmarks.timing import keep
from sfgrad.verify.bias import BiasTest, Exact, distances
from sfgrad.verify.report import BiasReport
from sfgrad.verify.runs import Runs
from sfgrad.verify.statistics import Moments

RATES = (1e-2, 1e-6)
"""Error rates that are stated; the second is the default."""
RTOL = 1e-9
"""As in `check_unbiased`."""
BIAS = 0.3
"""Of broken programs, as a share of the gradient."""
NUMBERS = 4_000_000
"""That are drawn at once."""
MOST = 4_000_000
"""Runs of a broken program."""


class Simulation(Runs):
    """Runs of a program by the closed form of its estimates.

    Args:
        program: whose estimates they are.
        scale: of the gradient; 1 if it is right.
    """

    def __init__(self, program: Program, scale: float = 1.0):
        self.program = program
        self.labels = ["the objective's value", "theta"]
        self.sizes = [1, len(program.theta)]
        self.nodes, self.unscorable, self.single = {}, {}, {}
        self.hidden = False
        self._scale = torch.tensor([1.0] + [scale] * len(program.theta), dtype=torch.float64)

    def sampled(self, substitution: Any, repeats: int) -> Moments:
        """Moments of the estimates of that many runs."""
        moments = Moments()
        most = NUMBERS // len(self._scale)
        while repeats:
            runs = min(repeats, most)
            moments.add_all(self.program.estimates(runs) * self._scale)
            repeats -= runs
        return moments


def decide(program: Program, error_rate: float, repeats: int, scale: float = 1.0) -> BiasReport:
    """The report of Monte Carlo mode, the scores left out."""
    exact = Exact(program.truth(), max_outcomes=0, quadrature=None)
    return BiasTest(Simulation(program, scale), exact, RTOL, error_rate, repeats).report()


def alarm_by_t(program: Program, error_rate: float, repeats: int) -> bool:
    """Whether Student's t alone would call the program biased."""
    moments, truth = Simulation(program).sampled(None, repeats), program.truth()
    zero = torch.zeros_like(truth)
    tail = error_rate / (2 * len(truth))
    return bool(distances(moments, truth, zero, tail, RTOL * moments.magnitude).alarms().any())


class Scaled(sf.ScoreFunction):
    """A score that is too large."""

    def draw(self, distribution: Any, batch_ndims: int) -> sf.Draw:
        draw = super().draw(distribution, batch_ndims)
        log_prob = (1 + BIAS) * draw.log_prob
        return draw._replace(log_prob=log_prob, log_density=log_prob)


def check(program: Program, broken: bool, error_rate: float, seed: int) -> bool:
    """Whether `check_unbiased` as it is calls the program biased."""
    report = sf.check_unbiased(
        program.model(Scaled if broken else sf.ScoreFunction, rows=4096 if broken else 1),
        wrt=[program.theta],
        mode="monte_carlo",
        error_rate=error_rate,
        repeats=100 if broken else program.repeats,
        seed=seed,
    )
    return report.verdict == "BIASED"


# ---------------------------------------------------------------- figures


def share(flags: list[bool]) -> dict[str, float]:
    """The rate of what is true, and its standard error: that of one in N where there is none."""
    count = len(flags)
    rate = sum(flags) / count
    usual = min(max(rate, 1 / count), 1 - 1 / count)
    return {"rate": rate, "error": math.sqrt(usual * (1 - usual) / count), "programs": count}


def each(count: int, of: Callable[[Program, int], bool]) -> dict[str, list[bool]]:
    """What is so of `count` random programs, as many of every family."""
    share_of_family = math.ceil(count / len(FAMILIES))
    result: dict[str, list[bool]] = {name: [] for name in FAMILIES}
    for name, family in FAMILIES.items():
        torch.manual_seed(0)
        for number in range(share_of_family):
            result[name].append(of(family(random.Random(number)), number))
    return result


def found_by_simulation(program: Program, error_rate: float) -> bool:
    """Whether a broken program is found with four times the runs that its report asks for."""
    power = decide(program, error_rate, 4000).power
    assert power is not None
    repeats = math.ceil(4 * power.needed * (0.1 / BIAS) ** 2)
    return decide(program, error_rate, min(max(repeats, 100), MOST), 1 + BIAS).verdict == "BIASED"


def measure(programs: int, checks: int, broken: int) -> dict[str, Any]:
    """All rates, by what was measured and by family."""
    tasks: dict[str, tuple[int, Callable[[Program, int], bool]]] = {}
    for rate in RATES:
        tasks[f"right, {rate:.0e}"] = (
            programs,
            lambda p, _, rate=rate: decide(p, rate, p.repeats).verdict == "BIASED",
        )
        tasks[f"right, by t alone, {rate:.0e}"] = (
            programs,
            lambda p, _, rate=rate: alarm_by_t(p, rate, p.repeats),
        )
        tasks[f"right, check_unbiased, {rate:.0e}"] = (
            checks,
            lambda p, n, rate=rate: check(p, False, rate, n),
        )
    tasks["broken, 1e-06"] = broken, lambda p, _: found_by_simulation(p, 1e-6)
    tasks["broken, check_unbiased, 1e-06"] = (
        max(1, broken // 10),
        lambda p, n: check(p, True, 1e-6, n),
    )

    figures: dict[str, Any] = {}
    for name, (count, task) in tasks.items():
        started = time.process_time()
        flags = each(count, task)
        together = [flag for family in flags.values() for flag in family]
        figures[name] = {"all": share(together)}
        figures[name] |= {family: share(of) for family, of in flags.items()}
        spent = time.process_time() - started
        print(
            f"{name}: {sum(together)} of {len(together)} called biased, {spent:.0f} s", flush=True
        )
    return figures


def show(figures: dict[str, Any]) -> None:
    """Print the table."""
    table = Table("called biased", "all", *FAMILIES, title="shares of programs, in %")
    for name, shares in figures.items():
        cells = [f"{100 * s['rate']:.2f} ± {100 * s['error']:.2f}" for s in shares.values()]
        table.add_row(name, *cells)
    Console(width=200).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, count, what in (
        ("--programs", 10_000, "right programs"),
        ("--checks", 280, "of them by check_unbiased itself"),
        ("--broken", 140, "broken ones"),
    ):
        parser.add_argument(name, type=int, default=count, help=f"{what} (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    figures = measure(options.programs, options.checks, options.broken)
    show(figures)
    keep("false_alarms", figures)


if __name__ == "__main__":
    main()
