"""The cross-entropy method: guess parameters, keep the best, guess around those."""

from typing import Any

import torch
from torch import Generator, Tensor


class CrossEntropyMethod:
    """Search for the best parameter vector by refitting a Gaussian to the best of its draws.

    `x[i] ~ Normal(mean, std)`; of the `elite` best,
    `mean ← mean of x`, `std² ← variance of x + noise · max(0, 1 − t / fade)`,
    with t the number of populations judged. Nothing is differentiated. The noise keeps the search
    from settling too early.

    Args:
        mean: `[D]`, floating-point: where to begin, in the unit of the parameters.
        std: in the same unit, above 0: `[D]`, or one number for all.
        population: number of vectors drawn at a time.
        elite: how many of them are kept, from 2 to `population`; with all of them there is no
            selection and no search.
        noise: variance added at first, at least 0, in the unit of the parameters squared.
        fade: populations over which the noise falls to 0.
        generator: what is drawn from; the global one by default.

    Attributes:
        mean: `[D]`, the present mean.
        std: `[D]`, the present standard deviation.
        iteration: populations judged so far.

    Raises:
        ValueError: a shape or number is not as above; it names which.

    Unbiased: no, and not meant to be: it estimates no gradient.

    Source: Szita & Lörincz (2006), Learning Tetris Using the Noisy Cross-Entropy Method, eq. 2
    with decreasing noise; de Boer et al. (2005), A Tutorial on the Cross-Entropy Method.

    Examples:
        >>> search = CrossEntropyMethod(torch.zeros(2), 1.0, population=50, elite=10, noise=1.0)
        >>> for _ in range(60):
        ...     search.tell(-(search.ask() - 3).square().sum(1))
        >>> search.mean.round()
        tensor([3., 3.])
    """

    def __init__(
        self,
        mean: Tensor,
        std: Tensor | float,
        population: int,
        elite: int,
        noise: float = 0.0,
        fade: int = 50,
        generator: Generator | None = None,
    ):
        if mean.dim() != 1 or not mean.is_floating_point():
            met = f"shape {list(mean.shape)} and dtype {mean.dtype}"
            raise ValueError(f"mean has {met}: it must be a floating-point vector [D]")
        spread = torch.as_tensor(std, dtype=mean.dtype, device=mean.device)
        if spread.dim() and spread.shape != mean.shape:
            raise ValueError(
                f"std has shape {list(spread.shape)} but mean has {list(mean.shape)}: give "
                "the same shape, or one number for all"
            )
        if not (spread > 0).all():
            raise ValueError(f"the smallest std is {spread.min().item()}: all must be above 0")
        if not 2 <= elite <= population:
            raise ValueError(f"elite is {elite}: it must be from 2 to the population, {population}")
        if noise < 0:
            raise ValueError(f"noise is {noise}: a variance must be at least 0")
        if fade < 1:
            raise ValueError(f"fade is {fade}: it must be at least 1 population")
        self.mean = mean.detach().clone()
        self.std = spread.expand_as(mean).clone()
        self.population, self.elite, self.noise, self.fade = population, elite, noise, fade
        self.generator = generator
        self.iteration = 0
        self._asked: Tensor | None = None

    def ask(self) -> Tensor:
        """Draw a population `[population, D]`; give its rewards to `tell`."""
        noise = torch.randn(
            self.population,
            len(self.mean),
            generator=self.generator,
            dtype=self.mean.dtype,
            device=self.mean.device,
        )
        asked = self._asked = self.mean + self.std * noise
        return asked.clone()

    def tell(self, rewards: Tensor) -> None:
        """Refit the Gaussian to the best of the population last asked for.

        Args:
            rewards: `[population]`, in any unit; the largest are the best.

        Raises:
            RuntimeError: no population was asked for since the last rewards.
            ValueError: the rewards have another shape, or one is not a number.
        """
        if self._asked is None:
            raise RuntimeError("there is no population to judge: ask() comes before each tell()")
        if rewards.shape != (self.population,):
            raise ValueError(
                f"rewards have shape {list(rewards.shape)}: give one for each vector of the "
                f"population, [{self.population}]"
            )
        if rewards.isnan().any():
            raise ValueError(
                f"{int(rewards.isnan().sum())} rewards are not a number: reward a failure by -inf"
            )
        best = self._asked[rewards.topk(self.elite).indices]
        self.iteration += 1
        extra = self.noise * max(0.0, 1 - self.iteration / self.fade)
        self.mean = best.mean(0)
        self.std = (best.var(0, correction=0) + extra).sqrt()
        self._asked = None

    def state_dict(self) -> dict[str, Any]:
        """All that a search needs to go on from its next `ask`; the caller's generator is not."""
        return {"mean": self.mean, "std": self.std, "iteration": self.iteration}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            ValueError: it is of a search over vectors of another length.
        """
        if state["mean"].shape != self.mean.shape:
            raise ValueError(
                f"the state's mean has shape {list(state['mean'].shape)} but this search has "
                f"{list(self.mean.shape)}: load the state of a search over vectors of this length"
            )
        self.mean = state["mean"].to(self.mean).clone()
        self.std = state["std"].to(self.std).clone()
        self.iteration, self._asked = state["iteration"], None
