"""The desktop example: CMake generates the header, the program's CSV has Python's numbers."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import program, run

import cexport
from npscatter import Scattering2D

EXAMPLE = Path(cexport.__file__).parent / "examples" / "desktop"
DTYPES = ["float", "q15"]
SHAPE = (20, 17)
PICTURE = (31, 24)  # its centre begins at row 5, column 3


def text(ran):
    """Return what a program printed and its complaints."""
    return ran.stdout.decode(), ran.stderr.decode()


def generator_options():
    """Return what chooses Ninja where there is no make."""
    if shutil.which("make") is None:
        if shutil.which("ninja") is None:
            pytest.fail("neither make nor ninja is installed (Debian: apt-get install make)")
        return ["-G", "Ninja"]
    return []


def configure(build, *definitions):
    program("gcc")
    options = [*generator_options(), "-DCMAKE_C_FLAGS=-Werror"]
    run("cmake", "-S", EXAMPLE, "-B", build, *options, *definitions)
    run("cmake", "--build", build)


def generating(dtype):
    """Return the definitions with which CMake generates the header."""
    shape = f"{SHAPE[0]} {SHAPE[1]}"
    values = {"Python_EXECUTABLE": sys.executable, "NPS_SHAPE": shape, "NPS_DTYPE": dtype}
    return [f"-D{name}={value}" for name, value in values.items()]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Build the example twice in one folder: float, then reconfigured for Q15."""
    build = tmp_path_factory.mktemp("desktop") / "build"
    result = {}
    for dtype in DTYPES:
        configure(build, *generating(dtype))
        run("ctest", "--test-dir", build)
        header = (build / "nps" / "nps.h").read_text()
        assert header == cexport.generate(shape=SHAPE, dtype=dtype)
        result[dtype] = build.parent / f"scatter-{dtype}"
        shutil.copy(build / "scatter", result[dtype])
    return result


@pytest.fixture
def picture(tmp_path):
    """Write a picture of noise; return its path and its centre."""
    pixels = np.random.default_rng(4).integers(0, 256, PICTURE, np.uint8)
    path = tmp_path / "picture.pgm"
    head = f"P5\n# made by a test\n{PICTURE[1]} {PICTURE[0]}\n255\n"
    path.write_bytes(head.encode() + pixels.tobytes())
    return path, pixels[5 : 5 + SHAPE[0], 3 : 3 + SHAPE[1]]


def table(text):
    """Return CSV as a dict from a column's name to its numbers."""
    head, *rows = csv.reader(text.splitlines())
    return dict(zip(head, np.array(rows, dtype=np.float64).T, strict=True))


