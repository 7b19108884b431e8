"""Headers where int has 16 bits and nothing is aligned: 8-bit AVR, compiled by GCC, run by simavr.

The self-test compares with what Python computed: Q15 every coefficient, by a hash.
"""

import re

import pytest
from programs import run

from cexport import generate

# That fit the 16 KiB of an ATmega1284P, tables included: AVR's constants lie in RAM.
Q15 = {"dtype": "q15", "rounds": 4, "bank": "fast-L4"}
HEADERS = {
    "q15": {**Q15, "shape": (12, 10)},
    "q15, zero": {**Q15, "shape": (12, 10), "boundary": "zero"},
    "q15, periodic, J=3": {**Q15, "J": 3, "shape": (8, 16), "boundary": "periodic", "max_order": 1},
    "q15, accurate": {**Q15, "shape": (9, 7), "bank": "accurate-L4"},
    "q15, paper": {**Q15, "shape": (9, 7), "bank": "paper"},
    "float": {"shape": (6, 7), "rounds": 4, "bank": "fast-L4"},
    "float, zero": {"J": 1, "shape": (9, 7), "boundary": "zero", "bank": "fast-L4"},
}
PROGRAM = """
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#define NPS_SELFTEST
#include "nps.h"

/* Nothing is aligned: neither is this, one byte further than the last. */
static struct { unsigned char before; unsigned char bytes[NPS_SELFTEST_BYTES]; } memory;

static void say(char c)
{
    while (!(UCSR0A & _BV(UDRE0))) {
    }
    UDR0 = (uint8_t)c;
}

int main(void)
{
    const int status = nps_selftest(memory.bytes, sizeof memory.bytes);
    UCSR0B = _BV(TXEN0);
    say(status < 0 ? '-' : '+');
    for (int digit = 1000; digit > 0; digit /= 10) {
        say((char)('0' + (status < 0 ? -status : status) / digit % 10));
    }
    say('\\n');
    cli(); /* asleep without interrupts, the simulator ends */
    sleep_enable();
    sleep_cpu();
    return 0;
}
"""
FLAGS = ["-mmcu=atmega1284p", "-Os", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


def outcome(text, folder, compiler="avr-gcc"):
    """Return what the self-test of a header returns."""
    (folder / "nps.h").write_text(text)
    source = folder / ("main.cpp" if compiler == "avr-g++" else "main.c")
    source.write_text(PROGRAM)
    standard = "-std=gnu++11" if compiler == "avr-g++" else "-std=c99"
    run(compiler, standard, *FLAGS, source, "-o", folder / "main.elf", "-lm")
    ran = run("simavr", "-m", "atmega1284p", "-f", "16000000", folder / "main.elf")
    return int(re.search(rb"[+-]\d{4}(?=\.|\n)", ran.stdout + ran.stderr)[0])


@pytest.mark.parametrize("name", HEADERS)
def test_the_self_test_passes_with_16_bits(name, tmp_path):
    compiler = "avr-g++" if list(HEADERS).index(name) % 2 else "avr-gcc"
    assert outcome(generate(**HEADERS[name]), tmp_path, compiler) == 0


def test_the_self_test_fails_where_numbers_do_not_fit(tmp_path):
    text = generate(**HEADERS["q15"])
    damaged = text.replace("(int32_t)step->first_row * ", "step->first_row * ")
    assert damaged != text
    assert outcome(damaged, tmp_path) > 0


def test_what_int_cannot_count_is_refused(tmp_path):
    """When it is compiled, and in words."""
    (tmp_path / "nps.h").write_text(generate("fast-L4", 1, (128, 128)))
    (tmp_path / "main.c").write_text('#include "nps.h"\nint main(void) { return 0; }\n')
    flags = ["-std=c99", "-mmcu=atmega1284p", "-c", tmp_path / "main.c", "-o", tmp_path / "main.o"]
    ran = run("avr-gcc", *flags, code=1)
    assert b"images_are_small_where_int_has_16_bits" in ran.stderr
