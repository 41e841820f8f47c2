import re

import pytest

from tests.examples.programs import check_form, run


@pytest.mark.training
def test_the_fitted_rates_come_near_the_true_ones(tmp_path):
    output = run("simulator.py", "--updates", "100", folder=tmp_path)
    check_form("simulator.py", output)

    # Each figure of a simulation is off by a few per cent; the first guess of a rate by 60 %.
    rates = table(output, "rates per hour")
    for fitted, true in zip(rates["fitted"], rates["true"], strict=True):
        assert abs(fitted / true - 1) < 0.3
    figures = table(output, "figures")
    for fitted, observed in zip(figures["fitted"], figures["observed"], strict=True):
        assert abs(fitted / observed - 1) < 0.3


def table(output, title):
    """The lines of a table, by their names."""
    _, body = re.split(rf"^{title}.*\n", output, flags=re.M)
    lines = re.findall(r"^  (\S+(?: \S+)*?) {2,}(.+)$|^(?=\S)", body, re.M)
    rows = {}
    for name, numbers in lines:
        if not name:
            break  # the next table
        rows[name] = [float(value) for value in numbers.split()]
    return rows
