"""The tasks: a tape of symbols to be read and the symbols that are the answer to it."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

BLANK, END, TWICE, THRICE, FIRST = range(5)
"""Symbols with a meaning: an empty cell, the end of the input, how often to repeat it; from `FIRST`
on they have none."""
LETTERS = 10
"""Symbols without a meaning."""
SYMBOLS = FIRST + LETTERS
KINDS = FIRST + 1
"""Kinds of symbols: letters are of one kind, each other symbol is of its own."""
COPIES = 3
"""How often `duplicated-input` has each letter on its tape."""
TASKS = ("copy", "duplicated-input", "reverse", "repeat-copy", "forward-reverse")


class Problems(NamedTuple):
    """A batch of problems of one task, rows first."""

    tape: Tensor
    """Int64 `[B, L]`: a blank, the input, its end, blanks. Heads start at cell 1."""
    answer: Tensor
    """Int64 `[B, A]`, letters; what follows the last of a row's is blank."""
    lengths: Tensor
    """Int64 `[B]`, different letters: the level of difficulty."""
    due: Tensor
    """Int64 `[B]`, letters of the answer."""
    enough: Tensor
    """Int64 `[B]`, steps that are enough for a head that moves on the input."""
    streamed: Tensor
    """Int64 `[B]`, steps that are enough where the input passes by once."""


def make_problems(task: str, lengths: Tensor, generator: Generator) -> Problems:
    """Draw problems.

    | task | tape | answer |
    |---|---|---|
    | copy | abc | abc |
    | duplicated-input | aaabbbccc | abc |
    | reverse | abc | cba |
    | repeat-copy | 2abc | abcabc |
    | forward-reverse | abc, read forwards only | cba |

    Args:
        task: a name in `TASKS`.
        lengths: int64 `[B]`, at least 1: different letters, the level of difficulty.
        generator: draws letters and repeats.

    Raises:
        ValueError: there is no such task.

    Source: Zaremba & Sutskever (2015), Reinforcement Learning Neural Turing Machines, section 5.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}: it must be one of {', '.join(TASKS)}")
    rows, longest = len(lengths), int(lengths.max())
    letters = torch.randint(FIRST, SYMBOLS, (rows, longest), generator=generator)
    times, lead, each = torch.ones_like(lengths), 0, 1
    enough = lengths + 1
    if task == "duplicated-input":
        each, enough = COPIES, COPIES * lengths + 1
    elif task == "repeat-copy":
        times, lead = torch.randint(2, 4, (rows,), generator=generator), 1
        enough = (2 * times - 1) * (lengths + 1)
    elif task in ("reverse", "forward-reverse"):
        enough = 2 * lengths + 1

    cells = lead + each * lengths
    place = torch.arange(int(cells.max())).expand(rows, -1)
    tape = letters.gather(1, ((place - lead) // each).clamp(0, longest - 1))
    if lead:
        tape[:, 0] = times - 2 + TWICE
    tape = F.pad(tape.where(place < cells[:, None], BLANK), (1, 2))
    tape[torch.arange(rows), cells + 1] = END

    due = times * lengths
    place = torch.arange(int(due.max())).expand(rows, -1)
    place, written = place % lengths[:, None], place < due[:, None]
    if task in ("reverse", "forward-reverse"):
        place = lengths[:, None] - 1 - place
    answer = letters.gather(1, place).where(written, BLANK)
    return Problems(tape, answer, lengths, due, enough, cells + 1 + 2 * due - lengths)
