"""The command line, run in this process on a toy bank; the demo also on the shipped one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from banks import make_windowed_bank
from click.testing import CliRunner
from PIL import Image

import npscatter
import npscatter.bank
from npscatter import FilterBank, bank_file
from npscatter.cli.banks import MEASURED
from npscatter.cli.demo import DEMO
from npscatter.cli.group import main
from npscatter.cli.images import LUMINANCE, ImageError, find_images, read_image

SIZE = (16, 24)


@pytest.fixture
def shipped(tmp_path_factory, ship_from):
    """Ship toy banks: "accurate" (R = 4) and its L = 4 relative, and "paper"."""
    folder = tmp_path_factory.mktemp("banks")
    errors = {MEASURED: {"S0": 0.0005, "S1": 0.0031, "S2": 0.0049}, "noise": {"S1": 1.0}}
    for bank in (
        make_windowed_bank("accurate", R=4, card={"errors": errors, "seed": 7}),
        make_windowed_bank("accurate-L4", L=4, card={"family": "accurate"}),
        make_windowed_bank("paper", seed=1),
    ):
        bank.save(folder / bank.name)
    ship_from(folder)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch, shipped):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def write(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


def noise(*shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def grey(path, seed=0, shape=SIZE):
    pixels = noise(*shape, seed=seed)
    write(path, pixels)
    return pixels / 255


def luminance(colour):
    return 0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2]


def only(folder, *names):
    """Assert that nothing but `names` is in the folder: no output, no temporary file."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def failed(result, status, *words):
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr


# Reading pictures


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_are_divided_by_65535(tmp_path, suffix):
    pixels = noise(*SIZE, dtype=np.uint16)
    path = write(tmp_path / f"deep.{suffix}", pixels)
    picture = read_image(path)
    assert picture.dtype == np.float64
    np.testing.assert_array_equal(picture, pixels / 65535)


def test_transparency_is_ignored_and_grey_is_the_bt601_luminance(tmp_path):
    pixels = noise(*SIZE, 4)
    picture = read_image(write(tmp_path / "a.png", pixels))
    np.testing.assert_allclose(picture, luminance(pixels / 255), rtol=1e-14, atol=0)


def test_luminance_weights_sum_to_one():
    assert sum(LUMINANCE) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("index, channel", [(0, "red"), (1, "green"), (2, "blue")])
def test_single_channels(tmp_path, index, channel):
    pixels = noise(*SIZE, 3)
    path = write(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_image(path, channel), pixels[..., index] / 255)
    np.testing.assert_array_equal(read_image(path, "all")[index], pixels[..., index] / 255)


@pytest.mark.parametrize("channel", ["grey", "red", "blue"])
def test_grey_pictures_have_three_equal_channels(tmp_path, channel):
    pixels = grey(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channel), pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", "all"), [pixels] * 3)


def test_palette_pictures_show_their_colours_not_their_indices(tmp_path):
    indices = noise(*SIZE) % 4
    palette = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 250], [7, 7, 7]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette(palette.ravel().tolist())
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    expected = luminance(palette[indices] / 255)
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), expected, rtol=1e-14, atol=0)


def test_black_and_white_pictures(tmp_path):
    pixels = noise(*SIZE) > 127
    path = write(tmp_path / "a.png", pixels)
    assert Image.open(path).mode == "1"
    np.testing.assert_array_equal(read_image(path), pixels)


def test_exif_orientation_is_followed(tmp_path):
    pixels = noise(*SIZE)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(pixels, -1) / 255)


