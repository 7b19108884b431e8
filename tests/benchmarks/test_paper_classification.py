"""The experiment that classifies packaged images with the coefficients."""

import json

import numpy as np
import pytest

from benchmarks.paper import classification
from benchmarks.paper.classification import BANKS, KYMATIO
from benchmarks.paper.experiment import Settings
from tools import labelled


def test_whole_experiment_on_few_images(monkeypatch):
    class Few(Settings):
        def choose(self, reduced, full):
            return 2

    some = labelled.faces(2, seed=0)
    rows = np.r_[:16, 100:116]
    names = ("digits", "textures", "faces")
    for name in names:
        few = labelled.LabelledSet(
            name,
            "words",
            some.images[rows],
            some.labels[rows],
            np.arange(32) % 2,
            pooled=name == "textures",
        )
        monkeypatch.setattr(classification, name, lambda *_, few=few: few)
    result = json.loads(json.dumps(classification.measure(Few()), allow_nan=False))
    assert list(result["sets"]) == list(names) and len(result["summary"]) == 3 * 2 * len(BANKS)
    for found in result["sets"].values():
        assert found["sizes"] == [2, 5, 8]
        own = {
            (row["method"], row["size"]): row["accuracy"]
            for row in found["retrained"]
            if row["representation"] == KYMATIO
        }
        assert max(own.values()) > 60
        for row in found["retrained"] + found["trained_on_Kymatio"]:
            if row["representation"] != KYMATIO:
                expected = row["accuracy"] - own[row["method"], row["size"]]
                assert row["difference"] == pytest.approx(expected, abs=2e-3)
    assert result["sets"]["textures"]["features"][KYMATIO] == 81
    assert result["sets"]["faces"]["features"][KYMATIO] == 81 * 64
    figure = classification.draw({"setting": "reduced", **result})
    assert len(figure.axes) == 9 and "words" in figure.get_supxlabel()
    result |= {"setting": "reduced", "environment": {"command": "it", "cpu": "a", "threads": 1}}
    assert "| faces | paper-tuned | Kymatio's |" in classification.section(result)
