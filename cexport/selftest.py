"""What the self-test of a header expects."""

from __future__ import annotations

import numpy as np

from cexport.quantization import Quantization
from cexport.simulation import float_coefficients, simulate
from cexport.text import array, braces, float_literal, integer_literal
from npscatter.bank import FilterBank
from npscatter.errors import BankError, explain
from npscatter.program.plan import Plan

TOLERANCE = 2e-5


def selftest_image(shape: tuple[int, int]) -> np.ndarray:
    """Return the image that c/selftest.h computes: chirps and blocks, all bytes."""
    y, x = np.indices(shape, dtype=np.int64)
    # As unsigned numbers of 32 bits.
    chirp = (x * x + 2 * y * y + 3 * x * y) % 2**32 // 16
    blocks = 61 * ((x // 5 + y // 7) % 3)
    return (chirp + blocks) & 255


def selftest_tables(plan: Plan, bank: FilterBank, quantization: Quantization | None) -> list[str]:
    """Return the expected coefficients."""
    image = selftest_image(plan.shape)[None]
    size = plan.output_shape[1] * plan.output_shape[2]
    if quantization:
        coefficients = simulate(quantization, image).reshape(-1, size)
        emitted = [channel for step in plan.steps for channel in step.channels]
        hashed = fnv1a(coefficients[emitted].astype("<i2").tobytes())
        text, number = [f"#define PFX_EXPECTED_HASH {hashed}U"], integer_literal
    else:
        coefficients = float_coefficients(plan, bank, image).reshape(-1, size)
        tolerance = coefficient_tolerances(plan, coefficients)
        in_floats = float_coefficients(plan, bank, image, np.float32).reshape(-1, size)
        _check_floats(bank, in_floats, coefficients, tolerance)
        tolerances = [float_literal(value) for value in tolerance]
        text, number = array("float", "pfx_tolerances", tolerances, "[PFX_CHANNELS]"), float_literal
    some = _tested(coefficients)
    rows = [braces(number(value) for value in values) for values in some]
    return [*text, *array("pfx_coefficient", "pfx_expected", rows, "[PFX_CHANNELS][3]")]


def coefficient_tolerances(plan: Plan, coefficients: np.ndarray) -> np.ndarray:
    """Return how far float coefficients (C, ...) may be off in every channel."""
    order = np.array([path.order for path in plan.paths])
    largest = [np.abs(coefficients[order == k]).max(initial=0) for k in range(3)]
    return TOLERANCE * np.array(largest)[order]


def _tested(coefficients: np.ndarray) -> np.ndarray:
    """Return the first, the middle and the last of each channel."""
    size = coefficients.shape[1]
    return coefficients[:, [0, size // 2, size - 1]]


def _check_floats(
    bank: FilterBank, computed: np.ndarray, expected: np.ndarray, tolerance: np.ndarray
) -> None:
    """Refuse a bank with which floats, as C computes with them, do not pass the self-test."""
    with np.errstate(invalid="ignore"):
        errors = np.abs(_tested(computed) - _tested(expected))
    if not (errors <= tolerance[:, None]).all():
        rule = (
            "of its filters come numbers so large or so small that floats cannot hold their squares"
        )
        raise BankError(explain("bank", bank.name, rule, "scale them so that they keep the mean"))


def fnv1a(data: bytes) -> int:
    """Return the 32-bit FNV-1a hash."""
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 % 2**32
    return value
