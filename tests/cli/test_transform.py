"""``npscatter transform`` on folders as they are, in this process, on a toy bank."""

import os
import re

import click
import numpy as np
import pytest
from banks import make_windowed_bank
from command_line import SIZE, failed, grey, noise, only, run, write
from PIL import Image

import npscatter
from npscatter import features
from npscatter.cli.images import Reading, read_image
from npscatter.cli.pipeline.job import BATCH_PIXELS
from npscatter.cli.transform import SECTIONS, transform

# What is computed


def test_npy_equals_scatter(folder):
    pictures = [grey(folder / "in" / f"{n}.png", seed=n) for n in range(3)]
    result = run("transform", "in", "-o", "out.npy")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    coefficients = np.load("out.npy")
    expected = npscatter.scatter(np.array(pictures, np.float32))
    assert coefficients.dtype == np.float32
    assert coefficients.shape == (3, 81, 4, 6)
    np.testing.assert_allclose(coefficients, expected, rtol=1e-5, atol=1e-6)
    only(folder, "in", "out.npy", "out.npy.json")


def test_options_reach_the_transform(folder):
    pixels = grey(folder / "a.png")
    options = ["--J", "3", "--L", "4", "--max-order", "1", "--boundary", "periodic"]
    result = run("transform", "a.png", "-o", "a.npy", *options, "--dtype", "float64")
    assert result.exit_code == 0, result.output
    expected = npscatter.scatter(pixels, 3, L=4, max_order=1, boundary="periodic")
    assert np.load("a.npy").dtype == np.float64
    np.testing.assert_allclose(np.load("a.npy")[0], expected, rtol=1e-12, atol=1e-14)


def test_bank_by_name_and_by_path_with_its_own_orientations(folder):
    pixels = grey(folder / "a.png")
    bank = make_windowed_bank("mine", L=4, seed=3)
    bank.save(folder / "mine.npz")
    assert run("transform", "a.png", "-o", "a.npy", "--bank", "mine.npz").exit_code == 0
    expected = npscatter.scatter(pixels.astype(np.float32), L=4, bank=bank)
    np.testing.assert_array_equal(np.load("a.npy")[0], expected)
    assert run("transform", "a.png", "-o", "b.npy", "--bank", "paper").exit_code == 0
    expected = npscatter.scatter(pixels.astype(np.float32), bank="paper")
    np.testing.assert_array_equal(np.load("b.npy")[0], expected)


def test_channel_all_has_an_axis_of_three(folder):
    pixels = noise(*SIZE, 3)
    write(folder / "a.png", pixels)
    result = run("transform", "a.png", "-o", "a.npy", "--channel", "all", "--dtype", "float64")
    assert result.exit_code == 0, result.output
    expected = npscatter.scatter(np.moveaxis(pixels / 255, -1, 0))
    assert expected.shape == (3, 81, 4, 6)
    np.testing.assert_allclose(np.load("a.npy")[0], expected, rtol=1e-12, atol=1e-14)


def test_npz_says_what_it_holds(folder):
    pixels = noise(*SIZE, 3, dtype=np.uint8)
    write(folder / "b.png", pixels)
    (folder / "c.png").write_bytes((folder / "b.png").read_bytes())
    result = run("transform", "b.png", "c.png", "-o", "b.npz", "--channel", "red")
    assert result.exit_code == 0, result.output
    with np.load("b.npz", allow_pickle=False) as archive:
        stored = {key: archive[key] for key in archive.files}
    S = npscatter.Scattering2D(2, SIZE)
    expected = S(pixels[..., 0].astype(np.float32) / np.float32(255))
    np.testing.assert_allclose(stored.pop("coefficients"), [expected] * 2, rtol=1e-5, atol=1e-6)
    assert stored.pop("names").tolist() == ["b.png", "c.png"]
    for key, column in {"channels": features.names(S.meta()), **S.meta()}.items():
        np.testing.assert_array_equal(stored.pop(key), column)
    assert {name.partition(" ")[0] for name in str(stored.pop("versions")).split(", ")} == {
        *("numpy", "numba", "pillow")
    }
    assert {key: value.tolist() for key, value in stored.items()} == {
        "bank": "accurate",
        "bank_sha256": S.bank.sha256,
        "J": 2,
        "L": 8,
        "max_order": 2,
        "boundary": "kymatio",
        "shape": list(SIZE),
        "backend": S.backend,
        "version": npscatter.__version__,
        "samples": "divided by 255 (8 bits) or 65535 (16 bits)",
        "channel": "red",
        "frame": 0,
        "range": [],
        "crop": [],
        "pad": [],
        "size": [],
        "summary": [],
        "dtype": "float32",
        "batch": BATCH_PIXELS // (SIZE[0] * SIZE[1]),
        "labelled_by": "",
        "images": ["b.png", "c.png"],
        "skipped": [],
        "skipped_because": [],
    }


