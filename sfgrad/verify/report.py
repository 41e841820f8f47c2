"""The result of `check_unbiased`."""

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Comparison:
    """The worst coordinate of one parameter.

    Attributes:
        parameter: its name, or "the objective's value".
        found: mean of the estimator.
        wanted: mean it should have.
        bias: their distance.
        allowed: the largest distance that rounding or chance explains.
        varied: whether the runs differed; if they never do, chance explains nothing.
    """

    parameter: str
    found: float
    wanted: float
    bias: float
    allowed: float
    varied: bool = True

    @classmethod
    def worst(
        cls, parameter: str, found: Tensor, wanted: Tensor, allowed: Tensor, varied: Tensor
    ) -> "Comparison":
        """The coordinate of tensors `[n]` that exceeds its allowance by the largest factor.

        One that varied takes precedence over one that never did.
        """
        bias = (found - wanted).abs()
        beyond = ~(bias <= allowed)  # true for NaN
        ratio = (bias / allowed.clamp(min=1e-300)).nan_to_num(nan=torch.inf)
        candidates = beyond & varied if (beyond & varied).any() else torch.ones_like(beyond)
        worst = ratio.where(candidates, -1).argmax()
        figures = [float(x[worst]) for x in (found, wanted, bias, allowed)]
        return cls(parameter, *figures, varied=bool(varied[worst]))

    @property
    def biased(self) -> bool:
        """Whether the bias exceeds what is allowed; true for NaN."""
        return self.varied and not self.bias <= self.allowed

    @property
    def inconclusive(self) -> bool:
        """Whether all runs agreed on a value other than the wanted one."""
        return not self.varied and not self.bias <= self.allowed

    def __str__(self) -> str:
        """The figures, and the verdict on them."""
        figures = f"found {self.found:+.6e}  wanted {self.wanted:+.6e}  bias {self.bias:.2e}"
        sign = "<=" if self.bias <= self.allowed else ">"
        note = "  (never varied)" if self.inconclusive else ""
        return f"{figures} {sign} {self.allowed:.2e}{note}"


class Power(NamedTuple):
    """The largest bias that could have gone unseen, in the parameter with the least power.

    Args:
        parameter: its name.
        bias: the largest distance that chance explains in its noisiest coordinate.
        gradient: the largest magnitude in its gradient.
        repeats: how many runs were made.
    """

    parameter: str
    bias: float
    gradient: float
    repeats: int

    @property
    def needed(self) -> int:
        """The repeats that would find a bias of 10 % of the gradient."""
        return math.ceil(self.repeats * (self.bias / (0.1 * self.gradient)) ** 2)

    def __str__(self) -> str:
        """One sentence."""
        line = f"a bias below {self.bias:.1e} in {self.parameter} could not have been seen"
        if not self.gradient:
            return line
        share = self.bias / self.gradient
        return (
            f"{line}: {share:.0%} of its gradient; to find one of 10% takes repeats={self.needed}"
        )


@dataclass(frozen=True)
class BiasReport:
    """True if no bias was found; prints the parameters and nodes at fault.

    Attributes:
        mode: "exact" or "monte_carlo".
        comparisons: the worst coordinate of the value and of every parameter.
        nodes: by name, the largest bias that the node causes alone, or its mean score if its draws
            do not follow its log-probability.
        basis: what was compared with what.
        scores: by node, the worst coordinate of its mean score, which should be 0.
        left_out: by node, why its score was not tested.
        untested: by node, why it could not be tested alone: other nodes that enumerate are sampled
            meanwhile, which may have too many outcomes.
        power: in Monte Carlo mode, how large a bias could have gone unseen; else None.
    """

    mode: str
    comparisons: list[Comparison]
    nodes: dict[str, float]
    basis: str = ""
    scores: dict[str, Comparison] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    untested: dict[str, str] = field(default_factory=dict)
    power: Power | None = None

    @property
    def verdict(self) -> Literal["unbiased", "BIASED", "inconclusive"]:
        """The verdict; a bias outranks an inconclusive comparison."""
        everything = [*self.comparisons, *self.scores.values()]
        if any(comparison.biased for comparison in everything):
            return "BIASED"
        if any(comparison.inconclusive for comparison in everything):
            return "inconclusive"
        return "unbiased"

    def __bool__(self) -> bool:
        """Whether the estimator passed."""
        return self.verdict == "unbiased"

    def __str__(self) -> str:
        """The verdict, one line per parameter, the nodes at fault."""
        lines = [f"{self.verdict} ({self.mode} mode{self.basis and ': '}{self.basis})"]
        width = max(len(comparison.parameter) for comparison in self.comparisons)
        lines += [f"  {c.parameter:<{width}}  {c}" for c in self.comparisons]
        lines += [f"  {line}" for line in self._nodes()]

        if self.verdict == "inconclusive":
            lines.append(
                "  where all runs agree on a value that is not the wanted one, a rare draw may be "
                "missing: raise repeats, or use mode='exact' if the problem is small enough"
            )
        if self.power is not None:
            lines.append(f"  {self.power}")
        lines += [f"  node {name!r}: {reason}" for name, reason in self.left_out.items()]
        return "\n".join(lines)

    def _nodes(self) -> list[str]:
        """The lines on the nodes at fault."""
        at_fault = {name: score for name, score in self.scores.items() if score.biased}
        lines = [
            f"node {name!r}: its draws do not follow its log_prob: the mean of its score for "
            f"{score.parameter} is {score.found:+.3e} instead of 0 (chance explains at most "
            f"{score.allowed:.1e})"
            for name, score in at_fault.items()
        ]
        if self.scores and not at_fault:
            name = max(self.scores, key=lambda name: self.scores[name].allowed)
            allowed = self.scores[name].allowed
            lines.append(f"mean scores are 0 within chance (up to {allowed:.1e}, node {name!r})")
        alone = {name: bias for name, bias in self.nodes.items() if name not in at_fault}
        lines += [f"node {name!r} alone: bias {bias:.2e}" for name, bias in alone.items()]
        lines += [
            f"node {name!r} was not tested alone: {reason}"
            for name, reason in self.untested.items()
        ]
        if self.verdict == "BIASED" and not self.nodes and not self.untested:
            lines.append("no node shows a bias alone: several together cause it")
        return lines

    __repr__ = __str__