def test_size_resizes_by_antialiased_bicubic(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (32, 16))
    path = write(tmp_path / "a.png", stripes)
    smaller = read_image(path, size=(8, 8))
    assert smaller.shape == (8, 8)
    # Stripes beyond the new resolution average out; sampling alone would keep black or white.
    np.testing.assert_allclose(smaller[:, 1:-1], 0.5, atol=0.05)
    np.testing.assert_array_equal(read_image(path, size=(32, 32)), stripes / 255)
    colour = write(tmp_path / "b.png", noise(*SIZE, 3))
    larger = read_image(colour, "all", (40, 50))
    assert larger.shape == (3, 40, 50)
    assert larger.min() >= 0 and larger.max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_samples_without_a_fixed_range_are_refused(tmp_path, dtype):
    path = write(tmp_path / "a.tif", np.ones(SIZE, dtype))
    with pytest.raises(ImageError, match="no fixed range"):
        read_image(path)


def test_folders_globs_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.png", "in/a.PNG", "in/deep/c.png", "in/.hidden.png", "out/d.png"):
        grey(tmp_path / name)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    files, empty = find_images(["out/d.png", "in", "in/**/*.png", "in/*.gif", "missing.png"])
    assert files == [
        "out/d.png",
        "in/a.PNG",
        "in/b.png",
        "in/b.png",
        "in/deep/c.png",
        "missing.png",
    ]
    assert empty == ["in/*.gif"]


# transform


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
    only(folder, "in", "out.npy")


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
    result = run("transform", "b.png", "b.png", "-o", "b.npz", "--channel", "red")
    assert result.exit_code == 0, result.output
    with np.load("b.npz", allow_pickle=False) as archive:
        stored = {key: archive[key] for key in archive.files}
    S = npscatter.Scattering2D(2, SIZE)
    expected = S(pixels[..., 0].astype(np.float32) / np.float32(255))
    np.testing.assert_allclose(stored.pop("coefficients"), [expected] * 2, rtol=1e-5, atol=1e-6)
    assert stored.pop("names").tolist() == ["b.png", "b.png"]
    for key, column in S.meta().items():
        np.testing.assert_array_equal(stored.pop(key), column)
    assert {key: value.tolist() for key, value in stored.items()} == {
        "bank": "accurate",
        "bank_sha256": S.bank.sha256,
        "J": 2,
        "L": 8,
        "max_order": 2,
        "boundary": "kymatio",
        "shape": list(SIZE),
        "channel": "red",
        "backend": S.backend,
        "version": npscatter.__version__,
    }


def test_batches_do_not_mix_pictures(folder, monkeypatch):
    monkeypatch.setattr("npscatter.cli.transform.BATCH_PIXELS", 2 * SIZE[0] * SIZE[1])
    pictures = [grey(folder / "in" / f"{n}.png", seed=n) for n in range(5)]
    assert run("transform", "in", "-o", "out.npy", "--dtype", "float64").exit_code == 0
    expected = [npscatter.scatter(picture) for picture in pictures]
    np.testing.assert_allclose(np.load("out.npy"), expected, rtol=1e-12, atol=1e-14)


