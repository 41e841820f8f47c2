"""What the doctests take for granted."""

import pytest
import torch

import sfgrad


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace["torch"] = torch
    doctest_namespace["sf"] = sfgrad
