"""Why a draw failed: the user's mistake behind an error of Python or torch.

It runs only after an error, so valid draws cost nothing.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from sfgrad.estimators.base import Estimator, check_estimator
from sfgrad.estimators.enumerate import Enumerate
from sfgrad.estimators.log_prob import MisfitError
from sfgrad.estimators.pathwise import Pathwise
from sfgrad.masks import base_distribution
from sfgrad.settings import accepts, describe
from sfgrad.site import Request, Site
from sfgrad.tracing import is_readable

NEEDED = ("batch_shape", "event_shape", "sample", "log_prob")
"""The attributes that every distribution must have."""


def explain(
    name: str, distribution: Any, estimator: Any, request: Request | None, error: Exception
) -> None:
    """Raise an error that names the cause of a draw's failure, if the cause is known.

    Args:
        name: of the node.
        distribution: the argument given as the distribution.
        estimator: the argument given as the estimator.
        request: the other arguments of the draw.
        error: the error that the draw raised; if its cause is not known, it gets a note with the
            node and the classes.

    Raises:
        TypeError: the distribution or the estimator is something else, or a method of its class
            has the wrong arguments or returns the wrong thing.
        ValueError: they do not fit together, or tensors are on several devices.
    """
    what = f"node {name!r}"
    check_estimator(what, estimator)
    check_distribution(what, distribution)
    if isinstance(error, MisfitError):
        raise ValueError(f"{what}: {error}") from error
    if isinstance(error, ValueError) and _is_ours(error):
        return  # a whole sentence already

    if isinstance(error, NotImplementedError) and _is_ours(error):
        raise TypeError(f"{what}: {error}") from error
    if not accepts(estimator.draw, distribution, 1):
        raise TypeError(
            f"{what}: {type(estimator).__name__}.draw does not take the two arguments that it is "
            "given: define it as draw(self, distribution, batch_ndims)"
        ) from error
    base = base_distribution(distribution)
    with torch.random.fork_rng(devices=[]):
        value, copies = _sampled(what, base, estimator, error)
        if value is not None and torch.is_grad_enabled() and not isinstance(estimator, Pathwise):
            _check_log_prob(what, base, value, copies, error)
    if value is not None and request is not None:
        _check_devices(what, value, request, error)
    draw = f"{what} draws from {type(base).__name__} by {type(estimator).__name__}"
    if type(error) is ValueError:
        raise ValueError(f"{draw}, which fails: {error}") from error
    error.add_note(f"Raised where {draw}.")


def _is_ours(error: Exception) -> bool:
    """Whether it was raised in this library, not in torch or the user's code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals["__name__"].startswith("sfgrad.")


def check_distribution(what: str, value: Any) -> None:
    """Refuse anything but a distribution.

    Args:
        what: the node, for errors.
        value: the argument given as the distribution.

    Raises:
        TypeError: it is a tensor, a class or anything else; or its class lacks an attribute that
            every distribution has, or does not call `super().__init__()`.
    """
    kind = type(value).__name__
    missing = [name for name in NEEDED if not hasattr(value, name)]
    if isinstance(value, type) or "sample" in missing:
        raise TypeError(
            f"{what}: the distribution is {describe(value)}: give an object of "
            "torch.distributions, such as Bernoulli(logits=x) or Normal(loc, scale)"
        )
    if missing and isinstance(value, Distribution):
        raise TypeError(
            f"{what}: {kind} never called super().__init__(batch_shape, event_shape), so its rows "
            "are unknown: call it in __init__"
        )
    if missing:
        raise TypeError(
            f"{what}: {kind} is not a distribution, as it has no {', '.join(missing)}: derive it "
            "from torch.distributions.Distribution, and call super().__init__(batch_shape, "
            "event_shape)"
        )
    if not isinstance(value.batch_shape, tuple) or not isinstance(value.event_shape, tuple):
        raise TypeError(
            f"{what}: the shapes of {kind} are {value.batch_shape!r} and {value.event_shape!r}: "
            "make both torch.Size, as in super().__init__(torch.Size([4]), torch.Size())"
        )


