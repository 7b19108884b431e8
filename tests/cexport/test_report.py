"""What a header asks for, told in advance: memory to the byte, flash and instructions nearly."""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from banks import bank_of
from click.testing import CliRunner
from programs import run

import cexport
from cexport import LinearClassifier, find_fitting, generate, report
from cexport.command import export_c
from cexport.configuration import DTYPES, TARGETS, Configuration
from cexport.counts import PROCESSORS, Counts
from cexport.fitting import byte_count, relative_error
from cexport.footprint import header_layout
from npscatter import FilterBank, Scattering2D, list_banks
from npscatter.errors import ArgumentError, ArgumentTypeError, BankError

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "benchmarks" / "results" / "microcontroller.json"
BAREMETAL = ROOT / "cexport" / "examples" / "baremetal"
KINDS = [(dtype, target) for dtype in DTYPES for target in TARGETS]
# How far estimates may be off.
TOLERANCE = 0.1


def counts_of(processor="cortex-m0", bank="accurate-L4", J=2, shape=(16, 16), **options):
    configuration = Configuration(bank, J, shape, **options)
    return Counts(configuration, header_layout(configuration), PROCESSORS[processor])


def done(counts, name):
    return sum(part[name] for part in counts.work.values())


def defined(header, name):
    return int(re.search(rf"#define NPS_{name} (\d+)", header)[1])


# Exact numbers


@pytest.mark.parametrize(("dtype", "target"), KINDS)
@pytest.mark.parametrize("options", [{"rounds": 2}, {"boundary": "zero", "max_order": 1}])
def test_memory_is_what_the_header_says(dtype, target, options):
    arguments = {"dtype": dtype, "target": target, **options}
    header = generate("fast-L4", 2, (17, 12), **arguments)
    told = report("fast-L4", 2, (17, 12), **arguments)
    assert told.scratch_bytes == defined(header, "SCRATCH_BYTES")
    sample, pixel = (2, 1) if dtype == "q15" else (4, 4)
    assert told.image_bytes == 17 * 12 * pixel
    size = Scattering2D(2, (17, 12), 4, max_order=options.get("max_order", 2)).output_shape
    assert told.output_bytes == np.prod(size) * sample
    assert told.command in re.sub(r"\n \* ", " ", header)


COUNTERS = r"""
#include <stdio.h>
static long products, moduli, lines;
#include "nps.h"
static int sink(void *context, int channel, const nps_coefficient *values)
{
    return (void)context, (void)channel, (void)values, 0;
}
int main(void)
{
    static nps_pixel image[NPS_HEIGHT * NPS_WIDTH];
    static nps_memory scratch;
    const int status = nps_scatter_stream(image, sink, NULL, scratch.bytes, sizeof scratch);
    printf("%ld %ld %ld", products, moduli, lines);
    return status;
}
"""


@pytest.mark.parametrize(("name", "J", "shape", "options"), [
    ("accurate-L4", 2, (16, 16), {"rounds": 2}),
    ("accurate-L4", 2, (9, 140), {"boundary": "zero"}),
    ("paper", 1, (12, 10), {}),
])  # fmt: skip
def test_counts_are_those_of_the_c_as_it_runs(name, J, shape, options, tmp_path):
    """The C counts itself: products, roots, and rows that are laid as cells."""
    text = generate(name, J, shape, **options)
    for before, after in (
        (r"(#define NPS_MULTIPLY_ADD\(.*?\)) (.*)", r"\1 (products++, \2)"),
        (r"(target\[x\] = )(NPS_SQRTF)", r"\1(float)moduli++ + \2"),
        (r"(static inline void nps_fold_rows\([^{]*\{)", r"\1 lines++;"),
    ):
        text, found = re.subn(before, after, text)
        assert found == 1, before
    (tmp_path / "nps.h").write_text(text)
    (tmp_path / "count.c").write_text(COUNTERS)
    run("gcc", "-std=c99", "-O1", tmp_path / "count.c", "-o", tmp_path / "count", "-lm")
    counted = [int(number) for number in run(tmp_path / "count").stdout.split()]
    counts = counts_of(bank=name, J=J, shape=shape, **options)
    assert counted == [done(counts, name) for name in ("products", "moduli", "rows")]


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4"])
@pytest.mark.parametrize(("dtype", "target"), KINDS)
def test_tables_take_so_many_bytes_on_a_microcontroller(dtype, target, cpu, tmp_path):
    options = {"bank": "fast-L4", "shape": (16, 13), "dtype": dtype, "target": target}
    (tmp_path / "nps.h").write_text(generate(J=2, **options))
    flags = f"-std=c99 -Os -mcpu={cpu} -mthumb -fdata-sections -I{tmp_path}".split()
    objects = tmp_path / "footprint.o"
    run("arm-none-eabi-gcc", *flags, "-c", BAREMETAL / "footprint.c", "-o", objects)
    sizes = run("arm-none-eabi-nm", "-S", objects).stdout.decode()
    tables = re.findall(r"^\w+ (\w+) r nps_(?!roots)\w+$", sizes, re.M)
    counts = counts_of(cpu, J=2, **options)
    assert sum(int(size, 16) for size in tables) == sum(counts.tables.values())


