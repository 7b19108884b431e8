"""From a frozen bank and a plan to one C99 header.

The C text proper stands in the folder ``c``, where ``pfx`` is the prefix; `cexport.tables` writes
its tables. A header is both, one after the other.
"""

from __future__ import annotations

import os
import warnings

from cexport.classifier import LinearClassifier
from cexport.classifier_tables import ClassifierText
from cexport.configuration import NO_PIXEL, Configuration
from cexport.footprint import footprint, header_layout
from cexport.integer_bank import integer_bank
from cexport.proof import filter_proof, step_proof
from cexport.quantization import PIXEL_EXPONENT, Quantization
from cexport.sample import sample_picture
from cexport.selftest import selftest_tables
from cexport.simulation import signal_to_noise
from cexport.tables import (
    inner_loops,
    kernel_tables,
    magnitude_sizes,
    padding_tables,
    path_table,
    program_tables,
    unrolled_kernel,
)
from cexport.templates import template
from cexport.text import array, comment, section, times, with_prefix
from cexport.unrolled import UnrolledLayout
from cexport.weights import weights_header
from npscatter.bank import FilterBank
from npscatter.errors import explain
from npscatter.program.magnitude import level_gain
from npscatter.program.plan import Plan

# Signal to noise ratio in dB below which a Q15 header is warned of.
LEAST_RATIO = 20


def generate(
    bank: str | os.PathLike | FilterBank = "accurate",
    J: int = 2,
    shape: tuple[int, int] = (32, 32),
    max_order: int = 2,
    *,
    L: int | None = None,
    boundary: str | None = None,
    rounds: int = 1,
    dtype: str = "float",
    prefix: str = "nps",
    weights_only: bool = False,
    target: str | None = None,
    classifier: LinearClassifier | str | os.PathLike | None = None,
) -> str:
    """Return a C99 header that computes the scattering transform of images of one shape.

    Parameters
    ----------
    bank : str, path or FilterBank
        A shipped bank's name, the path of an .npz file, or a bank.
    J : int
        Log2 of the scale.
    shape : tuple of int
        (H, W) of the image.
    max_order : int
        1 or 2.
    L : int, optional
        Number of orientations; the bank's by default.
    boundary : str, optional
        "kymatio", "symmetric", "constant", "zero" or "periodic"; the bank's by default.
    rounds : int
        Takes the orientations in so many rounds: less memory, somewhat more work; see
        `npscatter.program.plan.make_plan`.
    dtype : str
        "float": pixels and coefficients are floats. "q15": pixels are bytes, coefficients 16-bit
        numbers with a fixed exponent per channel, and only integers are computed with.
    prefix : str
        Every name in the header begins with it, in upper case for macros.
    weights_only : bool
        Only the filters, as documented arrays for use in other code; J, shape, max_order,
        boundary, rounds and target are then without effect.
    target : str, optional
        "speed": the sums of filters are written out, for the multiply-adds of Arm's DSP extension
        and vectors too. "size": loops read the taps from tables, which takes less flash and less
        scratch memory, and two to three times the instructions. By default "speed", but "size" for
        large filters without symmetry. Integers of both are the same where all products are.
    classifier : LinearClassifier or path, optional
        A linear classifier of these coefficients, or the file of one, which the header then
        applies to images.

    Returns
    -------
    str
        The header, ASCII; the same for the same arguments and version.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError
        For values no header can be made from.
    BackendError
        If Pillow is missing, with which dtype "q15" reads the picture it measures itself on.

    Warns
    -----
    UserWarning
        If dtype "q15" leaves little of some order on that picture.

    Examples
    --------
    >>> from cexport import generate
    >>> header = generate("accurate-L4", J=2, shape=(16, 16), prefix="cam")
    >>> [line for line in header.splitlines() if line.startswith("#define CAM_OUT_")]
    ['#define CAM_OUT_HEIGHT 4', '#define CAM_OUT_WIDTH 4']
    """
    configuration = Configuration(
        bank,
        J,
        shape,
        max_order,
        L=L,
        boundary=boundary,
        rounds=rounds,
        dtype=dtype,
        prefix=prefix,
        weights_only=weights_only,
        target=target,
        classifier=classifier,
    )
    if weights_only:
        return weights_header(configuration)
    header = _Header(configuration)
    remedy = "use dtype='float', a smaller J, or the bank's own boundary"
    ratios = {order: (ratio, remedy) for order, ratio in header.signal_to_noise.items()}
    if header.classifier and header.classifier.integers:
        remedy = "use dtype='float', or a classifier whose weights differ less in size"
        ratios["the classifier's weights"] = header.classifier.integers.signal_to_noise, remedy
    for what, (ratio, remedy) in ratios.items():
        if ratio < LEAST_RATIO:
            rule = f"leaves {what} at {ratio:.0f} dB, and less than {LEAST_RATIO} is noise"
            warnings.warn(explain("dtype", "q15", rule, remedy), stacklevel=2)
    return header.text()


