import struct

import pytest
import torch

from tests.examples.programs import check_form, number, run, start

PLACE = 17  # where a digit begins: the first glimpse, in the middle, sees its corner only


@pytest.mark.training
def test_it_learns_where_to_look(tmp_path):
    write_images(tmp_path / "data" / "mnist")
    output = run("glimpse.py", "--epochs", "3", folder=tmp_path)  # 180 updates
    check_form("glimpse.py", output.replace("1,000 test", "10,000 test"))
    learned, random = (number(output, rf"{name} glimpses: (\S+)%") for name in LEARNERS)
    assert learned < random - 15


LEARNERS = ("learned", "random")


def test_without_images_it_names_the_command_that_fetches_them(tmp_path):
    finished = start("glimpse.py", folder=tmp_path)
    assert finished.returncode == 1
    assert "make glimpse" in finished.stderr
    assert "python -m applications.glimpse data --name mnist" in finished.stderr


def write_images(folder):
    """Ten patterns of 8 × 8 pixels, each always in the same place of a noisy image."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randint(2, (10, 8, 8), generator=generator) * 255
    for part, count in (("train", 3840), ("t10k", 1000)):
        digits = torch.randint(10, (count,), generator=generator)
        images = torch.randint(40, (count, 28, 28), generator=generator)
        images[:, PLACE : PLACE + 8, PLACE : PLACE + 8] = patterns[digits]
        for kind, values in (("images-idx3", images), ("labels-idx1", digits)):
            shape = values.shape
            header = struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape)
            content = header + bytes(values.flatten().tolist())
            (folder / f"{part}-{kind}-ubyte").write_bytes(content)