def test_batches_do_not_mix_pictures(folder, monkeypatch):
    monkeypatch.setattr("npscatter.cli.pipeline.job.BATCH_PIXELS", 2 * SIZE[0] * SIZE[1])
    pictures = [grey(folder / "in" / f"{n}.png", seed=n) for n in range(5)]
    assert run("transform", "in", "-o", "out.npy", "--dtype", "float64").exit_code == 0
    expected = [npscatter.scatter(picture) for picture in pictures]
    np.testing.assert_allclose(np.load("out.npy"), expected, rtol=1e-12, atol=1e-14)


def test_bad_pictures_are_named_and_the_others_kept(folder):
    kept = [grey(folder / "in" / name, seed) for seed, name in enumerate(["b.png", "f.png"])]
    (folder / "in" / "a.png").write_bytes(b"no picture at all")
    whole = (folder / "in" / "b.png").read_bytes()
    (folder / "in" / "c.png").write_bytes(whole[: len(whole) // 2])
    (folder / "in" / "d.NEF").write_bytes(b"camera raw")
    result = run("transform", "in", "missing.png", "none/*.png", "-o", "out.npz")
    failed(result, 1, "2 of 6 pictures", "in/d.NEF: camera raw is not read; skipped; develop")
    told = {line.partition(":")[0]: line for line in result.stderr.splitlines()}
    assert set(told) == {"in/a.png", "in/c.png", "in/d.NEF", "missing.png", "none/*.png"} | {
        "2 of 6 pictures transformed"
    }
    with np.load("out.npz") as archive:
        assert archive["names"].tolist() == ["in/b.png", "in/f.png"]
        expected = npscatter.scatter(np.array(kept, np.float32))
        np.testing.assert_allclose(archive["coefficients"], expected, rtol=1e-5, atol=1e-6)


def test_an_empty_folder_beside_pictures_is_told_by_the_status(folder):
    grey(folder / "a.png")
    (folder / "empty").mkdir()
    result = run("transform", "a.png", "empty", "-o", "out.npy")
    failed(result, 1, "empty: no pictures here", "1 of 1 pictures")
    assert len(np.load("out.npy")) == 1


def test_size_takes_pictures_of_any_size(folder):
    grey(folder / "a.png")
    grey(folder / "b.png", shape=(40, 9))
    result = run("transform", "a.png", "b.png", "-o", "out.npy", "--size", "16", "12")
    assert result.exit_code == 0, result.output
    pictures = [read_image(name, Reading(size=(16, 12))) for name in ("a.png", "b.png")]
    expected = npscatter.scatter(np.array(pictures, np.float32))
    np.testing.assert_allclose(np.load("out.npy"), expected, rtol=1e-5, atol=1e-6)


def test_without_any_readable_picture_nothing_is_written(folder):
    (folder / "a.png").write_bytes(b"")
    for output in ("out.npy", "out.npz"):
        failed(run("transform", "a.png", "-o", output), 2, "a.png: ", "of 1", "nothing was written")
    failed(run("transform", "*.gif", "-o", "out.npy"), 2, "*.gif: no file matches", "Error: ")
    only(folder, "a.png")


@pytest.mark.parametrize(
    "output, word",
    [("out.txt", ".npy or .npz"), ("out", ".npy or .npz"), ("no/out.npy", "no folder 'no'")],
)
def test_a_bad_output_is_refused_before_any_work(folder, monkeypatch, output, word):
    grey(folder / "a.png")
    monkeypatch.setattr("npscatter.cli.images.read_image", pytest.fail)
    failed(run("transform", "a.png", "-o", output), 2, word)
    only(folder, "a.png")


def test_an_output_that_is_a_folder_is_refused(folder):
    grey(folder / "a.png")
    (folder / "out.npy").mkdir()
    failed(run("transform", "a.png", "-o", "out.npy"), 2, "is a folder")


@pytest.mark.parametrize(
    "options, words",
    [
        (["--bank", "acurate"], ["acurate", "accurate, accurate-L4, paper"]),
        (["--bank", "no/such.npz"], ["no/such.npz", "cannot read"]),
        (["--L", "6"], ["L=6", "L=4, L=8"]),
        (["--backend", "abacus"], ["abacus", "numpy"]),
    ],
)
def test_errors_of_the_library_are_one_line(folder, options, words):
    grey(folder / "a.png")
    result = run("transform", "a.png", "-o", "out.npy", *options)
    failed(result, 2, *words)
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
    only(folder, "a.png")


@pytest.mark.parametrize(
    "arguments",
    [
        ["transform", "-o", "out.npy"],
        ["transform", "a.png"],
        ["transform", "a.png", "-o", "out.npy", "--J", "0"],
        ["transform", "a.png", "-o", "out.npy", "--max-order", "3"],
        ["transform", "a.png", "-o", "out.npy", "--size", "16"],
        ["transform", "a.png", "-o", "out.npy", "--channel", "alpha"],
        ["transmogrify"],
    ],
)
def test_usage_errors_have_status_two(folder, arguments):
    failed(run(*arguments), 2, "Error: ")


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize(
    "error, status, word",
    [(KeyboardInterrupt(), 130, "nothing was written"), (OSError(28, "disk full"), 2, "disk full")],
)
def test_writing_is_all_or_nothing(folder, monkeypatch, suffix, error, status, word):
    grey(folder / "a.png")
    (folder / f"out.{suffix}").write_bytes(b"older result")

    def fail(*_):
        raise error

    monkeypatch.setattr("npscatter.cli.pipeline.outputs.put_in_place", fail)
    failed(run("transform", "a.png", "-o", f"out.{suffix}"), status, word)
    only(folder, "a.png", f"out.{suffix}")
    assert (folder / f"out.{suffix}").read_bytes() == b"older result"


@pytest.mark.parametrize(
    "place",
    [
        "npscatter.cli.pipeline.job.check_output",
        "npscatter.cli.pipeline.job.resolve",
        "npscatter.cli.finding.os.path.isdir",
        "npscatter.cli.images.read_header",
        "npscatter.Scattering2D",
        "npscatter.cli.images.read_image",
        "npscatter.Scattering2D.__call__",
        "npscatter.cli.pipeline.outputs.put_in_place",
    ],
)
def test_interrupted_anywhere_has_status_130_and_writes_nothing(folder, monkeypatch, place):
    grey(folder / "a.png")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupt)
    failed(run("transform", "a.png", "-o", "out.npy"), 130, "interrupted; nothing was written")
    monkeypatch.undo()
    only(folder, "a.png")


# What is left out


def test_files_of_other_formats_are_counted_and_named_up_to_five(folder):
    grey(folder / "in" / "a.png")
    for number in range(245):
        (folder / "in" / f"{number:03}.cr2").touch()
    result = run("transform", "in", "-o", "out.npz")
    failed(result, 1, "1 of 246 pictures transformed")
    lines = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        *(f"in/{number:03}.cr2" for number in range(5)),
        "... and 240 more",
        "1 of 246 pictures transformed",
    ]
    # What to do is said once.
    assert "develop" in lines[0] and result.stderr.count("develop") == 1
    assert len(np.load("out.npz")["coefficients"]) == 1


