"""The large image is the small one's photographs, and has its bits."""

from benchmarks import large


def test_a_large_image_is_measured_beside_an_ordinary_one(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "ORDINARY", 512)
    row = large.measure(1104, tmp_path, turns=1)
    assert row["same_bits"] and row["side"] == 1104
    assert row["peak_mib"] > row["resident_before_mib"] > 0
    assert min(row["nanoseconds_per_pixel"].values()) > 0
