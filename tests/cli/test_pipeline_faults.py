"""What a pipeline meets that is damaged, endless, somebody else's, or ended from outside."""

import io
import os
import shutil
import signal
import tarfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zarr
from command_line import SIZE, failed, grey, noise, only, run
from PIL import Image

from npscatter.cli.pipeline import job, journal
from npscatter.cli.pipeline.pool import Pool
from npscatter.cli.terminal import Failure

# Processes


def test_a_process_that_is_ended_or_fails_is_told_and_none_is_left():
    with pytest.raises(Failure, match="was ended"), Pool(2) as pool:
        assert list(pool.map(len, ["a", "bc"], 2)) == [1, 2]
        with pytest.raises(TypeError, match="has no len"):
            list(pool.map(len, [1], 1))
        list(pool.map(partial(signal.raise_signal), [signal.SIGKILL], 1))
    with pytest.raises(KeyboardInterrupt), Pool(1) as busy:
        busy._submit(time.sleep, 3600)
        raise KeyboardInterrupt
    for process in pool._processes + busy._processes:
        process.join()


# What an interrupted run left


@pytest.mark.parametrize(
    "content, pictures",
    [
        (b'{}\n[4, 3, [[1, "x"]]]\n[8, 7, []]\n', 8),
        (b"{}\n[4, 4, []]\n[8, 8, [", 4),
        (b"{}\n[4, 4, []]\n\0\0\0\0\n[8, 8, []]\n", 4),
        (b"{}\n[4, 4, []]\n[8, 5, []]\n", 4),
        (b"{}\n[4, 4, []]\n[8, 8, 5]\n", 4),
        (b"{}\n[4, 4, []]\n[4, 4, []]\n", 4),
        (b'{}\n["a", 1, []]\n', 0),
        (b"{}\n5\n", 0),
        (b"5\n[4, 4, []]\n", 0),
        (b"\xff\n[4, 4, []]\n", 0),
        (b"[" * 100_000 + b"\n", 0),
        (b"\n", 0),
        (b"", 0),
    ],
)
def test_of_a_damaged_journal_what_stands_before_the_damage_counts(folder, content, pictures):
    Path(".out.npz.partial").mkdir()
    Path(".out.npz.partial/journal").write_bytes(content)
    done = journal.Journal(Path("out.npz"))
    assert done.open({}, True).pictures == pictures
    more = journal.Done(pictures + 1, pictures + 1 - (content.count(b"x")), [(1, "x")])
    more.skipped *= content.count(b"x")
    done.record(more)
    assert done.close() == pictures + 1
    again = journal.Journal(Path("out.npz"))
    assert again.open({}, True) == more
    again.close()


def test_a_folder_that_another_run_removes_just_now_is_not_written_in(folder, monkeypatch):
    def removed_by_the_other(_):
        shutil.rmtree(".out.npz.partial")
        return True

    monkeypatch.setattr(journal, "_locked", removed_by_the_other)
    grey(folder / "a.png")
    failed(run("transform", "a.png", "-o", "out.npz"), 2, "another npscatter transform is writing")
    only(folder, "a.png")


def test_a_folder_of_somebody_else_is_not_written_in(folder):
    grey(folder / "a.png")
    (folder / "elsewhere").mkdir()
    for make in (lambda path: path.write_bytes(b""), lambda path: path.symlink_to("elsewhere")):
        partial = folder / ".out.npz.partial"
        make(partial)
        result = run("transform", "a.png", "-o", "out.npz")
        failed(result, 2, ".out.npz.partial is not a folder of yours", "move it elsewhere")
        partial.unlink()
    assert not list((folder / "elsewhere").iterdir())


def test_an_output_that_cannot_be_made_leaves_nothing(folder):
    grey(folder / "a.png")
    Path("out.npy.json").write_text("{}")
    failed(run("transform", "a.png", "-o", "out.npy"), 2, "out.npy.json: would be the card")
    name = f"{'n' * 251}.npy"
    failed(run("transform", "a.png", "-o", name), 2, f"cannot write {name}: {name}.json: ")
    only(folder, "a.png", "out.npy.json")


@pytest.mark.parametrize("name", ["a.npy", "a.npz:x", "a.zarr", "b.zarr/x"])
def test_what_is_transformed_is_not_replaced(folder, name):
    np.save("a.npy", noise(2, *SIZE))
    np.savez("a.npz", x=noise(2, *SIZE))
    zarr.save_array("a.zarr", noise(2, *SIZE))
    zarr.save_group("b.zarr", x=noise(2, *SIZE))
    output = name.partition(":")[0].partition("/")[0]
    failed(run("transform", name, "-o", output), 2, f"would replace {name}", "another name")


