"""The tasks: tapes and answers by brute force, and programs that solve them in the stated steps."""

from statistics import NormalDist

import pytest
import torch
from torch import Generator

from applications.memory.machine import Machine, actions
from applications.memory.tasks import (
    BLANK,
    COPIES,
    END,
    FIRST,
    LETTERS,
    SYMBOLS,
    TASKS,
    THRICE,
    TWICE,
    make_problems,
)

FAMILY = 1e-6
TIMES = {TWICE: 2, THRICE: 3}


def draw(task, seed=0, rows=200, longest=9):
    generator = Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (rows,), generator=generator)
    return make_problems(task, lengths, generator)


def read(task, tape):
    """What a person reads off a tape: the letters, and how often to repeat them."""
    assert tape[0] == BLANK
    end = tape.index(END)
    assert set(tape[end + 1 :]) == {BLANK}
    found, times = tape[1:end], 1
    if task == "repeat-copy":
        times, found = TIMES[found[0]], found[1:]
    letters = found[::COPIES] if task == "duplicated-input" else found
    assert all(FIRST <= letter < SYMBOLS for letter in letters)
    if task == "duplicated-input":
        assert found == [letter for letter in letters for _ in range(COPIES)]
    return letters, times


@pytest.mark.parametrize("task", TASKS)
def test_every_answer_is_what_brute_force_says(task):
    problems = draw(task)
    rows = zip(problems.tape.tolist(), problems.answer.tolist(), strict=True)
    for row, (tape, answer) in enumerate(rows):
        letters, times = read(task, tape)
        wanted = letters[::-1] if "reverse" in task else letters * times
        assert len(letters) == problems.lengths[row]
        assert len(wanted) == problems.due[row]
        assert answer == wanted + [BLANK] * (len(answer) - len(wanted))
    assert problems.answer.shape[1] == problems.due.max()
    assert set(problems.lengths.tolist()) == set(range(1, 10))


@pytest.mark.parametrize("task", TASKS)
def test_the_seed_fixes_the_problems(task):
    for one, other in zip(draw(task, seed=3), draw(task, seed=3), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(draw(task, seed=3).answer, draw(task, seed=4).answer)


@pytest.mark.parametrize("task", TASKS)
def test_letters_and_repeats_are_equally_likely(task):
    problems = make_problems(task, torch.full((2000,), 3), Generator().manual_seed(0))
    tape, letters = problems.tape, problems.answer[:, :3]
    counts = letters.flatten().bincount(minlength=SYMBOLS)[FIRST:]
    repeats = torch.stack([(tape[:, 1] == sign).sum() for sign in TIMES])
    threshold = NormalDist().inv_cdf(1 - FAMILY / (2 * (LETTERS + len(TIMES))))
    for drawn in (counts, repeats) if task == "repeat-copy" else (counts,):
        chance, trials = 1 / len(drawn), drawn.sum()
        deviation = (trials * chance * (1 - chance)) ** 0.5
        assert ((drawn - trials * chance).abs() / deviation).max() < threshold
    assert not torch.equal(letters[:, 0], letters[:, 1])


# ---------------------------------------------------------------- programs, by hand


def by_moves(task, n, times):
    """Moves of the input, twice those of the memory, and the output, step by step."""
    on, back = (1, 0, 0), (-1, 0, 0)
    if task == "copy":
        return [(*on, 1)] * n
    if task == "duplicated-input":
        return ([(*on, 1)] + [(*on, 0)] * (COPIES - 1)) * n
    if task == "reverse":
        return [(*on, 0)] * n + [(*back, 0)] + [(*back, 1)] * n
    if task == "repeat-copy":
        forward = [(*on, 0)] + [(*on, 1)] * n
        return forward + ([(*back, 0)] * (n + 1) + forward) * (times - 1)
    return [(1, 1, 1, 0)] * n + [(1, -1, -1, 0)] + [(0, -1, -1, 1)] * n


def by_address(task, n, times):
    """Shifts of the addresses: one step for each cell up to the end, then out of memory."""
    if task == "repeat-copy":
        store = [(1, 0, 0, 0)] + [(1, 1, 0, 0)] * n + [(1, 1, 1, 0)]
        give, back = [(1, 0, 1, 1)] * n, [(1, 0, -1, 0)] * n
        return store + give + (back + give) * (times - 1)
    each, follow = COPIES if task == "duplicated-input" else 1, int("reverse" in task)
    new, again = (1, 1, follow, 0), [(1, 0, 0, 0)] * (each - 1)
    store = [(1, 0, 0, 0), *again] + [new, *again] * (n - 1) + [(1, 1, 0, 0)]
    return store + [(1, 0, -1 if follow else 1, 1)] * n


EARLY = {"copy": 1, "duplicated-input": COPIES}
"""Steps less than `enough`, which counts those until the end of the input is seen."""


def solve(task, mode, problems, programs):
    """Work a machine: by row, the steps until all was given out; and that it was right."""
    table = actions(mode, task, 16)
    machine = Machine(problems, mode, table, problems.tape.shape[1])
    rest = (int(mode != "moves"), 0, 0, 0)
    numbers = {tuple(row): number for number, row in enumerate(table.tolist())}
    taken = torch.zeros_like(problems.due)
    for t in range(max(map(len, programs))):
        alive = machine.given < problems.due
        action = torch.tensor([numbers[p[t] if t < len(p) else rest] for p in programs])
        allowed, wanted = machine.allowed(), machine.wanted()
        if allowed is not None:
            assert allowed[machine.rows, action].all()
        from_memory = mode == "address" or task == "forward-reverse"
        shown = machine.recalled.argmax(1) if from_memory else machine.symbol
        gives = machine.step(action, alive)
        assert torch.equal(shown[gives], wanted[gives])
        taken += alive
    assert torch.equal(machine.given, problems.due)
    return taken


@pytest.mark.parametrize("task", TASKS)
def test_it_can_be_done_in_as_many_steps_as_stated(task):
    problems = draw(task, rows=60)
    described = [read(task, tape) for tape in problems.tape.tolist()]
    stated = {"moves": problems.enough - EARLY.get(task, 0), "address": problems.streamed}
    for mode, write in (("moves", by_moves), ("address", by_address)):
        programs = [write(task, len(letters), times) for letters, times in described]
        assert torch.equal(solve(task, mode, problems, programs), stated[mode]), mode


@pytest.mark.parametrize(("task", "other"), [("copy", "reverse"), ("reverse", "copy")])
def test_the_program_of_another_task_does_not_do(task, other):
    problems = draw(task, rows=60)
    programs = [by_address(other, n, 1) for n in problems.lengths.tolist()]
    with pytest.raises(AssertionError):
        solve(task, "address", problems, programs)
