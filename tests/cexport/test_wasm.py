"""The WebAssembly example: clang compiles a header, Node runs it, without anything imported."""

import json
from pathlib import Path

import numpy as np
import pytest
from programs import program, run

import cexport
from npscatter import Scattering2D

EXAMPLE = Path(cexport.__file__).parent / "examples" / "wasm"
MODULES = ("scatter.wasm", "scatter-simd.wasm")
CASES = {
    "32 x 32": {"J": 2, "shape": (32, 32)},
    "odd, order 1": {"J": 3, "shape": (29, 38), "max_order": 1},
}
# The sections of a module, by their numbers in its binary format.
IMPORT_SECTION, EXPORT_SECTION = 2, 7
# Reads one float image from standard input, writes its coefficients to standard output.
NATIVE = r"""
#include <stdio.h>
#include "nps.h"
static nps_pixel image[NPS_HEIGHT * NPS_WIDTH];
static nps_coefficient output[NPS_OUTPUT_SIZE];
static nps_memory scratch;
int main(void)
{
    if (fread(image, sizeof image, 1, stdin) != 1) {
        return 1;
    }
    const int status = nps_scatter(image, output, scratch.bytes, sizeof scratch);
    return status != NPS_OK || fwrite(output, sizeof output, 1, stdout) != 1;
}
"""


class Modules:
    """One header as WebAssembly modules, with the image they are given."""

    def __init__(self, folder, dtype, J, shape, max_order=2):
        program("clang"), program("wasm-ld")
        self.folder, self.dtype, self.J, self.max_order = folder, dtype, J, max_order
        header = cexport.generate(J=J, shape=shape, max_order=max_order, dtype=dtype)
        (folder / "nps.h").write_text(header)
        run(EXAMPLE / "build.sh", folder, folder, "-DNPS_SELFTEST", "-Werror")
        generator = np.random.default_rng(6)
        if dtype == "q15":
            self.image = generator.integers(0, 256, shape, np.uint8)
        else:
            self.image = generator.standard_normal(shape, np.float32)
        (folder / "image.raw").write_bytes(self.image.tobytes())

    def node(self, module, *arguments, **options):
        return run("node", EXAMPLE / "scatter.mjs", self.folder / module, *arguments, **options)

    def scatter(self, module, picture="image.raw"):
        """Return the coefficients, shape (C, h, w), that Node computes of a file."""
        self.node(module, self.folder / picture, self.folder / "output.raw")
        output = np.fromfile(self.folder / "output.raw", "<i2" if self.dtype == "q15" else "<f4")
        height, width = (side >> self.J for side in self.image.shape)
        return output.reshape(-1, height, width)


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Return a function from a dtype and a case's name to `Modules`, built once."""
    built = {}

    def build(dtype, case):
        if (dtype, case) not in built:
            folder = tmp_path_factory.mktemp("wasm")
            built[dtype, case] = Modules(folder, dtype, **CASES[case])
        return built[dtype, case]

    return build


def sections(data):
    """Return the sections of a WebAssembly module as a dict from number to bytes."""
    assert data[:8] == b"\0asm\1\0\0\0"
    result, place = {}, 8
    while place < len(data):
        number = data[place]
        size, place = unsigned(data, place + 1)
        result[number] = data[place : place + size]
        place += size
    return result