def test_lines_that_nobody_takes_are_no_fault_of_the_output(folder, monkeypatch):
    grey(folder / "a.png")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job.tqdm, "write", full)
    assert run("transform", "a.png", "none.png", "-o", "out.npz").exit_code == 1
    assert len(np.load("out.npz")["names"]) == 1


# What is read


def png():
    file = io.BytesIO()
    Image.fromarray(noise(*SIZE)).save(file, "png")
    return file.getvalue()


def tar(name, kind=tarfile.REGTYPE, member="b.png", headers=None):
    """Write a tar file of a picture and one more member."""
    with tarfile.open(name, "w") as file:
        for path, type_ in (("a.png", tarfile.REGTYPE), (member, kind)):
            info, content = tarfile.TarInfo(path), png() if type_ == tarfile.REGTYPE else b""
            info.type, info.size, info.linkname = type_, len(content), "a.png"
            info.pax_headers = (headers or {}) if path == member else {}
            file.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("size", [b"\xff" * 10 + b"\xfc\x00", b"\x80" + b"\x7f" * 11])
def test_sizes_in_a_tar_file_that_cannot_be_are_told(folder, size):
    # With the first of them, the next member would be the same one, for ever.
    tar("s.tar", member="b.txt")
    content = bytearray(Path("s.tar").read_bytes())
    second = content.index(b"b.txt")
    content[second + 124 : second + 136] = size
    content[second + 148 : second + 156] = b" " * 8
    content[second + 148 : second + 156] = b"%06o\0 " % sum(content[second : second + 512])
    Path("s.tar").write_bytes(content)
    failed(run("transform", "s.tar", "-o", "a.npz"), 1, "s.tar: is not read to its end (a member")


def test_members_of_a_tar_file_that_are_not_read_are_told(folder):
    for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE):
        tar("s.tar", kind)
        result = run("transform", "s.tar", "-o", "a.npz")
        failed(result, 1, "s.tar: its links and sparse members are not read (1, such as b.png)")
    for kind, name in ((tarfile.DIRTYPE, "b.png"), (tarfile.SYMTYPE, "b.txt")):
        tar("s.tar", kind, name)
        assert run("transform", "s.tar", "-o", "a.npz").exit_code == 0
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "zz"}
    tar("s.tar", headers=sparse)
    failed(run("transform", "s.tar", "-o", "a.npz"), 1, "s.tar: is not read to its end (")


@pytest.mark.parametrize("suffix", ["tar", "npy", "npz"])
def test_a_pipe_is_no_shard_and_no_stack(folder, suffix):
    os.mkfifo(f"p.{suffix}")
    failed(run("transform", f"p.{suffix}", "-o", "a.npz"), 2, "not a regular file", "0 of 1")


def test_a_broken_chunk_costs_no_other_picture(folder):
    pixels = noise(6, *SIZE)
    array = zarr.open("a.zarr", mode="w", shape=pixels.shape, chunks=(2, *SIZE), dtype="u1")
    array[:] = pixels
    chunks = [path for path in Path("a.zarr").rglob("*") if path.name[0] != "." and path.is_file()]
    sorted(path for path in chunks if path.name != "zarr.json")[1].write_bytes(b"junk")
    result = run("transform", "a.zarr", "-o", "a.npz")
    failed(result, 1, "a.zarr[2]: cannot be read (", "a.zarr[3]: cannot be read (", "4 of 6")
    assert np.load("a.npz")["names"].tolist() == [f"a.zarr[{row}]" for row in (0, 1, 4, 5)]


def test_arrays_in_groups_in_groups_are_found(folder):
    zarr.open_group("a.zarr", mode="w").create_group("in")
    zarr.save_array("a.zarr/in/v1.0", noise(2, *SIZE))
    failed(run("transform", "a.zarr", "-o", "a.npz"), 2, "name one: a.zarr/in/v1.0")
    assert run("transform", "a.zarr/in/v1.0", "-o", "a.npz").exit_code == 0
    np.save("none.npy", noise(2, *SIZE)[:0])
    failed(run("transform", "none.npy", "-o", "b.npz"), 2, "none.npy: an array without pictures")


def test_a_picture_has_one_label(folder):
    grey(folder / "a.png")
    Path("t.csv").write_text("a.png,cat\na.png,cat\na.png,dog\n")
    result = run("transform", "a.png", "-o", "a.npz", "--labels", "t.csv")
    failed(result, 2, "--labels t.csv: a.png has two labels, 'cat' and 'dog'")
