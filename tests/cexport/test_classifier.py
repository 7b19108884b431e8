"""Headers that classify: the float ones' scores, every bit of the Q15 ones', and no overflow."""

import re
from functools import cache

import numpy as np
import pytest
from programs import run
from toy_classifiers import make_toy_classifier

from cexport import LinearClassifier, generate, simulate_classifier_q15, simulate_q15
from cexport.configuration import Configuration
from cexport.integer_bank import integer_bank
from cexport.integer_classifier import LARGEST_NORM, IntegerClassifier
from cexport.quantization import Quantization
from npscatter import Scattering2D

# What `make_toy_classifier` is given, and the header's own options.
CASES = {
    "three": ({}, {}),
    "two by the sign": ({"scores": 1, "shape": (8, 8), "white": 1}, {"rounds": 2}),
    "two of two": ({"scores": 2, "J": 1, "shape": (4, 4), "max_order": 1}, {}),
    "paper, zeros beyond": ({"bank": "paper", "shape": (6, 7), "boundary": "zero"}, {}),
    "tiny weights, J=3": ({"J": 3, "shape": (8, 8), "scale": 1e-20, "scores": 11}, {}),
    "huge weights": ({"J": 1, "shape": (3, 5), "scale": 1e20, "white": 16}, {}),
}
# Compiled in a moment; tests of the compilers optimize.
PLAIN = ("-O0",)
ALL = pytest.mark.parametrize("name", CASES)


@cache
def toy(name):
    return make_toy_classifier(**CASES[name][0])


def options_of(name):
    """Return what `cexport.generate` takes for a case's header."""
    trained, own = CASES[name]
    return {
        **{"bank": trained.get("bank", "accurate-L4"), "J": toy(name).J, "shape": toy(name).shape},
        **{"max_order": toy(name).max_order, "boundary": toy(name).boundary},
        **{"classifier": toy(name), **own},
    }


def bank_name(name):
    return CASES[name][0].get("bank", "accurate-L4")


@cache
def integers_of(name):
    options = {key: value for key, value in options_of(name).items() if key != "rounds"}
    configuration = Configuration(**{"requested": options.pop("bank"), **options})
    quantization = Quantization(configuration.plan, integer_bank(configuration.bank))
    return IntegerClassifier.of(toy(name), quantization)


def images_of(name, count=6):
    images = np.random.default_rng(2).integers(0, 256, (count, *toy(name).shape), np.uint8)
    images[0], images[1] = 0, 255
    return images


def exact_scores(name, coefficients):
    """Return the definition's scores, of coefficients of bytes in double precision."""
    trained = toy(name)
    rows = coefficients.reshape(len(coefficients), -1) * (trained.white / 255)
    return rows @ trained.coef.T + trained.intercept


def numbers_of(scores):
    if scores.shape[1] == 1:
        return [int(score > 0) for (score,) in scores.tolist()]
    return [row.index(max(row)) for row in scores.tolist()]


@ALL
def test_float_scores_are_those_of_the_definition(compiled, name):
    trained = toy(name)
    text = generate(**options_of(name))
    assert unit_of(text) == 1
    header = compiled(text, "float", PLAIN)
    images = images_of(name) / np.float32(255 / trained.white)
    S = Scattering2D(
        *(trained.J, trained.shape, None, trained.max_order),
        **{"bank": bank_name(name), "boundary": trained.boundary, "backend": "numpy"},
    )
    coefficients = S(images.astype(np.float64))
    rows = coefficients.reshape(len(images), 1, -1)
    scores = (rows * trained.coef).sum(-1) + trained.intercept
    numbers, computed = header.classify(images)
    size = (np.abs(rows * trained.coef)).sum(-1) + np.abs(trained.intercept)
    assert (np.abs(computed - scores) <= 2e-5 * size).all()
    assert numbers == numbers_of(computed)
    assert header.selftest() == 0


@ALL
def test_q15_scores_are_the_twins_to_the_bit(compiled, name):
    header = compiled(generate(dtype="q15", **options_of(name)), "q15", PLAIN)
    images = images_of(name)
    twins, expected = simulate_classifier_q15(images, toy(name), bank_name(name))
    numbers, scores = header.classify(images)
    assert expected.dtype == np.int32 and np.array_equal(scores, expected)
    assert numbers == twins.tolist() == numbers_of(expected)
    assert header.selftest() == 0


def unit_of(text):
    return float(np.float32(re.search(r"SCORE_UNIT (\S+)f", text)[1]))


def table(text, name):
    found = re.search(rf"nps_{name}\[\w*\] = \{{(.*?)\}};", text, re.S)
    return [int(number) for number in found[1].replace(",", " ").split()]


