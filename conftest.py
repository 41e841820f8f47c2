"""What all tests take for granted: one thread for each of the processes, names for the doctests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # pytest-xdist has a process for every core

import pytest
import torch
from torch.distributions import Distribution

import sfgrad


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace["torch"] = torch
    doctest_namespace["sf"] = sfgrad


@pytest.fixture(autouse=True)
def _validation():
    """Compiling switches the checks of distributions off, for the whole process."""
    before = Distribution._validate_args
    yield
    Distribution.set_default_validate_args(before)
