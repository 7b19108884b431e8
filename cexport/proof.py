"""Why no Q15 header overflows: the numbers, as comments and compile-time assertions."""

from __future__ import annotations

from cexport.integer_bank import LARGEST_CARRIED, LARGEST_MODULUS, IntegerBank, largest_read
from cexport.quantization import LARGEST_COEFFICIENT, Quantization
from cexport.text import comment


def filter_proof(integers: IntegerBank, keys: set[str]) -> list[str]:
    """Return the norms and exponents of some of the bank's arrays, and what follows."""
    text = comment(
        "Moduli have 15 bits; pixels and carried maps have 14 and a sign, so that two rows of them "
        "can be added within 16; weights have 16, sums 32. Folding adds samples before "
        "it multiplies them, so no sum, nor any part of it, exceeds the filter's sum |w| times the "
        "largest |q|.",
        "",
        "The largest sum |w| of each array, and the exponents e of its outputs, the weights being "
        "whole numbers near weight 2^e" + _carriers(integers) + ":",
    )
    text += [
        f"#define PFX_LARGEST_CARRIED {LARGEST_CARRIED}",
        f"#define PFX_LARGEST_MODULUS {LARGEST_MODULUS}",
        f"#define PFX_LARGEST_COEFFICIENT {LARGEST_COEFFICIENT}",
        "#define PFX_FITS(norm, largest) \\",
        "    ((norm) * (int64_t)(largest) + ((int64_t)1 << 15) <= INT32_MAX)",
    ]
    for key, filters in integers.filters.items():
        if key not in keys:
            continue
        name = f"PFX_{key.upper()}_NORM"
        exponents = " ".join(map(str, filters.exponents))
        text += [f"#define {name} {max(filters.norms)} /* exponents {exponents} */"]
        read = "MODULUS" if largest_read(integers.bank, key) == LARGEST_MODULUS else "CARRIED"
        text += [f"PFX_ASSERT(PFX_FITS({name}, PFX_LARGEST_{read}), sums_of_{key}_fit);"]
    return text


def _carriers(integers: IntegerBank) -> str:
    if not any(integers.carrier_exponents):
        return ""
    exponents = " ".join(map(str, integers.carrier_exponents))
    return f", less the exponents of the carried maps that are read ({exponents})"


def step_proof(quantization: Quantization) -> list[str]:
    """Return what the steps can store."""
    largest: dict[str, list[int]] = {}
    rounded = 0
    for step, shifts in zip(quantization.plan.steps, quantization.shifts, strict=True):
        what = f"|{step.wavelets}| " if step.wavelets else ""
        what += f"{step.smoothing}, from {step.source.height} x {step.source.width}"
        held = [shifts.largest_modulus, 0, 0]
        held[2 if step.emits else 1] = shifts.largest_smoothed
        largest[what] = [*map(max, largest.get(what, [0, 0, 0]), held)]
        rounded = max(rounded, shifts.largest_rounded)
    rows = ["".join(f"{one:7d}" for one in held) + f"  {what}" for what, held in largest.items()]
    modulus, carried, coefficient = map(max, zip(*largest.values(), strict=True))
    text = comment(
        "The largest number that each kind of step can store, over all images of bytes: of the "
        "moduli, of the maps that are carried on, and of the coefficients. A modulus is computed "
        "with one bit more, and its square must fit into 32.",
        "",
        *(f"   {row}" for row in rows),
    )
    return [
        "",
        *text,
        f"PFX_ASSERT({modulus} <= PFX_LARGEST_MODULUS, moduli_fit);",
        f"PFX_ASSERT({carried} <= PFX_LARGEST_CARRIED, carried_maps_fit);",
        f"PFX_ASSERT({coefficient} <= PFX_LARGEST_COEFFICIENT, coefficients_fit);",
        "PFX_ASSERT(2 * PFX_LARGEST_CARRIED <= INT16_MAX, folded_rows_fit);",
        "#define PFX_LARGEST_ROOT (2 * (int64_t)PFX_LARGEST_MODULUS + 1)",
        "PFX_ASSERT(PFX_LARGEST_ROOT * PFX_LARGEST_ROOT <= UINT32_MAX, squares_fit);",
        "",
        *comment("The largest sum with what is added to it to round it."),
        f"#define PFX_LARGEST_ROUNDED {rounded}",
        "PFX_ASSERT(PFX_LARGEST_ROUNDED <= INT32_MAX, rounded_sums_fit);",
    ]
