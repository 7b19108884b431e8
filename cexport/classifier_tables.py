"""What of a header is the classifier's: sizes, proof, tables, and what its self-test expects."""

from __future__ import annotations

import numpy as np

from cexport.classifier import LinearClassifier
from cexport.integer_classifier import LARGEST_COEFFICIENT, IntegerClassifier
from cexport.quantization import Quantization
from cexport.selftest import TOLERANCE, coefficient_tolerances, selftest_image
from cexport.simulation import float_coefficients, simulate
from cexport.text import array, comment, float_literal, integer_literal, utf8_literal
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from npscatter.program.plan import Plan


class ClassifierText:
    """The C of one classifier, in floats or, with a quantization, in integers."""

    def __init__(
        self,
        classifier: LinearClassifier,
        plan: Plan,
        bank: FilterBank,
        quantization: Quantization | None,
    ):
        self.classifier, self.plan, self.bank = classifier, plan, bank
        self.quantization = quantization
        self.integers = (
            IntegerClassifier.of(classifier, quantization) if quantization is not None else None
        )
        if self.integers is None:
            _check_floats(classifier.coef, classifier.intercept)

    @property
    def words(self) -> str:
        """What the header's first comment says."""
        words = (
            f"With a classifier of {len(self.classifier.classes)} classes, trained on images whose "
            f"white is {self.classifier.white:g}"
        )
        if self.integers is None:
            return f"{words}."
        ratio = f"{self.integers.signal_to_noise:.1f} dB"
        return f"{words}; its weights in 16 bits have a signal to noise ratio of {ratio}."

    @property
    def sizes(self) -> dict[str, int | str]:
        """The macros."""
        unit = 2.0**-self.integers.exponent if self.integers else 1.0
        return {
            "PFX_CLASSES": len(self.classifier.classes),
            "PFX_SCORES": len(self.classifier.coef),
            "PFX_SCORE_UNIT": f"{float_literal(unit)} /* what a score of 1 stands for */",
        }

    def tables(self) -> list[str]:
        """Return weights, offsets and labels, and why no score overflows."""
        integers = self.integers
        if integers:
            text, number = (
                [*_proof(integers), "", "typedef int16_t pfx_class_weight;"],
                integer_literal,
            )
            weights, offsets = integers.weights, integers.offsets
        else:
            text, number = ["typedef float pfx_class_weight;"], float_literal
            weights, offsets = _by_map(self.classifier.coef, self.plan), self.classifier.intercept
        text += ["", *comment("For every channel and score a weight of each of its coefficients.")]
        text += array("pfx_class_weight", "pfx_class_weights", map(number, weights.flat))
        text += comment("What the scores begin with.")
        text += array("pfx_score", "pfx_class_offsets", map(number, offsets), "[PFX_SCORES]")
        if integers:
            text += comment("By how much the sum of a channel's products is shifted.")
            text += array("uint8_t", "pfx_class_shifts", integers.shifts, "[PFX_CHANNELS]")
        return [*text, *_label_table(self.classifier.classes)]

    def selftest_tables(self) -> list[str]:
        """Return the expected scores."""
        image = selftest_image(self.plan.shape)
        if self.integers and self.quantization:
            scores = self.integers.scores(simulate(self.quantization, image))
            return array("pfx_score", "pfx_expected_scores", scores, "[PFX_SCORES]")
        coefficients = float_coefficients(self.plan, self.bank, image)
        weights = _by_map(self.classifier.coef, self.plan)
        maps = coefficients.reshape(len(coefficients), 1, -1)
        scores = (weights * maps).sum((0, 2)) + self.classifier.intercept
        # Of every coefficient's error, and of adding up.
        tolerance = coefficient_tolerances(self.plan, coefficients)[:, None, None]
        errors = np.abs(weights) * (tolerance + TOLERANCE * np.abs(maps))
        errors = errors.sum((0, 2)) + TOLERANCE * np.abs(self.classifier.intercept)
        _check_floats(np.abs(scores) + errors)
        text = []
        for name, values in (("expected_scores", scores), ("score_tolerances", errors)):
            text += array("pfx_score", f"pfx_{name}", map(float_literal, values), "[PFX_SCORES]")
        return text


def _by_map(coef: np.ndarray, plan: Plan) -> np.ndarray:
    """Return weights (C, scores, samples of a map)."""
    return coef.reshape(len(coef), plan.n_coefficients, -1).swapaxes(0, 1)


def _check_floats(*arrays: np.ndarray) -> None:
    limit = np.finfo(np.float32).max
    largest = max(np.abs(array).max() for array in arrays)
    if largest > limit:
        rule = f"has numbers, or gives scores, beyond {limit:.3g}, which no float can hold"
        remedy = "scale its weights and offsets down together"
        raise ArgumentError(explain("classifier", f"{largest:.3g}", rule, remedy))


def _proof(integers: IntegerClassifier) -> list[str]:
    return [
        *comment(
            "The largest sum |w| of the weights of one channel and score, and the widest shift of "
            "such a sum of products, which fits whatever 16-bit numbers come; and the largest that "
            "a score can be, or any part of it."
        ),
        f"#define PFX_CLASS_NORM {integers.largest_norm}",
        f"#define PFX_CLASS_SHIFT {int(integers.shifts.max())}",
        f"#define PFX_LARGEST_SCORE {integers.largest_score}",
        f"PFX_ASSERT(PFX_CLASS_NORM * (int64_t){LARGEST_COEFFICIENT} +",
        "           ((int64_t)1 << (PFX_CLASS_SHIFT - 1)) <= INT32_MAX, sums_of_channels_fit);",
        "PFX_ASSERT(PFX_LARGEST_SCORE <= INT32_MAX, scores_fit);",
    ]


def _label_table(classes: np.ndarray) -> list[str]:
    text = comment("The labels of the classes; text is in UTF-8.")
    if classes.dtype.kind == "U":
        literals = [utf8_literal(label) for label in classes.tolist()]
        return [*text, *array("char *const", "pfx_labels", literals, "[PFX_CLASSES]", True)]
    return [*text, *array("int32_t", "pfx_labels", classes, "[PFX_CLASSES]")]
