"""The outputs of ``npscatter transform``: whole or not at all, to the same bytes however made."""

import errno
import json
import os
import resource
import shutil
import stat
import sys
import threading
import tracemalloc
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from npscatter.cli.options import check_output
from npscatter.cli.pipeline import outputs, parquet_output, zarr_output
from npscatter.cli.pipeline.outputs import SUFFIXES, Contents, Layout, output_for
from npscatter.cli.terminal import Failure

pytestmark = pytest.mark.skipif(os.name != "posix", reason="what stands where is POSIX's")
COUNT, BATCH = 11, 4
LAYOUT = Layout((3, 5, 2, 4), np.dtype(np.float32), ("colour", "channel", "y", "x"))
SUMMARY = Layout((5,), np.dtype(np.float64), ("channel",))
ODD = ["a b/c.png", "new\nline.png", "caf\udce9.png", "é" * 300, "名前", "", "'\"\\", "-o"]
CONTENTS = Contents(
    names=[*ODD, *(f"{n}.png" for n in range(COUNT - len(ODD)))],
    labels=["dog", "", "caf\udce9", *["cat"] * (COUNT - 3)],
    skipped=[("bad\udce9.png", "no picture\nat all"), ("z.nef", "camera raw is not read")],
    columns={
        "order": np.array([0, 1, 1, 2, 2]),
        "j": np.arange(10).reshape(5, 2),
        "frequency": np.linspace(0, 1, 10).reshape(5, 2),
        "angle": np.array([np.nan, 0, 1, 2, np.nan]),
        "channels": np.array(["S0", "S1(0)", "S1(1)", "S2(0,0)", "S2(0,1)"]),
    },
    settings={
        "version": "1.2.3",
        "J": 2,
        "range": (0.0, 4095.0),
        "crop": None,
        "size": (),
        "arguments": ("transform", "caf\udce9.png", "-o"),
    },
)
PLAIN = replace(CONTENTS, labels=None, skipped=[])


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several chunks, groups and pieces of text, from a handful of rows; no wait for the disk."""
    monkeypatch.setattr(zarr_output, "CHUNK", 2000)
    monkeypatch.setattr(parquet_output, "ROW_GROUP", 2000)
    monkeypatch.setattr(outputs, "AT_ONCE", 8000)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def rows_of(layout):
    rows = np.random.default_rng(0).normal(size=(COUNT, *layout.shape)).astype(layout.dtype)
    rows[5] = 0  # which readers of Zarr may take to be missing
    return rows


def staging(path):
    folder = path.with_name(f"{path.name}.partial")
    folder.mkdir(exist_ok=True)
    return folder


def made(path, layout=LAYOUT, force=False):
    return output_for(path)(path, staging(path), layout, force)


def write(output, start=0, stop=COUNT):
    for first in range(start, stop, BATCH):
        output.write(first, rows_of(output.layout)[first : min(first + BATCH, stop)])


def finish(path, layout=LAYOUT, contents=CONTENTS, force=False):
    """Write all of an output."""
    with closing(made(path, layout, force)) as output:
        assert output.open(0)
        write(output)
        output.finish(contents)
    return path


def content(path):
    """Return the bytes of an output, of all files it is made of."""
    card = path.with_name(f"{path.name}.json")
    files = (
        [*path.rglob("*")] if path.is_dir() else [each for each in (path, card) if each.exists()]
    )
    return {
        str(each.relative_to(path.parent)): each.read_bytes() for each in files if each.is_file()
    }


each_format = pytest.mark.parametrize("suffix", SUFFIXES)


# Interruptions


@each_format
@pytest.mark.parametrize("layout", [LAYOUT, SUMMARY], ids=["maps", "summary"])
@pytest.mark.parametrize("synced", [0, 4, 7, 8, COUNT])
def test_an_interrupted_output_goes_on_to_the_same_bytes(tmp_path, suffix, layout, synced):
    (tmp_path / "once").mkdir()
    expected = content(finish(tmp_path / "once" / f"out{suffix}", layout))
    path = tmp_path / f"out{suffix}"
    first = made(path, layout)
    first.open(0)
    write(first, 0, synced)
    first.sync()
    beyond = np.full((2 * COUNT, *layout.shape), np.nan)
    first.write(synced, beyond)  # never said to be there, and more than there will be
    first.close()
    second = made(path, layout)
    assert second.open(synced)
    write(second, synced)
    second.finish(CONTENTS)
    assert content(path) == expected


@each_format
def test_rows_that_are_not_there_are_begun_anew(tmp_path, suffix):
    expected = content(finish(tmp_path / f"out{suffix}"))
    path = tmp_path / f"out{suffix}"
    output = made(path)
    output.open(0)
    write(output, 0, 8)
    assert not output.open(9)
    output.sync()
    output.close()
    files = [path for path in output.folder.rglob("*") if path.is_file()]
    assert all(each.stat().st_size < 512 for each in files)
    for layout in (SUMMARY, replace(LAYOUT, dtype=np.dtype(np.float64))):
        other = made(path, layout)
        assert not other.open(1)
        other.close()
    output = made(path)
    assert not output.open(COUNT)
    write(output)
    output.finish(CONTENTS)
    assert content(path) == expected


@each_format
def test_rows_that_are_synced_are_on_the_disk(tmp_path, monkeypatch, suffix):
    synced = set()
    monkeypatch.setattr(os, "fsync", lambda file: synced.add(os.fstat(file).st_ino))
    output = made(tmp_path / f"out{suffix}")
    output.open(0)
    write(output)
    output.sync()
    output.close()
    files = {path.stat().st_ino for path in output.folder.rglob("*") if path.is_file()}
    assert synced == files and files


def killed_at(line, output):
    """Finish in a child that is killed once it ran so many lines of ours; say whether it was."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] != 0
    seen = set()

    def trace(frame, event, _):
        if "npscatter" not in frame.f_code.co_filename:
            return None
        if event == "line" and (place := (frame.f_code, frame.f_lineno)) not in seen:
            seen.add(place)
            if len(seen) == line:
                os.kill(os.getpid(), 9)
        return trace

    sys.settrace(trace)
    output.finish(CONTENTS)
    os._exit(0)


