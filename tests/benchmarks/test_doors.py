"""The doors are compared before they are timed, and stand on their pages as measured."""

import dataclasses

import numpy as np
import pytest

from benchmarks import doors
from benchmarks.verify import MismatchError
from benchmarks.workloads import Workload

FEW = Workload(32, 32, 4, 2)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(doors, "FEWEST_SECONDS", 0.0)


@pytest.mark.parametrize("name", doors.COMPARISONS)
def test_contestants_are_compared_and_timed(name):
    row = doors.measure(name, FEW, 1, rounds=1)
    compared = doors.COMPARISONS[name]
    assert list(row["contestants"]) == [one.name for one in compared.contestants]
    for contestant, found in row["contestants"].items():
        if contestant == doors.CHENG and found["ms_per_image"] is None:
            assert found["reason"] == "is not on PYTHONPATH"
            continue
        assert found["ms_per_image"] > 0
        assert contestant in compared.unlike or found["error"] <= compared.largest


def test_what_is_wrong_is_not_timed(monkeypatch):
    wrong = doors.Contestant("wrong", "npscatter", lambda *made: lambda x: -doors.ours(*made)(x))
    compared = doors.COMPARISONS["torch"]
    contestants = (compared.contestants[0], wrong)
    replaced = {"torch": dataclasses.replace(compared, contestants=contestants)}
    monkeypatch.setattr(doors, "COMPARISONS", replaced)
    with pytest.raises(MismatchError, match=r"wrong: 2\.0"):
        doors.measure("torch", FEW, 1, rounds=1)


def test_errors_are_those_of_the_worst_order():
    order = np.array([0, 1, 1])
    wanted = np.ones((2, 3, 2, 2))
    found = wanted.copy()
    found[:, 1] += 0.5
    assert doors.error_of(found, wanted, order) == pytest.approx(0.125**0.5)
    means = found.mean((-2, -1)), wanted.mean((-2, -1))
    assert doors.error_of(*means, order) == pytest.approx(0.125**0.5)
    images = 1.1 * wanted[:, 0]  # gradients have no channels
    assert doors.error_of(images, wanted[:, 0], order) == pytest.approx(0.1)
