"""Options from the arguments of a command, by `tyro`."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from applications.kit.errors import OptionError, RunError
from applications.kit.options import Options, bare, hints, marks, option

K = TypeVar("K", bound=Options)

REGISTRY = ConstructorRegistry()
SWITCH = bool | None


@REGISTRY.primitive_rule
def _switch(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """`--x` or `--no-x`, or neither."""
    if info.type != SWITCH:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="(or --no-…)",
        instance_from_str=lambda texts: texts[0] == "True",
        is_instance=lambda value: value is None or isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
    )


@REGISTRY.primitive_rule
def _range(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[range] | None:
    """`FIRST-LAST`."""
    if info.type is not range:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="FIRST-LAST",
        instance_from_str=lambda texts: seeds(texts[0]),
        is_instance=lambda value: isinstance(value, range),
        str_from_instance=lambda value: [f"{value[0]}-{value[-1]}"],
    )


def seeds(text: str) -> range:
    """`FIRST-LAST` as a range that has both.

    Raises:
        OptionError: it is none.
    """
    first, _, last = text.partition("-")
    if not first.isdigit() or not (last or first).isdigit():
        raise OptionError(f"{text!r} is not FIRST-LAST, e.g. 0-9")
    both = range(int(first), int(last or first) + 1)
    if not both:
        raise OptionError(f"{text!r} ends before it begins")
    return both


def parse(
    kind: type[K],
    arguments: list[str],
    program: str,
    help: str,
    start: type[Options] | None = None,
    default: K | None = None,
) -> K:
    """Options from arguments.

    Args:
        kind: of options.
        arguments: former names of options are understood too.
        program: what the command is called.
        help: what it does.
        start: further options, which are left out of what comes back.
        default: what is not told; None for the defaults of the fields.

    Raises:
        RunError: there is no such option, or its value cannot be.
        SystemExit: help was asked for, or a value cannot be read.
    """
    names = [field.name for field in fields(kind)]
    usual = {} if default is None else {name: getattr(default, name) for name in names}
    whole = both(kind, start) if start else kind
    found, unknown = known(whole, arguments, usual, prog=program, description=help)
    if unknown:
        recipe = getattr(kind, "recipe", None)
        whose = f"the recipe {recipe}" if recipe else program
        raise RunError(f"{unknown[0]} is no option of {whose}: see --help")
    apart = hints(start) if start else {}
    return kind(**{name: getattr(found, name) for name in names if name not in apart})


def known(
    kind: type[K], arguments: list[str], usual: Mapping[str, Any] | None = None, **about: str
) -> tuple[K, list[str]]:
    """The options of a kind among arguments, unchecked, and the arguments that are none of them."""
    plain = unchecked(kind)
    found, unknown = tyro.cli(
        plain,
        args=[rewritten(kind, argument) for argument in arguments],
        default=plain(**usual) if usual else None,
        return_unknown_args=True,
        registry=REGISTRY,
        add_help=bool(about),
        **about,
    )
    return found, list(unknown)


def both(kind: type[K], start: type[Options]) -> type[K]:
    """A dataclass with the fields of two; those of the second stand where both have one."""
    return dataclass(frozen=True)(type(kind.__name__, (start, kind), {"RENAMED": kind.RENAMED}))


def unchecked(kind: type[K]) -> type[K]:
    """The dataclass without its checks, for the parser; its fields carry their help texts.

    What the checks refuse is reported later, as one whole line.
    """
    texts = help_texts(kind)
    annotations = {
        name: Annotated[
            hint,
            tyro.conf.arg(
                help=texts.get(name), help_behavior_hint=default_text, metavar=metavar(hint)
            ),
        ]
        for name, hint in hints(kind).items()
        if not marks(hint, type(tyro.conf.arg()))
    }
    members = {"__post_init__": lambda self: None, "__annotations__": annotations}
    return type(kind.__name__, (kind,), members)


def help_texts(kind: type) -> dict[str, str]:
    """The docstrings below a dataclass's fields, each as one line."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not issubclass(base, Options) or base.__module__ == __name__:
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        for field, after in pairwise(body.body):
            if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr):
                texts[field.target.id] = " ".join(ast.literal_eval(after.value).split())
    return texts


def metavar(hint: Any) -> str | None:
    """What help shows for the value of an option that may be left out; None for tyro's own word.

    None is what leaving it out means, so nobody has to type it.
    """
    kinds = bare(hint)
    if type(None) not in kinds or set(kinds) == {bool, type(None)}:
        return None
    (kind,) = set(kinds) - {type(None)}
    if get_origin(kind) is Literal:
        return f"{{{','.join(get_args(kind))}}}"
    return kind.__name__.upper() if isinstance(kind, type) else None


def default_text(value: str) -> str:
    """What help says of a default; nothing of None or of no values, which the text explains."""
    return "" if value in ("None", "") else f"(default: {value})"


def rewritten(kind: type[Options], argument: str) -> str:
    """An argument under its present name; a switch of three states with its value."""
    name, equals, value = argument.partition("=")
    renamed = {option(old): option(new) for old, new in kind.RENAMED.items()}
    name = renamed.get(name, name)
    for field, hint in hints(kind).items():
        if set(bare(hint)) == {bool, type(None)}:
            if name == option(field) and not equals:
                return f"{name}=True"
            if name == option(f"no_{field}"):
                return f"{option(field)}=False"
    return name + equals + value
