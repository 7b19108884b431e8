"""Headers on emulated Cortex-M boards: the same bits as on this machine."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from programs import program, run

import cexport
from cexport import generate, simulate_q15

EXAMPLE = Path(cexport.__file__).parent / "examples" / "baremetal"
BOARDS = {
    "cortex-m0": "microbit",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m55": "mps3-an547",
}
HEADERS = {
    # In rounds, so that it fits the 16 KiB of the smallest board, the picture being in flash.
    "accurate": {"rounds": 4},
    "paper": {"bank": "paper", "shape": (21, 18), "rounds": 4},
    "accurate-L4, J=3": {"bank": "accurate-L4", "J": 3, "shape": (8, 11), "rounds": 4},
}
HOST = r"""
#include <stdio.h>
#include "nps.h"
#include "picture.h"
static nps_coefficient output[NPS_OUTPUT_SIZE];
static nps_memory scratch;
int main(void)
{
    const int status = nps_scatter(example_image, output, scratch.bytes, sizeof scratch);
    return status != NPS_OK || fwrite(output, sizeof output, 1, stdout) != 1;
}
"""


def picture(shape):
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


@cache
def header(**options):
    """Return a header's text, generated once for all boards."""
    return generate(**options)


def prepare(folder, dtype, shape=(32, 32), **options):
    """Write the header and its picture, a constant, to a folder."""
    (folder / "nps.h").write_text(header(shape=shape, dtype=dtype, **options))
    numbers = ", ".join(str(pixel) for pixel in picture(shape).flat)
    text = f"static const nps_pixel example_image[] = {{{numbers}}};\n"
    (folder / "picture.h").write_text(text)


def reported(cpu, folder, *words):
    """Return what the program prints on a board, as a dict of text."""
    for needed in ("arm-none-eabi-gcc", "qemu-system-arm"):
        program(needed)
    ran = run(
        *("make", "-s", "-C", EXAMPLE, "run", f"BOARD={BOARDS[cpu]}", f"CPU={cpu}"),
        *(f"HEADER_DIR={folder}", f"BUILD={folder / cpu}"),
        *words or [f"DEFINES=-DIMAGE_HEADER='\"{folder / 'picture.h'}\"'"],
    )
    return dict(re.findall(r"^(\w+)=(.*)$", ran.stdout.decode(), re.M))


def hash_sum(coefficients):
    """Return the sum of the FNV-1a hashes of every channel's number and coefficients."""
    total = 0
    for channel, values in enumerate(coefficients):
        value = 2166136261
        for byte in channel.to_bytes(4, "little") + np.ascontiguousarray(values).tobytes():
            value = (value ^ byte) * 16777619 % 2**32
        total += value
    return total % 2**32


@pytest.mark.parametrize("cpu", BOARDS)
@pytest.mark.parametrize("name", HEADERS)
def test_q15_bits_on_a_board_are_those_of_the_simulation(name, cpu, tmp_path):
    options = {"bank": "accurate", "J": 2, "shape": (32, 32), **HEADERS[name]}
    prepare(tmp_path, "q15", **options)
    report = reported(cpu, tmp_path)
    coefficients, _ = simulate_q15(picture(options["shape"]), options["bank"], options["J"])
    assert int(report["hash_sum"], 16) == hash_sum(coefficients.astype("<i2"))
    assert (report["cpu"], report["result"]) == (cpu, "ok")
    assert int(report["instructions"]) > 100_000


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m7", "cortex-m55"])
@pytest.mark.parametrize("optimisation", ["-O0", "-O2"])
def test_float_bits_on_a_board_are_those_of_this_machine(optimisation, cpu, tmp_path):
    """Both sides with -ffp-contract=off, which leaves no order of operations open."""
    prepare(tmp_path, "float", rounds=4)
    (tmp_path / "host.c").write_text(HOST)
    run(
        *("gcc", "-std=c99", optimisation, "-ffp-contract=off", tmp_path / "host.c"),
        *("-o", tmp_path / "host", "-lm"),
    )
    output = np.frombuffer(run(tmp_path / "host").stdout, "<f4").reshape(81, -1)
    assert int(reported(cpu, tmp_path)["hash_sum"], 16) == hash_sum(output)


@pytest.mark.parametrize("dtype", ["float", "q15"])
def test_the_self_test_passes_on_a_board(dtype, tmp_path):
    prepare(tmp_path, dtype)
    report = reported("cortex-m4", tmp_path, "DEFINES=-DNPS_SELFTEST")
    assert (report["selftest"], report["result"]) == ("0", "ok")


def test_a_board_that_fails_says_so(tmp_path):
    prepare(tmp_path, "q15", rounds=4)
    ran = run(
        *("make", "-s", "-C", EXAMPLE, "run", "BOARD=mps2-an386", f"HEADER_DIR={tmp_path}"),
        *(f"BUILD={tmp_path / 'build'}", "DEFINES=-DEXAMPLE_SCRATCH_BYTES=100"),
        code=2,
    )
    assert b"status=-2" in ran.stdout and b"result=failed" in ran.stdout
