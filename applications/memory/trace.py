"""A problem being done: what the heads saw and did, recorded step by step."""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from applications.memory.evaluate import PATIENCE, SPARE
from applications.memory.machine import LETTER, Machine
from applications.memory.model import MemoryModel
from applications.memory.tasks import make_problems

FAINT = 0.05
"""Attention below this is not shown."""
NOTHING = -1
"""In place of a symbol, where none is given out."""


class Trace(NamedTuple):
    """One problem being done: T steps, and the states before, between and after them."""

    task: str
    mode: str
    tape: Tensor
    """Int64 `[L]`, the input."""
    due: int
    """Letters of the answer."""
    input: Tensor
    """Int64 `[T + 1]`, the cell of the input under its head."""
    contents: Tensor
    """`[T + 1, N, SYMBOLS]`, how much of each symbol is in the cells of the memory."""
    reading: Tensor
    """`[T + 1, N]`, how much of what memory shows is from each cell."""
    writing: Tensor
    """`[T, N]`, how much of the input's symbol a step puts in place of what each cell holds."""
    given: Tensor
    """Int64 `[T]`, the symbol that a step gives out, or `NOTHING`."""
    wanted: Tensor
    """Int64 `[T]`, the letter that was to be given out next."""

    @property
    def right(self) -> Tensor:
        """Bool `[T]`, whether the right letter was given out."""
        return self.given == self.wanted

    @property
    def seen(self) -> Tensor:
        """Int64 `[T + 1]`, the input's symbol under its head."""
        return self.tape[self.input]

    @property
    def recalled(self) -> Tensor:
        """Int64 `[T + 1]`, the symbol that memory mostly shows."""
        return (self.reading[:, None] @ self.contents).argmax(2)[:, 0]


@torch.no_grad()
def record(model: MemoryModel, length: int, generator: Generator) -> Trace:
    """Do a problem, drawn by the generator, of so many letters: always what is likeliest."""
    problems = make_problems(model.config.task, torch.tensor([length]), generator)
    machine, mode = model.machine(problems), model.config.mode
    states, steps, said = [state_of(machine)], [], []
    with model.controller.register_forward_hook(lambda *args: said.append(args[2].says[0])):
        before, wanted, at = int(machine.given), machine.wanted(), head(machine, 0)
        for step in model.run(machine, PATIENCE * model.enough(problems) + SPARE, True):
            if not step.alive:
                break
            letter = said[-1].argmax() if machine.given > before else torch.tensor(NOTHING)
            steps.append((at if mode == "moves" else head(machine, 0), letter, wanted[0]))
            states.append(state_of(machine))
            before, wanted, at = int(machine.given), machine.wanted(), head(machine, 0)
    return Trace(
        model.config.task,
        mode,
        problems.tape[0],
        int(problems.due),
        *(torch.stack(part) for part in zip(*states, strict=True)),
        *(torch.stack(part) for part in zip(*steps, strict=True)),
    )


def state_of(machine: Machine) -> tuple[Tensor, Tensor, Tensor]:
    """The input head's cell, the memory's contents, where it is read: of the first row."""
    memory = machine.memory[0]
    contents = memory.clone() if machine.mode == "soft" else LETTER[memory]
    return machine.input[0], contents, head(machine, 1)


def head(machine: Machine, which: int) -> Tensor:
    """How much the first row writes to (0), or reads from (1), each cell, `[N]`."""
    if machine.mode == "soft":
        return machine.attention[which][0]
    return torch.eye(machine.cells)[(machine.write, machine.read)[which][0]]


def input_cells(trace: Trace, states: int) -> list[int]:
    """Cells of the input with something in them, or visited in the first so many states."""
    return sorted({*trace.input[:states].tolist(), *trace.tape.nonzero()[:, 0].tolist()})


def memory_cells(trace: Trace, states: int) -> list[int]:
    """Cells of the memory that are used in the first so many states.

    A ring is cut where no head has been: cells 0, 1 and the last, used, come as −1, 0, 1.
    """
    shares = torch.cat((trace.reading[:states], trace.writing))
    used = (shares.amax(0) > FAINT).tolist()
    first = 0
    while trace.mode != "absolute" and not all(used) and used[first - 1]:
        first -= 1
    return [cell for cell in range(first, first + len(used)) if used[cell]]
