"""A toy bank, and its files."""

import pytest


@pytest.fixture
def bank(toy_bank):
    return toy_bank("symmetric", 4, 3)


@pytest.fixture
def files(tmp_path, bank):
    """Save a bank and return the path of its .npz; the card lies beside it."""
    return bank.save(tmp_path / "toy.npz")
