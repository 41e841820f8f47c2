"""The transform around a model: a function of sampled costs becomes a loss."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from sfgrad.draws import Recorded
from sfgrad.graph import Reduction, StochasticGraph, check_reduction
from sfgrad.node import StochasticNode

InDims = int | None | tuple[int | None, ...]


class Expectation(nn.Module):
    """Turn a model that samples into a callable that returns the loss.

    Args:
        fn: returns its costs per row, `[R]` or `[R, ...]`, or registers them with `add_cost`, or
            both. Of a module it makes a module with the same parameters.
        samples: every input row is repeated so many times, newest copies outermost; the model sees
            one larger batch.
        in_dims: the row dimension of every positional argument, as in `torch.func.vmap`: one
            number for all or a tuple; None leaves an argument as it is. Only used to repeat.
            Tensors in keyword arguments have rows first.
        batch_ndims: leading dimensions that are rows, as in `StochasticGraph`; 0 for a single row.
            Only the first is repeated.
        has_aux: `fn` returns `(costs, aux)`, and the loss comes with `aux` untouched.
        reduction: "mean" over rows, or "none" for the surrogate of every row, copies included; as
            in `StochasticGraph.loss`.
        draws: as in `StochasticGraph`: draws to be replayed at every call.

    Returns:
        A module that takes the arguments of `fn` and returns the loss `[]`, or `(loss, aux)`. The
        loss's value is the estimate of the expected cost (mean over rows), its gradient unbiased.

    Raises:
        ValueError: `samples` is below 1, or above 1 with nothing to repeat; `reduction` is neither
            of the two; and whatever the graph refuses.

    Unbiased: as the estimators of the nodes say.

    Source: Schulman et al. (2015), Gradient Estimation Using Stochastic Computation Graphs.

    Examples:
        >>> from torch.distributions import Bernoulli
        >>> from sfgrad import sample
        >>> logits = torch.zeros(3, requires_grad=True)
        >>> loss = expectation(lambda x: (sample(Bernoulli(logits=x)) - 0.45) ** 2)(logits)
        >>> loss.backward()
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        samples: int = 1,
        in_dims: InDims = 0,
        batch_ndims: int = 1,
        has_aux: bool = False,
        reduction: Reduction = "mean",
        draws: Mapping[str, Recorded] | None = None,
    ):
        super().__init__()
        if samples < 1:
            raise ValueError(f"samples is {samples}: draw at least one")
        check_reduction(reduction)
        if samples > 1 and not batch_ndims:
            raise ValueError("samples= repeats rows: use batch_ndims=1 with a batch of one")
        self.fn, self.samples, self.in_dims = fn, samples, in_dims
        self.batch_ndims, self.has_aux = batch_ndims, has_aux
        self.reduction: Reduction = reduction
        self.draws = draws
        for path, module in self.named_modules():
            if isinstance(module, StochasticNode) and module.name is None:
                module.name = path.removeprefix("fn").removeprefix(".") or None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The loss `[]`, or `(loss, aux)`."""
        graph = StochasticGraph(self.batch_ndims, self.draws)
        aux = self.record(graph, *args, **kwargs)
        loss = graph.loss(reduction=self.reduction)
        return (loss, aux) if self.has_aux else loss

    def record(self, graph: StochasticGraph, *args: Any, **kwargs: Any) -> Any:
        """Run `fn` on repeated inputs inside `graph`, add the costs it returns, return its aux."""
        with graph:
            if self.samples > 1:
                args, kwargs = self._repeat_arguments(graph, args, kwargs)
            costs = self.fn(*args, **kwargs)
            costs, aux = costs if self.has_aux else (costs, None)
            if costs is not None:
                graph.tape.record_cost(costs)
        return aux

    def _repeat_arguments(self, graph: StochasticGraph, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Every row of the arguments `samples` times, in the graph as well."""
        dims = self.in_dims if isinstance(self.in_dims, tuple) else (self.in_dims,) * len(args)
        if len(dims) != len(args):
            raise ValueError(f"in_dims has {len(dims)} entries for {len(args)} arguments")
        args = tuple(self._repeat(graph, *pair) for pair in zip(args, dims, strict=True))
        kwargs = self._repeat(graph, kwargs, 0)
        if not graph.tape.rows.first:
            raise ValueError(
                f"expectation(samples={self.samples}) found no tensor among the arguments to "
                "repeat: pass the inputs in"
            )
        graph.tape.branch("expectation", self.samples)
        graph.tape.rows.repeated = True
        return args, kwargs

    def _repeat(self, graph: StochasticGraph, nest: Any, dim: int | None) -> Any:
        """Repeat the rows, along `dim`, of every tensor in the nest; None leaves it as it is."""

        def repeat(tensor: Tensor) -> Tensor:
            if not tensor.dim():
                raise ValueError("an argument has no rows: mark it None in in_dims")
            graph.tape.rows.check("an argument of the objective", (tensor.shape[dim or 0],))
            return torch.cat([tensor] * self.samples, dim or 0)

        return nest if dim is None else tree_map_only(Tensor, repeat, nest)


expectation = Expectation
"""`expectation(model)` reads like the transforms of `torch.func`."""
