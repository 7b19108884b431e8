"""The example of digits: from labelled pictures to firmware that computes as its twin does."""

import json
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from programs import program, run

import cexport
from cexport import LinearClassifier

FOLDER = Path(cexport.__file__).parent
EXAMPLE = FOLDER / "examples" / "digits" / "digits.py"
TRAINING, PICTURES = 300, 20


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Run the example on few digits; return the folder it wrote."""
    for needed in ("arm-none-eabi-gcc", "qemu-system-arm", "make"):
        program(needed)
    folder = tmp_path_factory.mktemp("digits")
    sizes = ("--training", TRAINING, "--pictures", PICTURES)
    ran = run(sys.executable, EXAMPLE, *sizes, "-o", folder, timeout=600)
    printed = dict(re.findall(r"^(\w+): (.*)$", ran.stdout.decode(), re.M))
    report = json.loads((folder / "report.json").read_text())
    assert printed.keys() == report.keys() and printed["pictures"] == str(PICTURES)
    return folder


def example():
    spec = spec_from_file_location("digits_example", EXAMPLE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_firmware_computes_as_its_twin_and_the_library(made):
    report = json.loads((made / "report.json").read_text())
    assert report["same_predictions"] == report["same_scores"] == PICTURES
    assert report["differ_from_float"] <= 1
    assert abs(report["right_in_q15"] - report["right_in_float"]) <= report["differ_from_float"]
    # Of ten digits guesses are right once in ten times.
    assert report["right_in_q15"] >= PICTURES / 2
    assert 10**5 < report["instructions"] <= report["instructions_most"] < 10**8
    classifier = LinearClassifier.load(made / "digits.npz")
    assert classifier.coef.shape == (10, 25 * 7 * 7) and classifier.white == 255
    assert 2 * classifier.coef.size == report["weights_bytes"] < report["flash_bytes"] < 2**16
    assert 0 < report["stack_bytes"] < 1024 < report["scratch_bytes"] < 2**15


def test_firmware_that_computes_anything_else_is_noticed(made, tmp_path):
    text = (made / "nps.h").read_text()
    # One offset of ten: that of the last class.
    damaged = re.sub(r"(class_offsets\[\w+\] = \{[^}]*?)(\d),\s*\}", r"\1\g<2>1,\n}", text)
    assert damaged != text
    (tmp_path / "nps.h").write_text(damaged)
    pictures = (made / "pictures.h").read_text()
    (tmp_path / "pictures.h").write_text(pictures)
    rows = re.findall(r"^    \{(.*)\},$", pictures, re.M)
    images = np.array([row.split(", ") for row in rows], np.uint8).reshape(PICTURES, 28, 28)
    found = example().recognise(tmp_path, made / "digits.npz", images, 4)
    assert found["same_scores"] == 0 and len(found["labels"]) == PICTURES


def test_pages_name_its_command():
    command = "python cexport/examples/digits/digits.py"
    for page in (FOLDER / "GUIDE.md", EXAMPLE.with_name("README.md")):
        assert command in page.read_text()
