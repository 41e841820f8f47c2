"""Runs of a double-precision copy of a model: scripted, random, or for mean scores."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sfgrad.expectation import Expectation
from sfgrad.graph import StochasticGraph
from sfgrad.verify import oracle
from sfgrad.verify.copies import double_all, double_copy
from sfgrad.verify.outcomes import HiddenRandomnessError, IntractableError, Outcomes
from sfgrad.verify.replays import restored
from sfgrad.verify.statistics import Moments
from sfgrad.verify.trial import Script, Substitution, Trial, credit_everything, start_trial


class Runs:
    """Runs of a model; each gives value and gradient as one `[P]`, double.

    Args:
        objective: that of the user; a copy of it runs.
        inputs: its arguments.
        wrt: the tensors to differentiate with respect to, as in `check_unbiased`.
    """

    def __init__(self, objective: Expectation, inputs: Any, wrt: Sequence[Tensor] | None):
        names, originals = zip(*oracle.targets(objective, wrt), strict=True)
        copies: dict[int, Any] = {}  # by the id of the original, also inside bound methods
        self.model = double_copy(objective, copies)
        self.inputs = double_all(inputs)
        self.wrt: list[Tensor] = [copies.get(id(tensor), tensor) for tensor in originals]
        pairs = zip(names, self.wrt, strict=True)
        if single := [name for name, tensor in pairs if tensor.dtype != torch.float64]:
            raise ValueError(
                f"{', '.join(single)} is neither float64 nor a parameter of fn, which would be "
                "copied to double precision: make it float64"
            )
        self.labels = ["the objective's value", *names]
        self.sizes = [1, *[tensor.numel() for tensor in self.wrt]]
        self.nodes: dict[str, None] = {}  # all nodes so far, in order
        self.unscorable: dict[str, None] = {}  # those that keep their own estimator
        self.hidden = False  # whether the model is random without telling the graph
        self.joined = False  # whether copies of a row share a cost
        self.single: dict[str, None] = {}  # costs and nodes that are not in double precision

    def run(self, substitution: Substitution | None, script: Script | None) -> tuple[Tensor, float]:
        """The loss with its gradient, `[P]`, and the probability of the scripted draws."""
        with torch.enable_grad(), restored(self.model):
            source = Trial(script, substitution, self.joined)
            graph = start_trial(self.model.batch_ndims, source)
            self.model.record(graph, *self.inputs)
            self.nodes.update(dict.fromkeys(graph.nodes))
            self.unscorable.update(dict.fromkeys(sorted(source.unscorable)))
            self.joined |= any(cost.joined is not None for cost in graph.costs.values())
            self._note_precision(graph)
            probability = math.exp(sum(mass.sum().item() for _, mass in source.log_mass))
            if not probability:  # as of a masked value, whose log_prob no loss takes
                return torch.zeros(sum(self.sizes), dtype=torch.float64, device=self.device), 0.0
            if substitution is not None:
                credit_everything(graph, substitution.kept)
            baselines = [node.baseline for node in graph.nodes.values()]
            with restored(*[baseline for baseline in baselines if baseline is not None]):
                estimate = oracle.value_and_gradients(graph.loss(), self.wrt)
        return flat(estimate), probability

    def _note_precision(self, graph: StochasticGraph) -> None:
        """Remember what the model itself makes of single precision."""
        for name, cost in graph.costs.items():
            if cost.value.dtype != torch.float64:
                self.single[f"cost {name!r}"] = None
        for name, node in graph.nodes.items():
            log_prob = node.draw.log_prob
            if log_prob is not None and log_prob.dtype != torch.float64:
                self.single[f"node {name!r}"] = None

    @property
    def device(self) -> torch.device:
        """Where the gradient is."""
        return self.wrt[0].device

    def enumerated(self, substitution: Substitution | None, outcomes: Outcomes) -> Moments:
        """Exact moments, from all outcomes of the estimators' draws.

        Raises:
            IntractableError: there are too many outcomes, or an estimator has noise of its own.
        """
        moments = Moments()
        state = torch.get_rng_state()
        script = Script(outcomes, outcomes.one_for_each, joint=True)
        try:
            for count in outcomes:
                estimate, probability = self.run(substitution, script)
                if count == 0:
                    outcomes.rewind()
                    again, _ = self.run(substitution, script)
                    if not torch.allclose(estimate, again, equal_nan=True):
                        raise HiddenRandomnessError
                if not torch.equal(state, torch.get_rng_state()):  # results may agree by chance
                    raise HiddenRandomnessError
                moments.add_outcome(probability, estimate)
        except HiddenRandomnessError as error:
            raise IntractableError(f"{error}; mode='monte_carlo' draws instead") from error
        return moments

    def sampled(self, substitution: Substitution | None, repeats: int) -> Moments:
        """Moments of independent runs."""
        moments = Moments()
        for _ in range(repeats):
            moments.add(self.run(substitution, None)[0])
        return moments

    def split(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """`[P]` split into the value and the parameters."""
        return tensor.split(self.sizes)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All entries of the tensors as one `[P]`, double."""
    return torch.cat([tensor.reshape(-1).double() for tensor in tensors])
