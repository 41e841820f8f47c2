"""What `check_unbiased` found."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Comparison:
    """The worst coordinate of one parameter.

    Attributes:
        parameter: its name, or "the objective's value".
        found: mean of the estimator.
        wanted: mean it should have.
        bias: their distance.
        allowed: the distance that rounding or chance explain.
    """

    parameter: str
    found: float
    wanted: float
    bias: float
    allowed: float

    @classmethod
    def worst(cls, parameter: str, found: Tensor, wanted: Tensor, allowed: Tensor) -> "Comparison":
        """Of tensors `[n]`, the coordinate furthest beyond what is allowed."""
        bias = (found - wanted).abs()
        worst = (bias / allowed.clamp(min=1e-300)).argmax()
        return cls(parameter, *(float(x[worst]) for x in (found, wanted, bias, allowed)))

    @property
    def biased(self) -> bool:
        """Whether the bias is beyond what is allowed (NaN is)."""
        return not self.bias <= self.allowed


@dataclass(frozen=True)
class BiasReport:
    """True if no bias was found; prints what is at fault.

    Attributes:
        mode: "exact" or "monte_carlo".
        comparisons: the worst coordinate of the value and of every parameter.
        nodes: by name, the largest bias that the node causes alone.
    """

    mode: str
    comparisons: list[Comparison]
    nodes: dict[str, float]

    def __bool__(self) -> bool:
        """Whether the estimator passed."""
        return not any(comparison.biased for comparison in self.comparisons)

    def __str__(self) -> str:
        """One line per parameter, worst coordinate, then the nodes at fault."""
        lines = [f"{'unbiased' if self else 'BIASED'} ({self.mode} mode)"]
        width = max(len(comparison.parameter) for comparison in self.comparisons)
        for c in self.comparisons:
            figures = f"found {c.found:+.6e}  wanted {c.wanted:+.6e}  bias {c.bias:.2e}"
            sign = ">" if c.biased else "<="
            lines.append(f"  {c.parameter:<{width}}  {figures} {sign} {c.allowed:.2e}")
        lines += [f"  node {name!r} alone: bias {bias:.2e}" for name, bias in self.nodes.items()]
        if not self and not self.nodes:
            lines.append("  no node is biased alone: the bias comes from several together")
        return "\n".join(lines)

    __repr__ = __str__