@each_format
def test_a_kill_within_the_end_leaves_the_old_or_what_can_be_gone_on_with(tmp_path, suffix):
    (tmp_path / "before").mkdir()
    before = finish(tmp_path / "before" / f"out{suffix}", SUMMARY, PLAIN)
    path = tmp_path / f"out{suffix}"
    old, expected = content(before), content(finish(path))
    line, killed = 0, True
    while killed:
        line += 13
        remove(path, staging(path))
        (shutil.copytree if before.is_dir() else shutil.copy)(before, path)
        output = made(path)
        output.open(0)
        write(output)
        output.sync()
        killed = killed_at(line, output)
        output.close()
        left = without_card(content(path))
        again = made(path)
        assert left in (without_card(old), without_card(expected), {})
        if not again.open(COUNT):
            assert left == without_card(expected)
            write(again)
        assert path.exists()
        again.finish(CONTENTS)
        again.close()
        assert content(path) == expected
    assert line > 30


def without_card(files):
    """Return the files of an output but the card, which is there before its array."""
    return {name: file for name, file in files.items() if not name.endswith(".npy.json")}


def remove(*paths):
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@each_format
@pytest.mark.parametrize("when", ["write", "finish"])
def test_a_full_disk_is_told_and_leaves_the_old(tmp_path, suffix, when):
    path = finish(tmp_path / f"out{suffix}", contents=PLAIN)
    old = content(path)
    output = made(path, SUMMARY)
    output.open(0)
    noise = np.random.default_rng(0).integers(0x4E00, 0x9000, (COUNT, 2000))
    names = ["".join(map(chr, name)) for name in noise]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 if when == "write" else 3000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as raised:
            write(output)
            output.finish(replace(CONTENTS, names=names))
        output.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno == errno.EFBIG
    assert raised.value.filename in (str(path), f"{path}.json")
    assert content(path) == old


# Where it goes


@each_format
def test_links_are_followed_and_modes_kept(tmp_path, suffix):
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / f"target{suffix}", tmp_path / f"link{suffix}"
    link.symlink_to(target)
    finish(link)
    assert link.is_symlink() and target.exists() and not target.is_symlink()
    target.chmod(0o700 if suffix == ".zarr" else 0o640)
    mode = stat.S_IMODE(target.stat().st_mode)
    finish(link, contents=PLAIN)
    assert link.is_symlink() and stat.S_IMODE(target.stat().st_mode) == mode
    assert [each.name for each in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])
