"""Why no Q15 header overflows: the numbers, as comments and compile-time assertions."""

from __future__ import annotations

from cexport.integer_bank import LARGEST_SAMPLE, IntegerBank
from cexport.quantization import Quantization
from cexport.text import comment


def filter_proof(integers: IntegerBank, keys: set[str]) -> list[str]:
    """Return the norms and exponents of some of the bank's arrays, and what follows."""
    text = comment(
        "Stored numbers q and weights w have 16 bits, sums 32. Folding adds samples before it "
        "multiplies them, so no sum, nor any part of it, exceeds the filter's sum |w| times the "
        "largest |q|.",
        "",
        "The largest sum |w| of each array, and the exponents e of its outputs, the weights being "
        "whole numbers near weight 2^e" + _carriers(integers) + ":",
    )
    text += [
        f"#define PFX_LARGEST_SAMPLE {LARGEST_SAMPLE}",
        "#define PFX_FITS(norm) \\",
        "    ((norm) * (int64_t)PFX_LARGEST_SAMPLE + ((int64_t)1 << 15) <= INT32_MAX)",
    ]
    for key, filters in integers.filters.items():
        if key not in keys:
            continue
        name = f"PFX_{key.upper()}_NORM"
        exponents = " ".join(map(str, filters.exponents))
        text += [f"#define {name} {max(filters.norms)} /* exponents {exponents} */"]
        text += [f"PFX_ASSERT(PFX_FITS({name}), sums_of_{key}_fit);"]
    return text


def _carriers(integers: IntegerBank) -> str:
    if not any(integers.carrier_exponents):
        return ""
    exponents = " ".join(map(str, integers.carrier_exponents))
    return f", less the exponents of the carried maps that are read ({exponents})"


def step_proof(quantization: Quantization) -> list[str]:
    """Return what the steps can store."""
    largest: dict[str, tuple[int, int]] = {}
    rounded = 0
    for step, shifts in zip(quantization.plan.steps, quantization.shifts, strict=True):
        what = f"|{step.wavelets}| " if step.wavelets else ""
        what += f"{step.smoothing}, from {step.source.height} x {step.source.width}"
        modulus, smoothed = largest.get(what, (0, 0))
        largest[what] = (
            max(modulus, shifts.largest_modulus),
            max(smoothed, shifts.largest_smoothed),
        )
        rounded = max(rounded, shifts.largest_rounded)
    modulus, smoothed = (max(column) for column in zip(*largest.values(), strict=True))
    text = comment(
        "The largest number that each kind of step can store, over all images of bytes: of the "
        "moduli, and of what is smoothed. A modulus is computed with one bit more, and its square "
        "must fit into 32.",
        "",
        *(f"    {first:6d} {second:6d}  {what}" for what, (first, second) in largest.items()),
    )
    return [
        "",
        *text,
        f"#define PFX_LARGEST_MODULUS {modulus}",
        f"#define PFX_LARGEST_SMOOTHED {smoothed}",
        "#define PFX_LARGEST_ROOT (2 * (int64_t)PFX_LARGEST_MODULUS + 1)",
        "PFX_ASSERT(PFX_LARGEST_MODULUS <= PFX_LARGEST_SAMPLE, moduli_fit);",
        "PFX_ASSERT(PFX_LARGEST_SMOOTHED <= PFX_LARGEST_SAMPLE, smoothed_maps_fit);",
        "PFX_ASSERT(PFX_LARGEST_ROOT * PFX_LARGEST_ROOT <= UINT32_MAX, squares_fit);",
        "",
        *comment("The largest sum with what is added to it to round it."),
        f"#define PFX_LARGEST_ROUNDED {rounded}",
        "PFX_ASSERT(PFX_LARGEST_ROUNDED <= INT32_MAX, rounded_sums_fit);",
    ]
