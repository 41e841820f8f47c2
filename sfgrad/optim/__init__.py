"""Two ways to a better policy beside following a gradient estimate by a fixed rule.

`CrossEntropyMethod` guesses and checks whole parameter vectors; `TrustRegion` follows a gradient
only as far as the policy's distribution may move. Nothing in the rest of the library needs either:
they are imported as `from sfgrad import optim`.
"""

from sfgrad.optim.cross_entropy import CrossEntropyMethod
from sfgrad.optim.surrogate import clipped_surrogate
from sfgrad.optim.trust_region import StepReport, TrustRegion

__all__ = ["CrossEntropyMethod", "StepReport", "TrustRegion", "clipped_surrogate"]