def test_pictures_that_break_off_are_capped_too(folder):
    grey(folder / "in" / "a.png")
    whole = (folder / "in" / "a.png").read_bytes()
    for number in range(8):
        (folder / "in" / f"{number}.png").write_bytes(whole[: 60 + number])
    result = run("transform", "in", "-o", "out.npz")
    failed(result, 1, "... and 3 more: cannot be read", "1 of 9 pictures transformed")
    assert len(result.stderr.splitlines()) == 7


@pytest.mark.parametrize("broken", ["a.heic", "b.png", "c.png"])
def test_strict_and_npy_let_no_picture_be_skipped(folder, monkeypatch, broken):
    grey(folder / "in" / "x.png")
    whole = (folder / "in" / "x.png").read_bytes()
    content = {"a.heic": b"any", "b.png": b"none", "c.png": whole[:80]}[broken]
    (folder / "in" / broken).write_bytes(content)
    monkeypatch.setattr("npscatter.Scattering2D.__call__", pytest.fail)
    result = run("transform", "in", "-o", "out.npy")
    failed(result, 2, f"in/{broken}: ", "1 of 2 pictures cannot be read, and 'out.npy'", ".npz")
    result = run("transform", "in", "-o", "out.npz", "--strict")
    failed(result, 2, f"in/{broken}: ", "1 of 2 pictures cannot be read, and --strict")
    only(folder, "in")


