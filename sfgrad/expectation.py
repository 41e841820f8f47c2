"""The transform around a model: a function of sampled costs becomes a loss."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sfgrad.graph import Reduction, StochasticGraph, check_reduction
from sfgrad.greedy_run import run_greedily
from sfgrad.in_dims import InDims, RowDims
from sfgrad.joins import Join, check_join
from sfgrad.node import StochasticNode
from sfgrad.repetition import Repetition
from sfgrad.replay import Recorded
from sfgrad.wrapper import Wrapper


class Expectation(Wrapper):
    """Turn a model that samples into a callable that returns the loss.

    Args:
        fn: returns its costs per row, `[R]` or `[R, ...]`, or registers them with `add_cost`, or
            both. If it is a module, its parameters become those of the result.
        samples: how many times to repeat every input row, newest copies outermost; the model sees
            one larger batch. Tensors are repeated, also inside tuples, lists, mappings and
            dataclasses; numbers, strings, None, modules, functions and distributions are not.
        in_dims: which dimension of the arguments holds the rows: one number for all positional
            arguments, a tuple with one for each, or a dict by name, for arguments passed by
            position or by keyword; 0 for arguments not mentioned. None marks an argument without
            rows, such as class weights, which would otherwise be repeated if there happen to be as
            many as rows. The entry of a container holds for everything in it. Only used by
            `samples`.
        batch_ndims: leading dimensions that are rows, as in `StochasticGraph`; 0 for a single row.
            Only the first is repeated.
        has_aux: `fn` returns `(costs, aux)`, and the loss comes with `aux` untouched.
        join: makes one cost of what `fn` returns for the copies of a row that `samples` makes, as
            in `add_cost`; None for a cost of every copy.
        reduction: "mean" over rows, or "none" for the surrogate of every row, copies included; as
            in `StochasticGraph.loss`.
        draws: as in `StochasticGraph`: the draws to replay in every call.

    Returns:
        A module that takes the arguments of `fn` and returns the loss `[]`, or `(loss, aux)`. The
        value of the loss estimates the expected cost (the mean over rows); its gradient estimates
        the gradient of the expected cost.

    Raises:
        ValueError: `samples` is below 1, or above 1 with nothing to repeat, or with an argument
            that could hold rows but cannot be repeated; `in_dims` does not fit the arguments;
            `reduction` is neither "mean" nor "none"; the expectation is a part of the module that
            it wraps; or the graph refuses something.
        TypeError: an argument here has the wrong type; or `fn` does not return its costs, or with
            `has_aux` a pair `(costs, aux)`.

    Warns:
        UserWarning: a `state_dict` holds the wrapped module twice.

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
        join: Join | None = None,
        reduction: Reduction = "mean",
        draws: Mapping[str, Recorded] | None = None,
    ):
        _check_function(fn)
        super().__init__(fn)
        self.samples = _check_samples(samples)
        check_reduction(reduction)
        if self.samples > 1 and not batch_ndims:
            raise ValueError(
                f"samples={self.samples} repeats rows, but batch_ndims=0 makes the whole batch one "
                "row: use batch_ndims=1, with a leading dimension of independent batches"
            )
        self._dims = RowDims(fn, in_dims)
        self.batch_ndims, self.has_aux = batch_ndims, has_aux
        self.join = _check_join(join, self.samples)
        self.reduction: Reduction = reduction
        self.draws = draws
        for path, module in self.named_modules():
            if isinstance(module, StochasticNode) and module.name is None:
                module.name = path.removeprefix("fn").removeprefix(".") or None

    @property
    def in_dims(self) -> InDims:
        """The row dimensions of the arguments."""
        return self._dims.in_dims

    def forward(self, /, *args: Any, **kwargs: Any) -> Any:
        """The loss `[]`, or `(loss, aux)`."""
        self.check_apart_once()
        graph = StochasticGraph(self.batch_ndims, self.draws)
        aux = self.record(graph, *args, **kwargs)
        loss = graph.loss(reduction=self.reduction)
        return (loss, aux) if self.has_aux else loss

    def record(self, graph: StochasticGraph, /, *args: Any, **kwargs: Any) -> Any:
        """Run `fn` on repeated inputs inside `graph`, add the costs it returns, return its aux."""
        graph.tape.reruns = True
        aux = self._record(graph, args, kwargs)
        run_greedily(graph.tape, self.fn, lambda other: self._record(other, args, kwargs))
        return aux

    def _record(self, graph: StochasticGraph, args: Any, kwargs: Any) -> Any:
        """As `record`, one run."""
        with graph:
            if self.samples == 1:
                return self._run(graph, args, kwargs)
            repetition = Repetition(self.fn, self._dims, self.samples, graph.tape.rows)
            args, kwargs = repetition.arguments(args, kwargs)
            graph.tape.branch("expectation", self.samples)
            graph.tape.rows.repeated = True
            try:
                return self._run(graph, args, kwargs)
            except Exception as error:
                if len(repetition.places) > 1:
                    error.add_note(repetition.summary())
                raise

    def _run(self, graph: StochasticGraph, args: Any, kwargs: Any) -> Any:
        """Run `fn`, add the costs it returns, return its aux."""
        try:
            costs, aux = self.fn(*args, **kwargs), None
        except RuntimeError as error:
            _refuse_empty(self._dims.positional(len(args)), args, error)
            raise
        if self.has_aux:
            costs, aux = _pair(costs)
        if costs is not None:
            _check_costs(costs)
            graph.tape.record_cost(costs, join=self.join)
        return aux

    def extra_repr(self) -> str:
        """The settings, and the function if it is not a module."""
        settings = [
            f"samples={self.samples}",
            f"in_dims={self.in_dims}",
            f"batch_ndims={self.batch_ndims}",
            f"has_aux={self.has_aux}",
            f"reduction={self.reduction!r}",
        ]
        if self.join is not None:
            settings.append(f"join={self.join!r}")
        if self.draws:
            settings.append(f"draws of {', '.join(self.draws)}")
        if not isinstance(self.fn, nn.Module):
            settings.insert(0, f"fn={getattr(self.fn, '__name__', repr(self.fn))}")
        return ", ".join(settings)


