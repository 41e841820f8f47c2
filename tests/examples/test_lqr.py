import pytest

from tests.examples.programs import check_form, number, run


@pytest.mark.training
def test_the_learned_cost_controls_the_true_cart_better(tmp_path):
    output = run("lqr.py", "--updates", "50", folder=tmp_path)
    check_form("lqr.py", output)
    cost = r"{} .* costs (\S+) on the true cart"
    learned, true = (number(output, cost.format(name)) for name in ("learned", "true"))
    assert learned < 0.8 * true  # about 0.5
