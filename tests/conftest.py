"""Fixtures every test may ask for."""

import cases  # noqa: F401
import pytest
from banks import make_toy_bank
from hypothesis import settings

settings.load_profile("fast")


@pytest.fixture(scope="session", params=["numba", "numpy"])
def backend(request):
    """Every executor in turn."""
    return request.param


@pytest.fixture(scope="session")
def toy_bank():
    """`make_toy_bank`: banks are immutable, so tests share them."""
    return make_toy_bank
