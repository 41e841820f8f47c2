"""The machine against one written row by row in plain Python, which shares no code with it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from applications.memory.machine import MODES, SHIFTS, TINY, Machine, actions
from applications.memory.tasks import BLANK, END, SYMBOLS, TASKS, make_problems

CELLS = 4
"""Fewer than are written: the ring comes round."""
HARD = ("moves", "address", "absolute")


class Row:
    """One row's tapes and heads."""

    def __init__(self, tape, answer, mode):
        self.tape, self.answer, self.mode = tape, answer, mode
        self.memory, self.shown = [BLANK] * CELLS, BLANK
        self.head, self.write, self.read, self.given = 1, 0, 0, 0
        self.seen = set()
        self.bounced, self.wrapped = set(), False

    def allowed(self, table):
        self.seen.add(self.tape[self.head])
        blocked = self.mode != "moves" and END not in self.seen
        return [not (blocked and output) for *_, output in table]

    def wanted(self):
        return self.answer[min(self.given, len(self.answer) - 1)]

    def step(self, action, alive):
        forward, write, read, output = action
        gives = bool(output) and alive
        self.given += gives
        symbol = self.tape[self.head]
        if self.mode == "moves":
            self.memory[self.write] = symbol
        if self.mode == "absolute":
            self.write, self.read = write, read
        else:
            self.wrapped |= not 0 <= self.write + write < CELLS
            self.write, self.read = (self.write + write) % CELLS, (self.read + read) % CELLS
        if self.mode != "moves":
            self.memory[self.write] = symbol
        self.shown = self.memory[self.read]
        wanted = self.head + forward
        self.head = min(max(wanted, 0), len(self.tape) - 1)
        if self.head != wanted:
            self.bounced.add(self.head)
        return gives


def draw_problems(task="copy", rows=40, longest=4):
    generator = Generator().manual_seed(1)
    lengths = torch.randint(1, longest + 1, (rows,), generator=generator)
    return make_problems(task, lengths, generator)


