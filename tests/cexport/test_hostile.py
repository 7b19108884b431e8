"""What is given to ``cexport`` with bad intent, or by accident: names, prefixes, numbers, sizes."""

import math
import re
import signal
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from banks import bank_of
from click.testing import CliRunner
from programs import run

from cexport import generate
from cexport.command import export_c
from cexport.configuration import Configuration
from cexport.integer_bank import IntegerBank
from cexport.prefix import check_prefix
from cexport.selftest import selftest_image
from cexport.text import comment, in_comment, printable, string_literal
from npscatter import FilterBank
from npscatter.errors import ArgumentError, BankError
from npscatter.program.steps import WEIGHT_ARRAYS

RUNS = '???/"), system("id"), (0 //'
NAMES = [
    RUNS,
    "??/",
    "???/",
    "????/????/",
    "a??/\nb",
    "*\\",
    "\\ \\",
    "a\\",
    "/*/*/",
    "*/*/",
    "*/ system(1); /*",
    "%:include <x>",
    '"; int x; char *s = "',
    "\\u0041\\x41\\101",
    "nps_scatter NPS_BANK pfx_bank PFX_BANK",
    "\0\1\x7f",
    "caf\u00e9 \U0001f600",
]
# What trigraphs, comments, literals and lines are made of.
LETTERS = "????////\\\\**\"'<>=()!-#%: \n\0aéx0_"
STANDARDS = ("c99", "c11", "c2x", "gnu99", "gnu17")
STRICT = "-Wall -Wextra -Wpedantic -Wtrigraphs -Wcomment -Wshadow -Werror".split()


def names():
    """Return the names above, and random ones."""
    generator = np.random.default_rng(7)
    letters = np.array(list(LETTERS))
    return ["", *NAMES] + [
        "".join(generator.choice(letters, n)) for n in generator.integers(1, 40, 300)
    ]


def named(name, **arrays):
    """Return a small bank of that name, some of its arrays replaced."""
    bank = bank_of("free L=2 R=3")
    return FilterBank(name, **{**{key: bank[key] for key in bank}, **arrays})


def scaled(key, index, factor):
    """Return a bank of which a part of an array is multiplied."""
    taps = bank_of("free L=2 R=3")[key].copy()
    taps[index] *= factor
    return named("scaled", **{key: taps})