def test_bad_pictures_are_named_and_the_others_kept(folder):
    kept = [grey(folder / "in" / name, seed) for seed, name in enumerate(["b.png", "f.png"])]
    (folder / "in" / "a.png").write_bytes(b"no picture at all")
    whole = (folder / "in" / "b.png").read_bytes()
    (folder / "in" / "c.png").write_bytes(whole[: len(whole) // 2])
    grey(folder / "in" / "d.png", shape=(24, 16))
    result = run("transform", "in", "missing.png", "none/*.png", "-o", "out.npz")
    failed(result, 1, "2 of 6 pictures")
    told = {line.partition(":")[0]: line for line in result.stderr.splitlines()}
    assert set(told) == {"in/a.png", "in/c.png", "in/d.png", "missing.png", "none/*.png"} | {
        "2 of 6 pictures transformed"
    }
    assert "24 x 16" not in told["in/a.png"] and "24 x 16, not 16 x 24" in told["in/d.png"]
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
    pictures = [read_image(name, size=(16, 12)) for name in ("a.png", "b.png")]
    expected = npscatter.scatter(np.array(pictures, np.float32))
    np.testing.assert_allclose(np.load("out.npy"), expected, rtol=1e-5, atol=1e-6)


def test_a_first_picture_too_small_for_the_scale_loses_no_other(folder):
    grey(folder / "a.png", shape=(3, 3))
    grey(folder / "b.png", seed=1)
    result = run("transform", "a.png", "b.png", "-o", "out.npy")
    failed(result, 1, "a.png: J=2", "skipped", "1 of 2")
    assert np.load("out.npy").shape[0] == 1


def test_a_scale_no_picture_allows_is_told_of_each(folder):
    grey(folder / "a.png")
    result = run("transform", "a.png", "-o", "out.npy", "--J", "9")
    failed(result, 1, "a.png: J=9", "0 of 1")
    only(folder, "a.png")


def test_without_any_readable_picture_nothing_is_written(folder):
    (folder / "a.png").write_bytes(b"")
    failed(
        run("transform", "a.png", "-o", "out.npy"), 1, "a.png: ", "0 of 1", "nothing was written"
    )
    failed(run("transform", "*.gif", "-o", "out.npy"), 2, "*.gif: no pictures", "Error: ")
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
    written = []

    def save(file, *arrays, **named):
        file.write(b"half of it")
        file.flush()
        written.extend(path.name for path in folder.iterdir())
        raise error

    monkeypatch.setattr(np, "save", save)
    monkeypatch.setattr(np, "savez", save)
    failed(run("transform", "a.png", "-o", f"out.{suffix}"), status, word)
    assert len(written) == 3
    only(folder, "a.png", f"out.{suffix}")
    assert (folder / f"out.{suffix}").read_bytes() == b"older result"


def test_interrupted_while_reading(folder, monkeypatch):
    grey(folder / "a.png")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("npscatter.cli.images.read_image", interrupt)
    failed(run("transform", "a.png", "-o", "out.npy"), 130, "interrupted; nothing was written")
    only(folder, "a.png")


# banks


def test_banks_table(folder):
    result = run("banks")
    assert result.exit_code == 0, result.output
    rows = [re.split(r"  +", line) for line in result.stdout.splitlines()]
    header = "name L R psi carry low boundary symmetric S0 S1 S2".split()
    measured = ["0.05 %", "0.31 %", "0.49 %"]
    assert rows[0] == header
    assert rows[1] == ["accurate", "8", "4", *["5/5"] * 3, "kymatio", "no", *measured]
    assert rows[2] == ["accurate-L4", "4", "1", *["5/5"] * 3, "kymatio", "no", "-", "-", "-"]
    assert rows[3][0] == "paper"


def test_banks_json_prints_the_cards(folder, shipped):
    cards = json.loads(run("banks", "--json").stdout)
    assert list(cards) == ["accurate", "accurate-L4", "paper"]
    assert cards["accurate"] == FilterBank.load("accurate").describe()
    assert cards["accurate"]["seed"] == 7


def test_an_altered_bank_is_an_error_of_one_line(folder, shipped):
    (shipped / "paper.npz").write_bytes(b"altered")
    result = run("banks")
    failed(result, 2, "npz_sha256")
    assert result.stderr.count("\n") == 1


# plot-bank


def not_blank(path):
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    return pixels.shape


def test_plot_bank_by_name_and_path(folder, shipped):
    assert run("plot-bank", "paper", "-o", "a.png").exit_code == 0
    result = run("plot-bank", shipped / "paper.npz", "-o", "b.png", "--next")
    assert result.exit_code == 0, result.output
    assert not_blank("b.png")[0] > 1.5 * not_blank("a.png")[0]
    only(folder, "a.png", "b.png")


@pytest.mark.parametrize("L, R", [(8, 1), (4, 4), (2, 4)])
def test_bank_figure_shows_every_filter_once(L, R):
    from npscatter.cli.figures import bank_figure

    bank = make_windowed_bank("any", L=L, R=R)

    def shown(figure):
        return [image.get_array() for axes in figure.axes for image in axes.images]

    def holds(arrays, expected):
        assert len(arrays) == len(expected)
        for taps in expected:
            assert sum(np.array_equal(array, taps) for array in arrays) >= 1

    psi = bank["psi_first"][:, 0]
    first = [bank["low_first"][0, 0], *psi.real, *psi.imag]
    arrays = shown(bank_figure(bank))
    # The layout of the paper's figure 5: low-pass, then real parts, then imaginary parts.
    assert all(np.array_equal(a, b) for a, b in zip(arrays, first, strict=True))
    psi = bank["psi_next"].reshape(L * R, 5, 5)
    later = [*bank["carry_first"][:, 0], *bank["low_next"][0], *psi.real, *psi.imag]
    holds(shown(bank_figure(bank, show_next=True)), first + later)


def test_filters_are_shown_on_scales_symmetric_about_zero():
    from npscatter.cli.figures import bank_figure

    figure = bank_figure(make_windowed_bank("any", R=4), show_next=True)
    images = [image for axes in figure.axes for image in axes.images]
    assert len(images) == 1 + 16 + 4 + 4 + 64
    for image in images:
        low, high = image.get_clim()
        assert low == -high and np.abs(image.get_array()).max() <= high


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["accurate", "-o", "a.txt"], "must end in .png"),
        (["accurate", "-o", "no/a.png"], "no folder"),
        (["acurate", "-o", "a.png"], "acurate"),
    ],
)
def test_plot_bank_errors(folder, arguments, word):
    failed(run("plot-bank", *arguments), 2, word)
    only(folder)


