"""Evolution strategies: the parameters of a module are drawn, and nothing else."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_map

from sfgrad.containers import map_tensors
from sfgrad.estimators.antithetic import Mirrored
from sfgrad.estimators.base import Estimator
from sfgrad.graph import active_graph, is_greedy
from sfgrad.node import StochasticNode, align
from sfgrad.settings import describe, positive_number


class ParameterNoise(nn.Module):
    """Calls a module with parameters drawn anew for every row, around its own.

    `∇ E[f(θ + scale · ε)] = E[f(θ + scale · ε) · ε / scale]`, ε standard normal

    To be called in place of the module. All parameters that require a gradient are one node,
    `Independent(Normal(θ, scale), 1)`, so the module need not be differentiable, and the gradient
    arrives at θ. With an even number of copies, as made by `expectation(samples=2)`, they are drawn
    in pairs θ + scale · ε and θ − scale · ε. Outside a graph they are drawn too; under `greedy()`
    they are θ.

    Args:
        module: maps a batch to a batch. It is called with one row at a time, under
            `torch.func.vmap`: it must not branch on values, nor call `sample` or `add_cost`. What
            `vmap` does not know, such as `nn.GRU`, is called row after row, which takes longer.
        scale: the standard deviation, above 0, in the unit of the parameters; may be assigned.
        estimator: how the draw carries a gradient; if None `Antithetic()`, or `ScoreFunction()`
            where the copies have no pairs.

    Raises:
        ValueError: the scale is not above 0; the module has no parameter that requires a gradient,
            or holds a `StochasticNode`; or it is called without rows, or with batch normalisation
            in training, whose batch would be one row.
        TypeError: an argument is something else.

    Unbiased: as the estimator says, for the expected cost at drawn parameters, not that at θ.

    Source: Salimans et al. (2017), Evolution Strategies as a Scalable Alternative to Reinforcement
    Learning, section 2.

    Examples:
        >>> import sfgrad as sf
        >>> policy = ParameterNoise(nn.Linear(2, 1), scale=0.1)
        >>> loss = sf.expectation(lambda x: (policy(x) > 0).float())(torch.ones(3, 2))
        >>> loss.backward()
        >>> policy.module.weight.grad.shape
        torch.Size([1, 2])
    """

    scale: float

    def __init__(self, module: nn.Module, scale: float, estimator: Estimator | None = None):
        super().__init__()
        _check_module(module)
        self.module = module
        self.scale = scale
        self.node = StochasticNode(Mirrored() if estimator is None else estimator)

    def __setattr__(self, attribute: str, value: Any) -> None:
        """Set an attribute; the scale must be a number above 0."""
        if attribute == "scale":
            value = positive_number("scale", value)
        super().__setattr__(attribute, value)

    def forward(self, *inputs: Tensor, **shared: Any) -> Any:
        """What the module returns for every row, each with its own parameters.

        Args:
            *inputs: `[R, ...]`, rows first; at least one.
            **shared: passed on as they are, the same for every row.

        Returns:
            `[copies · R, ...]`, also in containers; copies are those that the estimator makes.
        """
        if is_greedy():
            return self.module(*inputs, **shared)
        graph = active_graph()
        ndims = 1 if graph is None else graph.batch_ndims
        parameters = self._draw(_row_shape(inputs, ndims))
        if not ndims:  # a single row, the whole batch
            return self._call(shared, parameters, *inputs)

        # The module gets batches of one row, and rows of several dimensions are one for a while.
        shape = parameters.shape[:ndims]
        batches = [align(x).flatten(0, ndims - 1).unsqueeze(1) for x in inputs]
        outputs = self._call_rows(shared, parameters.flatten(0, ndims - 1), *batches)
        return map_tensors(outputs, lambda y: torch.unflatten(y.squeeze(1), 0, shape))

    def _draw(self, row_shape: torch.Size) -> Tensor:
        """Parameters of every row, `[copies · R, P]`."""
        theta = torch.cat([parameter.reshape(-1) for parameter in self._trained().values()])
        loc = theta.expand(*row_shape, -1)
        noise = Independent(Normal(loc, self.scale, validate_args=False), 1, validate_args=False)
        return self.node(noise)

    def _trained(self) -> dict[str, Tensor]:
        """The parameters that are drawn."""
        return {name: p for name, p in self.module.named_parameters() if p.requires_grad}

    def _call_rows(self, shared: dict[str, Any], *rows: Tensor) -> Any:
        """The module's outputs of every row: of all at once where that can be."""
        _check_batch_norm(self.module)
        call = partial(self._call, shared)
        try:
            return vmap(call, randomness="different")(*rows)
        except RuntimeError as error:
            if "Batching rule not implemented" not in str(error):
                raise
            if not len(rows[0]):
                raise ValueError(
                    f"ParameterNoise got no row, and calls {type(self.module).__name__} row after "
                    "row, so it does not know what that returns: leave empty batches out"
                ) from error
        outputs = [call(*row) for row in zip(*rows, strict=True)]
        return tree_map(self._stack, *outputs)

    def _stack(self, *parts: Any) -> Tensor:
        """One output of all rows."""
        if not torch.is_tensor(parts[0]):
            raise TypeError(
                f"the {type(self.module).__name__} of ParameterNoise returned {describe(parts[0])} "
                "among its outputs: return tensors alone"
            )
        return torch.stack(parts)

    def _call(self, shared: dict[str, Any], flat: Tensor, *inputs: Tensor) -> Any:
        """The module's outputs at these parameters, `[P]`."""
        trained = self._trained()
        parts = flat.split([parameter.numel() for parameter in trained.values()])
        pairs = zip(trained.items(), parts, strict=True)
        named = {name: part.view(p.shape).to(p.dtype) for (name, p), part in pairs}
        return functional_call(self.module, named, inputs, shared)

    def extra_repr(self) -> str:
        """The standard deviation."""
        return f"scale={self.scale}"