def test_strict_lets_no_argument_name_nothing(folder, monkeypatch):
    grey(folder / "a.png")
    (folder / "empty").mkdir()
    monkeypatch.setattr("npscatter.cli.images.read_header", pytest.fail)
    result = run("transform", "a.png", "empty", "-o", "out.npz", "--strict")
    failed(result, 2, "Error: --strict: empty: no pictures here")
    only(folder, "a.png", "empty")


def test_a_picture_named_twice_is_taken_once(folder):
    grey(folder / "a.png")
    os.symlink("a.png", "b.png")
    result = run("transform", "a.png", "b.png", "./a.png", "-o", "out.npz")
    assert result.exit_code == 0
    assert "names for files that were named before: 2, such as 'b.png'" in result.stderr
    assert np.load("out.npz")["names"].tolist() == ["a.png"]
    # Whoever counts rows by arguments would be wrong.
    failed(run("transform", ".", "-o", "out.npy"), 2, "named before: 1", "write .npz")
    only(folder, "a.png", "b.png", "out.npz")


def test_links_that_go_round_do_not_multiply_pictures(folder):
    grey(folder / "in" / "a.png")
    os.symlink(".", "in/loop")
    os.symlink("../in", "in/again")
    for arguments in (["in", "--recursive"], ["in/**/*.png"]):
        result = run("transform", *arguments, "-o", "out.npy")
        assert result.exit_code == 0, result.output
        assert len(np.load("out.npy")) == 1


def test_a_picture_that_changes_between_its_header_and_its_pixels_is_skipped(folder, monkeypatch):
    grey(folder / "a.png")
    grey(folder / "b.png")

    def read(name, how):
        if name == "a.png":
            grey(folder / "a.png", shape=(24, 16))
        return read_image(name, how)

    monkeypatch.setattr("npscatter.cli.images.read_image", read)
    result = run("transform", "a.png", "b.png", "-o", "out.npz")
    failed(result, 1, "a.png: not of the size its header says (24 x 16); skipped")
    assert np.load("out.npz")["names"].tolist() == ["b.png"]


def test_where_nothing_can_be_read_npz_is_no_remedy(folder):
    for name in ("a.png", "b.heic"):
        (folder / name).write_bytes(b"none")
    for options in (["-o", "out.npy"], ["-o", "out.npz", "--strict"]):
        result = run("transform", "a.png", "b.heic", *options)
        failed(result, 2, "Error: 0 of 2 pictures can be read; nothing was written\n")
        assert ".npz" not in result.stderr and "--strict" not in result.stderr


# What is told of what is read


