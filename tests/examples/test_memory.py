import pytest

from tests.examples.programs import check_form, number, run


@pytest.mark.training
def test_it_learns_to_reverse(tmp_path):
    output = run("memory.py", "--updates", "300", folder=tmp_path)
    check_form("memory.py", output)
    assert number(output, r"reversed (\d+)%") >= 90
