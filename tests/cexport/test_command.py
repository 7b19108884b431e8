"""``python -m cexport``, ``npscatter export-c``, `generate`: what they write and refuse."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from programs import PACKAGES, program, run

import npscatter
from cexport import generate, simulate_q15
from cexport.command import export_c
from cexport.integer_bank import IntegerBank
from cexport.quantization import Quantization
from cexport.sample import sample_picture
from cexport.simulation import signal_to_noise
from npscatter import FilterBank
from npscatter.cli.group import main
from npscatter.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    BankError,
    install_extra,
)
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.symmetry import angle

PRINT_TAPS = """
#include <stdio.h>
#include "w.h"
int main(void)
{
#define PRINT(name) \\
    for (size_t i = 0; i < sizeof nps_##name##_taps / sizeof(nps_weight); i++) { \\
        printf("%.9g\\n", (double)((const nps_weight *)nps_##name##_taps)[i]); \\
    }
    PRINT(psi_first) PRINT(carry_first) PRINT(low_first)
    PRINT(psi_next) PRINT(carry_next) PRINT(low_next)
    return 0;
}
"""


def test_all_ways_to_generate_write_the_same(tmp_path):
    arguments = ["--J", "1", "--shape", "9", "8", "--dtype", "q15", "--prefix", "abc"]
    text = generate(J=1, shape=(9, 8), dtype="q15", prefix="abc")
    printed = CliRunner().invoke(export_c, arguments)
    assert (printed.exit_code, printed.stdout) == (0, text)
    CliRunner().invoke(main, ["export-c", *arguments, "-o", str(tmp_path / "abc.h")])
    assert (tmp_path / "abc.h").read_text() == text
    command = [sys.executable, "-m", "cexport", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ran.stdout == text


def test_the_command_in_the_header_writes_the_header():
    text = generate("accurate", 3, (11, 9), 1, L=4, boundary="zero", rounds=2, dtype="q15")
    command = re.search(r'PROVENANCE "python -m cexport (.*)"', text)[1]
    assert CliRunner().invoke(export_c, command.split()).stdout == text
    bank = FilterBank.load("accurate-L4")
    for part in (npscatter.__version__, bank.sha256, "SPDX-License-Identifier: BSD-3-Clause"):
        assert part in text


def test_weights_alone_are_of_no_plan():
    text = generate("accurate-L4", weights_only=True)
    assert generate("accurate-L4", 99, (1, 1), weights_only=True, rounds=999) == text


@pytest.mark.parametrize("weights_only", [False, True])
def test_angles_in_the_header_are_those_of_the_library(weights_only):
    text = re.sub(r"\n \* ", " ", generate(L=6, weights_only=weights_only))
    first, L = re.search(r"theta has the angle \((\d+) - theta\) pi / (\d+)\.", text).groups()
    theta = np.arange(6)
    np.testing.assert_allclose((int(first) - theta) * np.pi / int(L), angle(6, theta))


@pytest.mark.parametrize("options", [{}, {"dtype": "q15"}, {"weights_only": True}])
def test_headers_are_plain_text(options):
    text = generate(**options)
    assert text.isascii() and text.endswith("\n") and "\t" not in text
    assert not re.search(r"\bpfx_|\bPFX_|[ ]\n", text)
    # Rows of filters are not broken.
    lines = [line for line in text.splitlines() if not re.search("PROVENANCE|^ +{", line)]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"dtype": "double"}, ArgumentError, "dtype='double'"),
        ({"dtype": 16}, ArgumentError, "dtype=16"),
        ({"prefix": "9lives"}, ArgumentError, "prefix='9lives'"),
        ({"prefix": "a-b"}, ArgumentError, "prefix='a-b'"),
        ({"prefix": None}, ArgumentTypeError, "prefix=None"),
        ({"prefix": "Size"}, ArgumentError, "prefix='Size'"),
        ({"J": 6}, ArgumentError, "J=6"),
        ({"J": 2.0}, ArgumentTypeError, "J=2.0"),
        ({"shape": (32,)}, ArgumentTypeError, "shape=(32,)"),
        ({"shape": (70000, 32)}, ArgumentError, "shape=(70000, 32)"),
        ({"max_order": 3}, ArgumentError, "max_order=3"),
        ({"rounds": 0}, ArgumentError, "rounds=0"),
        ({"boundary": "mirror"}, ArgumentError, "boundary='mirror'"),
        ({"bank": "exact"}, BankError, "bank='exact'"),
        ({"bank": "paper", "L": 6}, ArgumentError, "L=6"),
    ],
)
def test_what_cannot_be_generated_is_refused_by_name(options, error, words):
    with pytest.raises(error, match=re.escape(words)):
        generate(**options)


def test_the_command_refuses_in_one_line(tmp_path):
    for arguments in (["--J", "9"], ["-o", str(tmp_path / "missing" / "nps.h")]):
        ran = CliRunner().invoke(export_c, arguments)
        assert ran.exit_code == 2
        assert ran.stderr.startswith("Error: ") and ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (np.zeros((32, 32), np.float32), ArgumentTypeError),
        (np.zeros(32, np.uint8), ArgumentError),
        (np.zeros((3, 3), np.uint8), ArgumentError),
    ],
)
def test_the_simulation_refuses_other_images(images, error):
    with pytest.raises(error):
        simulate_q15(images)


def test_the_simulation_takes_any_leading_dimensions():
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 8, 9), dtype=np.uint8)
    coefficients, exponents = simulate_q15(images, "paper-tuned", 2)
    alone, _ = simulate_q15(images[1, 2], "paper-tuned", 2)
    assert (coefficients.shape, coefficients.dtype) == ((2, 3, 81, 2, 2), np.int16)
    assert exponents.shape == (81,)
    assert np.array_equal(coefficients[1, 2], alone)
    assert simulate_q15(images[:0], "paper-tuned", 2)[0].shape == (0, 3, 81, 2, 2)


def test_the_ratios_in_the_header_are_those_of_its_picture():
    text = generate(J=1, shape=(12, 300), dtype="q15")
    bank = FilterBank.load("accurate")
    plan = npscatter.Scattering2D(1, (12, 300)).plan
    picture = sample_picture((12, 300))
    assert (picture.shape, picture.dtype) == ((1, 12, 300), np.uint8)
    ratios = signal_to_noise(Quantization(plan, IntegerBank(bank)), picture)
    for order, ratio in ratios.items():
        assert f"{order} {ratio:.1f} dB" in re.sub(r"\n \* ", " ", text)


def test_without_pillow_q15_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "npscatter.cli.images", raising=False)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BackendError, match=re.escape(install_extra("cli"))):
        generate(dtype="q15")
    assert generate().startswith("/* Scattering")


@pytest.mark.parametrize("name", ["accurate-L4", "paper"])
@pytest.mark.parametrize("dtype", ["float", "q15"])
def test_weights_alone_are_the_banks(name, dtype, tmp_path):
    bank = FilterBank.load(name)
    (tmp_path / "w.h").write_text(generate(name, dtype=dtype, weights_only=True))
    (tmp_path / "print.c").write_text(PRINT_TAPS)
    flags = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
    run("gcc", *flags, tmp_path / "print.c", "-o", tmp_path / "print")
    printed = np.array(run(tmp_path / "print").stdout.split(), np.float32)
    integers = IntegerBank(bank)
    taps, exponents = [], []
    for key in bank:
        real = bank.real_taps(key)
        taps.append(real.astype(np.float32) if dtype == "float" else integers.taps(key))
        filters = integers.filters[key].exponents * (2 if WEIGHT_ARRAYS[key].is_complex else 1)
        first = WEIGHT_ARRAYS[key].generation == "first"
        carriers = (0,) if first else integers.carrier_exponents
        exponents.append(np.add.outer(filters, np.negative(carriers))[..., None, None])
        if dtype == "q15":
            # Whole numbers near the weights, in the units that the exponents say.
            assert np.abs(taps[-1] - real * 2.0 ** exponents[-1]).max() < 8
    assert np.array_equal(printed, np.concatenate([array.ravel() for array in taps]))


def test_two_headers_of_one_prefix_are_refused(tmp_path):
    (tmp_path / "a.h").write_text(generate())
    (tmp_path / "b.h").write_text(generate(J=1))
    (tmp_path / "w.h").write_text(generate(weights_only=True))
    for second in ("b.h", "w.h"):
        (tmp_path / "both.c").write_text(f'#include "a.h"\n#include "{second}"\n')
        ran = run("gcc", "-c", tmp_path / "both.c", "-o", tmp_path / "both.o", code=1)
        assert b"two different headers with the same prefix" in ran.stderr
    (tmp_path / "both.c").write_text('#include "a.h"\n#include "a.h"\n')
    run("gcc", "-c", tmp_path / "both.c", "-o", tmp_path / "both.o")


@pytest.mark.parametrize(
    "name", ["a*/b", "/*a", 'a"b', "a\\b", "a\nb", "caf\u00e9", "what??!", "%d \\"]
)
def test_any_name_of_a_bank_can_be_told(name, tmp_path):
    """In comments and in a string that the program prints."""
    bank = FilterBank.load("paper")
    bank = FilterBank(name, **{key: bank[key] for key in bank}, psi_stride=2, next_from="octave")
    (tmp_path / "nps.h").write_text(generate(bank, 1, (4, 4)), encoding="ascii")
    (tmp_path / "name.c").write_text(
        '#include <stdio.h>\n#include "nps.h"\nint main(void) { return puts(NPS_BANK) < 0; }\n'
    )
    flags = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    run("gcc", *flags, tmp_path / "name.c", "-o", tmp_path / "name", "-lm")
    printed = run(tmp_path / "name").stdout.decode("ascii").rstrip("\n")
    assert printed == name.replace("\n", "\\n").replace("\u00e9", "\\xe9")


def test_noise_is_warned_of(toy_bank, tmp_path):
    """Bounds with zero edges are loose for banks of random taps."""
    path = str(toy_bank("free", 4, 2).save(tmp_path / "random"))
    options = {"bank": path, "J": 4, "shape": (16, 16), "boundary": "zero", "dtype": "q15"}
    arguments = ["--bank", path, "--J", "4", "--shape", "16", "16"]
    ran = CliRunner().invoke(export_c, [*arguments, "--boundary", "zero", "--dtype", "q15"])
    assert ran.exit_code == 0
    assert re.search(r"^Warning: dtype='q15': leaves S\d at -?\d+ dB", ran.stderr, re.M)
    assert ran.stdout.startswith("/* Scattering")
    with pytest.warns(UserWarning, match="use dtype='float', a smaller J, or the bank's") as caught:
        generate(**options)
    assert {warning.filename for warning in caught} == {__file__}


def test_large_kernels_and_empty_carriers_become_q15(toy_bank):
    large = toy_bank("free", 2, 1, K=15)
    assert generate(large, 1, (9, 8), dtype="q15").startswith("/* Scattering")
    small = toy_bank("free", 2, 1)
    arrays = {key: small[key] for key in small}
    arrays["carry_next"] = np.zeros((1, 1, 3, 3))
    empty = FilterBank("empty", **arrays)
    assert generate(empty, 3, (9, 8), dtype="q15").startswith("/* Scattering")
    arrays["carry_first"] = np.zeros((1, 1, 3, 3))
    with pytest.raises(BankError, match="a carrier is zero"):
        generate(FilterBank("nothing", **arrays), 2, (9, 8), dtype="q15")


def test_what_the_tables_cannot_hold_is_refused(toy_bank):
    many = toy_bank("free", 130, 1, K=1)
    for options in ({}, {"weights_only": True}):
        with pytest.raises(ArgumentError, match="260 filters in one array"):
            generate(many, 1, (4, 4), **options)
    with pytest.raises(ArgumentError, match="coefficients, and a header holds"):
        generate(toy_bank("free", 126, 1, K=1), 2, (1500, 1500))
    arrays = {key: 1e39 * many[key] for key in many}
    with pytest.raises(BankError, match="that a float cannot hold"):
        generate(FilterBank("huge", **arrays), 1, (4, 4))


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_program_is_a_failure_that_names_the_package(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match=f"apt-get install {re.escape(PACKAGES[name])}"):
        program(name)


def test_every_program_the_tests_run_is_installed_by_the_readmes_command():
    listed = (Path(__file__).parents[1] / "packages.txt").read_text().split()
    needed = {package for packages in PACKAGES.values() for package in packages.split()}
    # binutils comes with gcc.
    assert needed - {"binutils"} <= set(listed)