# Estimates


def case_of(row):
    options = {name: row[name] for name in ("max_order", "dtype", "rounds", "target")}
    return row["bank"], row["J"], (row["side"], row["side"]), options


def test_estimates_are_near_measurements_they_were_not_learned_from():
    """Those of `benchmarks.microcontroller`; of every dtype and target there are some."""
    rows = json.loads(MEASURED.read_text())["rows"]
    assert {(row["dtype"], row["target"]) for row in rows} == set(KINDS)
    for row in rows:
        bank, J, shape, options = case_of(row)
        told = report(bank, J, shape, **options)
        assert told.scratch_bytes == row["scratch_bytes"], row
        for cpu, estimate in told.estimates.items():
            for number, measured in (
                (estimate.total_instructions, row[cpu]["instructions"]),
                (estimate.flash_bytes, row[cpu]["flash_bytes"]),
            ):
                assert abs(number / measured - 1) < TOLERANCE, (row, cpu, number, measured)
            assert abs(estimate.stack_bytes / row[cpu]["stack_bytes"] - 1) < 2 * TOLERANCE


def test_errors_that_are_told_are_those_there_are():
    rows = json.loads(MEASURED.read_text())["rows"]
    row = next(row for row in rows if (row["dtype"], row["target"]) == ("q15", "size"))
    bank, J, shape, options = case_of(row)
    for cpu, estimate in report(bank, J, shape, **options).estimates.items():
        off = abs(estimate.total_instructions / row[cpu]["instructions"] - 1)
        assert off <= estimate.errors["instructions"] + 1e-4 <= TOLERANCE


@pytest.mark.parametrize(("dtype", "target"), KINDS)
def test_more_to_do_is_more_of_everything(dtype, target):
    """A larger image, another octave, the second order: more instructions, never less flash."""

    @cache
    def told(side, J, max_order):
        return report("fast-L4", J, (side, side), max_order, dtype=dtype, target=target)

    for less, more in (
        ((32, 2, 2), (48, 2, 2)),
        ((32, 1, 2), (32, 2, 2)),
        ((32, 2, 1), (32, 2, 2)),
    ):
        less, more = told(*less), told(*more)
        assert less.output_bytes < more.output_bytes
        for cpu, estimate in less.estimates.items():
            larger = more.estimates[cpu]
            assert estimate.total_instructions < larger.total_instructions
            assert estimate.flash_bytes <= larger.flash_bytes


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounds_spare_memory_and_the_size_target_flash(dtype):
    def told(rounds, target):
        return report("accurate", 2, (32, 32), dtype=dtype, rounds=rounds, target=target)

    once, in_rounds, small = told(1, "speed"), told(4, "speed"), told(1, "size")
    assert in_rounds.scratch_bytes < once.scratch_bytes
    for cpu in PROCESSORS:
        instructions = [one.estimates[cpu].total_instructions for one in (once, in_rounds, small)]
        flash = [one.estimates[cpu].flash_bytes for one in (once, in_rounds, small)]
        assert instructions[0] < instructions[1] and flash[2] < flash[0] < flash[1]
        # The M0 gains nothing from sums that are written out.
        assert instructions[0] < instructions[2] or cpu == "cortex-m0"


def test_parts_are_those_of_the_program():
    told = report("fast-L4", 1, (16, 16))
    for estimate in told.estimates.values():
        assert all(number >= 0 for number in estimate.instructions.values())
        assert estimate.instructions["psi_next"] == estimate.flash["psi_next"] == 0
        assert max(estimate.instructions, key=estimate.instructions.get) == "psi_first"