def unsigned(data, place):
    """Read a LEB128 number; return it and the place behind it."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("dtype", ["float", "q15"])
def test_nothing_is_imported(modules, dtype, module):
    """No libc, no libm, not even memory: there is no import section."""
    parts = sections((modules(dtype, "32 x 32").folder / module).read_bytes())
    assert IMPORT_SECTION not in parts
    assert b"\x07scatter\x00" in parts[EXPORT_SECTION]  # the name and its length; 0: a function


def test_an_import_would_be_seen(tmp_path):
    """The parser finds the import section of a module that has one."""
    source = '__attribute__((import_name("f"))) void f(void);\nvoid g(void) { f(); }\n'
    (tmp_path / "g.c").write_text(source)
    options = ["--target=wasm32", "-nostdlib", "-Wl,--no-entry", "-Wl,--export=g"]
    program("wasm-ld")
    run("clang", *options, tmp_path / "g.c", "-o", tmp_path / "g.wasm")
    assert IMPORT_SECTION in sections((tmp_path / "g.wasm").read_bytes())


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float", "q15"])
def test_the_module_describes_itself(modules, dtype, case, module):
    """Sizes, paths and exponents are those of the Python side; the self-test passes."""
    built = modules(dtype, case)
    description = json.loads(built.node(module).stdout)
    height, width = built.image.shape
    scattering = Scattering2D(built.J, (height, width), max_order=built.max_order)
    meta = scattering.meta()
    assert description["selftest"] == 0
    assert description["q15"] == (dtype == "q15")
    assert (description["height"], description["width"]) == (height, width)
    assert (description["outHeight"], description["outWidth"]) == (
        height >> built.J,
        width >> built.J,
    )
    assert description["channels"] == len(description["paths"]) == len(meta["order"])
    for path, j, theta in zip(description["paths"], meta["j"], meta["theta"], strict=True):
        pairs = [pair for pair in zip(j, theta, strict=True) if pair[0] >= 0]
        assert path == [number for pair in pairs for number in pair]
    if dtype == "q15":
        _, exponents = cexport.simulate_q15(built.image, J=built.J, max_order=built.max_order)
        assert description["exponents"] == exponents.tolist()


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("case", CASES)
def test_q15_coefficients_are_the_simulations_to_the_bit(modules, case, module):
    built = modules("q15", case)
    expected, _ = cexport.simulate_q15(built.image, J=built.J, max_order=built.max_order)
    np.testing.assert_array_equal(built.scatter(module), expected)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("case", CASES)
def test_float_coefficients_are_those_in_double_precision(modules, case, module):
    """To 2e-6 of their norm, over all of them and in every order."""
    built = modules("float", case)
    scattering = Scattering2D(
        built.J, built.image.shape, max_order=built.max_order, backend="numpy"
    )
    expected = scattering(built.image.astype(np.float64))
    difference = built.scatter(module) - expected
    assert np.linalg.norm(difference) <= 2e-6 * np.linalg.norm(expected)
    order = scattering.meta()["order"]
    for k in range(built.max_order + 1):
        norm = np.linalg.norm(expected[order == k])
        assert np.linalg.norm(difference[order == k]) <= 2e-6 * norm


@pytest.mark.parametrize("case", CASES)
def test_float_coefficients_are_the_native_ones_to_the_bit(modules, case, tmp_path):
    """Without fused multiply-adds the same sums are rounded in the same order everywhere."""
    built = modules("float", case)
    (tmp_path / "native.c").write_text(NATIVE)
    options = ["-std=c99", "-O3", "-fno-math-errno", "-ffp-contract=off", "-I", built.folder]
    run("gcc", *options, tmp_path / "native.c", "-o", tmp_path / "native", "-lm")
    native = run(tmp_path / "native", input=built.image.tobytes()).stdout
    for module in MODULES:
        assert built.scatter(module).tobytes() == native


@pytest.mark.parametrize("dtype", ["float", "q15"])
def test_the_centre_of_a_pgm_is_taken(modules, dtype):
    built = modules(dtype, "32 x 32")
    picture = np.random.default_rng(8).integers(0, 256, (41, 38), np.uint8)
    head = b"P5 # a comment\n38 41\n255\n"
    (built.folder / "picture.pgm").write_bytes(head + picture.tobytes())
    centre = picture[4:36, 3:35].astype(built.image.dtype)
    (built.folder / "centre.raw").write_bytes(centre.tobytes())
    from_pgm = built.scatter("scatter.wasm", "picture.pgm")
    np.testing.assert_array_equal(from_pgm, built.scatter("scatter.wasm", "centre.raw"))
    ran = built.node("scatter.wasm", built.folder / "picture.pgm")
    assert ran.stderr == b"scatter: 41 x 38, of which the centre 32 x 32 is taken\n"
    printed = ran.stdout.decode().split("\n")
    scale = 1.0
    if dtype == "q15":
        scale = 2.0 ** -cexport.simulate_q15(centre)[1]
    means = [float(line.split()[2]) for line in printed if line]
    np.testing.assert_allclose(means, from_pgm.mean((1, 2), np.float64) * scale, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.pgm", b"P2 32 32 255\n", "must begin with P5"),
        ("a.pgm", b"P5 32 32", "must begin with P5, width, height and maxval"),
        ("a.pgm", b"P5 32 32 65535\n" + bytes(2048), "maxval is 65535, must be 255"),
        ("a.pgm", b"P5 32 31 255\n" + bytes(992), "too small: 31 x 32 (height x width)"),
        ("a.pgm", b"P5 32 32 255\n" + bytes(1023), "truncated: fewer than 32 x 32 pixels"),
        ("a.raw", bytes(1023), "1023 bytes, must be 1024: 32 x 32 bytes"),
    ],
)
def test_bad_pictures_are_refused(modules, name, content, reason, tmp_path):
    (tmp_path / name).write_bytes(content)
    result = modules("q15", "32 x 32").node("scatter.wasm", tmp_path / name, code=1)
    assert result.stdout == b""
    assert f"{tmp_path / name}: " in result.stderr.decode()
    assert reason in result.stderr.decode()


def test_build_wants_a_folder_with_the_header(tmp_path):
    assert b"usage" in run(EXAMPLE / "build.sh", tmp_path, code=2).stderr
