"""The baselines of one loss: all are read before any is updated."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sfgrad.baselines import Baseline, is_distributed
from sfgrad.controls import Control, Evidence
from sfgrad.objective import Pairs
from sfgrad.owners import is_kept
from sfgrad.records import Node
from sfgrad.settings import accepts, describe
from sfgrad.tape import Tape
from sfgrad.tensors import stacked
from sfgrad.tracing import is_readable
from sfgrad.warn import warn_user

Update = tuple[Baseline, Tensor, Tensor | None, Tensor | None]
"""What a baseline learns from: its cost to go, its prediction, the rows that count."""


class Terms(NamedTuple):
    """What is known of the nodes with a weight, W of them, without gradient."""

    costs_to_go: Tensor
    """`[W, R]`."""
    weights: Tensor
    """`[W, R]`."""
    slopes: list[Tensor | None] | None = None
    """Derivatives of the costs to go with respect to the drawn values, `[E, S, R, D]` each."""
    greedy: Tensor | None = None
    """`[W, R]`: costs to go of the likeliest run."""
    alive: Tensor | None = None
    """Boolean `[W, R]`: where no weight before the node is 0; None for everywhere."""


class Learning:
    """Reads every baseline, and afterwards lets those learn that are in training.

    Args:
        tape: what was recorded.
        nodes: those with a weight, W of them.
        credited: of each, whether one of the costs is credited to it; others' baselines are left
            alone.
        terms: what is known of each of the nodes.
    """

    def __init__(self, tape: Tape, nodes: list[Node], credited: list[bool], terms: Terms):
        self.tape, self.terms = tape, terms
        self.updates: list[Update] = []
        self.lessons: list[tuple[Control, Evidence, Tensor | None]] = []
        zero = torch.zeros_like(terms.costs_to_go[0])
        k, h = [zero] * len(nodes), [zero] * len(nodes)
        for place, (node, has_cost) in enumerate(zip(nodes, credited, strict=True)):
            if node.baseline is not None and has_cost:
                k[place], h[place] = self._read(node, place)
        plain = all(one is other for one, other in zip(k, h, strict=True))
        all_h = stacked(h)
        self.pairs = Pairs(all_h if plain else stacked(k), all_h)
        """What the costs to go are compared with; 0 for nodes without a baseline."""

    def _read(self, node: Node, place: int) -> tuple[Tensor, Tensor]:
        """What the cost to go of a node is compared with in every present row: k and h, `[R]`."""
        baseline, prediction, counted = node.baseline, node.prediction, node.counted
        assert baseline is not None

        # Later copies of a row are averaged: they share this draw.
        cost_to_go = self.terms.costs_to_go[place].view(-1, *node.layout).mean(0)
        if prediction is not None:
            prediction = prediction.repeat(node.draw.copies).view(node.layout)
        if counted is not None:
            counted = counted.view(node.layout)
        learns = self.tape.source.learns and self.tape.grad and baseline.training
        if isinstance(baseline, Control):
            return self._pair(node, baseline, place, cost_to_go, counted, learns)
        if learns:
            mask = self._learned_rows(node, place, counted)
            self.updates.append((baseline, cost_to_go, prediction, mask))

        if self.tape.groups is not None and baseline.compares:
            flat = cost_to_go.reshape(len(self.tape.groups.ids), -1)
            try:
                value = baseline.read_groups(flat, self.tape.groups.ids).reshape(node.layout)
            except (AttributeError, TypeError, RuntimeError):
                self._reading(node, baseline, flat.unsqueeze(0), None)  # says what is wrong with it
                raise
        else:
            value = self._reading(node, baseline, cost_to_go, prediction)
        value = value.detach().to(cost_to_go.dtype).expand(node.layout)

        # Where a draw does not count its weight is 1, and so its baseline moot: also a NaN.
        if counted is not None:
            value = value.where(counted, 0)
        tiled = self.tape.rows.tile(value.reshape(-1))
        return tiled, tiled

    def _pair(
        self,
        node: Node,
        control: Control,
        place: int,
        cost_to_go: Tensor,
        counted: Tensor | None,
        learns: bool,
    ) -> tuple[Tensor, Tensor]:
        """The pair of a control variate, in every present row."""
        terms = self.terms
        evidence = Evidence(
            cost_to_go,
            terms.weights[place].view(-1, *node.layout)[0],
            None if terms.slopes is None else terms.slopes[place],
            None if terms.greedy is None else terms.greedy[place].view(-1, *node.layout).mean(0),
            node.observation,
            None if self.tape.groups is None else self.tape.groups.ids,
        )
        if learns:
            self.lessons.append((control, evidence, self._learned_rows(node, place, counted)))
        k, h = (part.to(cost_to_go.dtype).expand(node.layout) for part in control.pair(evidence))
        if counted is not None:
            k, h = k.where(counted, 0), h.where(counted, 0)
        return self.tape.rows.tile(k.reshape(-1)), self.tape.rows.tile(h.detach().reshape(-1))

    def _learned_rows(self, node: Node, place: int, counted: Tensor | None) -> Tensor | None:
        """The rows that a baseline learns from: those that count, and not of weight 0 before it."""
        if self.terms.alive is None:
            return counted
        alive = self.terms.alive[place].view(-1, *node.layout)[0]
        return alive if counted is None else alive & counted

    def _reading(
        self, node: Node, baseline: Baseline, cost_to_go: Tensor, prediction: Tensor | None
    ) -> Tensor:
        """What `read` returns, which must broadcast to the cost to go."""
        try:
            value = baseline.read(cost_to_go, prediction)
        except TypeError as error:
            if accepts(baseline.read, cost_to_go, prediction):
                raise
            raise TypeError(
                f"{self._method(node, 'read')} takes other arguments than the two that it is given:"
                " define it as read(self, cost_to_go, prediction)"
            ) from error
        if not torch.is_tensor(value):
            raise TypeError(
                f"{self._method(node, 'read')} returned {describe(value)}: return a tensor that "
                f"broadcasts to the cost to go, {list(cost_to_go.shape)}"
            )
        sizes = zip(reversed(value.shape), reversed(cost_to_go.shape), strict=False)
        if value.dim() > cost_to_go.dim() or any(size not in (1, wanted) for size, wanted in sizes):
            raise ValueError(
                f"{self._method(node, 'read')} returned shape {list(value.shape)}: return a tensor "
                f"that broadcasts to the cost to go, {list(cost_to_go.shape)}"
            )
        return value

    def _method(self, node: Node, method: str) -> str:
        """The method of a node's baseline, as messages begin with it."""
        names = [name for name, other in self.tape.nodes.items() if other is node]
        return f"node {names[0]!r}: {type(node.baseline).__name__}.{method}"

    def update(self, served: set[int]) -> Iterator[Tensor]:
        """Let the baselines learn: their errors, to be minimised, with the value 0.

        Args:
            served: by id, the baselines with a state that have learned from another loss of the
                graph; added to.

        Raises:
            ValueError: one would learn from two losses.
        """
        for baseline in self._learners():
            if baseline.has_state and id(baseline) in served:
                raise ValueError(
                    f"a {baseline.title} would learn from two losses of one "
                    "graph: give the nodes of each loss a baseline of their own, or one without a "
                    "state to those that share (Constant, LeaveOneOut)"
                )
        served.update(map(id, self._learners()))
        self._warn_of_new_baselines()

        for baseline, cost_to_go, prediction, counted in self._in_step():
            mask = () if counted is None else (counted,)
            yield from _shared(baseline, _error(baseline, cost_to_go, prediction, *mask))
        for control, evidence, counted in self.lessons:
            yield from _shared(control, control.learn(evidence, counted))

    def _learners(self) -> list[Baseline]:
        """The baselines that are to learn, control variates among them."""
        return [baseline for baseline, *_ in (*self.updates, *self.lessons)]

    def _warn_of_new_baselines(self) -> None:
        """Warn, once, where a baseline that learns was made for this graph alone."""
        if torch.compiler.is_compiling():
            return
        new = [baseline for baseline in self._learners() if baseline.made_inside]
        lost = [baseline for baseline in new if baseline.has_state and not is_kept(baseline)]
        for baseline in new:
            baseline.made_inside = False
        if not lost:
            return
        name = next(n for n, node in self.tape.nodes.items() if node.baseline is lost[0])
        warn_user(
            f"node {name!r} has a {lost[0].title} that was made while the graph recorded, and that "
            "no module owns: if each call makes a new one it never learns, and no state_dict saves "
            "it. Make the node's estimator once, before, and keep it: self.node = "
            "StochasticNode(estimator)"
        )

    def _in_step(self) -> list[Update]:
        """The updates, as many of every collective baseline as in the process with the most."""
        if not is_distributed():
            return self.updates
        result = [update for update in self.updates if not update[0].collective]
        for baseline in dict.fromkeys(b for b, *_ in self.updates if b.collective):
            own = [update for update in self.updates if update[0] is baseline]
            device = own[0][1].device
            most = torch.tensor(len(own), device=device)
            torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)

            # Where a process has fewer, no row of it counts.
            cost_to_go = torch.zeros(1, 1, 1, device=device)
            nothing = torch.zeros_like(cost_to_go, dtype=torch.bool)
            missing = int(most) - len(own)
            result += [*own, *[(baseline, cost_to_go, None, nothing)] * missing]
        return result


