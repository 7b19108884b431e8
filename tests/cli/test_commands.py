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
from command_line import failed, grey, only, run
from PIL import Image

import npscatter
from npscatter import FilterBank
from npscatter.bank import bank_file
from npscatter.cli.demo import DEMO
from npscatter.errors import install_extra

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
    assert run("plot-bank", "accurate-L4", "-o", "a.png").exit_code == 0
    result = run("plot-bank", shipped / "accurate-L4.npz", "-o", "b.png", "--next")
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


def test_plot_bank_draws_what_a_figure_has_room_for(folder, toy_bank):
    toy_bank("free", 40, 1, K=1).save("wide")
    words = "has 40 orientations, and a figure has room for 32"
    failed(run("plot-bank", "wide.npz", "-o", "a.png"), 2, words)
    only(folder, "wide.npz", "wide.json")


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


# The command itself


def test_version_and_help():
    assert run("--version").stdout == f"npscatter, version {npscatter.__version__}\n"
    names = ("demo", "transform", "banks", "plot-bank", "bounds", "export-onnx", "export-taps")
    for command in ([], *([name] for name in names)):
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
    missing += ["onnx", "safetensors"]
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
    remedy = re.escape(install_extra("cli"))
    assert re.fullmatch(rf"Error: .* needs {name}, not installed: {remedy}\n", done.stderr)
    only(tmp_path)


def test_no_command_uses_what_the_extra_does_not_bring(folder, shipped):
    grey(folder / "a.png")
    ship = (
        "import pathlib, npscatter.bank.bank_file\n"
        f"npscatter.bank.bank_file.SHIPPED = pathlib.Path({str(shipped)!r})\n"
        f"npscatter.bank.bank_file.NAMES = {bank_file.NAMES}\n"
    )
    code = WITHOUT.format(["scipy", "kymatio", "torch", "skimage", "onnx"]) + ship + RUN_MODULE
    for arguments in (
        ["demo"],
        ["banks"],
        ["plot-bank", "accurate", "-o", "bank.png"],
        ["transform", "a.png", "-o", "a.npy"],
        ["export-taps", "accurate", "-o", "taps.npz"],
    ):
        done = python(code, *arguments, folder=folder)
        assert done.returncode == 0, done.stderr
    only(folder, "a.png", "a.npy", "a.npy.json", "bank.png", "npscatter-demo.png", "taps.npz")
