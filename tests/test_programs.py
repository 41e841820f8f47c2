"""Random programs against brute force: value, gradient and Hessian, exactly.

Some hundreds here; `python -m tests.programs --programs 2000` tries many more.
"""

import pytest

from tests.programs import disagreement, outcomes, random_program

FEW = 9
"""Joint draws of a program at most, so that hundreds take seconds."""


def programs(first, count):
    """The seeds of `count` programs of few draws."""
    seeds, seed = [], first
    while len(seeds) < count:
        if outcomes(random_program(seed)) <= FEW:
            seeds.append(seed)
        seed += 1
    return seeds


@pytest.mark.parametrize("block", range(8))
def test_random_programs_agree_with_brute_force(block):
    for seed in programs(10_000 * (block + 1), 25):
        off = disagreement(random_program(seed))
        assert not off, f"seed {seed}: {off}"


def test_negative_control_a_parent_that_is_left_out():
    """Of programs whose last cost leaves out a draw that it depends on, nearly all are off."""
    found = 0
    seeds = [s for s in programs(0, 80) if random_program(s).costs[0]][:20]
    for seed in seeds:
        program = random_program(seed)
        program.claims = {0: []}
        found += bool(disagreement(program))
    assert found >= 18