class _Header:
    """A header's parts, and the signal to noise ratios in it by order, of dtype "q15" only."""

    def __init__(self, configuration: Configuration):
        self.configuration = configuration
        self.bank, self.plan = configuration.bank, configuration.plan
        integers = integer_bank(self.bank) if configuration.dtype == "q15" else None
        self.quantization = Quantization(self.plan, integers) if integers else None
        self.layout = header_layout(configuration)
        trained = configuration.trained
        self.classifier = (
            ClassifierText(trained, self.plan, self.bank, self.quantization) if trained else None
        )
        self.signal_to_noise: dict[str, float] = {}
        if self.quantization:
            picture = sample_picture(self.plan.shape)
            self.signal_to_noise = signal_to_noise(self.quantization, picture)

    def text(self) -> str:
        """Return the header."""
        q15 = self.quantization is not None
        parts = [
            self._head(),
            self._sizes(),
            section("Interface"),
            self._template("assert.h"),
            self._template("interface.h"),
            *([_proof(self.plan, self.quantization)] if self.quantization else []),
            section("Arithmetic"),
            self._template("q15.h" if q15 else "float.h"),
            *([] if q15 else [*magnitude_sizes(level_gain(self.plan, self.bank)), ""]),
            *([] if q15 else [self._template("magnitude.h")]),
            section("The program's types"),
            self._template("kernel.h"),
            self._template("step.h"),
            *self._loops(),
            section("Tables"),
            *self._tables(),
            "",
            section("The routine"),
            self._template("rows.h"),
            self._template("routine.h"),
            *self._classifier(),
            section("Self-test"),
            self._template("selftest.h").replace(
                '#include "selftest_tables.h"', "\n".join(self._selftest_tables())
            ),
            self._template("end.h"),
            "#endif\n",
        ]
        return with_prefix("\n".join(parts), self.configuration.prefix)

    def _loops(self) -> list[str]:
        if isinstance(self.layout, UnrolledLayout):
            sizes = [f"#define PFX_CHUNK {self.layout.chunk}"]
            return [section("Written-out sums"), self._template("cells.h"), *sizes, ""]
        loops = inner_loops(self.layout)
        return [section("The innermost loops"), self._template("folded.h"), *loops, ""]

    def _classifier(self) -> list[str]:
        if self.classifier is None:
            return []
        tables = self.classifier.tables()
        return [section("The classifier"), *tables, "", self._template("classifier.h")]

    def _selftest_tables(self) -> list[str]:
        tables = selftest_tables(self.plan, self.bank, self.quantization)
        return [*tables, *(self.classifier.selftest_tables() if self.classifier else [])]

    def _template(self, name: str) -> str:
        return template(name, self.configuration.conditions)

    def _head(self) -> str:
        plan = self.plan
        lines = [
            "Scattering coefficients of an image. Generated; do not edit.",
            "",
            *self.configuration.provenance,
            "",
            "    S0 = x * phi_J",
            "    S1 = |x * psi(j1, t1)| * phi_J",
            "    S2 = ||x * psi(j1, t1)| * psi(j2, t2)| * phi_J,   j2 > j1",
            "",
            f"Images of {times(plan.shape)}, J = {plan.J}, L = {self.bank.L}, order "
            f"{plan.max_order}, boundary {plan.boundary}: {plan.n_coefficients} channels of "
            f"{times(plan.output_shape[1:])}.",
        ]
        if self.signal_to_noise:
            ratios = ", ".join(
                f"{order} {ratio:.1f} dB" for order, ratio in self.signal_to_noise.items()
            )
            lines += [
                "",
                "Signal to noise ratio against the same filters in double precision, on the sample "
                f"picture: {ratios}.",
            ]
        if self.classifier:
            lines += ["", self.classifier.words]
        return "\n".join([*comment(*lines), ""])

    def _sizes(self) -> str:
        plan, q15 = self.plan, self.quantization is not None
        values: dict[str, int | str] = {
            "PFX_Q15": int(q15),
            "PFX_J": plan.J,
            "PFX_L": self.bank.L,
            "PFX_MAX_ORDER": plan.max_order,
            "PFX_HEIGHT": plan.shape[0],
            "PFX_WIDTH": plan.shape[1],
            "PFX_CHANNELS": plan.n_coefficients,
            "PFX_OUT_HEIGHT": plan.output_shape[1],
            "PFX_OUT_WIDTH": plan.output_shape[2],
            "PFX_OUTPUT_SIZE": "(PFX_CHANNELS * PFX_OUT_HEIGHT * PFX_OUT_WIDTH)",
            "PFX_SCRATCH_BYTES": footprint(self.configuration, self.layout).scratch,
        }
        if q15:
            values["PFX_PIXEL_EXPONENT"] = PIXEL_EXPONENT
        if self.classifier:
            values |= self.classifier.sizes
        return "\n".join(
            [
                *self.configuration.opening,
                *([self._template("extensions.h")] if self.configuration.small_cells else []),
                section("Sizes"),
                *(f"#define {name} {value}" for name, value in values.items()),
                *self.configuration.macros,
                "",
            ]
        )

    def _tables(self) -> list[str]:
        plan, layout, quantization = self.plan, self.layout, self.quantization
        sizes: dict[str, int | str] = {
            "PFX_CELLS": layout.cells,
            "PFX_SUMS": layout.sums,
            "PFX_WORKSPACE_SAMPLES": plan.workspace.size,
            "PFX_MODULI_SAMPLES": layout.moduli_samples,
            "PFX_PADDED": plan.workspace.offset(plan.image),
            "PFX_PADDED_HEIGHT": plan.padded_shape[0],
            "PFX_PADDED_WIDTH": plan.padded_shape[1],
            "PFX_STEPS": len(plan.steps),
        }
        if plan.edge == "zero":
            sizes["PFX_NO_PIXEL"] = f"{NO_PIXEL} /* a zero */"
        text = [f"#define {name} {value}" for name, value in sizes.items()]
        text += ["", *padding_tables(plan)]
        integers = quantization is not None
        if isinstance(layout, UnrolledLayout):
            kernels = [unrolled_kernel(one, layout, integers) for one in layout.kernels.values()]
        else:
            kernels = [kernel_tables(one, integers) for one in layout.kernels.values()]
        for lines in kernels:
            text += ["", *lines]
        text += ["", *program_tables(layout, quantization), "", *path_table(plan, self.bank.L)]
        if quantization:
            text += ["", *comment("Coefficient q of channel c stands for q / 2^exponents[c].")]
            text += array("int8_t", "pfx_exponents", quantization.exponents, "[PFX_CHANNELS]")
        return text


def _proof(plan: Plan, quantization: Quantization) -> str:
    used = {key for step in plan.steps for key in (step.wavelets, step.smoothing) if key}
    return "\n".join(
        [
            section("Why nothing overflows"),
            *filter_proof(quantization.integers, used),
            *step_proof(quantization),
            "",
        ]
    )
