"""The machine that a controller works: an input tape, a memory, an output tape, and their heads."""

from itertools import product

import torch
from torch import Tensor

from applications.memory.tasks import BLANK, END, FIRST, KINDS, SYMBOLS, Problems

MODES = ("moves", "address", "absolute", "soft")
SHIFTS = (0, 1, -1)
KIND = torch.eye(KINDS)[torch.arange(SYMBOLS).clamp(max=FIRST)]
"""What kind each symbol is of, `[SYMBOLS, KINDS]`."""
LETTER = torch.eye(SYMBOLS)
"""Each symbol as a vector, `[SYMBOLS, SYMBOLS]`."""
TINY = 1e-6
"""Least attention: the slope of a power is infinite at 0."""


def actions(mode: str, task: str, cells: int) -> Tensor:
    """What a controller chooses from at a step, int64 `[A, 4]`.

    | mode | input | write | read | output |
    |---|---|---|---|---|
    | moves | −1, 0, 1 | the head's −1, 0, 1 | the same | 0, 1 |
    | address | 1 | the address's −1, 0, 1 | −1, 0, 1 | 0, 1 |
    | absolute | 1 | the address, 0 … N − 1 | 0 … N − 1 | 0, 1 |
    | soft | 1 | (attention) | (attention) | 0, 1 |

    Args:
        mode: a name in `MODES`.
        task: `forward-reverse` may not move the input back.
        cells: of the memory, N.
    """
    if mode == "moves":
        forward = SHIFTS[:2] if task == "forward-reverse" else SHIFTS
        table = [(i, m, m, o) for i, m, o in product(forward, SHIFTS, (0, 1))]
    elif mode == "soft":
        table = [(1, 0, 0, o) for o in (0, 1)]
    else:
        choices = SHIFTS if mode == "address" else range(cells)
        table = [(1, w, r, o) for w, r, o in product(choices, choices, (0, 1))]
    return torch.tensor(table)


class Machine:
    """The tapes of many rows at once.

    In mode `moves` one head both reads and writes the memory, and output may come at any time. In
    the others the input passes by, a symbol a step, and output begins after its end, so that it
    must come from memory; writing and reading have an address each.

    A step: give out what is seen (or not), write the input's symbol to the memory, move.

    Args:
        problems: what is on the tapes.
        mode: a name in `MODES`.
        table: `actions` of the mode.
        cells: of the memory, a ring.
    """

    def __init__(self, problems: Problems, mode: str, table: Tensor, cells: int):
        rows = len(problems.tape)
        self.problems, self.mode, self.table, self.cells = problems, mode, table, cells
        self.rows = torch.arange(rows)
        self.input = torch.ones(rows, dtype=torch.long)
        self.write, self.read = torch.zeros(2, rows, dtype=torch.long)
        self.given = torch.zeros(rows, dtype=torch.long)
        """Letters given out."""
        self.symbol = problems.tape[:, 1]
        """The input's symbol under its head, int64 `[R]`."""
        self.over = self.symbol == END
        """Whether the input's end was seen."""
        if mode == "soft":
            self.memory = LETTER[BLANK].repeat(rows, cells, 1)
            self.attention = LETTER.new_zeros(2, rows, cells)
            self.attention[:, :, 0] = 1
        else:
            self.memory = torch.zeros(rows, cells, dtype=torch.long)
        self.recalled = LETTER[BLANK].repeat(rows, 1)
        """What memory shows, `[R, SYMBOLS]`."""

    def allowed(self) -> Tensor | None:
        """Which actions may be chosen now, bool `[R, A]`; None for all."""
        if self.mode == "moves":
            return None
        return self.over[:, None] | (self.table[:, 3] == 0)

    def wanted(self) -> Tensor:
        """The letter that is to be given out next, int64 `[R]`."""
        answer = self.problems.answer
        return answer[self.rows, self.given.clamp(max=answer.shape[1] - 1)]

    def step(
        self,
        action: Tensor,
        alive: Tensor,
        shifts: Tensor | None = None,
        sharpness: Tensor | None = None,
    ) -> Tensor:
        """Do what was chosen.

        Args:
            action: int64 `[R]`.
            alive: bool `[R]`; what other rows give out does not count.
            shifts: `[2, R, 3]`, how the attention of writing and reading moves, in mode `soft`.
            sharpness: `[2, R, 1]`, the power that it is then raised to.

        Returns:
            Bool `[R]`, whether a letter was given out.
        """
        problems, rows = self.problems, self.rows
        forward, write, read, out = self.table[action].unbind(1)
        gives = (out == 1) & alive
        self.given = self.given + gives
        if self.mode == "soft":
            self._attend(shifts, sharpness)
        elif self.mode == "moves":
            self.memory[rows, self.write] = self.symbol
            self.write = self.read = (self.write + write) % self.cells
            self.recalled = LETTER[self.memory[rows, self.read]]
        else:
            near = self.mode == "address"
            self.write = (self.write * near + write) % self.cells
            self.read = (self.read * near + read) % self.cells
            self.memory[rows, self.write] = self.symbol
            self.recalled = LETTER[self.memory[rows, self.read]]
        self.input = (self.input + forward).clamp(0, problems.tape.shape[1] - 1)
        self.symbol = problems.tape[rows, self.input]
        self.over = self.over | (self.symbol == END)
        return gives

    def _attend(self, shifts: Tensor, sharpness: Tensor) -> None:
        """Write to and read from every cell, as much as attention is on it."""
        moved = sum(
            shifts[..., k, None] * self.attention.roll(move, 2) for k, move in enumerate(SHIFTS)
        )
        sharp = (moved + TINY) ** sharpness
        self.attention = sharp / sharp.sum(2, keepdim=True)
        write, read = self.attention
        # in place where no gradient needs the past: all that a step at test time has to do
        lerp = torch.lerp if torch.is_grad_enabled() else Tensor.lerp_
        self.memory = lerp(self.memory, LETTER[self.symbol][:, None], write[..., None])
        self.recalled = (read[:, None] @ self.memory)[:, 0]