# What fits


def test_what_fits_is_sorted_and_fits():
    fitting = find_fitting("40K", "20K", 2, (32, 32), L=4)
    keys = [(one.error, one.instructions) for one in fitting.choices]
    assert keys == sorted(keys) and len(keys) == len(set(keys)) > 4
    for one in fitting.choices:
        assert one.ram_bytes <= 40 * 1024 and one.flash_bytes <= 20 * 1024
        assert FilterBank.load(one.bank).L == 4
        # Fewer rounds would not fit.
        if one.rounds > 1:
            options = {"dtype": one.dtype, "target": one.target, "rounds": one.rounds // 2}
            fewer = report(one.bank, 2, (32, 32), **options)
            memory = fewer.scratch_bytes + fewer.image_bytes + fewer.output_bytes
            estimate = fewer.estimates["cortex-m4"]
            flash = estimate.flash_bytes * (1 + estimate.errors["flash"])
            stack = estimate.stack_bytes * (1 + estimate.errors["stack"])
            assert memory + stack > 40 * 1024 or flash > 20 * 1024
    best = fitting.recommended
    good = [one for one in fitting.choices if one.error <= 1.25 * fitting.choices[0].error]
    assert best.instructions == min(one.instructions for one in good)


def test_what_is_recommended_can_be_generated_and_takes_what_was_said(tmp_path):
    options = ["--J", "1", "--shape", "16", "16", "--L", "4", "--dtype", "q15", "--prefix", "cam"]
    ran = CliRunner().invoke(export_c, [*options, "--fit", "12K", "10k", "--cpu", "cortex-m0"])
    assert ran.exit_code == 0, ran.output
    (command,) = re.findall(r"^python -m cexport (.*) -o nps.h$", ran.stdout, re.M)
    header = CliRunner().invoke(export_c, command.split()).stdout
    best = find_fitting("12K", "10K", 1, (16, 16), L=4, dtype="q15", cpu="cortex-m0").recommended
    assert best.report.scratch_bytes == int(re.search(r"CAM_SCRATCH_BYTES (\d+)", header)[1])
    assert best.bank in command and f"{best.ram_bytes / 1024:.1f}" in ran.stdout


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_classifiers_tables_are_counted(dtype, tmp_path):
    S = Scattering2D(1, (8, 8), 4, backend="numpy")
    coef = np.random.default_rng(0).normal(size=(3, S.n_coefficients * 16))
    classifier = LinearClassifier.of(S, coef, [0, 0, 0], ["a", "bb", "\u00e9"])
    path = classifier.save(tmp_path / "model.npz")
    options = {"bank": "accurate-L4", "J": 1, "shape": (8, 8), "dtype": dtype}
    alone, told = report(**options), report(**options, classifier=path)
    names = ("class_weights", "class_offsets", "class_shifts", "labels")
    header = generate(**options, classifier=path, prefix="p")
    sizes = " + ".join(f"sizeof p_{name}" for name in names if f"p_{name}[" in header)
    program = (
        '#include <stdio.h>\n#include "p.h"\nint main(void) { printf("%zu", SIZES); return 0; }'
    )
    (tmp_path / "p.h").write_text(header)
    (tmp_path / "main.c").write_text(program.replace("SIZES", sizes))
    run("gcc", "-std=c99", tmp_path / "main.c", "-o", tmp_path / "main", "-lm")
    pointers = 3 * (8 - 4)  # of a desktop, where a microcontroller's have 4 bytes
    texts = len("a") + len("bb") + len("\u00e9".encode()) + 3
    assert told.classifier_bytes == int(run(tmp_path / "main").stdout) - pointers + texts
    assert alone.classifier_bytes == 0 and f"{told.classifier_bytes:,} bytes of flash" in str(told)
    assert "classif" not in str(alone)
    assert (told.scratch_bytes, told.estimates) == (alone.scratch_bytes, alone.estimates)


def test_what_fits_with_a_classifier_has_its_tables_and_keeps_no_output(tmp_path):
    S = Scattering2D(1, (16, 16), 4, backend="numpy")
    coef = np.random.default_rng(0).normal(size=(10, S.n_coefficients * 64))
    path = LinearClassifier.of(S, coef, np.zeros(10), range(10)).save(tmp_path / "model.npz")
    options = {"J": 1, "shape": (16, 16), "rounds": 1, "target": "speed"}
    alone = find_fitting("1M", "1M", bank="accurate-L4", streamed=True, **options).choices
    fitting = find_fitting("1M", "1M", classifier=path, **options).choices
    assert {one.bank for one in fitting} == {"accurate-L4"} and {
        one.channels for one in fitting
    } == {5}
    for one, other in zip(fitting, alone, strict=True):
        assert one.ram_bytes == other.ram_bytes
        assert one.flash_bytes - other.flash_bytes == one.report.classifier_bytes > 6400
    ran = CliRunner().invoke(
        export_c,
        f"--J 1 --shape 16 16 --classifier {path} --fit 1M 1M --dtype q15 --target size".split(),
    )
    assert ran.exit_code == 0 and f"--classifier {path}" in ran.stdout, ran.output


def test_streaming_spares_the_output():
    both = [
        find_fitting("1M", "1M", 1, (16, 16), bank="fast-L4", rounds=1, dtype="q15",
                     target="speed", streamed=streamed).choices
        for streamed in (False, True)
    ]  # fmt: skip
    (kept,), (streamed,) = both
    assert kept.ram_bytes - streamed.ram_bytes == kept.report.output_bytes > 0


def test_errors_are_the_banks_and_what_q15_adds():
    errors = {
        (name, dtype): relative_error(Configuration(name, 2, (32, 32), dtype=dtype))
        for name in ("accurate", "fast", "paper")
        for dtype in DTYPES
    }
    for name in ("accurate", "fast", "paper"):
        assert errors[name, "float"] < errors[name, "q15"] < 2 * errors[name, "float"]
        card = FilterBank.load(name).card["errors"]["photographs 32x32 J=2"]
        assert errors[name, "float"] >= max(card.values())
    assert errors["accurate", "q15"] < errors["fast", "float"] < errors["paper", "float"]
    # What a card does not say.
    assert relative_error(Configuration(bank_of("free L=4 R=3"), 2, (16, 16))) == float("inf")


def test_a_bank_without_integers_is_looked_for_in_floats(toy_bank):
    large = toy_bank("free", 2, 4, K=13)
    fitting = find_fitting("1M", "1M", 1, (16, 16), bank=large, rounds=1, target="size")
    assert [one.dtype for one in fitting.choices] == ["float"]
    with pytest.raises(BankError, match="512"):
        find_fitting("1M", "1M", 1, (16, 16), bank=large, dtype="q15", target="size")


def test_nothing_fits_into_nothing():
    fitting = find_fitting(1000, 1000, 1, (16, 16), L=4)
    assert fitting.choices == () and fitting.recommended is None
    assert fitting.least_ram_bytes > 1000 and fitting.least_flash_bytes > 1000
    ran = CliRunner().invoke(export_c, "--J 1 --shape 16 16 --L 4 --fit 1000 1000".split())
    assert ran.exit_code == 2 and ran.stderr.count("\n") == 1
    assert f"{fitting.least_ram_bytes} bytes" in ran.stderr and "--max-order 1" in ran.stderr


# Sizes, and what is refused


@pytest.mark.parametrize(("text", "count"), [
    ("64K", 65536), ("64k", 65536), ("64 KiB", 65536), ("64KB", 65536), ("1M", 2**20),
    ("1.5M", 3 * 2**19), ("100", 100), (" 7B ", 7), (4096, 4096), (np.int64(5), 5), ("1g", 2**30),
])  # fmt: skip
def test_sizes_have_units(text, count):
    assert byte_count("ram", text) == count


@pytest.mark.parametrize(("value", "error"), [
    ("64T", ArgumentError), ("", ArgumentError), ("-1K", ArgumentError), ("K", ArgumentError),
    ("0", ArgumentError), ("0.3", ArgumentError), ("1e3", ArgumentError), (0, ArgumentError),
    ("\u0664K", ArgumentError), ("1" * 400, ArgumentError), (1.5, ArgumentTypeError),
    (None, ArgumentTypeError), (True, ArgumentTypeError),
])  # fmt: skip
def test_what_is_no_size_is_refused(value, error):
    with pytest.raises(error, match="ram="):
        byte_count("ram", value)


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"cpu": "cortex-m3"}, ArgumentError, "cpu='cortex-m3'"),
    ({"ram": "1Q"}, ArgumentError, "ram='1Q'"),
    ({"flash": -5}, ArgumentError, "flash=-5"),
    ({"L": 10}, ArgumentError, "L=10"),
    ({"dtype": "double"}, ArgumentError, "dtype='double'"),
    ({"target": "power"}, ArgumentError, "target='power'"),
    ({"bank": "exact"}, BankError, "bank='exact'"),
    ({"rounds": 0}, ArgumentError, "rounds=0"),
    ({"J": 9}, ArgumentError, "J=9"),
])  # fmt: skip
def test_what_cannot_be_looked_for_is_refused_by_name(options, error, words):
    with pytest.raises(error, match=re.escape(words)):
        find_fitting(**{"ram": "64K", "flash": "64K", **options})


