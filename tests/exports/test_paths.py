"""Where a file cannot be written, errors name the path that was given, whatever writes it."""

import os
from pathlib import Path

import pytest

from npscatter import FilterBank, Scattering2D
from npscatter.onnx import export


def writers():
    """Return everything of the interface that writes a file, by its name."""
    bank = FilterBank.load("fast")
    S = Scattering2D(1, (8, 8), bank=bank)
    return {
        "bank.npz": bank.save,
        "taps.npz": bank.export_taps,
        "taps.safetensors": bank.export_taps,
        "model.onnx": lambda path: export(S, path),
    }


@pytest.mark.parametrize("name", ["bank.npz", "taps.npz", "taps.safetensors", "model.onnx"])
def test_an_error_names_the_path_that_was_given(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    for folder, error in (("missing", FileNotFoundError), ("file", NotADirectoryError)):
        path = f"{folder}/{name}"
        with pytest.raises(error) as raised:
            writers()[name](path)
        assert raised.value.filename == path and ".partial" not in str(raised.value)
        said = "the folder it is to be in does not exist; make that first" in str(raised.value)
        assert said == (folder == "missing")
    assert os.listdir() == ["file"]