def draw_action(allowed, generator):
    """One that is allowed, `[R]`."""
    return torch.multinomial(allowed.double(), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("mode", HARD)
@pytest.mark.parametrize("task", TASKS)
def test_every_row_is_the_machine_in_plain_python(mode, task):
    problems, generator = draw_problems(task), Generator().manual_seed(0)
    table = actions(mode, task, CELLS)
    listed, machine = table.tolist(), Machine(problems, mode, table, CELLS)
    tapes = zip(problems.tape.tolist(), problems.answer.tolist(), strict=True)
    rows = [Row(*both, mode) for both in tapes]
    for _ in range(60):
        assert machine.symbol.tolist() == [row.tape[row.head] for row in rows]
        assert torch.equal(
            machine.recalled, F.one_hot(torch.tensor([row.shown for row in rows]), SYMBOLS).float()
        )
        assert machine.wanted().tolist() == [row.wanted() for row in rows]
        allowed, wanted = machine.allowed(), [row.allowed(listed) for row in rows]
        if allowed is None:
            assert all(map(all, wanted))
        else:
            assert allowed.tolist() == wanted
        action = draw_action(torch.tensor(wanted), generator)
        alive = torch.rand(len(rows), generator=generator) < 0.7
        told = zip(rows, action.tolist(), alive.tolist(), strict=True)
        gives = machine.step(action, alive)
        assert gives.tolist() == [row.step(listed[a], lives) for row, a, lives in told]
        assert machine.given.tolist() == [row.given for row in rows]
        assert machine.memory.tolist() == [row.memory for row in rows]
    # what the test is there for did happen
    ends = {0, problems.tape.shape[1] - 1}
    forward = mode != "moves" or task == "forward-reverse"
    assert set().union(*[row.bounced for row in rows]) == (ends - {0} if forward else ends)
    assert mode == "absolute" or all(row.wrapped for row in rows)
    assert min(row.given for row in rows) > 0


@pytest.mark.parametrize("mode", ["moves", "address", "absolute"])
def test_a_row_does_not_depend_on_the_others(mode):
    problems, generator = draw_problems(rows=5), Generator().manual_seed(0)
    table, alive = actions(mode, "copy", CELLS), torch.ones(5, dtype=torch.bool)
    course = torch.randint(len(table), (30, 5), generator=generator)
    together = Machine(problems, mode, table, CELLS)
    alone = [
        Machine(type(problems)(*[part[row : row + 1] for part in problems]), mode, table, CELLS)
        for row in range(5)
    ]
    for action in course:
        gives = together.step(action, alive)
        for row, machine in enumerate(alone):
            assert machine.step(action[row : row + 1], alive[:1])[0] == gives[row]
            assert machine.symbol[0] == together.symbol[row]
            assert torch.equal(machine.recalled[0], together.recalled[row])


def test_whole_attention_is_an_address():
    """Mode `soft`, all attention in one place, is mode `address` with the same shifts, exactly.

    The power is so high that nothing is left of the least attention.
    """
    problems, generator = draw_problems(), Generator().manual_seed(0)
    hard_table, soft_table = (actions(mode, "copy", CELLS) for mode in ("address", "soft"))
    hard = Machine(problems, "address", hard_table, CELLS)
    soft = Machine(problems, "soft", soft_table, CELLS)
    rows = len(problems.tape)
    sharpness = torch.full((2, rows, 1), 8.0)
    for _ in range(60):
        assert torch.equal(soft.allowed()[:, 1], hard.allowed().all(1))
        action = draw_action(hard.allowed(), generator)
        _, write, read, output = hard_table[action].unbind(1)
        place = [SHIFTS.index(shift) for shift in (*write.tolist(), *read.tolist())]
        shifts = F.one_hot(torch.tensor(place), len(SHIFTS)).float().view(2, rows, -1)
        alive = torch.rand(rows, generator=generator) < 0.7
        assert torch.equal(hard.step(action, alive), soft.step(output, alive, shifts, sharpness))
        assert torch.equal(soft.memory, F.one_hot(hard.memory, SYMBOLS).float())
        for mine, theirs in zip(soft.attention, (hard.write, hard.read), strict=True):
            assert torch.equal(mine, F.one_hot(theirs, CELLS).float())
        assert torch.equal(hard.recalled, soft.recalled)
        assert torch.equal(hard.symbol, soft.symbol)
        assert torch.equal(hard.given, soft.given)


@pytest.mark.parametrize("power", [1, 2])
def test_spread_attention_writes_and_reads_by_weight(power):
    problems = make_problems("copy", torch.tensor([2]), Generator().manual_seed(0))
    machine = Machine(problems, "soft", actions("soft", "copy", CELLS), CELLS)
    first = F.one_hot(problems.tape[0, 1], SYMBOLS).float()
    blank = F.one_hot(torch.tensor(BLANK), SYMBOLS).float()
    write, read = [0.5, 0.25, 0.25], [0.0, 1.0, 0.0]  # stays, +1, −1
    action, alive = torch.tensor([0]), torch.tensor([True])
    shifts, sharpness = torch.tensor([[write], [read]]), torch.full((2, 1, 1), float(power))
    assert not machine.step(action, alive, shifts, sharpness)
    weights = torch.tensor([0.5, 0.25, 0, 0.25]) ** power
    weights = (weights / weights.sum())[:, None]
    wanted = weights * first + (1 - weights) * blank
    near = {"rtol": 0, "atol": 10 * TINY}
    assert torch.allclose(machine.memory[0], wanted, **near)
    assert torch.allclose(machine.recalled[0], wanted[1], **near)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("task", TASKS)
def test_the_actions(mode, task):
    table = actions(mode, task, CELLS)
    backwards = mode == "moves" and task != "forward-reverse"
    moves = 18 if task != "forward-reverse" else 12
    assert len(table) == {"moves": moves, "address": 18, "absolute": 2 * CELLS**2, "soft": 2}[mode]
    assert len(table.unique(dim=0)) == len(table)
    assert (table[:, 0] < 0).any() == backwards
    if mode == "moves":
        assert torch.equal(table[:, 1], table[:, 2])
    else:
        assert (table[:, 0] == 1).all()
