"""Shared by all tests: a Hypothesis profile, small scenes and small networks."""


import pytest
import torch
from hypothesis import settings

settings.register_profile("glnet", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("glnet")


@pytest.fixture(autouse=True, scope="session")
def _two_threads() -> None:
    """Same arithmetic on every machine, and no fight over the cores."""
    torch.set_num_threads(min(2, torch.get_num_threads()))