def _row_shape(inputs: tuple[Any, ...], ndims: int) -> torch.Size:
    """The dimensions of the rows, which all inputs must have."""
    if wrong := [x for x in inputs if not torch.is_tensor(x)]:
        raise TypeError(
            f"ParameterNoise got {describe(wrong[0])} as an input: give tensors, rows first, and "
            "what all rows share by keyword"
        )
    shapes = {x.shape[:ndims] for x in inputs}
    if len(shapes) != 1 or any(len(shape) < ndims for shape in shapes):
        raise ValueError(
            f"ParameterNoise got inputs of shapes {[list(x.shape) for x in inputs]}: give at least "
            f"one, and the same rows in all, the first {ndims} dimension(s), since each row has "
            "its own parameters; what rows share is given by keyword"
        )
    return shapes.pop()


def _check_module(module: Any) -> None:
    """Refuse what has no parameters to draw, or draws something itself."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"the module of ParameterNoise is {describe(module)}: give an nn.Module")
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(
            f"the {type(module).__name__} of ParameterNoise has no parameter that requires a "
            "gradient, so there is nothing to draw"
        )
    if any(isinstance(part, StochasticNode) for part in module.modules()):
        raise ValueError(
            f"the {type(module).__name__} of ParameterNoise holds a StochasticNode: draw outside "
            "of it, from what it returns"
        )


def _check_batch_norm(module: nn.Module) -> None:
    """Refuse batch normalisation that takes the statistics of the present batch."""
    for name, part in module.named_modules():
        kind: Any = nn.modules.batchnorm._BatchNorm  # pyright: ignore[reportPrivateUsage]
        if isinstance(part, kind) and (part.training or part.running_mean is None):
            raise ValueError(
                f"the {type(module).__name__} of ParameterNoise has batch normalisation in training"
                f"{f', {name!r}' if name else ''}: each row has parameters of its own, so its batch"
                " would be one row; use nn.LayerNorm, or eval() for what it has learned"
            )
