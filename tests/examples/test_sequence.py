import re

import pytest

from tests.examples.programs import check_form, number, run


@pytest.mark.training
def test_it_learns_to_write_sums(tmp_path):
    output = run("sequence.py", "--updates", "300", folder=tmp_path)
    check_form("sequence.py", output)

    # One digit for every number gets at most 1 of 60 right; after 300 updates it is over 30.
    assert number(output, r"(\d+) of 60") >= 15
    assert number(output, r"mean reward (\S+)") > 0.6
    sums = re.findall(r"^ *(\d+) = ([-+* \d]+)$", output, re.M)
    assert len(sums) == 6
    for wanted, expression in sums:
        assert abs(eval(expression) - int(wanted)) < 60