# demo


def stated_errors(output):
    return {order: float(error) for order, error in re.findall(r"(S\d)  (\S+e\S+)", output)}


def test_demo_states_the_distance_to_the_stored_coefficients(folder):
    result = run("demo", "--no-figure")
    assert result.exit_code == 0, result.output
    only(folder)
    for word in (
        "256 x 256",
        "81 x 64 x 64",
        "accurate",
        "numpy",
        "kymatio 0.",
        "scipy",
        "rows 32",
    ):
        assert word in result.stdout
    with np.load(DEMO / "camera-kymatio-J2-L8.npz", allow_pickle=False) as stored:
        theirs, crop = stored["coefficients"].astype(np.float64), stored["crop"]
    row, column, height, width = crop
    camera = np.asarray(Image.open(DEMO / "camera.png")) / 255
    ours = npscatter.scatter(camera[row : row + height, column : column + width])
    errors = stated_errors(result.stdout)
    assert set(errors) == {"S0", "S1", "S2"}
    for order, channels in (("S0", slice(1)), ("S1", slice(1, 17)), ("S2", slice(17, 81))):
        difference = np.linalg.norm(ours[channels] - theirs[channels])
        expected = difference / np.linalg.norm(theirs[channels])
        assert errors[order] == pytest.approx(expected, rel=6e-3)


def test_a_shipped_file_that_is_missing_is_told_in_one_line(folder, shipped, monkeypatch):
    (shipped / "accurate-L4.npz").unlink()
    failed(run("banks"), 2, "accurate-L4.npz' is missing; install npscatter again\n")
    monkeypatch.setattr("npscatter.cli.demo.DEMO", folder)
    failed(run("demo", "--no-figure"), 2, "camera.png is shipped", "install npscatter again\n")


def test_demo_draws(folder):
    result = run("demo")
    assert result.exit_code == 0, result.output
    not_blank("npscatter-demo.png")
    only(folder, "npscatter-demo.png")


@pytest.mark.parametrize("options", [["--J", "3"], ["--bank", "accurate-L4"]])
def test_demo_of_another_transform_says_that_it_is_not_checked(folder, options):
    result = run("demo", *options, "--no-figure")
    assert result.exit_code == 0, result.output
    assert "not checked" in result.stdout and not stated_errors(result.stdout)


