"""Which graph records: the open graphs of a thread, and who may draw into which of them.

A graph belongs to the thread and, under asyncio, to the task that opened it; one that a generator
opened belongs to that generator. So trainings that take turns in one thread, as tasks or as
generators, each record into their own graph.
"""

import contextlib
import sys
import threading
from asyncio import current_task, events
from contextvars import ContextVar
from types import FrameType
from typing import Any, NamedTuple

import torch

SUSPENDABLE = 0x20 | 0x80 | 0x200
"""Code flags of generators, coroutines and asynchronous generators (`inspect.CO_GENERATOR`, …)."""

_thread = threading.local()
_inherited: ContextVar[Any] = ContextVar("_inherited", default=None)
"""The graph that was open where this task was started."""


class Opened(NamedTuple):
    """A graph, or what else stands in its place, that is open in this thread."""

    content: Any
    task: object | None
    """The asyncio task that opened it; None outside any."""
    generators: tuple[FrameType, ...]
    """The generators that were running when it was opened, innermost first."""


def current() -> Any:
    """What is open innermost for whoever asks, or None.

    Raises:
        RuntimeError: the asyncio task that asks was started inside a graph of another task.
    """
    stack: tuple[Opened, ...] = getattr(_thread, "stack", ())
    if not stack:
        return None

    # A graph that was opened outside any task is open for all tasks of the thread.
    if torch.compiler.is_compiling() or (len(stack) == 1 and stack[0].task is None):
        return stack[-1].content
    task = _task()
    own = [opened for opened in stack if opened.task is None or opened.task is task]
    if not own:
        _refuse_heir(stack)
        return None
    return own[0].content if len(own) == 1 else _running(own).content


def is_open() -> bool:
    """Whether anything is open in this thread, whoever asks."""
    return bool(getattr(_thread, "stack", ()))


def enter(content: Any) -> None:
    """Open `content`, innermost."""
    compiling = torch.compiler.is_compiling()
    task = None if compiling else _task()
    generators = () if compiling else tuple(_generators())
    _thread.stack = (*getattr(_thread, "stack", ()), Opened(content, task, generators))
    if task is not None:
        _inherited.set(content)


def leave(content: Any, error: type[BaseException] | None) -> None:
    """Close `content`.

    Args:
        content: what was opened.
        error: the type of the exception that ends its block, or None.

    Raises:
        RuntimeError: it is not open in this thread, or not the innermost one of its task. Then no
            graph of the thread stays open.
    """
    stack: tuple[Opened, ...] = getattr(_thread, "stack", ())
    position = next((i for i in reversed(range(len(stack))) if stack[i].content is content), None)
    if position is None:
        if error is None:
            raise RuntimeError(
                "the graph is not open in this thread: it was opened in another one, or closed "
                "when graphs were found closed out of order"
            )
        return

    # Generators and tasks may end in any order; a plain block ends before those around it.
    closed = stack[position]
    inner = [
        later
        for later in stack[position + 1 :]
        if later.task is closed.task and later.generators == closed.generators
    ]
    _thread.stack = stack[:position] + stack[position + 1 :]
    if inner and error is None:
        _thread.stack = ()
        raise RuntimeError(
            "graphs are closed out of order: a graph is left while one that was opened later, in "
            "the same block, is still open; use `with StochasticGraph()`"
        )


def _task() -> object | None:
    """The asyncio task that runs, or None."""
    return None if events._get_running_loop() is None else current_task()


def _refuse_heir(stack: tuple[Opened, ...]) -> None:
    """Refuse a task that was started inside a graph which another task has open."""
    graph = _inherited.get()
    if graph is not None and any(opened.content is graph for opened in stack):
        raise RuntimeError(
            "a task that was started inside another task's graph draws or adds a cost: a graph "
            "belongs to the task that opened it, so open one in each task, or draw outside tasks"
        )


def _generators() -> list[FrameType]:
    """The generators and coroutines that are running, innermost first.

    Those that contextlib runs are left out: `with recording() as graph` opens the graph for the
    block around it.
    """
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        caller = frame.f_back
        if frame.f_code.co_flags & SUSPENDABLE and not (
            caller is not None and caller.f_code.co_filename == contextlib.__file__
        ):
            frames.append(frame)
        frame = caller
    return frames


def _running(own: list[Opened]) -> Opened:
    """The one that belongs to whoever asks.

    That is the graph opened under the most of the generators that are running, the innermost of
    several; graphs of suspended generators are left out, unless there are no others.
    """
    running = _generators()
    best = None
    for opened in own:
        theirs = opened.generators
        if all(generator in running for generator in theirs) and (
            best is None or len(theirs) >= len(best.generators)
        ):
            best = opened
    return best or own[-1]