def test_one_range_over_several_kinds_of_samples_is_told(folder):
    for number in range(3):
        grey(folder / f"{number}.png", seed=number)
    write(folder / "deep.png", noise(*SIZE, dtype=np.uint16))
    write(folder / "floats.tif", np.ones(SIZE, np.float32))
    result = run("transform", ".", "-o", "a.npz", "--range", 0, 1)
    assert result.exit_code == 0
    note = "--range 0 1 is applied to 3 pictures of 8 bits, 1 of 16 bits, 1 of floats\n"
    assert note in result.stderr
    for arguments in (["0.png", "1.png"], [".", "--quiet"]):
        result = run("transform", *arguments, "-o", "a.npz", "--range", 0, 1)
        assert result.exit_code == 0 and "--range" not in result.stderr
    (folder / "floats.tif").unlink()
    assert "--range" not in run("transform", ".", "-o", "a.npz").stderr


def test_pictures_of_which_less_is_read_are_counted(folder):
    grey(folder / "a.png")
    for number in range(2):
        first, second = (Image.fromarray(noise(*SIZE, seed=number + k)) for k in range(2))
        first.save(folder / f"{number}.gif", save_all=True, append_images=[second])
    deep = noise(*SIZE, 3, dtype=np.uint16).astype(">u2").tobytes()
    (folder / "b.ppm").write_bytes(b"P6 24 16 65535\n" + deep)
    result = run("transform", ".", "-o", "a.npz")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[:2] == [
        "colour of 16 bits, or grey of 16 with transparency, is read with 8: 1 of 4 pictures, "
        "such as ./b.ppm",
        "of several frames the first is read, or see --frame: 2 of 4 pictures, such as ./0.gif",
    ]
    assert len(result.stderr.splitlines()) == 3
    result = run("transform", "0.gif", "-o", "a.npz", "--frame", 1)
    assert result.exit_code == 0 and "frame" not in result.stderr
    assert run("transform", ".", "-o", "a.npz", "--quiet").stderr == ""


# Sizes


def test_pictures_of_several_sizes_are_refused_before_any_work(folder, monkeypatch):
    for name, shape in (("a", (9, 9)), ("b", SIZE), ("c", SIZE), ("d", (24, 16))):
        grey(folder / "in" / f"{name}.png", shape=shape)
    monkeypatch.setattr("npscatter.cli.images.read_image", pytest.fail)
    result = run("transform", "in", "-o", "out.npz")
    failed(
        result,
        2,
        "the pictures have 3 sizes",
        "2 of 16 x 24 (in/b.png), 1 of 9 x 9 (in/a.png), 1 of 24 x 16 (in/d.png)",
        *("--crop", "--pad", "--size"),
    )
    assert len(result.stderr.splitlines()) == 1
    only(folder, "in")


def test_many_sizes_are_capped(folder):
    for side in range(8, 28):
        grey(folder / "in" / f"{side}.png", shape=(side, 8))
    result = run("transform", "in", "-o", "out.npz")
    failed(result, 2, "have 20 sizes", "... and 15 sizes more")
    assert result.stderr.count(" of ") == 5


def test_a_scale_too_large_is_one_error_before_the_first_picture(folder, monkeypatch):
    for number in range(3):
        grey(folder / "in" / f"{number}.png")
    monkeypatch.setattr("npscatter.cli.images.read_image", pytest.fail)
    result = run("transform", "in", "-o", "out.npz", "--J", "5")
    failed(result, 2, "Error: J=5")
    assert len(result.stderr.splitlines()) == 1
    only(folder, "in")


def test_crop_and_pad_bring_pictures_to_one_size(folder):
    shapes = {"a.png": (20, 30), "b.png": (12, 40), "c.png": (16, 16)}
    for seed, (name, shape) in enumerate(shapes.items()):
        grey(folder / "in" / name, seed, shape)
    result = run("transform", "in", "-o", "out.npz", "--crop", 16, 24, "--pad", 16, 24)
    assert result.exit_code == 0, result.output
    how = Reading(crop=(16, 24), pad=(16, 24))
    pictures = [read_image(f"in/{name}", how) for name in shapes]
    expected = npscatter.scatter(np.array(pictures, np.float32))
    stored = np.load("out.npz")
    np.testing.assert_allclose(stored["coefficients"], expected, rtol=1e-5, atol=1e-6)
    assert stored["crop"].tolist() == stored["pad"].tolist() == stored["shape"].tolist() == [16, 24]
    result = run("transform", "in", "-o", "no.npz", "--crop", 16, 24)
    failed(result, 2, "--crop 16 24: 2 of 3 pictures, such as in/b.png (12 x 40)", "--pad 16 24")
    result = run("transform", "in", "-o", "no.npz", "--pad", 32, 32)
    failed(result, 2, "--pad 32 32: 1 of 3 pictures, such as in/b.png (12 x 40)", "--crop 32 32")
    only(folder, "in", "out.npz")


