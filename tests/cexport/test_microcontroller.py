"""Headers on emulated microcontrollers: the same bits as on this machine."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from banks import bank_of
from programs import program, run

import cexport
from cexport import generate, simulate_q15

EXAMPLE = Path(cexport.__file__).parent / "examples" / "baremetal"
FREESTANDING = Path(__file__).parent / "freestanding"
# Cortex-M on whole boards, by the example.
BOARDS = {
    "cortex-m0": "microbit",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
}
# Others as programs that know two system calls: the emulator, and a compiler for what it emulates.
CLANG = "clang -fuse-ld=lld -ffreestanding --target"
PROGRAMS = {
    "cortex-r5, big-endian": (
        "qemu-armeb -cpu cortex-r5",
        "arm-none-eabi-gcc -mcpu=cortex-r5 -mthumb -mbig-endian -Wl,--be8",
    ),
    # The extension of the M4, as clang uses it.
    "cortex-a7": ("qemu-arm -cpu cortex-a7", f"{CLANG}=arm-none-eabi -mcpu=cortex-a7 -marm"),
    "riscv32": (
        "qemu-riscv32",
        f"{CLANG}=riscv32-unknown-elf -march=rv32imc -mabi=ilp32 -mno-relax",
    ),
    "riscv64": (
        "qemu-riscv64",
        f"{CLANG}=riscv64-unknown-elf -march=rv64imac -mabi=lp64 -mno-relax",
    ),
}
HEADERS = {
    # In rounds, so that it fits the 16 KiB of the smallest board, the picture being in flash.
    "accurate": {"rounds": 4},
    "accurate-L4, J=3": {"bank": "accurate-L4", "J": 3, "shape": (8, 11), "rounds": 4},
    "fast-L4": {"bank": "fast-L4", "J": 3, "shape": (10, 13)},
    # Wavelets of stride two, zeros beyond the edge.
    "paper": {"bank": "paper", "shape": (21, 18), "rounds": 4},
    "paper-tuned": {"bank": "paper-tuned", "shape": (19, 8)},
    # Moduli of odd width, and maps narrower than the margins.
    "strided": {"bank": "free, strided wavelets", "J": 3, "shape": (11, 10)},
    "wide": {"bank": "wide smoothing, strided wavelets", "shape": (5, 7)},
}
# Sums written out, with and without the instructions of Arm's extensions, and by tables.
WAYS = {
    "speed": ("speed", "-O2"),
    "plain": ("speed", "-O3 -DNPS_PLAIN"),
    "size": ("size", "-Os"),
}
# Every processor goes the ways that there are for it; pairs and vectors see most headers.
RUNS = {
    "cortex-m0": {"speed": ["accurate"], "size": ["strided"]},
    "cortex-m4": {
        **{"speed": ["accurate", "paper", "strided", "wide"], "plain": ["strided"]},
        **{"size": ["paper"]},
    },
    "cortex-m7": {"speed": ["fast-L4"], "plain": ["wide"]},
    "cortex-m33": {"speed": ["paper-tuned"], "plain": ["accurate-L4, J=3"], "size": ["fast-L4"]},
    "cortex-m55": {
        **{"speed": ["accurate", "paper", "wide", "fast-L4"], "plain": ["paper-tuned"]},
        **{"size": ["accurate"]},
    },
    "cortex-r5, big-endian": {"speed": ["paper-tuned", "strided"], "size": ["wide"]},
    "cortex-a7": {"speed": ["accurate-L4, J=3", "wide"]},
    "riscv32": {"speed": ["accurate"], "size": ["paper"]},
    "riscv64": {"speed": ["paper-tuned"], "size": ["accurate-L4, J=3"]},
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
def header(bank="accurate", **options):
    """Return a header's text, generated once for all processors."""
    return generate(bank_of(bank), **options)


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


def hash_on_a_board(cpu, folder, flags):
    report = reported(
        *(cpu, folder, f"OPT={flags}"),
        f"DEFINES=-DIMAGE_HEADER='\"{folder / 'picture.h'}\"'",
    )
    assert (report["cpu"], report["result"]) == (cpu, "ok")
    assert int(report["instructions"]) > 10_000
    return int(report["hash_sum"], 16)


def hash_of_a_program(processor, folder, flags, channels):
    """By a processor whose compiler knows no system; the self-test passes too."""
    emulator, compiler = PROGRAMS[processor]
    sources = FREESTANDING / "main.c", FREESTANDING / "start.c"
    run(
        *(*compiler.split(), "-std=gnu99", "-Wall", "-Wextra", "-Werror", *flags.split()),
        *("-nostdlib", "-static", f"-I{folder}", *sources, "-o", folder / "program"),
    )
    output = run(*emulator.split(), folder / "program").stdout
    order = ">i2" if "big-endian" in processor else "<i2"
    return hash_sum(np.frombuffer(output, order).reshape(channels, -1).astype("<i2"))


@pytest.mark.parametrize(
    ("processor", "way", "name"),
    [(one, way, name) for one, ways in RUNS.items() for way in ways for name in ways[way]],
)
def test_q15_bits_on_a_processor_are_those_of_the_simulation(processor, way, name, tmp_path):
    options = {"bank": "accurate", "J": 2, "shape": (32, 32), **HEADERS[name]}
    target, flags = WAYS[way]
    prepare(tmp_path, "q15", **options, target=target)
    coefficients = simulated(options["bank"], options["J"], options["shape"])
    if processor in BOARDS:
        actual = hash_on_a_board(processor, tmp_path, flags)
    else:
        actual = hash_of_a_program(processor, tmp_path, flags, len(coefficients))
    assert actual == hash_sum(coefficients)


@cache
def simulated(bank, J, shape):
    coefficients, _ = simulate_q15(picture(shape), bank_of(bank), J)
    assert np.abs(coefficients).max((1, 2)).min() > 3
    return coefficients.astype("<i2")


def test_the_runs_cover_processors_headers_and_ways():
    assert set(RUNS) == {*BOARDS, *PROGRAMS}
    headers = {way: {n for ways in RUNS.values() for n in ways.get(way, ())} for way in WAYS}
    assert headers["speed"] == set(HEADERS)
    assert min(map(len, headers.values())) >= 4


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
