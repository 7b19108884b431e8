"""``npscatter transform`` as a pipeline: shards, stacks, labels, summaries, and going on."""

import io
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from command_line import SIZE, failed, grey, noise, only, run
from PIL import Image

import npscatter
from npscatter import features
from npscatter.cli.pipeline import journal

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ("npy", "npz", "zarr", "parquet")


def content(path):
    """Return all bytes of a file, or of all files in a folder."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
    card = path.with_name(f"{path.name}.json")
    return path.read_bytes(), card.read_bytes() if card.exists() else b""


def shard(path, count=5, broken=()):
    """Write a tar file of pictures with classes, and return the pixels of those that are whole."""
    pictures = []
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            pixels, file = noise(*SIZE, seed=number), io.BytesIO()
            Image.fromarray(pixels).save(file, "png")
            bytes_ = file.getvalue()[:60] if number in broken else file.getvalue()
            pictures += [] if number in broken else [pixels]
            members = {"png": bytes_, "cls": str(number % 2).encode(), "json": b"{}"}
            for suffix, bytes_ in {**members, "txt": b"words"}.items():
                member = tarfile.TarInfo(f"./{number:03}.{suffix}")
                member.size = len(bytes_)
                tar.addfile(member, io.BytesIO(bytes_))
    return np.array(pictures)


def expected(pixels, **options):
    return npscatter.scatter(pixels.astype(np.float32) / np.float32(255), **options)


# Where pictures come from


def test_a_shard_is_as_good_as_its_files(folder):
    pixels = shard("s.tar", 5, broken=[2])
    grey(folder / "z.png", 9)
    result = run("transform", "s.tar", "z.png", "-o", "a.npz", "--labels", "folder")
    failed(result, 1, "s.tar/002.png: cannot be read", "5 of 6 pictures")
    stored = np.load("a.npz")
    names = [f"s.tar/{number:03}.png" for number in (0, 1, 3, 4)]
    assert stored["names"].tolist() == [*names, "z.png"]
    np.testing.assert_array_equal(stored["coefficients"][:4], expected(pixels))
    assert stored["skipped"].tolist() == ["s.tar/002.png"]
    assert stored["skipped_because"][0].startswith("cannot be read")
    result = run("transform", "s.tar", "-o", "b.npz", "--labels", "cls")
    assert np.load("b.npz")["labels"].tolist() == ["0", "1", "1", "0"]


def test_shards_that_break_off_are_compressed_or_hold_nothing_are_named(folder):
    shard("s.tar", 4)
    whole = Path("s.tar").read_bytes()
    Path("half.tar").write_bytes(whole[: len(whole) // 3])
    with tarfile.open("c.tar.gz", "w:gz") as tar:
        tar.add("s.tar")
    with tarfile.open("none.tar", "w") as tar:
        tar.add("c.tar.gz")
    result = run("transform", "half.tar", "c.tar.gz", "none.tar", "not.tar", "-o", "a.npz")
    failed(
        result,
        1,
        "half.tar: is not read to its end",
        "c.tar.gz: a compressed tar file",
        "gunzip",
        "none.tar: a tar file without pictures",
        "not.tar: no such file",
    )
    assert len(np.load("a.npz")["names"]) >= 1
    failed(run("transform", "half.tar", "-o", "a.npz", "--strict"), 2, "--strict lets none")
    failed(run("transform", ".", "-o", "b.npz"), 2, "4 tar files, which are taken by name alone")


@pytest.mark.parametrize("shape", [(3, *SIZE), SIZE, (3, *SIZE, 3), (3, 3, *SIZE), (3, *SIZE, 4)])
def test_stacks_are_arrays_of_pictures(folder, shape):
    pixels = noise(*shape)
    np.save("a.npy", pixels)
    np.savez("b.npz", x=pixels, y=np.arange(3))
    np.savez_compressed("c.npz", pixels)
    np.save("f.npy", np.asfortranarray(pixels))
    zarr.save_array("d.zarr", pixels)
    zarr.save_group("e.zarr", x=pixels, y=np.arange(3))
    stacks = ["a.npy", "b.npz:x", "c.npz", "f.npy", "d.zarr", "e.zarr/x"]
    planes = pixels[None] if pixels.ndim == 2 else pixels
    if planes.ndim == 4:
        planes = np.moveaxis(planes, -1, 1) if planes.shape[1] == SIZE[0] else planes
        planes = planes[:, 1]
    result = run("transform", *stacks, "-o", "out.npz", "--channel", "green")
    assert result.exit_code == 0, result.output
    stored = np.load("out.npz")
    names = [f"{name}[{row}]" for name in stacks for row in range(len(planes))]
    assert stored["names"].tolist() == names
    for part in np.split(stored["coefficients"], len(stacks)):
        np.testing.assert_array_equal(part, expected(planes))


def test_stacks_follow_the_options_of_reading(folder):
    pixels = noise(4, 24, 24, 3)
    np.save("a.npy", pixels)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(f"{number}.png")
    for options in (["--crop", 20, 20, "--pad", 20, 30], ["--size", 16, 16], ["--range", 0, 300]):
        assert run("transform", "a.npy", "-o", "b.npy", *options).exit_code == 0
        assert (
            run("transform", *(f"{n}.png" for n in range(4)), "-o", "c.npy", *options).exit_code
            == 0
        )
        np.testing.assert_array_equal(np.load("b.npy"), np.load("c.npy"))
    np.save("f.npy", (pixels / 255).astype(np.float32))
    failed(run("transform", "f.npy", "-o", "b.npy"), 2, "f.npy: ", "--range LOW HIGH")
    assert run("transform", "f.npy", "-o", "b.npy", "--range", 0, 1).exit_code == 0


def test_arrays_that_are_no_stacks_are_told(folder):
    np.save("narrow.npy", noise(40, 40, 3))
    np.save("flat.npy", noise(40))
    np.save("many.npy", noise(2, 5, 40, 40))
    np.save("complex.npy", np.ones((2, 16, 16), complex))
    np.save("objects.npy", np.array([{}]), allow_pickle=True)
    np.savez("two.npz", a=noise(2, 16, 16), b=noise(2, 16, 16))
    Path("broken.npy").write_bytes(b"\x93NUMPY")
    zarr.save_group("group.zarr", x=noise(2, 16, 16))
    words = {
        "narrow.npy": "store x[None]",
        "flat.npy": "an array (40,)",
        "many.npy": "(N, 3, H, W)",
        "complex.npy": "not of real numbers",
        "objects.npy": "Python objects",
        "two.npz": "name one: two.npz:a, two.npz:b",
        "two.npz:c": "holds no array 'c'",
        "broken.npy": "cannot be read",
        "group.zarr": "name one: group.zarr/x",
        "none.npy": "no such file",
    }
    for name, word in words.items():
        failed(run("transform", name, "-o", "a.npz"), 2, f"{name}", word, "0 of")


# What is written


def test_labels_of_a_table(folder):
    for name in ("in/a.png", "in/b.png"):
        grey(folder / name)
    Path("t.csv").write_text("name,label\nin/a.png,cat\nb.png,dog\n")
    assert run("transform", "in", "-o", "a.npz", "--labels", "t.csv").exit_code == 0
    assert np.load("a.npz")["labels"].tolist() == ["cat", "dog"]
    # Without its folder a name may be two pictures'.
    grey(folder / "more" / "a.png")
    Path("t.csv").write_text("a.png,cat\nb.png,dog\n")
    result = run("transform", "in", "more", "-o", "b.npz", "--labels", "t.csv")
    failed(result, 2, "2 of 3 pictures have no label, such as in/a.png")
    Path("t.csv").write_text("a.png,cat\n")
    result = run("transform", "in", "-o", "b.npz", "--labels", "t.csv")
    failed(result, 2, "--labels t.csv: 1 of 2 pictures have no label, such as in/b.png")
    failed(run("transform", "in", "-o", "b.npz", "--labels", "no.csv"), 2, "cannot be read")
    failed(run("transform", "in", "-o", "b.npz", "--labels", "cls"), 2, "2 of 2 pictures")
    only(folder, "in", "more", "a.npz", "t.csv")


def test_summaries_are_those_of_the_features(folder):
    pixels = noise(3, *SIZE, 3)
    np.save("a.npy", pixels)
    options = ["--summary", "mean", "--summary", "isotropic", "--channel", "all"]
    assert run("transform", "a.npy", "-o", "b.npz", *options).exit_code == 0
    S = npscatter.Scattering2D(2, SIZE)
    maps = S(np.moveaxis(pixels, -1, 1).astype(np.float32) / np.float32(255))
    values, meta = features.isotropic(*features.spatial_mean(maps, S.meta()), axis=-1)
    stored = np.load("b.npz")
    np.testing.assert_array_equal(stored["coefficients"], values)
    assert stored["channels"].tolist() == features.names(meta)
    assert stored["summary"].tolist() == ["mean", "isotropic"]
    result = run("transform", "a.npy", "-o", "c.npz", "--summary", "square")
    failed(result, 2, "summary='square': needs numbers")


# Side by side, and one after the other


@pytest.mark.parametrize("suffix", FORMATS)
def test_workers_and_threads_change_no_byte(folder, suffix):
    shard("s.tar", 40, broken=[7, 33])
    output = f"out.{suffix}"
    options = ["--batch", 8, *(["--strict"] if suffix == "npy" else [])]
    if suffix == "npy":
        shard("s.tar", 40)
    assert run("transform", "s.tar", "-o", output, "--workers", 0, *options).exit_code in (0, 1)
    wanted = content(output)
    run("transform", "s.tar", "-o", output, "--workers", 2, "--threads", 1, *options)
    assert content(output) == wanted


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("place", ["transform", "write"])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(folder, monkeypatch, suffix, place):
    monkeypatch.setattr(journal, "INTERVAL", 0)
    shard("s.tar", 23, broken=[] if suffix == "npy" else [3, 12])
    command = ["transform", "s.tar", "-o", f"out.{suffix}", "--batch", 4, "--labels", "cls"]
    run(*command)
    wanted = content(f"out.{suffix}")
    before = sorted(path.name for path in folder.iterdir())
    where = {
        "transform": (npscatter.Scattering2D, "__call__"),
        "write": (journal.Journal, "record"),
    }[place]
    go_on, error = getattr(*where), KeyboardInterrupt() if place == "transform" else OSError("full")
    for _ in range(4):
        calls = iter([0])

        def interrupted(*arguments, calls=calls):
            if next(calls, None) is None:
                raise error
            return go_on(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(*where, interrupted)
            failed(run(*command, "--resume"), 130 if place == "transform" else 2)
        assert content(f"out.{suffix}") == wanted
    failed(run(*command), 2, "of an interrupted run are kept", "--resume", "--restart")
    whole = Path("s.tar").read_bytes()
    shard("s.tar", 24)
    failed(run(*command, "--resume"), 2, "pictures: 23, now 24", "names and sizes")
    Path("s.tar").write_bytes(whole)
    failed(run(*command, "--resume", "--J", 1), 2, "--resume: the interrupted run was another (J")
    result = run(*command, "--resume")
    assert "--resume: 1" in result.stderr and "of 23 pictures were done before" in result.stderr
    assert result.exit_code == (0 if suffix == "npy" else 1), result.output
    assert content(f"out.{suffix}") == wanted
    assert sorted(path.name for path in folder.iterdir()) == before


def test_restart_drops_what_was_done(folder, monkeypatch):
    monkeypatch.setattr(journal, "INTERVAL", 0)
    shard("s.tar", 9)
    with monkeypatch.context() as patched:
        patched.setattr("npscatter.cli.pipeline.outputs.put_in_place", _interrupted)
        command = ["transform", "s.tar", "-o", "out.npz", "--batch", 2]
        failed(run(*command), 130, "9 pictures are kept in", "--resume goes on")
    assert run(*command, "--J", 1, "--restart").exit_code == 0
    assert np.load("out.npz")["J"] == 1
    only(folder, "s.tar", "out.npz")


def _interrupted(*_):
    raise KeyboardInterrupt


def test_one_output_has_one_writer(folder, monkeypatch):
    grey(folder / "a.png")
    inner = []
    call = npscatter.Scattering2D.__call__

    def again(self, *arguments):
        if not inner:
            inner.append(None)
            inner[0] = run("transform", "a.png", "-o", "out.npz")
        return call(self, *arguments)

    monkeypatch.setattr(npscatter.Scattering2D, "__call__", again)
    assert run("transform", "a.png", "-o", "out.npz").exit_code == 0
    failed(inner[0], 2, "another npscatter transform is writing this output")
    only(folder, "a.png", "out.npz")


KILLED = """
import pathlib, sys
import npscatter.bank.bank_file
from npscatter.cli.pipeline import journal
npscatter.bank.bank_file.SHIPPED = pathlib.Path({shipped!r})
npscatter.bank.bank_file.NAMES = ("accurate", "accurate-L4", "paper")
journal.INTERVAL = 0
from npscatter.__main__ import main
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("suffix", ["npz", "zarr"])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(folder, shipped, suffix):
    Path("main.py").write_text(KILLED.format(shipped=str(shipped)))
    np.save("in.npy", noise(200, 32, 32))
    command = [sys.executable, "main.py", "transform", "in.npy", "-o", f"out.{suffix}"]
    command += ["--batch", "4", "--workers", "0", "-q", "--resume"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=environment, timeout=120)
    wanted, partial = content(f"out.{suffix}"), folder / f".out.{suffix}.partial"
    random = np.random.default_rng(len(suffix))
    for records in random.integers(1, 45, 2 if suffix == "zarr" else 1):
        process = subprocess.Popen(command, env=environment)
        while process.poll() is None and records_of(partial) < records:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.01))
        process.kill()
        # What is there is the old output, or the same anew.
        assert process.wait() in (0, -9) and content(f"out.{suffix}") == wanted
    subprocess.run(command, check=True, env=environment, timeout=120)
    assert content(f"out.{suffix}") == wanted
    assert not partial.exists()


def records_of(folder):
    try:
        return (folder / "journal").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0
