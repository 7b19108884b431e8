"""The pipeline is measured by running it, and its committed result keeps what is promised."""

import os
import tarfile

import numpy as np
from PIL import Image

from benchmarks import pipeline, results
from tools.shards import write_shard


def test_shards_hold_pieces_of_photographs(tmp_path):
    for suffix, shape in (("png", (32, 32)), ("jpg", (896, 1152))):
        write_shard(tmp_path / suffix, 3, shape, suffix)
        with tarfile.open(tmp_path / suffix) as tar:
            for member in tar:
                pixels = np.asarray(Image.open(tar.extractfile(member)))
                assert pixels.shape == shape and pixels.std() > 1


def test_the_command_is_run_and_what_it_says_is_read(tmp_path):
    write_shard(tmp_path / "a.tar", 3000, (32, 32), "png")
    row = pipeline.transform([str(tmp_path / "a.tar"), "--workers", "0"], tmp_path / "a.npy")
    assert len(np.load(tmp_path / "a.npy", mmap_mode="r")) == 3000
    assert row["pictures_per_second"] > 0 and row["reading_s"] > 0
    assert row["peak_mib"] >= row["peak_mib_first_tenth"] > 10
    assert pipeline.memory_of(os.getpid()) > 10


def test_cases_take_turns_and_medians_are_kept(tmp_path, monkeypatch):
    seen = []

    def pretended(arguments, output):
        output.touch()
        seen.append((output.suffix, arguments[-1]))
        return {"seconds": len(seen)}

    monkeypatch.setattr(pipeline, "transform", pretended)
    rows = pipeline.measure(tmp_path / "a.tar", (), 3)
    assert seen[:4] == seen[4:8] == [(".zarr", "1"), (".zarr", "2"), (".npy", "1"), (".npy", "2")]
    assert [row["seconds"] for row in rows] == [5, 6, 7, 8]


def test_killed_runs_went_on_to_the_same_bytes_and_memory_was_flat():
    committed = results.read("pipeline")
    assert committed["killed"]["same_bytes"] == committed["killed"]["kills"] >= 20
    for key, count in (("small", 100_000), ("large", 2_000)):
        assert committed[key]["pictures"] == count and len(committed[key]["runs"]) == 4