def test_demo_draws_without_second_order(folder):
    result = run("demo", "--J", "1", "--bank", "accurate-L4", "-o", "a.png")
    assert result.exit_code == 0, result.output
    not_blank("a.png")


def test_demo_errors(folder):
    failed(run("demo", "--bank", "acurate"), 2, "Error: bank='acurate'")
    failed(run("demo", "-o", "demo.npy"), 2, "must end in .png")
    only(folder)


def test_demo_with_the_shipped_bank():
    result = run("demo", "--no-figure")
    assert result.exit_code == 0, result.output
    errors = stated_errors(result.stdout)
    assert errors["S0"] < 0.001
    assert errors["S1"] < 0.005
    assert errors["S2"] < 0.01


def test_demo_files_are_small_and_can_be_made_again(tmp_path):
    from tools.make_demo import make_demo

    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 400_000
    picture, coefficients = make_demo(tmp_path)
    np.testing.assert_array_equal(Image.open(picture), Image.open(DEMO / picture.name))
    with np.load(coefficients) as made, np.load(DEMO / coefficients.name) as stored:
        assert made.files == stored.files
        np.testing.assert_array_equal(made["crop"], stored["crop"])
        np.testing.assert_allclose(
            made["coefficients"], stored["coefficients"], rtol=1e-4, atol=1e-6
        )


# The command itself


def test_version_and_help():
    assert run("--version").stdout == f"npscatter, version {npscatter.__version__}\n"
    for command in ([], ["demo"], ["transform"], ["banks"], ["plot-bank"], ["bounds"]):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert f"Examples:\n    npscatter {' '.join(command)}" in result.stdout


def python(code, *arguments, folder):
    root = Path(npscatter.__file__).parent.parent
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


WITHOUT = "import runpy, sys; sys.modules.update(dict.fromkeys({!r}))\n"
RUN_MODULE = "runpy.run_module('npscatter', run_name='__main__', alter_sys=True)"


def test_the_library_needs_only_numpy(tmp_path):
    missing = ["click", "PIL", "matplotlib", "tqdm", "scipy", "kymatio", "torch", "skimage"]
    done = python(WITHOUT.format(missing) + "import npscatter", folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "missing, name, arguments",
    [
        ("click", "click", ["banks"]),
        ("PIL", "Pillow", ["transform", "a.png", "-o", "out.npy"]),
        ("tqdm", "tqdm", ["transform", "a.png", "-o", "out.npy"]),
        ("matplotlib", "matplotlib", ["plot-bank", "accurate", "-o", "out.png"]),
        ("matplotlib", "matplotlib", ["demo", "-o", "out.png"]),
        ("PIL", "Pillow", ["demo", "--no-figure"]),
    ],
)
def test_a_missing_extra_is_told_in_one_line(tmp_path, missing, name, arguments):
    done = python(WITHOUT.format([missing]) + RUN_MODULE, *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(
        rf"Error: .* needs {name}, not installed: pip install 'npscatter\[cli\]'\n", done.stderr
    )
    only(tmp_path)


def test_no_command_uses_what_the_extra_does_not_bring(folder, shipped):
    grey(folder / "a.png")
    ship = (
        "import pathlib, npscatter.bank_file\n"
        f"npscatter.bank_file.SHIPPED = pathlib.Path({str(shipped)!r})\n"
        f"npscatter.bank_file.NAMES = {bank_file.NAMES}\n"
    )
    code = WITHOUT.format(["scipy", "kymatio", "torch", "skimage"]) + ship + RUN_MODULE
    for arguments in (
        ["demo"],
        ["banks"],
        ["plot-bank", "accurate", "-o", "bank.png"],
        ["transform", "a.png", "-o", "a.npy"],
    ):
        done = python(code, *arguments, folder=folder)
        assert done.returncode == 0, done.stderr
    only(folder, "a.png", "a.npy", "bank.png", "npscatter-demo.png")
