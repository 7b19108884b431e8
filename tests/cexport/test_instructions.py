"""Which instructions compilers make of the sums that are written out, and what those do."""

import re
from pathlib import Path

import pytest
from banks import bank_of
from programs import run

from cexport import generate

INTRINSICS = Path(__file__).parent / "intrinsics"
COMPILERS = {
    "gcc": "arm-none-eabi-gcc",
    "clang": "clang --target=arm-none-eabi -ffreestanding",
}
PROCESSORS = {
    "cortex-m4": "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard",
    "cortex-m33": "-mcpu=cortex-m33 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard",
    "cortex-m55": "-mcpu=cortex-m55 -mthumb -mfloat-abi=hard",
}
USER = """
#include "nps.h"
int transform(const nps_pixel *image, nps_coefficient *output, void *scratch);
int transform(const nps_pixel *image, nps_coefficient *output, void *scratch)
{
    return nps_scatter(image, output, scratch, NPS_SCRATCH_BYTES);
}
"""
# Two numbers of 16 bits at a time, and vectors.
PAIRS = {"smlad", "smlsd", "smuad", "smusd", "sadd16", "ssub16"}


@pytest.fixture(scope="module")
def text():
    return generate(bank_of("free L=2 R=3"), 2, (8, 9), dtype="q15", target="speed")


def instructions(folder, text, compiler, processor, *flags):
    """Return the instructions of every function, by its name, in their order."""
    (folder / "nps.h").write_text(text)
    (folder / "user.c").write_text(USER)
    command = [*COMPILERS[compiler].split(), *PROCESSORS[processor].split(), "-std=c99", "-O2"]
    run(*command, *flags, "-c", folder / "user.c", "-o", folder / "user.o")
    # Told of the architecture, for else it takes vectors for instructions of coprocessors.
    options = ["-d", "--no-show-raw-insn"]
    options += ["-marmv8.1-m.main"] if processor == "cortex-m55" else []
    listing = run("arm-none-eabi-objdump", *options, folder / "user.o").stdout
    functions = {}
    for line in listing.decode().splitlines():
        if name := re.fullmatch(r"[0-9a-f]+ <(\w+)>:", line):
            functions[name[1]] = found = []
        elif instruction := re.match(r"\s+[0-9a-f]+:\t([\w.]+)", line):
            found.append(instruction[1].removesuffix(".w").removesuffix(".n"))
    return functions


def written(text, macro):
    """Return how often a macro stands in every function of sums, where it does, by its name."""
    functions = re.findall(r"^static NPS_UNROLLED void (\w+)\((.*?)^}", text, re.M | re.S)
    counts = [(name, body.count(f"{macro}(")) for name, body in functions]
    return {name: count for name, count in counts if count}


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("processor", "macro", "instruction"),
    [
        ("cortex-m4", "NPS_DOT", ["smlad"]),
        ("cortex-m33", "NPS_DOT", ["smlad"]),
        # Clang multiplies where there is nothing to add to yet.
        ("cortex-m55", "NPS_MULTIPLY_ADD", ["vmla.s32", "vmla.u32", "vmul.i32"]),
    ],
)
def test_every_product_is_one_instruction(tmp_path, text, compiler, processor, macro, instruction):
    """Of pairs where the processor has SMLAD, of vectors on the M55; clang repeats some loops."""
    functions = instructions(tmp_path, text, compiler, processor)
    wanted = written(text, macro)
    assert len(wanted) > 3 and min(wanted.values()) > 10
    products = {
        name: [one for one in functions[name] if re.match(r"v?(ml|mul|sml|smul|sma)", one)]
        for name in wanted
    }
    assert {one for found in products.values() for one in found} <= set(instruction)
    found = {name: len(products[name]) for name in wanted}
    assert found == wanted if compiler == "gcc" else all(found.values())
    assert not any(found[name] % wanted[name] for name in wanted)