def expected(image, dtype):
    """Return what Python computes, shape (C, h, w), and how far off one coefficient may be."""
    if dtype == "q15":
        coefficients, exponents = cexport.simulate_q15(image)
        return coefficients * 2.0 ** -exponents[:, None, None], 0.0
    coefficients = Scattering2D(2, SHAPE, backend="numpy")(image.astype(np.float64))
    return coefficients, 2e-5 * np.abs(coefficients).max((1, 2), keepdims=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_coefficient_is_pythons(programs, picture, dtype):
    """Q15 exactly; float to rounding."""
    path, image = picture
    columns = table(text(run(programs[dtype], "--all", path))[0])
    coefficients, tolerance = expected(image, dtype)
    channel, row, column = np.indices(coefficients.shape).reshape(3, -1)
    np.testing.assert_array_equal(columns["channel"], channel)
    np.testing.assert_array_equal(columns["row"], row)
    np.testing.assert_array_equal(columns["column"], column)
    printed = columns["value"].reshape(coefficients.shape)
    printed = np.float32(printed)  # nine digits tell any two floats apart
    assert np.all(np.abs(printed - coefficients) <= tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_means_and_energies_are_pythons(programs, picture, dtype):
    path, image = picture
    columns = table(text(run(programs[dtype], path))[0])
    coefficients, _ = expected(image, dtype)
    rtol = 1e-8 if dtype == "q15" else 1e-5
    np.testing.assert_allclose(columns["mean"], coefficients.mean((1, 2)), rtol=rtol)
    np.testing.assert_allclose(columns["energy"], (coefficients**2).sum((1, 2)), rtol=rtol)


def test_paths_are_those_of_meta(programs, picture):
    columns = table(text(run(programs["float"], picture[0]))[0])
    meta = Scattering2D(2, SHAPE).meta()
    np.testing.assert_array_equal(columns["order"], meta["order"])
    for k in range(2):
        np.testing.assert_array_equal(columns[f"j{k + 1}"], meta["j"][:, k])
        np.testing.assert_array_equal(columns[f"theta{k + 1}"], meta["theta"][:, k])


def test_a_ready_header_is_taken(programs, picture, tmp_path):
    """And no Python is looked for."""
    (tmp_path / "ready.h").write_text(cexport.generate(shape=SHAPE, dtype="q15", rounds=4))
    definitions = [f"-DNPS_HEADER={tmp_path / 'ready.h'}", "-DPython_EXECUTABLE=/nonexistent"]
    configure(tmp_path / "build", *definitions)
    run("ctest", "--test-dir", tmp_path / "build")
    printed, _ = text(run(tmp_path / "build" / "scatter", picture[0]))
    assert printed == text(run(programs["q15"], picture[0]))[0]  # rounds change no coefficient


def test_a_missing_header_is_named(tmp_path):
    options = [*generator_options(), f"-DNPS_HEADER={tmp_path / 'none.h'}"]
    _, error = text(run("cmake", "-S", EXAMPLE, "-B", tmp_path / "build", *options, code=1))
    assert "there is no file" in error
    assert "none.h" in error


def test_a_picture_of_the_very_size_will_do(programs, picture, tmp_path):
    path, image = picture
    head = f"P5 {SHAPE[1]} {SHAPE[0]} 255\n".encode()
    (tmp_path / "centre.pgm").write_bytes(head + image.tobytes())
    printed, error = text(run(programs["q15"], path))
    assert error == f"scatter: {path}: 31 x 24, of which the centre 20 x 17 is taken\n"
    assert text(run(programs["q15"], tmp_path / "centre.pgm")) == (printed, "")


BAD = {
    "plain": (b"P2 17 20 255\n" + b"0 " * 340, "must begin with P5"),
    "empty": (b"", "must begin with P5"),
    "no maxval": (b"P5 17 20", "bad head"),
    "negative": (b"P5 -17 20 255\n" + bytes(340), "bad head"),
    "vast": (b"P5 4294967313 20 255\n" + bytes(340), "bad head"),
    "16 bits": (b"P5 17 20 65535\n" + bytes(680), "maxval is 65535, must be 255"),
    "4 bits": (b"P5 17 20 15\n" + bytes(340), "maxval is 15, must be 255"),
    "too low": (
        b"P5 17 19 255\n" + bytes(323),
        "too small: 19 x 17 (height x width), needs 20 x 17",
    ),
    "too narrow": (b"P5 16 20 255\n" + bytes(320), "too small: 20 x 16"),
    "truncated": (b"P5 17 20 255\n" + bytes(339), "truncated: fewer than 20 x 17 pixels"),
    # All of the centre is there, but not all of the picture.
    "truncated below": (b"P5 17 30 255\n" + bytes(509), "truncated: fewer than 30 x 17 pixels"),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", BAD)
def test_bad_pictures_are_refused(programs, tmp_path, case, dtype):
    """With exit code 1, the file's name, the reason, and nothing on standard output."""
    content, reason = BAD[case]
    path = tmp_path / "bad.pgm"
    path.write_bytes(content)
    printed, error = text(run(programs[dtype], path, code=1))
    assert printed == ""
    assert error.startswith(f"scatter: {path}: ")
    assert reason in error


def test_a_missing_picture_is_named(programs, tmp_path):
    _, error = text(run(programs["float"], tmp_path / "none.pgm", code=1))
    assert error == f"scatter: {tmp_path / 'none.pgm'}: No such file or directory\n"


@pytest.mark.parametrize("arguments", [[], ["--all"], ["--al", "a.pgm"], ["a.pgm", "b.pgm"]])
def test_wrong_usage(programs, arguments):
    printed, error = text(run(programs["float"], *arguments, code=2))
    assert printed == ""
    assert error.startswith("usage: scatter")


def test_a_full_disk_is_noticed(programs, picture):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [programs["float"], picture[0]], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert result.returncode == 1
    assert b"cannot write" in result.stderr