@pytest.mark.parametrize("name", ["three", "two by the sign", "tiny weights, J=3"])
def test_scores_follow_from_the_headers_tables_by_the_documented_rule(name):
    """In Python's integers, whose sums have as many bits as they need."""
    text = generate(dtype="q15", **options_of(name))
    weights = iter(table(text, "class_weights"))
    shifts, offsets = table(text, "class_shifts"), table(text, "class_offsets")
    images = images_of(name, 3)
    trained = toy(name)
    coefficients, exponents = simulate_q15(
        *(images, bank_name(name), trained.J, trained.max_order), boundary=trained.boundary
    )
    scores = np.array([offsets] * len(images), object)
    for channel, shift in enumerate(shifts):
        maps = coefficients[:, channel].reshape(len(images), -1).tolist()
        for k in range(len(offsets)):
            some = [next(weights) for _ in maps[0]]
            for n, samples in enumerate(maps):
                total = sum(w * q for w, q in zip(some, samples, strict=True))
                scores[n, k] += (total + 2 ** (shift - 1)) // 2**shift
    assert next(weights, None) is None
    _, expected = simulate_classifier_q15(images, trained, bank_name(name))
    assert scores.tolist() == expected.tolist()

    # Each weight is off by half a unit at most, and so are each rounded sum and the offset.
    unit = unit_of(text)
    finest = unit / 2.0 ** np.array(shifts)
    maps = np.abs(coefficients.astype(np.int64)).reshape(len(images), len(shifts), -1).sum(-1)
    bound = 0.5 * ((maps * finest).sum(1) + unit * (len(shifts) + 1))
    values = coefficients / 2.0 ** exponents[:, None, None]
    error = np.abs(expected * unit - exact_scores(name, values)).max(1)
    assert (error <= bound * (1 + 1e-9)).all()
    # Which is little of what scores are.
    assert bound.max() < 0.01 * np.ptp(expected * unit)


@ALL
def test_no_score_can_overflow_and_no_bit_is_given_away(name):
    integers = integers_of(name)
    norms = np.abs(integers.weights).sum(-1)
    assert norms.max() <= LARGEST_NORM and np.abs(integers.weights).max() < 2**15
    assert 1 <= integers.shifts.min() <= integers.shifts.max() <= 16
    half = 2 ** (integers.shifts[:, None] - 1)
    assert (norms * 2**15 + half).max() < 2**31
    # The worst coefficients there are, for every score, by their signs.
    for k in range(len(integers.offsets)):
        for sign in (1, -1):
            worst = np.where(sign * integers.weights[:, k] > 0, 2**15 - 1, -(2**15))
            sums = (integers.weights[:, k].astype(object) * worst).sum(1)
            assert max(map(abs, sums)) < 2**31
            added = [
                (int(t) + 2 ** (int(r) - 1)) >> int(r)
                for t, r in zip(sums, integers.shifts, strict=True)
            ]
            score = abs(sum(added) + int(integers.offsets[k]))
            assert score <= integers.largest_score < 2**31
    # With a bit more something would not fit: the scores, or a map that is shifted by one.
    full = norms.max(1) > LARGEST_NORM / 2 - integers.weights.shape[-1]
    full |= np.abs(integers.weights).max((1, 2)) >= 2**14 - 1
    assert integers.largest_score > 2**30 - 2**20 or (full & (integers.shifts == 1)).any()
    assert (full | (integers.shifts == 16)).all()


@pytest.mark.parametrize("dtype", ["float", "q15"])
@pytest.mark.parametrize(("offsets", "number"), [([1, 3, 3], 1), ([0], 0), ([-2, -2], 0)])
def test_of_equal_scores_the_first_decides(compiled, dtype, offsets, number):
    S = Scattering2D(1, (4, 4), L=4, backend="numpy")
    weights = np.zeros((len(offsets), 5 * 2 * 2))
    even = LinearClassifier.of(S, weights, offsets, range(max(2, len(offsets))))
    text = generate("accurate-L4", 1, (4, 4), dtype=dtype, classifier=even)
    header = compiled(text, dtype, PLAIN)
    images = np.zeros((1, 4, 4), header.pixel.removesuffix("_t").replace("float", "float32"))
    numbers, scores = header.classify(images)
    assert numbers == [number]
    assert (scores * unit_of(text)).tolist() == [offsets]
    if dtype == "q15":
        assert simulate_classifier_q15(images, even, L=4)[0].tolist() == [number]