def test_a_report_refuses_what_generating_refuses():
    with pytest.raises(ArgumentError, match=re.escape("rounds=99")):
        report(rounds=99)


@pytest.mark.parametrize(("arguments", "words"), [
    ("--fit 64K", "requires 2 arguments"),
    ("--fit 64K 1Z", "FLASH='1Z'"),
    ("--fit 64Q 256K", "RAM='64Q'"),
    ("--fit 64Q 256K", "pass two sizes, as --fit 64K 1M"),
    ("--report --prefix 9lives", "prefix='9lives'"),
    ("--report --prefix int", "prefix='int'"),
    ("--fit 64K 64K --prefix 9lives", "prefix='9lives'"),
    ("--report --classifier=", "classifier=''"),
    ("--report --fit 64K 64K", "give one"),
    ("--report --weights-only", "--report is of: leave out one or the other"),
    ("--fit 64K 64K --weights-only", "--fit is of: leave out one or the other"),
    ("--streamed", "--fit alone"),
    ("--cpu cortex-m4 --report", "--fit alone"),
    ("--cpu cortex-m3 --fit 1K 1K", "cortex-m3"),
    ("--report --streamed", "--report tells"),
    ("--report --J 9", "J=9"),
    ("--report -o report.h", "-o is for a header"),
    ("--fit 64K 64K -o report.h", "-o is for a header"),
    ("--fit 64 256 --J 1 --shape 8 8", "numbers without K are bytes: 64K is more"),
    ("--report --shape 32x32 --J 1", "'32x32' is no number of pixels: pass two, as --shape 32 32"),
    ("--report --classifier none.npz", "none.npz"),
])  # fmt: skip
def test_the_command_refuses(arguments, words):
    ran = CliRunner().invoke(export_c, arguments.split())
    assert ran.exit_code == 2 and words in ran.stderr and not ran.stdout


