"""Options as the fields of a dataclass, each said once: its type, range, default and help.

    @dataclass(frozen=True)
    class Config(Training):
        samples: Count = 8
        \"\"\"Runs per problem.\"\"\"

The class checks what it is given, whether that comes from a command line, a file or a program. The
docstring below a field is its help (`commands` shows it).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, get_args, get_origin
from typing import Union as AnyOf
from typing import get_type_hints as hints_of

from applications.kit.errors import OptionError, RunError

# ---------------------------------------------------------------- what a field may say of itself


class Range(NamedTuple):
    """The least and the largest value of a number."""

    least: float
    most: float = math.inf


class Needs(NamedTuple):
    """A condition on the config without which the option does nothing."""

    holds: Callable[[Any], bool]
    by: str
    """What makes it hold, as it is typed."""


Count = Annotated[int, Range(1)]
Several = Annotated[int, Range(2)]
Amount = Annotated[float, Range(0)]
Positive = Annotated[float, Range(1e-9)]
Share = Annotated[float, Range(0, 1)]
Steps = Annotated[int, Range(0)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
"""What every generator of random numbers takes."""


class Limit(NamedTuple):
    """What may end a training; all limits are totals, over every resumption."""

    unit: str
    """What is counted, in the plural."""
    done: Callable[[Mapping[str, Any]], float]
    """How much of it a state has done."""
    target: float


# ---------------------------------------------------------------- the dataclasses


@dataclass(frozen=True)
class Options:
    """Fields that are checked.

    Raises:
        OptionError: a value is not of its field's type or out of its range.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Former names of fields, in old run folders, shipped weights and command lines."""
    RESUMABLE: ClassVar[tuple[str, ...]] = ()
    """The fields in which a resumed run may differ."""

    def __post_init__(self) -> None:
        """Check every field."""
        for name, hint in hints(type(self)).items():
            check(name, getattr(self, name), hint)

    def fill(self, **usual: Any) -> None:
        """Give the fields that are None the values that are usual for the others."""
        for name, value in usual.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)  # as dataclasses do in a frozen one

    def limits(self) -> list[Limit]:
        """What ends a training."""
        return []

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], where: object, whole: bool = False) -> Self:
        """The options in a file, whatever their names were then.

        Args:
            saved: names and values; `origin` is none of them.
            where: the file or folder, for the errors.
            whole: every field must be there; otherwise one that is not has its default.

        Raises:
            RunError: a field is unknown or missing, or a value cannot be.
        """
        values = {cls.RENAMED.get(name, name): value for name, value in saved.items()}
        values.pop("origin", None)
        names = [field.name for field in fields(cls)]
        if unknown := sorted(values.keys() - set(names)):
            more = ", …" if len(unknown) > 3 else ""
            raise RunError(
                f"{where} is of another application or another version of this one, which does "
                f"not know its {', '.join(unknown[:3])}{more}"
            )
        if missing := [name for name in names if whole and name not in values]:
            raise RunError(
                f"{where} is of another version or application: its config has no "
                f"{', '.join(missing)}; train again"
            )
        try:
            return cls(**values)
        except OptionError as error:
            raise RunError(f"the config in {where} cannot be used ({error})") from error


@dataclass(frozen=True, kw_only=True)
class Training(Options):
    """Options of every training."""

    RESUMABLE: ClassVar[tuple[str, ...]] = ("seconds",)

    seed: Seed = 0
    """Seed of the whole training."""
    seconds: Amount | None = None
    """Stop at a checkpoint after this many seconds in total (default: no limit)."""

    def limits(self) -> list[Limit]:
        """The time."""
        limit = Limit("seconds", lambda state: state["seconds"], self.seconds or 0.0)
        return [] if self.seconds is None else [limit]


def option(name: str) -> str:
    """How a field is spelled on the command line: `--run-dir` for `run_dir`."""
    return "--" + name.replace("_", "-")


# ---------------------------------------------------------------- checks


@cache
def hints(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields, with what they are annotated with."""
    types = hints_of(kind, include_extras=True)
    return {field.name: types[field.name] for field in fields(kind)}


def marks(hint: Any, kind: type) -> list[Any]:
    """What of a kind a type is annotated with, at any depth."""
    if get_origin(hint) is Annotated:
        base, *own = get_args(hint)
        return [mark for mark in own if isinstance(mark, kind)] + marks(base, kind)
    if get_origin(hint) in (AnyOf, UnionType):
        return [mark for part in get_args(hint) for mark in marks(part, kind)]
    return []


def bare(hint: Any) -> tuple[Any, ...]:
    """The types that a value may have, without annotations."""
    if get_origin(hint) is Annotated:
        return bare(get_args(hint)[0])
    if get_origin(hint) in (AnyOf, UnionType):
        return tuple(kind for part in get_args(hint) for kind in bare(part))
    return (hint,)


def check(name: str, value: Any, hint: Any) -> None:
    """Refuse a value that is not of its type or out of its range.

    Raises:
        OptionError: it is.
    """
    kinds = bare(hint)
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if value is None and NoneType in kinds:
        return
    if choices and value not in choices:
        raise OptionError(
            f"{option(name)}: {value} is not allowed: it must be one of {', '.join(choices)}"
        )
    if not choices and not any(is_of(value, kind) for kind in kinds):
        raise OptionError(f"{option(name)}: {value!r} is not allowed: it must be {said(kinds)}")
    shown = f"{value:g}" if isinstance(value, float) else value
    for least, most in marks(hint, Range):
        if not least <= value <= most or value == math.inf:
            wanted = f"at least {least:,}" if most == math.inf else f"from {least} to {most}"
            raise OptionError(f"{option(name)}: {shown} is not allowed: it must be {wanted}")


def is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a type; a whole number is a float too, and no switch is a number."""
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, get_origin(kind) or kind)


def said(kinds: tuple[Any, ...]) -> str:
    """Types in words."""
    words = {int: "a whole number", float: "a number", bool: "true or false", NoneType: "none"}
    return " or ".join(words.get(kind, "text") for kind in kinds)


def refuse_idle(options: Options) -> None:
    """Refuse an option that does nothing here and yet differs from its default.

    Raises:
        RunError: there is one.
    """
    for field in fields(options):
        for needed in marks(hints(type(options))[field.name], Needs):
            usual = replace(options, **{field.name: field.default})
            if not needed.holds(options) and getattr(options, field.name) != getattr(
                usual, field.name
            ):
                raise RunError(f"{option(field.name)} does nothing without {needed.by}")