@contextmanager
def hangs_not(seconds=120):
    """Fail instead of waiting for ever."""

    def stop(*_):
        raise AssertionError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# Names and paths


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Write a program that prints names, from literals and from a header; return what is expected.

    The header's bank has a name, and lies at a path, that would run a command.
    """
    folder = tmp_path_factory.mktemp("hostile")
    path = f"{folder}/{RUNS}x.npz"
    Path(path).parent.mkdir(parents=True)
    named(RUNS).save(path)
    (folder / "nps.h").write_text(generate(path, weights_only=True), encoding="ascii")
    lines = ["#include <stdio.h>", "#include <stdlib.h>", '#include "nps.h"']
    for number, name in enumerate(names()):
        lines += comment(f"{number}: {in_comment(name)} and {in_comment(name)}", in_comment(name))
        lines += [f"#define NAME{number} {string_literal(name)}"]
    lines += ["static const char *const all[] = {", "    NPS_BANK,", "    NPS_PROVENANCE,"]
    lines += [*(f"    NAME{number}," for number in range(len(names()))), "};"]
    lines += ["int main(void)", "{", "    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {"]
    lines += ["        puts(all[i]);", "    }", "    return 0;", "}", ""]
    text = "\n".join(lines).replace("\1", "_")
    (folder / "names.c").write_text(text, encoding="ascii")
    plain = [printable(name).replace("\1", "_") for name in (RUNS, *names())]
    return folder, plain


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_names_and_paths_are_nothing_but_text(hostile, compiler, standard):
    folder, plain = hostile
    program = folder / f"{compiler}-{standard}"
    flags = [f"-std={standard}", "-O0", *STRICT, "-Wno-unused-const-variable", "-Wno-unused-macros"]
    run(compiler, *flags, folder / "names.c", "-o", program)
    bank, provenance, *others = run(program).stdout.decode("ascii").split("\n")[:-1]
    assert [bank, *others] == plain
    assert RUNS in provenance and provenance.startswith("python -m cexport --bank '/")


@pytest.mark.parametrize("name", [*NAMES, "?" * 5, "\\" * 3, "? ?" * 85, "a\\ " * 85])
@pytest.mark.parametrize("weights_only", [False, True])
def test_headers_have_no_trigraph_and_no_comment_that_goes_on(name, weights_only):
    text = generate(named(name), 1, (4, 4), weights_only=weights_only)
    assert "??" not in text and text.isascii()
    inside = False
    for line in text.splitlines():
        inside = inside or line.startswith("/*")
        assert not (inside and line.endswith("\\"))
        assert not inside or "/*" not in line[2:]
        inside = inside and not line.endswith("*/")
    assert not inside


def test_names_that_are_not_utf8_are_refused(tmp_path):
    with pytest.raises(BankError, match="UTF-8 cannot hold"):
        generate(named("caf\udce9"), 1, (4, 4))
    path = named("plain").save(f"{tmp_path}/caf\udce9")
    for options in ({}, {"weights_only": True}):
        with pytest.raises(ArgumentError, match=r"bank=.*is not UTF-8"):
            generate(path, 1, (4, 4), **options)


def test_names_and_paths_are_as_long_as_a_string_constant_at_most(tmp_path):
    for name in ("a" * 255, "?" * 255, "\U0001f600" * 255):
        assert generate(named(name), 1, (4, 4))
    folder = tmp_path.joinpath(*["?" * 200] * 12)
    folder.mkdir(parents=True)
    path = named("a").save(folder / "a.npz")
    with pytest.raises(ArgumentError, match="more than 4095 characters"):
        generate(path, 1, (4, 4))


# Prefixes


@cache
def made_names():
    """Return what follows the prefix in headers of every kind, and names without one."""
    kinds = [{}, {"dtype": "q15", "rounds": 4}, {"boundary": "zero", "dtype": "q15"}]
    kinds += [{**kind, "weights_only": True} for kind in kinds[:2]]
    kinds += [{"bank": "paper", "dtype": "q15", "weights_only": some} for some in (True, False)]
    texts = [generate(prefix="zqz", shape=(8, 8), **kind) for kind in kinds]
    text = "\n".join(texts)
    return set(re.findall(r"\bzqz_(\w+)", text)), set(re.findall(r"\bZQZ_(\w+)", text))


@pytest.mark.parametrize(
    "prefix",
    "edge e2 int8 int_least8 uint64 intp size shrt ushrt sig_atomic signal sig lc fp flt dec64 "
    "math time fe prix PRIx atomic memory member string wcsx isle tone cnd stdc ckd cr si "
    "a__b nps_ cam_out cam_padded cam_psi_next cam_modulus CAM_OUT cam_from Atomic".split(),
)
def test_reserved_prefixes_are_refused(prefix):
    with pytest.raises(ArgumentError, match=re.escape(f"prefix={prefix!r}: ")):
        generate(prefix=prefix)


@pytest.mark.parametrize("prefix", "nps NPS cam out own first stored a is to e str mem x_y".split())
def test_other_prefixes_are_not(prefix):
    check_prefix(prefix)


def test_no_two_headers_make_one_name():
    """Whatever ends a longer prefix so that a shorter one makes the same name is refused."""
    lower, upper = made_names()
    assert len(lower) > 100 and len(upper) > 50 and not lower & upper
    endings = {
        name[: dash.start()]
        for some in (lower, upper)
        for name in some
        for dash in re.finditer("_", name)
        if name[dash.end() :] in some
    }
    assert len(endings) > 5
    for ending in endings:
        with pytest.raises(ArgumentError, match="a header whose prefix is 'cam'"):
            check_prefix(f"cam_{ending}")


def test_no_prefix_makes_a_name_of_the_standard_library(tmp_path):
    """Of all names in its headers, those that a header would make need a refused prefix."""
    headers = "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp"
    headers += " signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn"
    headers += " string tgmath threads time uchar wchar wctype"
    # And of POSIX.
    headers += " dirent dlfcn fcntl glob grp netdb poll pthread pwd regex sched semaphore spawn"
    headers += (
        " sys/ioctl sys/mman sys/resource sys/select sys/socket sys/stat sys/statvfs sys/time"
    )
    headers += " sys/types sys/un sys/wait syslog termios unistd wordexp arpa/inet netinet/in"
    text = "".join(f"#include <{name}.h>\n" for name in headers.split())
    (tmp_path / "all.c").write_text(text)
    lower, upper = made_names()
    taken = set()
    for compiler in ("gcc", "clang"):
        for standard in ("c99", "c2x", "gnu17"):
            ran = run(compiler, f"-std={standard}", "-E", "-dD", tmp_path / "all.c")
            words = set(re.findall(r"\b[A-Za-z]\w*_\w+", ran.stdout.decode()))
            # Members of structs are names of their own.
            for name in words - {"it_value", "sigev_value", "c_line", "ws_row"}:
                for dash in re.finditer("_", name):
                    prefix, rest = name[: dash.start()], name[dash.end() :]
                    if rest in lower or (rest in upper and prefix == prefix.upper()):
                        taken.add(prefix)
    assert {"INT8", "SHRT", "SIZE", "atomic", "thrd", "F", "X"} <= taken
    for prefix in taken:
        with pytest.raises(ArgumentError):
            check_prefix(prefix)


@pytest.mark.parametrize("prefix", ["NPS", "own", "first", "stored", "phi", "from"])
def test_no_name_hides_another(prefix, tmp_path):
    """An upper-case prefix, and words that functions have for their variables."""
    text = generate("fast-L4", 1, (4, 4), dtype="q15", prefix=prefix)
    name = prefix.upper()
    (tmp_path / "a.c").write_text(
        f"#define {name}_SELFTEST\n{text}\nint f(void);\n"
        f"int f(void)\n{{\n    static {prefix}_memory m;\n"
        f"    return {prefix}_selftest(m.bytes, {name}_SELFTEST_BYTES);\n}}\n"
    )
    run("gcc", "-std=c99", "-fsyntax-only", *STRICT, tmp_path / "a.c")


# Numbers


def test_banks_of_any_magnitude_make_a_right_header_or_none(compiled):
    """The largest and the smallest wavelets that are not refused pass the self-test."""
    accepted = {}
    for exponent in range(-36, 37, 3):
        bank = scaled("psi_first", slice(None), 10.0**exponent)
        try:
            accepted[exponent] = generate(bank, 2, (8, 9))
        except BankError as error:
            assert re.search("floats cannot hold|a float cannot hold", str(error))
    assert -25 < min(accepted) < -9 and 9 < max(accepted) < 20
    assert set(accepted) == set(range(min(accepted), max(accepted) + 1, 3))
    for exponent in (min(accepted), max(accepted)):
        assert compiled(accepted[exponent], "float").selftest() == 0


@pytest.mark.parametrize("seed", range(2))
def test_random_magnitudes_leave_no_infinity_in_a_header(seed):
    generator = np.random.default_rng(seed)
    for _ in range(6):
        key = generator.choice(list(WEIGHT_ARRAYS))
        index = [slice(None), 0, (slice(None), 0), (..., 0)][generator.integers(4)]
        bank = scaled(key, index, 10.0 ** generator.uniform(-39, 38.5))
        for dtype in ("float", "q15"):
            for weights_only in (False, True):
                try:
                    with pytest.MonkeyPatch.context() as patch, hangs_not():
                        patch.setattr("cexport.generator.LEAST_RATIO", -math.inf)
                        text = generate(bank, 2, (8, 9), dtype=dtype, weights_only=weights_only)
                except BankError:
                    continue
                assert not re.search(r"(?<!\w)(inf|nan)\b", text)
                for table in re.findall(r"int8_t nps_\w*exponents\[[^=]*= \{([^}]*)\}", text):
                    assert all(-128 <= int(word) <= 127 for word in re.findall(r"-?\d+", table))


@pytest.mark.parametrize("key", ["psi_first", "low_next"])
@pytest.mark.parametrize("factor", [1e38, 1e-38, 1e90, 1e-300])
def test_taps_that_floats_cannot_hold_are_refused(key, factor):
    bank = scaled(key, 0, 1e2 * factor if factor > 1 else factor)
    for weights_only in (False, True):
        with pytest.raises(BankError, match="taps that a float cannot hold"):
            generate(bank, 2, (8, 9), weights_only=weights_only)


def test_rounding_ends_where_numbers_are_too_unlike_for_it():
    with hangs_not():
        IntegerBank(scaled("carry_first", 0, 1e-8))


def test_the_selftests_image_is_cs_where_32_bits_overflow():
    y, x = np.indices((60000, 3), np.uint32)
    chirp = (x * x + np.uint32(2) * y * y + np.uint32(3) * x * y) // np.uint32(16)
    blocks = np.uint32(61) * ((x // np.uint32(5) + y // np.uint32(7)) % np.uint32(3))
    assert np.array_equal(selftest_image((60000, 3)), (chirp + blocks) & np.uint32(255))


# Sizes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"J": 10**9}, "J=1000000000: must be at least 1 and"),
        ({"shape": (65535, 2), "J": 1}, "fewer than 65535 rows"),
        ({"shape": (10**8, 2), "J": 1}, "a side may have 262144 pixels at most"),
        ({"shape": (10**8, 10**8), "J": 26}, "a side may have 262144 pixels at most"),
        ({"shape": (40_000, 40_000), "J": 15}, "fewer than 65535 rows"),
        ({"shape": (2500, 2500)}, "numbers at a time, and its self-test may take at most"),
        ({"shape": (2500, 2500), "max_order": 1, "J": 1}, "numbers at a time"),
        ({"shape": (0, 4)}, "both sides must be at least 1"),
        ({"rounds": 10**12}, "rounds=1000000000000: more than 4 L = 32 rounds save no memory"),
        ({"L": 10**20}, "L=100000000000000000000: "),
    ],
)
def test_absurd_sizes_are_refused(options, words):
    with hangs_not(), pytest.raises(ArgumentError, match=re.escape(words)):
        generate(**options)


def test_absurd_banks_are_refused(toy_bank, monkeypatch):
    with hangs_not():
        with pytest.raises(ArgumentError, match="channels with L=250; at most 65535"):
            generate(toy_bank("free", 250, 1, K=1), 3, (8, 8))
        wide = toy_bank("free", 2, 1, K=31)
        with monkeypatch.context() as limits:
            limits.setattr("cexport.configuration.LARGEST_WORK", 2**30)
            with pytest.raises(ArgumentError, match="products, and its self-test may take"):
                generate(wide, 1, (1500, 1500), max_order=1)
        with pytest.raises(BankError, match="961 taps and 1 carried maps"):
            generate(wide, 1, (4, 4), dtype="q15")
        with pytest.raises(BankError, match="16 can be rounded to integers"):
            generate(toy_bank("free", 2, 17, K=3), 1, (4, 4), dtype="q15")


def test_what_is_large_but_not_absurd_is_planned():
    for options in ({"shape": (2048, 2048)}, {"shape": (2000, 2000), "J": 5, "bank": "paper"}):
        bank = options.pop("bank", "accurate")
        assert Configuration(bank, **{"J": 2, **options}).plan.J in (2, 5)


# Command lines

VALUES = {
    "--J": ["0", "-1", "6", str(10**9), str(10**30)],
    "--shape": ["0 5", "-3 9", "100000000 2", "9 1", f"{10**40} {10**40}", "50000 50000"],
    "--rounds": ["0", "-5", "33", str(10**12)],
    "--max-order": ["0", "3", str(-(10**25))],
    "--L": ["0", "-8", "5", str(10**30)],
    "--prefix": ["", " ", "9", "edge", "a" * 10**5, "\n", "a\nb", "a??/", "é"],
    "--bank": ["", ".", "/", "none", "none.npz", "a\nb", "\udcff.npz", "?" * 5000],
}


def test_absurd_command_lines_end_in_one_line():
    generator = np.random.default_rng(3)
    lines = [[option, value] for option, values in VALUES.items() for value in values]
    for _ in range(60):
        chosen = generator.choice(list(VALUES), generator.integers(2, 4), replace=False)
        lines.append(
            [word for name in chosen for word in (name, str(generator.choice(VALUES[name])))]
        )
    for line in lines:
        words = []
        for option, value in zip(line[::2], line[1::2], strict=True):
            words += [option, *(value.split() if option == "--shape" else [value])]
        with hangs_not():
            ran = CliRunner().invoke(export_c, words)
        assert ran.exit_code == 2 and isinstance(ran.exception, SystemExit), words
        assert ran.stdout == ""
        assert ran.stderr.startswith("Error: ") and ran.stderr.count("\n") == 1, ran.stderr