def test_read_only_files_are_replaced_by_force_alone(tmp_path, suffix):
    path = finish(tmp_path / f"out{suffix}", SUMMARY)
    old = content(path)
    path.chmod(0o444)
    output = made(path)
    output.open(0)
    write(output)
    with pytest.raises(PermissionError, match="read-only"):
        output.finish(CONTENTS)
    assert path.read_bytes() == old[path.name]
    output.close()
    forced = made(path, force=True)
    assert forced.open(COUNT)
    forced.finish(CONTENTS)
    assert path.read_bytes() != old[path.name] and stat.S_IMODE(path.stat().st_mode) == 0o444


def test_fifos_are_sent_everything_and_have_no_card(tmp_path):
    fifo = tmp_path / "out.npy"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()), daemon=True)
    reader.start()
    finish(fifo)
    reader.join(60)
    assert stat.S_ISFIFO(fifo.stat().st_mode) and not (tmp_path / "out.npy.json").exists()
    assert read == [finish(tmp_path / "file.npy").read_bytes()]


def test_a_file_that_is_no_card_is_not_replaced_by_one(tmp_path):
    card = tmp_path / "out.npy.json"
    card.write_text("{}")
    with pytest.raises(FileExistsError, match="something else") as raised:
        made(tmp_path / "out.npy")
    assert raised.value.filename == str(card) and card.read_text() == "{}"
    finish(tmp_path / "out.npy", force=True)
    finish(tmp_path / "out.npy")


def test_folders_are_replaced_if_they_are_zarr_stores(tmp_path):
    path = tmp_path / "out.zarr"
    check_output(path, *SUFFIXES)
    finish(path)
    check_output(path, *SUFFIXES)
    with pytest.raises(Failure, match="is a folder"):
        check_output(path, ".npy")
    v3, mine, file = (tmp_path / f"{name}.zarr" for name in ("v3", "mine", "file"))
    for folder in (v3, mine):
        folder.mkdir()
    (v3 / "zarr.json").touch()
    check_output(v3, *SUFFIXES)
    file.touch()
    for other in (mine, file):
        with pytest.raises(Failure, match="no Zarr store"):
            check_output(other, *SUFFIXES)
        with pytest.raises(FileExistsError, match="no Zarr store"):
            finish(other)
    assert file.read_bytes() == b"" and list(mine.iterdir()) == []


def test_what_parquet_needs_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "npscatter.cli.pipeline.parquet_output")
    with pytest.raises(Failure, match=r"needs pyarrow, not installed: .*\[parquet\]"):
        output_for(Path("a.parquet"))
    assert output_for(Path("a.NPZ")) is outputs.NpzOutput


# What it holds


def spelt(texts):
    return [text.replace("\udce9", "\\udce9") for text in texts]


def test_npy_and_its_card(tmp_path):
    path = finish(tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(path), rows_of(LAYOUT))
    assert np.load(path, mmap_mode="r").dtype == np.float32
    card = json.loads((tmp_path / "out.npy.json").read_text(), parse_constant=pytest.fail)
    assert card["columns"]["angle"] == [None, 0, 1, 2, None]
    assert card["names"] == CONTENTS.names and card["labels"] == CONTENTS.labels
    assert card["skipped"] == [list(pair) for pair in CONTENTS.skipped]
    assert card["columns"]["j"] == CONTENTS.columns["j"].tolist()
    assert card["settings"]["range"] == [0, 4095] and card["settings"]["crop"] is None
    assert card["shape"] == [COUNT, *LAYOUT.shape] and card["npscatter"] == "1.2.3"
    finish(path, contents=PLAIN)
    assert "labels" not in json.loads((tmp_path / "out.npy.json").read_text())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_new_output_may_be_read_by_whom_the_umask_lets(tmp_path, suffix):
    mask = os.umask(0o027)
    try:
        path = finish(tmp_path / f"out{suffix}")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640)


def test_npz(tmp_path):
    with np.load(finish(tmp_path / "out.npz"), allow_pickle=False) as archive:
        stored = {key: archive[key] for key in archive.files}
        assert archive.zip.testzip() is None
        assert {member.date_time[:3] for member in archive.zip.infolist()} == {(1980, 1, 1)}
    np.testing.assert_array_equal(stored.pop("coefficients"), rows_of(LAYOUT))
    for key, column in CONTENTS.columns.items():
        np.testing.assert_array_equal(stored.pop(key), column)
    names, reasons = zip(*CONTENTS.skipped, strict=True)
    assert {key: value.tolist() for key, value in stored.items()} == {
        "names": CONTENTS.names,
        "labels": CONTENTS.labels,
        "skipped": list(names),
        "skipped_because": list(reasons),
        "version": "1.2.3",
        "J": 2,
        "range": [0, 4095],
        "crop": [],
        "size": [],
        "arguments": list(CONTENTS.settings["arguments"]),
    }
    with np.load(finish(tmp_path / "out.npz", contents=PLAIN)) as archive:
        assert "labels" not in archive and archive["skipped"].tolist() == []


