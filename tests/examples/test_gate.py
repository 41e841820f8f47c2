import re

import pytest

from tests.examples.programs import check_form, number, run


@pytest.mark.training
def test_the_gate_opens_what_is_asked_for_and_its_gradient_is_unbiased(tmp_path):
    output = run("gate.py", "--updates", "400", folder=tmp_path)
    check_form("gate.py", output)

    # Without any reading the answer is off by 1 on average, and all four cost 0.4.
    assert number(output, r"after learning   cost (\S+),") < 0.2
    rows = [eval(row) for row in re.findall(r"opens (.*)", output)]
    assert rows == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert number(output, r"largest bias is (\S+),") < 1e-9
