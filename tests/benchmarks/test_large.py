"""Large images are what they are in one piece, however they are computed."""

from benchmarks import large


def test_a_large_image_is_measured_beside_an_ordinary_one(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "ORDINARY", 512)
    monkeypatch.setattr(large.timing, "seconds", lambda call, *_: (call(), 1.0)[1])
    row = large.mosaic(tmp_path, 1104, turns=1)
    assert row["same_bits"] and row["side"] == 1104
    assert row["peak_mib"] > row["resident_before_mib"] > 0
    assert row["processor_ratio"] > 0


def test_every_way_gives_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "ORDINARY", 512)
    found = large.ways(tmp_path, 1104)["ways"]
    assert len(found) == 4
    assert all(one["same_bits"] and one["largest_difference"] == 0 for one in found.values())