def _error(baseline: Baseline, *arguments: Tensor | None) -> Tensor | None:
    """What `update` returns, which must be one number or None."""
    what = f"{type(baseline).__name__}.update"
    try:
        error = baseline.update(*arguments)  # type: ignore[arg-type]
    except TypeError as cause:
        if accepts(baseline.update, *arguments):
            raise
        raise TypeError(
            f"{what} takes other arguments than it is given: define it as "
            "update(self, cost_to_go, prediction, mask=None)"
        ) from cause
    if error is not None and (not torch.is_tensor(error) or error.dim()):
        raise TypeError(
            f"{what} returned {describe(error)}: return its error as a tensor of shape [], such as "
            "error.square().mean(), or None"
        )
    return error


def _shared(baseline: Baseline, error: Tensor | None) -> Iterator[Tensor]:
    """0, with the gradient of an error, if there is one.

    Processes that average gradients wait for one by every parameter, so there it is 0 without.
    """
    if error is not None:
        yield _gradient_alone(error)
    elif is_distributed():
        for parameter in baseline.parameters():
            yield 0 * parameter.sum()


def _gradient_alone(error: Tensor) -> Tensor:
    """0, with the gradient of an error, whose own value may overflow: it is a square of costs."""
    if not is_readable(error):
        return error - error.detach()
    return _GradientAlone.apply(error)  # type: ignore[no-any-return]


class _GradientAlone(torch.autograd.Function):
    """0, with the derivatives of the identity."""

    @staticmethod
    def forward(ctx: Any, error: Tensor) -> Tensor:
        return torch.zeros_like(error)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0]

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Any:
        return tangents[0].clone()