OVERFLOWING = """
#include "nps.h"
static nps_coefficient values[NPS_OUT_HEIGHT * NPS_OUT_WIDTH];
int main(void)
{
    const int size = NPS_OUT_HEIGHT * NPS_OUT_WIDTH;
    nps_score scores[NPS_SCORES];
    for (int k = 0; k < 2 * NPS_SCORES; k++) {
        nps_scoring scoring = {scores, 0};
        for (int channel = 0; channel < NPS_CHANNELS; channel++) {
            const nps_class_weight *weights = nps_class_weights + size * NPS_SCORES * channel;
            for (int i = 0; i < size; i++) {
                values[i] = (weights[k / 2 * size + i] > 0) == (k % 2) ? 32767 : -32768;
            }
            (void)nps_add_channel(&scoring, channel, values);
        }
    }
    return 0;
}
"""


@pytest.mark.parametrize("damage", [False, True])
def test_the_worst_coefficients_overflow_nothing_in_c(tmp_path, damage):
    """And where weights are larger than proven, the sanitizer sees it."""
    text = generate(dtype="q15", **options_of("three"))
    if damage:
        before, table, after = re.split(r"(class_weights\[\d+\] = \{[^}]*)", text)
        text = before + re.sub(r"\b\d{4}\b", "32767", table) + after
    (tmp_path / "nps.h").write_text(text)
    (tmp_path / "worst.c").write_text(OVERFLOWING)
    flags = ("-std=c99", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    run("gcc", *flags, tmp_path / "worst.c", "-o", tmp_path / "worst")
    run(tmp_path / "worst", code=int(damage))


@pytest.mark.parametrize("dtype", ["float", "q15"])
def test_errors_of_classify_touch_nothing(compiled, dtype):
    header = compiled(generate(dtype=dtype, **options_of("three")), dtype, PLAIN)
    ffi, lib = header.ffi, header.lib
    image = ffi.new(f"{header.pixel}[]", 9 * 14)
    rows = np.full(4, 77, header.score_dtype)
    scores = ffi.from_buffer(f"{header.score}[]", rows)
    memory, size = header.scratch(lib.NPS_SCRATCH_BYTES)
    odd = ffi.cast(f"{header.score} *", ffi.cast("char *", scores) + 1)
    for status, arguments in (
        (-1, (ffi.NULL, scores, memory, size)),
        (-1, (image, ffi.NULL, memory, size)),
        (-1, (image, scores, ffi.NULL, size)),
        (-2, (image, scores, memory, size - 1)),
        (-3, (image, odd, memory, size)),
        (-3, (image, scores, ffi.cast("char *", memory) + 1, size)),
    ):
        assert lib.nps_classify(*arguments) == status
        assert (rows == 77).all()
    assert lib.nps_classify(image, scores, memory, size) >= 0
    assert (rows != 77).tolist() == [True] * 3 + [False]


@pytest.mark.parametrize("dtype", ["float", "q15"])
def test_the_self_test_notices_damage_to_the_classifier(compiled, dtype):
    text = generate(dtype=dtype, **options_of("three"))
    damaged = re.sub(r"(class_offsets\[\w+\] = \{\s+-?)(\d)", r"\g<1>1\2", text)
    assert damaged != text
    header = compiled(damaged, dtype, PLAIN)
    assert header.selftest() == header.lib.NPS_CHANNELS + 2


PRINT_LABELS = """
#include <stdio.h>
#include "nps.h"
int main(void)
{
    for (int k = 0; k < NPS_CLASSES; k++) {
        printf(FORMAT "\\n", nps_labels[k]);
    }
    return puts(NPS_CLASSIFIER_SHA256) < 0;
}
"""


@pytest.mark.parametrize(("name", "format"), [("three", '"%d"'), ("two by the sign", '"%s"')])
def test_labels_are_those_it_was_trained_with(tmp_path, name, format):
    (tmp_path / "nps.h").write_text(generate(**options_of(name)))
    (tmp_path / "labels.c").write_text(PRINT_LABELS.replace("FORMAT", format))
    flags = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    run("gcc", *flags, tmp_path / "labels.c", "-o", tmp_path / "labels", "-lm")
    printed = run(tmp_path / "labels").stdout.decode().splitlines()
    assert printed == [*map(str, toy(name).classes), toy(name).sha256]


def test_offsets_that_drown_the_weights_are_warned_of():
    plain = toy("three")
    fields = {key: value for key, value in vars(plain).items() if key != "sha256"}
    fields["intercept"] = 1e12 * plain.intercept
    drowned = LinearClassifier(**fields)
    with pytest.warns(UserWarning, match="leaves the classifier's weights at"):
        generate("accurate-L4", 2, (9, 14), dtype="q15", classifier=drowned)
