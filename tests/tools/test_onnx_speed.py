"""The time beside ONNX Runtime: it is measured as said, and stands on the page as measured."""

import click
import pytest
from click.testing import CliRunner

from tools import onnx_speed


@pytest.fixture
def few(monkeypatch):
    """Time next to nothing."""
    monkeypatch.setattr(onnx_speed, "ROUNDS", 2)
    monkeypatch.setattr(onnx_speed, "FEWEST_SECONDS", 0.0)
    monkeypatch.setattr(onnx_speed, "BANK", "paper-tuned")


def test_both_are_measured(few):
    row = onnx_speed.measure(32, 1, 3, 1)
    assert set(row["ms_per_image"]) == {"npscatter", "ONNX Runtime"}
    assert min(row["ms_per_image"].values()) > 0


def test_what_is_wrong_is_not_timed(few, monkeypatch):
    monkeypatch.setattr(onnx_speed, "relative_errors", lambda *_: {"S0": 0.0, "S1": 2e-5})
    with pytest.raises(click.ClickException, match="npscatter: wrong by"):
        onnx_speed.measure(32, 1, 3, 1)


def test_the_page_has_what_was_measured():
    ran = CliRunner().invoke(onnx_speed.main, ["--check"])
    assert ran.exit_code == 0, ran.output
