"""No name of a generated header is a macro of a platform's: neither are those of its parameters."""

import re
from functools import cache
from pathlib import Path

import pytest
from programs import ARDUINO_CORE, program, run

from cexport import generate

LISTED = Path(__file__).with_name("platform_macros.txt")
HEADERS = {
    "float": {"shape": (9, 10)},
    "q15": {"dtype": "q15", "shape": (8, 9)},
    "float, zero, in rounds": {"shape": (9, 8), "boundary": "zero", "rounds": 3, "bank": "fast-L4"},
    "q15, zero, in rounds": {
        **{"dtype": "q15", "shape": (9, 8), "boundary": "zero", "rounds": 3, "bank": "fast-L4"},
        "prefix": "My_lib",
    },
    "paper float": {"bank": "paper", "shape": (8, 8), "max_order": 1},
    "paper q15": {"bank": "paper", "dtype": "q15", "shape": (8, 8)},
    "filters, float": {"bank": "paper", "weights_only": True},
    "filters, q15": {"dtype": "q15", "weights_only": True, "L": 4},
}
# Header, compiler, standard: every header as C and as C++, floats and Q15 by every standard.
STANDARDS = [("gcc", "c99"), ("g++", "c++11"), ("gcc", "gnu17"), ("g++", "gnu++17")]
CASES = [
    (name, *STANDARDS[(2 * (row // 2) + column) % 4])
    for row, name in enumerate(HEADERS)
    for column in range(2)
]
# In C++ these are no macros, whatever a header of C's says.
TOKENS = set("and and_eq bitand bitor compl not not_eq or or_eq xor xor_eq".split())
# What headers include, and what they may ask a compiler or a preprocessor for.
STANDARD_HEADERS = ("stddef.h", "stdint.h", "math.h")
KEYWORDS = set(
    """break case char const continue default do else enum extern float for if inline int return
    sizeof static struct switch typedef union unsigned void while""".split()
)
DIRECTIVES = {"define", "defined", "elif", "endif", "error", "ifdef", "ifndef", "include"}
GIVEN = set("NULL offsetof sqrtf INT16_MAX INT32_MAX UINT16_MAX UINT32_MAX size_t".split())
GIVEN |= {f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)}
GIVEN |= {"uintptr_t", "_MSC_VER", "_Pragma"}


@cache
def header(name):
    return generate(**HEADERS[name])


@cache
def macros(compiler, *flags):
    """Return the names of the macros that C text defines."""
    return set(re.findall(r"^#define (\w+)", run(compiler, *flags).stdout.decode(), re.M))


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Return the names of platforms' macros, without those of the headers that ours include."""
    program("arduino-builder")
    folder = tmp_path_factory.mktemp("macros")
    (folder / "arduino.cpp").write_text("#include <Arduino.h>\n")
    (folder / "own.c").write_text("".join(f"#include <{name}>\n" for name in STANDARD_HEADERS))
    flags = ["-mmcu=atmega2560", "-DF_CPU=16000000L", "-DARDUINO=10813", "-std=gnu++11"]
    flags += [f"-I{ARDUINO_CORE / 'cores/arduino'}", f"-I{ARDUINO_CORE / 'variants/mega'}"]
    arduino = macros("avr-g++", *flags, "-dM", "-E", folder / "arduino.cpp")
    assert {"F", "PI", "sq", "word", "bit", "B101"} <= arduino
    lines = LISTED.read_text(encoding="ascii").splitlines()
    listed = {name for line in lines if not line.startswith("#") for name in line.split()}
    assert len(listed) > 400
    own = macros("gcc", "-dM", "-E", folder / "own.c")
    # Others that begin so are for the compiler and its library, which use them as they like.
    return (listed | {name for name in arduino if name[0] != "_"}) - own - KEYWORDS - GIVEN


def identifiers(text, prefix):
    """Return a header's identifiers that do not begin with its prefix."""
    code = re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|#include <[^>]*>', " ", text, flags=re.S)
    names = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", code))
    return {name for name in names if not name.startswith((f"{prefix}_", f"{prefix.upper()}_"))}


def strangers(text, prefix, known):
    """Return identifiers of a header that a platform might define as macros.

    The compiler's own have two underscores; of its attributes only these forms are safe.
    """
    rest = identifiers(text, prefix) - KEYWORDS - DIRECTIVES - GIVEN
    return {
        name
        for name in rest
        if name in known or not (name.startswith("__") or re.fullmatch(r"[a-z][a-z0-9_]*", name))
    }


@pytest.mark.parametrize("name", HEADERS)
def test_identifiers_have_the_prefix_or_are_no_ones_macros(name, known):
    prefix = HEADERS[name].get("prefix", "nps")
    text = header(name)
    assert len(identifiers(text, prefix)) > 15
    assert strangers(text, prefix, known) == set()


@pytest.mark.parametrize("name", ["word", "F", "I", "B1", "interface", "noinline", "_X", "Row"])
def test_strangers_are_found(name, known):
    text = header("q15").replace("int32_t n)", f"int32_t {name})", 1)
    assert strangers(text, "nps", known) == {name}


USE = """
int transform(const pfx_pixel *x1, pfx_coefficient *x2, void *x3);
int transform(const pfx_pixel *x1, pfx_coefficient *x2, void *x3)
{
    return pfx_scatter(x1, x2, x3, PFX_SCRATCH_BYTES);
}
int main(void)
{
    static union { uint32_t x1; unsigned char x2[PFX_SELFTEST_BYTES]; } x3;
    return pfx_selftest(x3.x2, sizeof x3);
}
"""


@pytest.mark.parametrize(("name", "compiler", "standard"), CASES)
def test_hostile_macros_break_nothing(name, compiler, standard, known, tmp_path):
    """All of them are defined, and to what compiles nowhere; then the header is included."""
    prefix = HEADERS[name].get("prefix", "nps")
    (tmp_path / "nps.h").write_text(header(name))
    includes = "".join(f"#include <{name}>\n" for name in STANDARD_HEADERS)
    names = sorted(known - (TOKENS if compiler == "g++" else set()))
    hostile = "".join(f"#undef {name}\n#define {name} )@(\n" for name in names)
    use = USE.replace("pfx_", f"{prefix}_").replace("PFX_", f"{prefix.upper()}_")
    filters = HEADERS[name].get("weights_only", False)
    source = tmp_path / ("user.cpp" if compiler == "g++" else "user.c")
    source.write_text(
        f'{includes}{hostile}#define {prefix.upper()}_SELFTEST\n#include "nps.h"\n'
        + ("int main(void) { return 0; }\n" if filters else use)
    )
    # Of filters alone, no array is used here.
    warnings = ["-Wall", "-Wextra", "-Werror", *(["-Wno-unused-variable"] if filters else [])]
    flags = [f"-std={standard}", "-fno-exceptions", *warnings]
    run(compiler, *flags, source, "-o", tmp_path / "user", "-lm")
    run(tmp_path / "user")


def test_names_that_are_listed_are_hostile(known, tmp_path):
    """A header that uses one of them does not compile."""
    assert {
        "min",
        "word",
        "F",
        "I",
        "_N",
        "near",
        "IN",
        "imaginary",
        "loop_until_bit_is_set",
    } <= known
    (tmp_path / "nps.h").write_text(header("float").replace("int32_t n)", "int32_t word)", 1))
    (tmp_path / "user.c").write_text('#define word )@(\n#include "nps.h"\n')
    ran = run("gcc", "-std=c99", "-c", tmp_path / "user.c", "-o", tmp_path / "user.o", code=1)
    assert b"word" in ran.stderr
