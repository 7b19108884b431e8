"""Generated headers under the compilers and checkers that users have: no warning, no complaint.

What a machine lacks is a failure here that names the Debian package, not a skipped test.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import programs
import pytest
from banks import bank_of
from toy_classifiers import make_toy_classifier

from cexport import generate

ROOT = Path(__file__).resolve().parents[2]
INTRINSICS = Path(__file__).parent / "intrinsics"
HARNESS = ROOT / "cexport" / "harness"
STRICT = (
    "-Wall -Wextra -Wpedantic -Wconversion -Wdouble-promotion -Wcast-align -Wshadow -Wvla -Werror"
).split()
STANDARDS = {"gcc": "c99", "clang": "c99", "g++": "c++11", "clang++": "c++11"}
SANITIZERS = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
UNDEFINED = ["-O2", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
CLASSIFIED = {"bank": "accurate-L4", "shape": (8, 8), "J": 1}
# Both targets in either type of number.
HEADERS = {
    "float": {},
    "q15": {"dtype": "q15"},
    "paper float": {"bank": "paper", "target": "size"},
    "paper q15": {"bank": "paper", "dtype": "q15", "target": "size"},
    "prefix": {"dtype": "q15", "shape": (9, 14), "rounds": 4, "prefix": "My_lib2"}
    | {"target": "size"},
    "classifier float": {
        **{**CLASSIFIED, "prefix": "cls"},
        "classifier": make_toy_classifier(**CLASSIFIED, scores=1),
    },
    "classifier q15": {
        **{**CLASSIFIED, "dtype": "q15"},
        "classifier": make_toy_classifier(**CLASSIFIED),
    },
}
# Small, for what is run under sanitizers.
SMALL = {
    "float": {"shape": (11, 14)},
    "q15": {"dtype": "q15", "shape": (8, 8)},
    "q15, J=3": {"dtype": "q15", "shape": (16, 16), "J": 3},
    "q15 in rounds": {"dtype": "q15", "shape": (11, 8), "rounds": 4, "target": "size"},
    "q15, first order": {"dtype": "q15", "shape": (8, 8), "J": 3, "max_order": 1, "L": 4}
    | {"target": "size"},
    "periodic float": {"shape": (8, 24), "J": 3, "boundary": "periodic", "rounds": 2}
    | {"target": "size"},
    "paper float": {"bank": "paper", "shape": (9, 10)},
    "paper q15": {"bank": "paper", "dtype": "q15", "shape": (9, 10), "rounds": 2}
    | {"target": "size"},
}
USER = """
#define PFX_SELFTEST
#include "header.h"
int elsewhere(const pfx_pixel *image, pfx_coefficient *output, void *scratch);
int main(void)
{
    static uint32_t tested[(PFX_SELFTEST_BYTES + 3) / 4];
    static pfx_pixel image[PFX_HEIGHT * PFX_WIDTH];
    static pfx_coefficient first[PFX_OUTPUT_SIZE];
    static pfx_coefficient second[PFX_OUTPUT_SIZE];
    static pfx_memory scratch;
    const int status = pfx_selftest(tested, sizeof tested);
    int32_t differences = 0;
    image[0] = 200;
    if (status != PFX_OK) {
        return 1;
    }
    if (pfx_scatter(image, first, scratch.bytes, sizeof scratch.bytes) != PFX_OK) {
        return 2;
    }
    if (elsewhere(image, second, scratch.bytes) != PFX_OK) {
        return 3;
    }
    for (int32_t i = 0; i < PFX_OUTPUT_SIZE; i++) {
        differences += first[i] < second[i] || first[i] > second[i];
    }
    return differences == 0 ? 0 : 4;
}
"""
# What clang warns of if it is told to warn of everything, and why headers do it all the same.
STYLE = {
    "declaration-after-statement": "C99 allows it, and constants are declared where they are known",
    "padded": "of structures of tables, which no file or message has the bytes of",
}
STYLE_OF_C = {
    "c++98-compat-pedantic": "long long, variadic macros and the like are there since C++11",
    "old-style-cast": "C has no other casts",
    "padded": STYLE["padded"],
    "zero-as-null-pointer-constant": "C has no nullptr",
}
VECTORIZED = """
#include "nps.h"
int transform(const nps_pixel *image, nps_coefficient *output, void *scratch);
int transform(const nps_pixel *image, nps_coefficient *output, void *scratch)
{
    return nps_scatter(image, output, scratch, NPS_SCRATCH_BYTES);
}
"""
OTHER = """
#include "header.h"
#include "header.h"
int elsewhere(const pfx_pixel *image, pfx_coefficient *output, void *scratch);
int elsewhere(const pfx_pixel *image, pfx_coefficient *output, void *scratch)
{
    return pfx_scatter(image, output, scratch, PFX_SCRATCH_BYTES);
}
"""


def run(*command, **options):
    """Run a command that must succeed; return what it prints, complaints included."""
    ran = programs.run(*command, timeout=300, **options)
    return (ran.stdout + ran.stderr).decode()


@pytest.fixture(scope="session")
def text_of():
    """Return the function that generates a header's text, each once."""

    @cache
    def text(options):
        return generate(**dict(options))

    return lambda options: text(tuple(options.items()))


