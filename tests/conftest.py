"""Fixtures every test may ask for."""

import pytest
from banks import make_toy_bank


@pytest.fixture(scope="session", params=["numba", "numpy"])
def backend(request):
    """Every executor in turn."""
    return request.param


@pytest.fixture(scope="session")
def toy_bank():
    """`make_toy_bank`: banks are immutable, so tests share them."""
    return make_toy_bank
