"""A header of nothing but filters, for use in other code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cexport.configuration import Configuration
from cexport.integer_bank import IntegerBank, integer_bank
from cexport.layout import check_tables, make_kernel
from cexport.proof import filter_proof
from cexport.tables import kernel_tables
from cexport.templates import template
from cexport.text import (
    angle_of_theta,
    array,
    braces,
    comment,
    float_literal,
    integer_literal,
    section,
    with_prefix,
)
from npscatter.bank import FilterBank
from npscatter.bank.plain_taps import MEANING
from npscatter.program.steps import WEIGHT_ARRAYS


def weights_header(configuration: Configuration) -> str:
    """Return the header."""
    bank, q15 = configuration.bank, configuration.dtype == "q15"
    integers = integer_bank(bank) if q15 else None
    text = [
        *_head(configuration),
        "",
        *configuration.opening,
        section("Sizes"),
        f"#define PFX_L {bank.L}",
        f"#define PFX_CARRIERS {bank.R}",
        *(f"#define PFX_{key.upper()}_K {bank[key].shape[-1]}" for key in bank),
        *configuration.macros,
        "",
        f"typedef {'int16_t' if q15 else 'float'} pfx_weight;",
        "",
    ]
    if integers:
        proof = filter_proof(integers, set(bank))
        text += [template("assert.h", configuration.conditions), *proof, ""]
    text += [section("Plain filters")]
    for key in bank:
        text += [*_plain(bank, integers, key), ""]
    text += [section("The same filters, folded"), *_folded(configuration, integers)]
    return with_prefix("\n".join([*text, "", "#endif", ""]), configuration.prefix)


def _head(configuration: Configuration) -> list[str]:
    bank = configuration.bank
    strides = (1, 2) if bank.architecture.psi_stride == 1 else (2, 1)
    return comment(
        "Filters of a scattering transform. Generated; do not edit.",
        "",
        *configuration.provenance,
        "",
        "Every array taps[o][i][a][b] is a correlation, K x K taps centred on the sample:",
        "",
        "    y[o][u][v] = sum over i, a, b of taps[o][i][a][b] x[i][s u + a - K/2][s v + b - K/2]",
        "",
        "as a convolution layer of a neural network computes it. Of wavelets the first "
        f"{bank.L} outputs are the real parts, the others the imaginary parts; "
        "|z| = sqrt(real^2 + imaginary^2). At every octave the stride s is "
        f"{strides[0]} for wavelets, {strides[1]} for what smooths their modulus, and 2 for "
        "carriers and low-passes of everything else. Beyond the edge the "
        "maps are " + ("zero." if bank.boundary == "zero" else "their own period."),
        "",
        angle_of_theta(bank.L),
    )


def _plain(bank: FilterBank, integers: IntegerBank | None, key: str) -> list[str]:
    """Return one weight array as the bank has it."""
    taps = integers.taps(key) if integers else bank.real_taps(key)
    number = integer_literal if integers else float_literal
    text = comment(f"{key}: {MEANING[bank.architecture.next_from][key]}")
    size = "".join(f"[{side}]" for side in taps.shape)
    text += [f"static const pfx_weight pfx_{key}_taps{size} = {{", *_nested(taps, number), "};"]
    if integers:
        exponents = integers.filters[key].exponents
        exponents *= 2 if WEIGHT_ARRAYS[key].is_complex else 1
        text += array("int8_t", f"pfx_{key}_exponents", exponents)
    return text


def _nested(taps: np.ndarray, number: Callable[[float], str]) -> list[str]:
    """Return the lines of an array (O, I, K, K), one for each row of a filter."""
    lines = []
    for filters in taps:
        for i, rows in enumerate(filters):
            last = i == len(filters) - 1
            texts = [braces(number(value) for value in row) for row in rows]
            lines += ["    {{" + texts[0] + "," if i == 0 else "     {" + texts[0] + ","]
            lines += [f"      {text}," for text in texts[1:]]
            lines[-1] = lines[-1].rstrip(",") + ("}}," if last else "},")
    return lines


def _folded(configuration: Configuration, integers: IntegerBank | None) -> list[str]:
    kernels = [make_kernel(configuration.bank, integers, key) for key in configuration.bank]
    check_tables(configuration.bank, kernels)
    text = [template("kernel.h", configuration.conditions)]
    for kernel in kernels:
        text += ["", *kernel_tables(kernel, integers is not None)]
    return text