def _check_function(fn: Any) -> None:
    """Refuse what cannot be called with inputs."""
    if isinstance(fn, type) and issubclass(fn, nn.Module):
        raise TypeError(
            f"expectation() got the class {fn.__name__}: give a module, "
            f"expectation({fn.__name__}())"
        )
    if not callable(fn):
        raise TypeError(
            f"expectation() got a {type(fn).__name__}: give it the model, a module or function, "
            "and give the inputs to the result, expectation(model)(x)"
        )


def _check_samples(samples: Any) -> int:
    """The number of samples as an int; refuse all but whole numbers above 0."""
    try:
        count = operator.index(samples)
    except TypeError:
        count = None
    if count is None or isinstance(samples, bool):
        raise TypeError(f"samples is {samples!r}: give a whole number of samples for every row")
    if count < 1:
        raise ValueError(f"samples is {count}: it must be at least 1")
    return count


def _check_join(join: Any, samples: int) -> Join | None:
    """The join; refuse one that has no copies to join."""
    if join is None:
        return None
    check_join("expectation()", join)
    if samples == 1:
        raise ValueError(
            f"expectation(join={join!r}) joins the copies of a row, but samples=1: set samples=, "
            "or join those that the model makes itself by add_cost(…, join=)"
        )
    return join


def _refuse_empty(dims: Sequence[int | None], args: tuple[Any, ...], error: RuntimeError) -> None:
    """Say so if torch failed because there are no rows, as constructors of distributions do."""
    for position, (argument, dim) in enumerate(zip(args, dims, strict=True)):
        if dim is None or not isinstance(argument, Tensor) or not argument.dim():
            continue
        if not argument.shape[dim]:
            raise ValueError(
                f"argument {position + 1} of the objective has shape {list(argument.shape)}: the "
                "batch has no rows, so leave it out"
            ) from error


def _pair(output: Any) -> tuple[Any, Any]:
    """The two values that a function with `has_aux` returns: costs and aux."""
    if not isinstance(output, tuple | list) or len(output) != 2:
        length = f" of {len(output)}" if isinstance(output, tuple | list) else ""
        raise TypeError(
            f"fn returned a {type(output).__name__}{length}, but with has_aux=True it must return "
            "a pair, (costs, aux): return both, or leave has_aux out"
        )
    costs, aux = output
    return costs, aux


def _check_costs(costs: Any) -> None:
    """Refuse costs that are not a tensor."""
    if isinstance(costs, Tensor):
        return
    if isinstance(costs, tuple):
        raise TypeError(
            f"fn returned a tuple of {len(costs)} as its costs: return one tensor, one cost per "
            "row, or pass has_aux=True if it is a pair (costs, aux)"
        )
    raise TypeError(
        f"fn returned a {type(costs).__name__} as its costs: return one tensor, one cost per row, "
        "[R], or record each of several costs by add_cost(cost, name=…)"
    )


expectation = Expectation
"""`expectation(model)` reads like the transforms of `torch.func`."""