@pytest.fixture
def header(tmp_path, text_of):
    """Return the function that writes a header into this test's folder."""

    def write(options, name="nps.h"):
        path = tmp_path / name
        path.write_text(text_of(options), encoding="ascii")
        return path

    return write


def with_prefix(text, options):
    prefix = options.get("prefix", "nps")
    return text.replace("pfx_", f"{prefix}_").replace("PFX_", f"{prefix.upper()}_")


# Compilers

# Every header as C by one family and as C++ by the other, one of them optimizing; every compiler
# sees either type of number, either target, and a classifier or a prefix.
PAIRS = [("gcc", "clang++"), ("clang", "g++")]
BUILDS = [
    (name, compiler, "-O3" if (number // 2 + column) % 2 else "-O0")
    for number, name in enumerate(HEADERS)
    for column, compiler in enumerate(PAIRS[(number + number // 2) % 2])
]


@pytest.mark.parametrize(("name", "compiler", "optimization"), BUILDS)
def test_two_units_compile_without_warnings_and_run(tmp_path, header, name, compiler, optimization):
    options = HEADERS[name]
    header(options, "header.h")
    suffix = "cpp" if "++" in compiler else "c"
    for unit, text in (("user", USER), ("other", OTHER)):
        (tmp_path / f"{unit}.{suffix}").write_text(with_prefix(text, options))
    sources = [tmp_path / f"user.{suffix}", tmp_path / f"other.{suffix}"]
    flags = [f"-std={STANDARDS[compiler]}", *STRICT, optimization]
    run(compiler, *flags, *sources, "-o", tmp_path / "user", "-lm")
    run(tmp_path / "user")


@pytest.mark.parametrize("compiler", STANDARDS)
def test_headers_of_several_prefixes_go_together(tmp_path, header, compiler):
    header({**SMALL["float"], "prefix": "one"}, "one.h")
    header({**SMALL["q15"], "prefix": "two"}, "two.h")
    suffix = "cpp" if "++" in compiler else "c"
    (tmp_path / f"both.{suffix}").write_text(
        '#define ONE_SELFTEST\n#define TWO_SELFTEST\n#include "two.h"\n#include "one.h"\n'
        "int main(void)\n{\n"
        "    static uint32_t one[ONE_SELFTEST_BYTES / 4 + 1];\n"
        "    static uint32_t two[TWO_SELFTEST_BYTES / 4 + 1];\n"
        "    return one_selftest(one, sizeof one) + 2 * two_selftest(two, sizeof two);\n}\n"
    )
    flags = [f"-std={STANDARDS[compiler]}", *STRICT]
    run(compiler, *flags, tmp_path / f"both.{suffix}", "-o", tmp_path / "both", "-lm")
    run(tmp_path / "both")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", HEADERS)
def test_the_object_needs_nothing_but_a_square_root(tmp_path, header, name, compiler):
    """And that in floating point only; all other names are local and have the prefix."""
    options = HEADERS[name]
    header(options, "header.h")
    (tmp_path / "other.c").write_text(with_prefix(OTHER, options))
    flags = ["-std=c99", "-O2", "-ffreestanding", "-c"]
    run(compiler, *flags, tmp_path / "other.c", "-o", tmp_path / "other.o")
    undefined = run("nm", "-u", tmp_path / "other.o").split()
    assert set(undefined) - {"U"} <= ({"sqrtf"} if options.get("dtype") != "q15" else set())
    # Not to be moved, so that tables of addresses are constants too.
    flags = ["-std=c99", "-O0", "-fno-pic", "-fno-pie", "-c"]
    run(compiler, *flags, tmp_path / "other.c", "-o", tmp_path / "other.o")
    defined = [line.split()[-2:] for line in run("nm", tmp_path / "other.o").splitlines()]
    assert [name for kind, name in defined if kind in "TDBRC"] == ["elsewhere"]
    prefix = options.get("prefix", "nps")
    local = [name for kind, name in defined if kind in "tdbr" and "." not in name]
    assert len(local) > 10 and all(name.startswith(f"{prefix}_") for name in local)
    assert not [name for kind, name in defined if kind in "dDbB"]


@pytest.mark.parametrize("name", HEADERS)
def test_every_macro_has_the_prefix(tmp_path, header, name):
    options = HEADERS[name]
    path = header(options, "header.h")
    (tmp_path / "bare.h").write_text(
        "#include <stddef.h>\n#include <stdint.h>\n#include <math.h>\n"
    )
    macros = [
        {
            line.split()[1].split("(")[0]
            for line in run("gcc", "-dM", "-E", "-xc", file).splitlines()
        }
        for file in (path, tmp_path / "bare.h")
    ]
    prefix = options.get("prefix", "nps").upper()
    new = macros[0] - macros[1]
    assert len(new) > 20 and all(macro.startswith(f"{prefix}_") for macro in new)


def test_the_square_root_can_be_replaced(tmp_path, header):
    """Without math.h, as on machines that have none."""
    header(SMALL["float"], "header.h")
    (tmp_path / "other.c").write_text(
        "static float root(float value) { return __builtin_sqrtf(value); }\n"
        "#define NPS_SQRTF(value) root(value)\n" + with_prefix(OTHER, {})
    )
    (tmp_path / "math.h").write_text("#error math.h is not there\n")
    flags = ["-std=c99", "-O2", *STRICT, "-fno-math-errno", "-ffreestanding", "-c"]
    run("gcc", *flags, f"-I{tmp_path}", tmp_path / "other.c", "-o", tmp_path / "other.o")
    assert not run("nm", "-u", tmp_path / "other.o").split()


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("clang", ""),
        ("clang", "--target=arm-none-eabi -mcpu=cortex-m4"),
        ("clang", "--target=arm-none-eabi -mcpu=cortex-m55 -mfloat-abi=hard"),
        ("clang++", ""),
    ],
)
def test_of_all_warnings_of_clang_those_documented_are_given(tmp_path, text_of, compiler, flags):
    """And no reason without need."""
    cpp = "++" in compiler
    allowed = STYLE if not cpp else STYLE_OF_C
    command = [compiler, *flags.split(), "-ffreestanding", "-Weverything", "-fsyntax-only"]
    command += [f"-std={STANDARDS[compiler]}", "-DNPS_SQRTF=__builtin_sqrtf", "-DNPS_SELFTEST"]
    given = set()
    for name in ("float", "q15", "paper float", "prefix"):
        options = HEADERS[name]
        (tmp_path / "header.h").write_text(text_of(options))
        (tmp_path / "other.c").write_text(with_prefix(OTHER, options))
        language = ["-xc++" if cpp else "-xc"]
        printed = run(*command, *language, tmp_path / "other.c")
        given |= set(re.findall(r"header\.h:.*\[-W([\w+-]+)\]$", printed, re.M))
    assert given == set(allowed)


# The harness


def build(compiler, folder, flags, *sources):
    """Compile programs of the harness; return the executable's path."""
    program = folder / f"{Path(sources[0]).stem}-{compiler}{abs(hash(tuple(flags)))}"
    sources = [HARNESS / source for source in sources]
    standard = ["-std=c99", *STRICT, *flags, f"-I{folder}"]
    run(compiler, *standard, *sources, "-o", program, "-lm")
    return program


# Both compilers see either type of number, and either kind of bank.
@pytest.mark.parametrize(
    ("name", "compiler"), list(zip(SMALL, itertools.cycle(["gcc", "clang"]), strict=False))
)
def test_the_harness_passes_under_sanitizers(tmp_path, header, name, compiler):
    header(SMALL[name])
    program = build(compiler, tmp_path, SANITIZERS, "harness.c", "second.c")
    assert run(program).splitlines()[-1] == "all right"


@pytest.mark.parametrize(
    ("name", "compiler", "images"), [("q15", "gcc", 2000), ("q15, J=3", "clang", 100)]
)
def test_random_images_overflow_nothing(tmp_path, header, name, compiler, images):
    """And the coefficients are those of the other compiler, to the bit."""
    header(SMALL[name])
    watched = run(build(compiler, tmp_path, UNDEFINED, "fuzz.c"), images)
    other = {"gcc": "clang", "clang": "gcc"}[compiler]
    assert watched == run(build(other, tmp_path, ["-O3"], "fuzz.c"), images)
    assert re.fullmatch(rf"{images} images, hash [0-9a-f]{{8}}\n", watched)


def test_the_fuzzer_refuses_what_it_cannot_do(tmp_path, header):
    header(SMALL["q15"])
    program = build("gcc", tmp_path, ["-O1"], "fuzz.c")
    for arguments in ([], ["0"], ["-1"], ["5", "0"]):
        assert subprocess.run([program, *arguments], capture_output=True).returncode == 2
    assert run(program, 20, 1) == run(program, 20) != run(program, 20, 2)


DAMAGE = {
    "a weight": (
        r"(nps_low_next_weights\[\d+\] = \{\n    )(-?\d+)",
        lambda match: f"{match[1]}{int(match[2]) - 16}",
    ),
    "an error code": (r"return NPS_ERROR_SCRATCH;", "return NPS_ERROR_NULL;"),
    "a size that is not checked": (r"scratch_bytes < NPS_SCRATCH_BYTES", "scratch_bytes < 1"),
    "a sink that is not asked": (r"(sink\(context, [^;{]*) != 0\)", r"\1 == 77)"),
    "a channel that comes twice": (r"(nps_channels\[\d+\] = \{\n    \d+, )\d+", r"\g<1>0"),
    "memory that is not enough": (
        r"#define NPS_SCRATCH_BYTES \d+",
        "#define NPS_SCRATCH_BYTES 2048",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_harness_notices_damage(tmp_path, header, text_of, damage):
    """What it checks can fail."""
    text = text_of(SMALL["q15"])
    damaged = re.sub(*DAMAGE[damage], text)
    assert damaged != text
    (tmp_path / "nps.h").write_text(damaged)
    flags = SANITIZERS if damage.startswith("memory") else ["-O0"]
    program = build("gcc", tmp_path, flags, "harness.c", "second.c")
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert re.search(r"harness\.c:\d+: failed|AddressSanitizer", result.stdout + result.stderr)


def test_cmake_builds_and_runs_the_harness(tmp_path, header):
    programs.program("make")
    header(SMALL["q15, first order"])
    build = tmp_path / "build"
    run("cmake", "-S", HARNESS, "-B", build, f"-DNPS_HEADER_DIR={tmp_path}", "-DNPS_SANITIZE=ON")
    run("cmake", "--build", build)
    printed = run(shutil.which("ctest"), "--test-dir", build)
    assert "100% tests passed, 0 tests failed out of 2" in printed
    command = ["cmake", "-S", HARNESS, "-B", tmp_path / "none", "-DNPS_HEADER_DIR=/nowhere"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0 and "no nps.h in NPS_HEADER_DIR='/nowhere'" in result.stderr


# Checkers


def cppcheck(tmp_path, options, *arguments, check, units=("user.c", "other.c")):
    (tmp_path / "user.c").write_text(with_prefix(USER, options))
    (tmp_path / "other.c").write_text(with_prefix(OTHER, options))
    command = ["cppcheck", "--enable=warning,style,performance,portability", "--inline-suppr"]
    command += ["--std=c99", "--quiet", *arguments]
    if check:
        return run(*command, "--error-exitcode=1", *units, cwd=tmp_path)
    programs.program("cppcheck")
    command += units
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True).stderr


@pytest.mark.parametrize("name", HEADERS)
def test_cppcheck_has_no_complaint(tmp_path, header, name):
    # What is written out of a smaller bank is written in the same way.
    options = HEADERS[name] | ({"bank": "fast-L4"} if name == "q15" else {})
    header(options, "header.h")
    assert not cppcheck(tmp_path, options, check=True, units=("user.c",))


def test_misra_rules_deviated_from_are_those_documented(tmp_path, header):
    """Only those that cexport/MISRA.md gives a reason for, and no reason without need."""
    documented = re.findall(r"^\| (\d+\.\d+) \|", (ROOT / "cexport" / "MISRA.md").read_text(), re.M)
    # Between them: both types of number, both edges, both targets, a classifier; of the larger
    # ones some configurations, with the root that these processors take.
    small = {"bank": bank_of("free L=2 R=3"), "shape": (8, 9)}
    idiv = ["-D__GNUC__=12", "-D__ARM_FEATURE_IDIV=1", f"-I{INTRINSICS}"]
    checked = [
        ({**small, "dtype": "q15", "target": "size"}, []),
        ({**small, "boundary": "zero", "target": "size"}, []),
        ({**small, "dtype": "q15"}, ["-D__ARM_FEATURE_DSP=1", *idiv]),
        ({**small, "dtype": "q15"}, ["-D__ARM_FEATURE_MVE=3", *idiv]),
        (small, ["-D__GNUC__=12"]),
        (HEADERS["classifier q15"] | {"target": "size"}, []),
    ]
    deviations = set()
    for number, (options, definitions) in enumerate(checked):
        header(options, "header.h")
        # What rules say of two units that share a header is asked once; one has all of it.
        units = ("user.c", "other.c") if number == 0 else ("user.c",)
        arguments = ["--addon=misra", *definitions]
        printed = cppcheck(tmp_path, options, *arguments, check=False, units=units)
        in_header = [line for line in printed.splitlines() if line.startswith("header.h:")]
        found = set(re.findall(r"\[misra-c2012-([\d.]+)\]", "\n".join(in_header)))
        assert len(found) > 3, f"the addon found next to nothing: {printed}"
        deviations |= found
    assert sorted(documented) == sorted(deviations)


# The text


@pytest.mark.parametrize("name", HEADERS)
def test_the_text_is_plain_and_finished(text_of, name):
    text = text_of(HEADERS[name])
    assert text.isascii() and text.endswith("\n") and "\n\n\n" not in text
    assert not re.search(r"[\t\r]| $", text, re.M)
    assert not re.search(r"pfx_|^#if !?\w+_(Q15|ZERO_EDGE)$|selftest_tables\.h", text, re.I | re.M)


DIGESTS = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from cexport import generate
for options in {options!r}:
    print(hashlib.sha256(generate(**options).encode()).hexdigest())
"""


def test_the_same_arguments_give_the_same_bytes():
    """In every process, whatever seeds its hashes and however its linear algebra adds up."""
    options = [HEADERS["q15"], HEADERS["paper float"], HEADERS["prefix"], SMALL["paper q15"]]
    printed = []
    for seed, threads, processor in (("0", "1", "Haswell"), ("77", "2", "Prescott")):
        setting = {"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": threads}
        setting["OPENBLAS_CORETYPE"] = processor
        program = DIGESTS.format(options=options)
        printed.append(run(sys.executable, "-c", program, ROOT, env={**os.environ, **setting}))
    assert len(set(printed[0].split())) == len(options)
    assert printed[0] == printed[1]


@pytest.mark.parametrize("target", ["speed", "size"])
@pytest.mark.parametrize("dtype", ["float", "q15"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_every_innermost_loop_becomes_vector_code(tmp_path, text_of, dtype, compiler, target):
    """The loops that add products, and the moduli, as the guide's compiler options make them."""
    text = text_of({"dtype": dtype, "target": target, "bank": "accurate-L4"})
    (tmp_path / "nps.h").write_text(text)
    (tmp_path / "user.c").write_text(VECTORIZED)
    options = {
        "gcc": ["-fopt-info-vec-optimized"],
        "clang": ["-mllvm", "-enable-load-pre=false", "-Rpass=loop-vectorize"],
    }
    flags = ["-std=c99", "-O3", "-mavx2", "-fno-math-errno", *options[compiler]]
    printed = run(compiler, *flags, "-c", "user.c", cwd=tmp_path)
    done = {int(n) for n in re.findall(r"nps\.h:(\d+):\d+: \w+: .*vectorized", printed)}
    lines = text.splitlines()
    loops = [n + 2 for n, line in enumerate(lines) if line.strip() == "NPS_INDEPENDENT"]
    assert all("for (int32_t x" in lines[n - 1] for n in loops)
    modulus = next(n for n, line in enumerate(lines) if "inline void nps_modulus(" in line)
    end = lines.index("}", modulus)
    # The last of them is plain C.
    loops.append([n + 1 for n in range(modulus, end) if "for (int32_t x" in lines[n]][-1])
    assert len(loops) > 5
    assert set(loops) <= done
