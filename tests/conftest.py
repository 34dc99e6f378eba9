"""Shared by all tests: a Hypothesis profile, small scenes and small networks."""

import pytest
import torch
from hypothesis import settings

settings.register_profile("glnet", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("glnet")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small networks lose more to waiting threads than they gain; files run side by side."""
    torch.set_num_threads(1)