def test_what_size_changes_is_told(folder):
    for name, shape in (("a.png", (32, 32)), ("b.png", (8, 8)), ("c.png", (32, 48))):
        grey(folder / name, shape=shape)
    result = run("transform", ".", "-o", "out.npz", "--size", 16, 16)
    assert result.exit_code == 0
    assert "--size enlarges 1 of 3 pictures\n" in result.stderr
    assert "--size changes the proportions of 1 of 3 pictures\n" in result.stderr
    result = run("transform", "a.png", "-o", "out.npz", "--size", 16, 16)
    assert "--size" not in result.stderr


# Options of reading


def test_range_and_frame_reach_the_pictures_and_are_recorded(folder):
    pages = noise(2, *SIZE, dtype=np.uint16) >> 4
    first, second = (Image.fromarray(page) for page in pages)
    first.save(folder / "a.tif", save_all=True, append_images=[second])
    options = ["--range", 0, 4095, "--frame", 1, "--dtype", "float64"]
    result = run("transform", "a.tif", "-o", "a.npz", *options)
    assert result.exit_code == 0, result.output
    stored = np.load("a.npz")
    expected = npscatter.scatter(pages[1] / 4095)
    np.testing.assert_allclose(stored["coefficients"][0], expected, rtol=1e-12, atol=1e-14)
    assert stored["samples"] == "0.0 to 0, 4095.0 to 1, linearly"
    assert stored["range"].tolist() == [0, 4095] and stored["frame"] == 1


def test_floats_need_a_range(folder):
    pixels = np.random.default_rng(0).random(SIZE).astype(np.float32)
    write(folder / "a.tif", pixels)
    failed(run("transform", "a.tif", "-o", "a.npz"), 2, "a.tif: ", "--range LOW HIGH", "0 of 1")
    result = run("transform", "a.tif", "-o", "a.npz", "--range", 0, 1)
    assert result.exit_code == 0, result.output
    expected = npscatter.scatter(pixels)
    np.testing.assert_allclose(np.load("a.npz")["coefficients"][0], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--range", "1", "0"], "--range=(1.0, 0.0): must be two finite numbers"),
        (["--range", "nan", "1"], "--range=(nan, 1.0)"),
        (["--crop", "9", "9", "--pad", "8", "9"], "--crop=(9, 9): must not be larger than --pad"),
        (["--size", "999999", "999999"], "--size=(999999, 999999): must be at most"),
    ],
)
def test_options_that_contradict_are_told_before_any_work(folder, monkeypatch, options, words):
    grey(folder / "a.png")
    monkeypatch.setattr("npscatter.cli.images.read_header", pytest.fail)
    failed(run("transform", "a.png", "-o", "a.npz", *options), 2, words)
    only(folder, "a.png")


# Options of the command


def test_recursive_takes_subfolders(folder):
    for name in ("in/a.png", "in/deep/b.png"):
        grey(folder / name)
    run("transform", "in", "-o", "flat.npz")
    run("transform", "in", "-o", "deep.npz", "--recursive")
    assert np.load("flat.npz")["names"].tolist() == ["in/a.png"]
    assert np.load("deep.npz")["names"].tolist() == ["in/a.png", "in/deep/b.png"]