@pytest.mark.parametrize("chunk", [2**23, 3000, 480, 160, 64, 12])
@pytest.mark.filterwarnings("error")
def test_zarr_by_zarr_and_xarray(tmp_path, monkeypatch, chunk):
    xarray, zarr = pytest.importorskip("xarray"), pytest.importorskip("zarr")
    monkeypatch.setattr(zarr_output, "CHUNK", chunk)
    path = finish(tmp_path / "out.zarr")
    group = zarr.open_group(str(path), mode="r")
    np.testing.assert_array_equal(group["coefficients"][:], rows_of(LAYOUT))
    assert np.prod(group["coefficients"].chunks) * 4 <= chunk
    assert group["names"][:].tolist() == CONTENTS.names
    assert group.attrs["J"] == 2 and group.attrs["arguments"][1] == "caf\\udce9.png"
    with xarray.open_zarr(str(path), chunks=None) as read:
        assert read.coefficients.dims == ("image", *LAYOUT.axes)
        np.testing.assert_array_equal(read.coefficients, rows_of(LAYOUT))
        assert read.labels.values.tolist() == CONTENTS.labels
        assert read.skipped_because.values.tolist() == [why for _, why in CONTENTS.skipped]
        assert read.order.dtype == int and read.order.dims == ("channel",)
        assert set(read.coords) == {"skipped", "names", "labels", *CONTENTS.columns}
    with xarray.open_zarr(str(finish(path, SUMMARY, PLAIN)), chunks=None) as read:
        assert read.skipped.shape == (0,) and "labels" not in read
        np.testing.assert_array_equal(read.coefficients, rows_of(SUMMARY))


def test_parquet_of_maps(tmp_path):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    path = finish(tmp_path / "out.parquet")
    for frame in (pandas.read_parquet(path), polars.read_parquet(path)):
        assert list(frame.columns) == ["name", "label", "coefficients"]
        assert list(frame["name"]) == spelt(CONTENTS.names)
        assert list(frame["label"]) == spelt(CONTENTS.labels)
        rows = np.stack([np.asarray(row) for row in frame["coefficients"]])
        np.testing.assert_array_equal(rows.reshape(-1, *LAYOUT.shape), rows_of(LAYOUT))
    file = parquet_output.pq.ParquetFile(path)
    assert file.num_row_groups == 3
    described = json.loads(file.schema_arrow.metadata[b"npscatter"])
    assert described["shape"] == list(LAYOUT.shape) and described["axes"] == list(LAYOUT.axes)
    assert described["columns"]["order"] == [0, 1, 1, 2, 2] and described["settings"]["J"] == 2
    assert described["skipped"][0] == ["bad\\udce9.png", "no picture\nat all"]


@pytest.mark.parametrize("named", [True, False])
def test_parquet_of_summaries_has_a_column_per_channel(tmp_path, named):
    pandas = pytest.importorskip("pandas")
    columns = {
        key: CONTENTS.columns[key] for key in (["order", "channels"] if named else ["order"])
    }
    path = finish(tmp_path / "out.parquet", SUMMARY, replace(PLAIN, columns=columns))
    frame = pandas.read_parquet(path)
    keys = columns["channels"].tolist() if named else [f"channel_{n}" for n in range(5)]
    assert list(frame.columns) == ["name", *keys]
    np.testing.assert_array_equal(frame[keys].to_numpy(), rows_of(SUMMARY))


@each_format
def test_text_is_never_held_as_wide_as_the_longest(tmp_path, suffix):
    """All names of 600 as wide as the longest are 10 MB."""
    finish(tmp_path / f"first{suffix}")  # which imports what others import late
    count = 600
    contents = replace(PLAIN, names=["x" * 4000, *["short"] * (count - 1)])
    output = made(tmp_path / f"out{suffix}", SUMMARY)
    output.open(0)
    output.write(0, np.zeros((count, 5)))
    tracemalloc.start()
    output.finish(contents)
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()
    output.close()


def test_names_and_rows_have_to_agree(tmp_path):
    with pytest.raises(ValueError, match="a name for each of 11 rows"):
        finish(tmp_path / "out.npy", contents=replace(PLAIN, names=["one"]))
