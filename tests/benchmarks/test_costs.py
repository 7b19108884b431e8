"""What large data cost follows from rates, and the rates are measured of what is asked for."""

import pytest

from benchmarks import costs, large, results

RATES = {
    "reading": {"224": {"ms_per_image": 1.0}},
    "writing": {"mb_per_second": 100.0},
    "choices": {
        "maps": {"options": {"J": 3}, "ms_per_image": 2.6, "times_of_large": 0.5, "peak_mib": 7},
        "means": {
            "options": {"J": 3, "average": "global"},
            **{"ms_per_image": 0.8, "times_of_large": 0.25, "peak_mib": 5},
        },
    },
}
LARGE = {"processor_nanoseconds_per_pixel": {"large": 144.0}, "peak_mib": 1000}


def test_a_million_images():
    found = costs.cost(RATES, LARGE, "maps", 224, 10**6)
    assert found["core_hours"] == pytest.approx(1.0)
    assert found["bytes"] == 10**6 * 217 * 28 * 28 * 4
    assert found["bytes_of_means"] == 10**6 * 217 * 4
    assert found["writing_hours"] == pytest.approx(found["bytes"] / 1e8 / 3600)
    assert found["peak_mib"] == 7
    # What is written takes as long on any number of cores.
    assert costs.elapsed(found, 1) == found["writing_hours"] > 1
    means = costs.cost(RATES, LARGE, "means", 224, 10**6)
    assert means["bytes"] == means["bytes_of_means"] == found["bytes_of_means"]
    assert costs.elapsed(means, 4) == pytest.approx(0.5 / 4)


def test_a_mosaic_takes_what_its_pixels_do():
    found = costs.cost(RATES, LARGE, "maps", 100_000, None)
    assert found["core_hours"] == pytest.approx(1e10 * 144e-9 * 0.5 / 3600)
    assert found["bytes"] == 217 * 12_500**2 * 4 and found["bytes_of_means"] == 217 * 4
    assert found["peak_mib"] == 1000


def test_rates_are_measured(tmp_path, monkeypatch):
    tiny = {"SIDE": 32, "REDUCED_FROM": 128, "ORDINARY": 64, "BATCH": 2, "WRITTEN": 2**16}
    few = {"maps": {"J": 2, "bank": "fast"}}
    for name, value in {**tiny, "CHOICES": few}.items():
        monkeypatch.setattr(costs, name, value)
    found = costs.measure(tmp_path, rounds=1)
    assert found["reading"].keys() == {"32", "128"}
    assert min(rate for each in found["reading"].values() for rate in each.values()) > 0
    assert min(found["writing"].values()) > 0
    row = found["choices"]["maps"]
    assert row["options"] == few["maps"] and row["times_of_large"] == 1
    assert row["ms_per_image"] > 0 and row["peak_mib"] > 30
    assert costs.cost(found, LARGE, "maps", 32, 3)["bytes"] == 3 * 81 * 8 * 8 * 4


def test_the_committed_result_is_of_these_choices():
    result = results.read("costs")
    assert {name: row["options"] for name, row in result["choices"].items()} == costs.CHOICES
    assert [*result["reading"]] == [str(costs.SIDE), str(costs.REDUCED_FROM)]
    first = next(iter(result["choices"].values()))
    assert first["times_of_large"] == 1 and first["options"] == {"J": large.J}
    assert large.BANK == "accurate"
    assert 0 < result["writing"]["zarr_share"] < 1.1
    for row in result["choices"].values():
        assert row["ms_per_image"] > 0 and 0 < row["peak_mib"] < 1024
