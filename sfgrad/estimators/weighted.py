"""What estimators have in common whose copies of a row are right only all together."""

from abc import abstractmethod

from torch.distributions import Distribution

from sfgrad.estimators.base import Draw, Estimator, Layout
from sfgrad.estimators.siblings import check_siblings, own_layout


class Weighted(Estimator):
    """Draws the copies of a row together, and weights each by its part in the whole."""

    coupled = True
    together = True

    def draw(self, distribution: Distribution, batch_ndims: int) -> Draw:
        """Draw every row, in `samples` copies that are made here."""
        layout = own_layout(distribution, batch_ndims)
        return self.weigh(distribution, batch_ndims, layout, self.samples)

    def draw_among(self, distribution: Distribution, batch_ndims: int, layout: Layout) -> Draw:
        """Draw every row, in the copies of it that the nearest branch made."""
        check_siblings(self, distribution, layout)
        return self.weigh(distribution, batch_ndims, layout, None)

    @abstractmethod
    def weigh(
        self, distribution: Distribution, batch_ndims: int, layout: Layout, own: int | None
    ) -> Draw:
        """Draw all copies of every row, and say what each weighs.

        Args:
            distribution: over R rows, or over those of all copies.
            batch_ndims: leading dimensions that are rows.
            layout: how the rows lie.
            own: how many copies the node makes itself; None where it takes those of the layout.
        """
