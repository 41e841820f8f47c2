import pytest
from PIL import Image

from tests.examples.programs import check_form, number, run


@pytest.mark.training
def test_the_update_raises_the_reward_and_three_panels_are_plotted(tmp_path):
    output = run("gaussian.py", "--draws", "2000", folder=tmp_path)
    check_form("gaussian.py", output)

    # The gain is 0.17, and the standard error of the two means together 0.02.
    before = number(output, r"reward before (\S+)")
    assert number(output, r"reward after +(\S+)") > before + 0.05

    with Image.open(tmp_path / "pictures" / "examples" / "gaussian.png") as picture:
        width, height = picture.size
        assert width > 2 * height
        thirds = [
            picture.crop((third * width // 3, 0, (third + 1) * width // 3, height))
            for third in range(3)
        ]
    colours = [len(third.convert("RGB").getcolors(maxcolors=1 << 24)) for third in thirds]
    assert min(colours) > 20  # none is empty