@pytest.mark.parametrize(
    ("processor", "compiler"),
    [("cortex-m4", "gcc"), ("cortex-m33", "clang"), ("cortex-m55", "gcc")],
)
def test_plain_headers_ask_for_no_extension(tmp_path, text, compiler, processor):
    """Of what a compiler makes of plain C there may be vectors, but no pairs."""
    functions = instructions(tmp_path, text, compiler, processor, "-DNPS_PLAIN")
    assert set(written(text, "NPS_DOT")) <= set(functions)
    used = {one for found in functions.values() for one in found}
    assert used and not used & PAIRS


MODELLED = """
#define NPS_SELFTEST
#include "nps.h"
#include <stdlib.h>
int main(void)
{
    void *const scratch = malloc(NPS_SELFTEST_BYTES);
    return scratch == NULL ? 1 : nps_selftest(scratch, NPS_SELFTEST_BYTES);
}
"""
# Smaller and quicker to compile, with calls in place of checks.
SANITIZERS = "-fsanitize=address,alignment,pointer-overflow,signed-integer-overflow"
SANITIZERS += " -fno-sanitize-recover=all -mllvm -asan-instrumentation-with-call-threshold=0"


@pytest.mark.parametrize("extension", ["DSP", "MVE", "MVE=3"])
@pytest.mark.parametrize(
    ("bank", "boundary", "shape"),
    [("wide smoothing, strided wavelets", "kymatio", (5, 7)), ("free L=2 R=3", "zero", (5, 11))],
)
def test_models_of_instructions_lose_no_bit(tmp_path, bank, boundary, shape, extension):
    """On this machine, where sanitizers see what is read, and at which alignment.

    Rows of odd length, that wrap around or beyond whose ends there are zeros. MVE has vectors of
    integers, and, if it is 3, of floats.
    """
    options = {"boundary": boundary, "dtype": "q15", "target": "speed"}
    (tmp_path / "nps.h").write_text(generate(bank_of(bank), 2, shape, **options))
    (tmp_path / "user.c").write_text(MODELLED)
    command = ["clang", "-std=c99", "-O0", "-Wall", "-Werror", *SANITIZERS.split()]
    command += [f"-D__ARM_FEATURE_{feature}" for feature in (extension, "IDIV")]
    run(*command, f"-I{INTRINSICS}", tmp_path / "user.c", "-o", tmp_path / "user")
    run(tmp_path / "user")


ROOTS = """
#include "nps.h"
#include <stdio.h>
static uint32_t root_of(uint32_t square)
{
#if defined(NPS_VECTORS) && __ARM_FEATURE_MVE > 1
    return (uint32_t)nps_square_roots(vdupq_n_s32((int32_t)square))[3];
#else
    return nps_square_root(square);
#endif
}
int main(void)
{
    unsigned long wrong = root_of(0) != 0;
    for (uint32_t root = 1; root <= 65535; root++) {
        const uint32_t last = root == 65535 ? UINT32_C(65535) * 65535 : root * root + root;
        const uint32_t first = root * root - root + 1;
        const uint32_t squares[] = {first, first + root / 2, root * root, last - 1, last};
        for (unsigned i = 0; i < 5; i++) {
            wrong += root_of(squares[i]) != root;
        }
    }
    printf("%lu", wrong);
    return nps_scatter(NULL, NULL, NULL, 0) == NPS_OK;
}
"""


@pytest.mark.parametrize("features", [[], ["IDIV"], ["IDIV", "MVE=3"]], ids=str)
def test_square_roots_are_rounded(tmp_path, text, features):
    """Every root, and the least and the largest number that it is of."""
    (tmp_path / "nps.h").write_text(text)
    (tmp_path / "roots.c").write_text(ROOTS)
    command = ["clang", "-std=c99", "-O1", "-Wall", "-Werror", f"-I{INTRINSICS}"]
    command += [f"-D__ARM_FEATURE_{feature}" for feature in features]
    run(*command, tmp_path / "roots.c", "-o", tmp_path / "roots")
    assert run(tmp_path / "roots").stdout == b"0"