def test_the_command_prints_the_report():
    arguments = "--bank fast-L4 --J 1 --shape 16 16 --dtype q15 --rounds 2 --prefix cam".split()
    ran = CliRunner().invoke(export_c, [*arguments, "--report"])
    told = report("fast-L4", 1, (16, 16), rounds=2, dtype="q15", prefix="cam")
    assert told.command.endswith("--prefix cam")
    assert (ran.exit_code, ran.stdout) == (0, f"{told}\n")
    assert f"{told.scratch_bytes:,} bytes" in ran.stdout
    for words in ("M0", "M4", "M7", "M55", "arm-none-eabi-gcc", "estimates", "no cycles", "-O3"):
        assert words in ran.stdout
    # Parts add up to all, as far as they are shown.
    numbers = {
        line.split("  ")[0]: [float(word) for word in re.findall(r"[\d.]+", line[16:])]
        for line in ran.stdout.splitlines()
        if re.match(r"(psi|carry|low|moduli|image and|all) *", line)
    }
    total = np.array(numbers.pop("all"))
    parts = np.array(list(numbers.values()))
    np.testing.assert_allclose(parts.sum(0), total, atol=0.06 * len(parts))


def test_estimates_are_in_the_package_and_of_every_shipped_bank():
    known = json.loads((Path(cexport.__file__).parent / "estimates.json").read_text())
    assert set(known["optimisation"]) == set(PROCESSORS)
    for name in list_banks():
        for estimate in report(name, 1, (8, 8)).estimates.values():
            assert estimate.total_instructions > 10_000 and estimate.flash_bytes > 1000
