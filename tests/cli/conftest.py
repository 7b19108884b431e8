"""Fixtures of the tests of the commands."""

import pytest
from banks import make_windowed_bank

from npscatter.cli.banks import MEASURED


@pytest.fixture
def shipped(tmp_path_factory, ship_from):
    """Ship toy banks: "accurate" (R = 4) and its L = 4 relative, and "paper"."""
    folder = tmp_path_factory.mktemp("banks")
    errors = {MEASURED: {"S0": 0.0005, "S1": 0.0031, "S2": 0.0049}, "noise": {"S1": 1.0}}
    for bank in (
        make_windowed_bank("accurate", R=4, card={"errors": errors, "seed": 7}),
        make_windowed_bank("accurate-L4", L=4, card={"family": "accurate"}),
        make_windowed_bank("paper", seed=1),
    ):
        bank.save(folder / bank.name)
    ship_from(folder)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch, shipped):
    monkeypatch.chdir(tmp_path)
    return tmp_path