def _sampled(
    what: str, base: Distribution, estimator: Estimator, error: Exception
) -> tuple[Tensor | None, tuple[int, ...]]:
    """Values drawn as the estimator draws them, None if that fails, and the shape of copies."""
    kind = type(base).__name__
    if isinstance(estimator, Enumerate):
        try:
            support = base.enumerate_support()
        except Exception:
            return None, ()
        return support, support.shape[:1]

    method = "rsample" if isinstance(estimator, Pathwise) else "sample"
    samples = estimator.samples or 1
    copies = torch.Size([samples] if samples > 1 else [])
    if not accepts(getattr(base, method), copies):
        raise TypeError(
            f"{what}: {kind}.{method}() takes no sample_shape: define it as "
            f"{method}(self, sample_shape=torch.Size())"
        ) from error
    try:
        value: Any = getattr(base, method)(copies)
    except NotImplementedError:
        raise TypeError(
            f"{what}: {kind} has no {method}(): define {method}(self, sample_shape=torch.Size())"
        ) from error
    except Exception:
        return None, copies  # the user's own error, which says more

    wanted = copies + base.batch_shape + base.event_shape
    if not torch.is_tensor(value):
        raise TypeError(
            f"{what}: {kind}.{method}() returned {describe(value)}: return a tensor of shape "
            f"{list(wanted)}"
        ) from error
    if value.shape != wanted:
        raise ValueError(
            f"{what}: {kind}.{method}({list(copies) or ''}) returned shape {list(value.shape)}: "
            f"return {list(wanted)}, which is sample_shape + batch_shape + event_shape"
        ) from error
    return value, copies


def _check_log_prob(
    what: str, base: Distribution, value: Tensor, copies: tuple[int, ...], error: Exception
) -> None:
    """Refuse a `log_prob` that fails on its distribution's own values or returns a wrong shape."""
    kind = type(base).__name__
    try:
        log_prob: Any = base.log_prob(value)
    except NotImplementedError:
        raise TypeError(
            f"{what}: {kind} has no log_prob(): define log_prob(self, value), or use Pathwise() if "
            "it has an rsample"
        ) from error
    except ValueError as refusal:
        raise ValueError(
            f"{what}: {kind}.log_prob() refuses what {kind}.sample() drew: draw within the "
            f"support ({refusal})"
        ) from error
    except Exception:
        return  # the user's own error, which says more

    wanted = [*copies, *base.batch_shape]
    if not torch.is_tensor(log_prob):
        raise TypeError(
            f"{what}: {kind}.log_prob() returned {describe(log_prob)}: return a tensor of shape "
            f"{wanted}, nats"
        ) from error
    if list(log_prob.shape) != wanted:
        raise ValueError(
            f"{what}: {kind}.log_prob() returned shape {list(log_prob.shape)} for values "
            f"{list(value.shape)}: return one number for each entry of the batch, {wanted}"
        ) from error


def _check_devices(what: str, value: Tensor, request: Request, error: Exception) -> None:
    """Refuse a mask or an index on another device than the draws."""
    for field, tensor in (("mask", request.mask), ("index", request.index)):
        if torch.is_tensor(tensor) and tensor.device != value.device:
            raise ValueError(
                f"{what}: the {field} is on {tensor.device} but the draws are on {value.device}: "
                f"give {field}.to({str(value.device)!r}), as nothing is moved silently"
            ) from error


def refuse_detached(site: Site, log_prob: Tensor, estimator: Estimator) -> None:
    """Refuse a log-probability without gradient if parameters of the distribution require one.

    Args:
        site: of the draw.
        log_prob: the estimator's log p, without gradient.
        estimator: that of the draw.

    Raises:
        ValueError: a parameter requires a gradient.
    """
    if not is_readable(log_prob):
        return
    base = base_distribution(site.distribution)
    names = [name for name, part in vars(base).items() if torch.is_tensor(part)]
    if wanted := [name for name in names if getattr(base, name).requires_grad]:
        raise ValueError(
            f"node {site.name!r}: {wanted[0].lstrip('_')} of {type(base).__name__} requires a "
            f"gradient but the log-probability has none: do not detach it in "
            f"{type(base).__name__}.log_prob or {type(estimator).__name__}.draw, or detach the "
            "parameter if it is not to be learned"
        )
