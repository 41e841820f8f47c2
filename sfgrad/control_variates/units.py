"""Units of what a control variate sees: running root mean squares, of the past alone."""

import torch
from torch import Tensor

from sfgrad.buffers import Precise


class Units(Precise):
    """Root mean squares of several quantities, averaged exponentially; 0 before the first.

    Args:
        names: of the quantities.
        decay: in [0, 1): the weight of the past at each update.
    """

    mass: Tensor

    def __init__(self, *names: str, decay: float = 0.99):
        super().__init__()
        self.names, self.decay = names, decay
        for name in ("mass", *names):
            self.register_buffer(name, torch.zeros(()))

    def of(self, name: str) -> Tensor:
        """The unit of a quantity, `[]`."""
        square: Tensor = getattr(self, name)
        return torch.where(self.mass > 0, square / self.mass, 0).sqrt()

    def scaled(self, name: str, values: Tensor) -> Tensor:
        """Values of a quantity in its unit; 0 where there is none."""
        unit = self.of(name).to(values.dtype)
        return values * torch.where(unit > 0, 1 / unit, 0)

    @torch.no_grad()
    def learn(self, **squares: Tensor) -> None:
        """Take mean squares of the present into the averages, unless one is not finite.

        Args:
            **squares: `[]`, one for each quantity.
        """
        finite = torch.stack([square.isfinite() for square in squares.values()]).all()
        share = torch.where(finite, 1 - self.decay, 0.0).to(self.mass)
        self.mass.lerp_(torch.ones_like(self.mass), share)
        for name, square in squares.items():
            average: Tensor = getattr(self, name)
            average.lerp_(torch.where(finite, square, 0).to(average), share)