@pytest.mark.parametrize("end", ["\n", "\0"])
def test_pictures_listed_on_standard_input_and_in_files(folder, end):
    for name in ("a.png", "two words.png", "in/c.png"):
        grey(folder / name)
    names = ["two words.png", "in", "a.png"]
    result = run("transform", "-", "-o", "a.npz", input=end.join(names))
    assert result.exit_code == 0, result.output
    (folder / "list").write_text(end.join(names))
    assert run("transform", "@list", "-o", "b.npz").exit_code == 0
    for output in ("a.npz", "b.npz"):
        expected = ["two words.png", "in/c.png", "a.png"]
        assert np.load(output)["names"].tolist() == expected
    failed(run("transform", "@none", "-o", "a.npz"), 2, "IMAGES='@none': cannot be read")
    failed(run("transform", "-", "-o", "a.npz", input=""), 2, "-: an empty list")
    picture = (folder / "a.png").read_bytes()
    result = run("transform", "-", "-o", "a.npz", input=picture)
    failed(result, 2, "IMAGES='-': must be a list of names, and is a picture itself (PNG)")


def test_threads_reach_the_transform(folder, monkeypatch):
    grey(folder / "a.png")
    made = []
    construct = npscatter.Scattering2D
    monkeypatch.setattr(
        npscatter, "Scattering2D", lambda *a, **b: made.append(construct(*a, **b)) or made[-1]
    )
    assert run("transform", "a.png", "-o", "a.npy", "--threads", 1).exit_code == 0
    assert made[0].threads == 1
    result = run("transform", "a.png", "-o", "a.npy", "--threads", 1, "--backend", "numpy")
    failed(result, 2, "threads=1", "backend='numpy'")


def test_quiet_tells_faults_alone(folder):
    grey(folder / "a.png", shape=(32, 16))
    result = run("transform", "a.png", "./a.png", "-o", "a.npz", "--size", 64, 64, "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    (folder / "b.heic").touch()
    result = run("transform", "a.png", "b.heic", "-o", "a.npz", "-q")
    failed(result, 1, "b.heic: ")
    assert len(result.stderr.splitlines()) == 1


def test_no_clobber_keeps_what_exists(folder, monkeypatch):
    grey(folder / "a.png")
    assert run("transform", "a.png", "-o", "a.npy", "--no-clobber").exit_code == 0
    written = (folder / "a.npy").read_bytes()
    failed(run("transform", "a.png", "-o", "a.npy", "--no-clobber"), 2, "-o='a.npy': exists")
    os.symlink("nowhere", "link.npy")
    failed(run("transform", "a.png", "-o", "link.npy", "--no-clobber"), 2, "exists already")

    def read(*arguments):
        (folder / "late.npy").write_bytes(b"another's")
        return read_image(*arguments)

    monkeypatch.setattr("npscatter.cli.images.read_image", read)
    failed(run("transform", "a.png", "-o", "late.npy", "--no-clobber"), 2, "exists already")
    assert (folder / "a.npy").read_bytes() == written
    assert (folder / "late.npy").read_bytes() == b"another's"


@pytest.mark.parametrize(
    "place", ["npscatter.Scattering2D.__call__", "PIL.PngImagePlugin.PngImageFile.load"]
)
def test_running_out_of_memory_is_one_line(folder, monkeypatch, place):
    grey(folder / "a.png")
    grey(folder / "b.png")

    def fail(*_):
        raise MemoryError("cannot allocate")

    monkeypatch.setattr(place, fail)
    result = run("transform", "a.png", "b.png", "-o", "a.npz")
    failed(result, 2, "Error: out of memory (cannot allocate)")
    assert result.stderr.count("\n") == 1
    only(folder, "a.png", "b.png")


def test_help_lists_every_option_once_under_a_heading():
    shown = run("transform", "--help").stdout
    options = [param for param in transform.params if isinstance(param, click.Option)]
    for option in options:
        line = rf"^  {', '.join(option.opts)}( |$)"
        assert len(re.findall(line, shown, re.MULTILINE)) == 1, option
    for title in SECTIONS:
        assert f"\n{title}:\n" in shown
    for word in (
        "divided by 255",
        "grey of 16 bits with transparency",
        "Python functions do not",
        "EXIF",
        "first",
        "mirrored",
        "enlarged",
    ):
        assert word in " ".join(shown.split())
    assert "divides 8-bit" in " ".join(npscatter.Scattering2D.__call__.__doc__.split())
