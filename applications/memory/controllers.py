"""The controllers: what to do next, given what the heads see."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from applications.memory.machine import KIND, SHIFTS
from applications.memory.tasks import KINDS, SYMBOLS

State = Tensor | tuple[Tensor, Tensor] | None
CONTROLLERS = ("direct", "feed-forward", "recurrent")
SHARPEN = 4.0
"""Attention is hardly sharpened at first: this is taken off before the softplus."""
SMALL = 0.1
"""Factor of the first weights of the outputs, so that at first all actions are about as likely."""


class Chosen(NamedTuple):
    """What a controller has to say at a step."""

    logits: Tensor
    """`[R, A]`, of the actions."""
    says: Tensor
    """`[R, SYMBOLS]`, probabilities of what it gives out, if it does."""
    shifts: Tensor | None
    """`[2, R, 3]`, how the attention of writing and reading moves, in mode `soft`."""
    sharpness: Tensor | None
    """`[2, R, 1]`, the power that attention is then raised to, at least 1."""
    hidden: Tensor
    """`[R, units]`, what a baseline may see."""
    state: State
    """For the next step."""


class Controller(nn.Module):
    """One step of the program.

    `direct` and `feed-forward` see of what kind the symbols are, not which letter, and give out
    what one of the tapes shows; so a program for some letters is one for all. `recurrent` sees the
    letters and has to say which one it gives out.

    Args:
        kind: a name in `CONTROLLERS`; `feed-forward` has no state.
        actions: to choose from.
        units: of the state, or of the hidden layer.
        soft: also says how attention moves.
    """

    def __init__(self, kind: str, actions: int, units: int, soft: bool = False):
        super().__init__()
        self.kind = kind
        seen = 2 * (SYMBOLS if kind == "recurrent" else KINDS) + actions
        if kind == "recurrent":
            self.core = nn.LSTMCell(seen, units)
        elif kind == "direct":
            self.core = nn.GRUCell(seen, units)
        else:
            self.core = nn.Sequential(nn.Linear(seen, units), nn.ReLU())
        self.sizes = [actions, SYMBOLS if kind == "recurrent" else 2]
        if soft:
            self.sizes += [2 * len(SHIFTS), 2]
        self.out = nn.Linear(units, sum(self.sizes))
        nn.init.zeros_(self.out.bias)
        with torch.no_grad():
            self.out.weight *= SMALL

    def forward(self, symbol: Tensor, recalled: Tensor, before: Tensor, state: State) -> Chosen:
        """One step.

        Args:
            symbol: `[R, SYMBOLS]`, what the input shows.
            recalled: `[R, SYMBOLS]`, what memory shows.
            before: `[R, A]`, the last action; zeros at first.
            state: of the last step; None at first.
        """
        if self.kind == "recurrent":
            seen = torch.cat((symbol, recalled, before), 1).to(self.out.weight.dtype)
            state = self.core(seen, state)
            hidden = state[0]
        else:
            seen = torch.cat((symbol @ KIND, recalled @ KIND, before), 1)
            seen = seen.to(self.out.weight.dtype)
            hidden = state = self.core(seen, state) if self.kind == "direct" else self.core(seen)
        logits, says, *attention = self.out(hidden).split(self.sizes, 1)
        says = says.softmax(1)
        if self.kind != "recurrent":
            says = says[:, :1] * symbol + says[:, 1:] * recalled
        shifts = sharpness = None
        if attention:
            shifts, sharpness = (part.view(len(seen), 2, -1).movedim(1, 0) for part in attention)
            shifts, sharpness = shifts.softmax(2), 1 + F.softplus(sharpness - SHARPEN)
        return Chosen(logits, says, shifts, sharpness, hidden, state)
