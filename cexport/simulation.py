"""The Q15 transform in NumPy: every bit as in the generated C."""

from __future__ import annotations

import os

import numpy as np

from cexport.classifier import LinearClassifier
from cexport.configuration import Configuration
from cexport.integer_bank import integer_bank
from cexport.integer_classifier import IntegerClassifier
from cexport.quantization import PIXEL_EXPONENT, Quantization
from npscatter.backends import reference
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.program.plan import Plan


def simulate_q15(
    images: np.ndarray,
    bank: str | os.PathLike | FilterBank = "accurate",
    J: int = 2,
    max_order: int = 2,
    *,
    L: int | None = None,
    boundary: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a header made by ``generate(..., dtype="q15")`` computes, to the last bit.

    Parameters
    ----------
    images : ndarray of uint8, shape (..., H, W)
        Pixels.
    bank, J, max_order, L, boundary
        As for `cexport.generate`.

    Returns
    -------
    coefficients : ndarray of int16, shape (..., C, H // 2^J, W // 2^J)
        Channels as in Kymatio.
    exponents : ndarray of int64, shape (C,)
        Coefficient q of channel c stands for ``q / 2^exponents[c]``, in units of the pixels.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError
        For images and values the transform is not defined for.

    Examples
    --------
    >>> import numpy as np
    >>> from cexport import simulate_q15
    >>> image = np.full((16, 16), 100, np.uint8)
    >>> coefficients, exponents = simulate_q15(image, "accurate-L4", J=2)
    >>> coefficients.dtype, coefficients.shape
    (dtype('int16'), (25, 4, 4))
    >>> float(coefficients[0, 0, 0] * 2.0 ** -exponents[0])
    100.0
    """
    images = _bytes(images)
    configuration = Configuration(bank, J, images.shape[-2:], max_order, L=L, boundary=boundary)
    quantization = Quantization(configuration.plan, integer_bank(configuration.bank))
    return simulate(quantization, images), np.array(quantization.exponents)


def simulate_classifier_q15(
    images: np.ndarray,
    classifier: LinearClassifier | str | os.PathLike,
    bank: str | os.PathLike | FilterBank = "accurate",
    *,
    L: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``PREFIX_classify`` of a Q15 header computes, to the last bit.

    Parameters
    ----------
    images : ndarray of uint8, shape (..., H, W)
        Pixels.
    classifier : LinearClassifier or path
        Says J, max_order and boundary too.
    bank, L
        As for `cexport.generate`.

    Returns
    -------
    numbers : ndarray of int64, shape (...)
        Of the images' classes in ``classifier.classes``.
    scores : ndarray of int32, shape (..., scores)
        In units of the header's ``PREFIX_SCORE_UNIT``.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError
        For images and values that no header is made for.

    Examples
    --------
    >>> import numpy as np
    >>> from cexport import LinearClassifier, simulate_classifier_q15
    >>> from npscatter import Scattering2D
    >>> S = Scattering2D(J=2, shape=(16, 16), L=4)
    >>> bright = LinearClassifier.of(S, np.eye(1, 25 * 4 * 4), [-100], ["dark", "bright"])
    >>> images = np.array([50, 99, 101, 200], np.uint8)[:, None, None] * np.ones((16, 16), np.uint8)
    >>> numbers, scores = simulate_classifier_q15(images, bright, L=4)
    >>> bright.classes[numbers].tolist()
    ['dark', 'dark', 'bright', 'bright']
    """
    images = _bytes(images)
    if not isinstance(classifier, LinearClassifier):
        classifier = LinearClassifier.load(classifier)
    configuration = Configuration(
        *(bank, classifier.J, images.shape[-2:], classifier.max_order),
        L=L,
        boundary=classifier.boundary,
        classifier=classifier,
    )
    quantization = Quantization(configuration.plan, integer_bank(configuration.bank))
    integers = IntegerClassifier.of(classifier, quantization)
    scores = integers.scores(simulate(quantization, images))
    return integers.numbers(scores), scores


def _bytes(images: np.ndarray) -> np.ndarray:
    """Return images of bytes, or raise."""
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ArgumentTypeError(
            explain("images.dtype", images.dtype, "must be uint8", "pass pixels from 0 to 255")
        )
    if images.ndim < 2:
        raise ArgumentError(
            explain("images.shape", images.shape, "must have two axes or more", "pass (..., H, W)")
        )
    return images


def simulate(quantization: Quantization, images: np.ndarray) -> np.ndarray:
    """Return the Q15 coefficients of `images`, shape (..., H, W), as int16."""
    plan = quantization.plan
    output = np.empty((*images.shape[:-2], *plan.output_shape))
    reference.interpret(plan, Q15Arithmetic(quantization), images * 2.0**PIXEL_EXPONENT, output)
    return output.astype(np.int16)


def float_coefficients(
    plan: Plan, bank: FilterBank, images: np.ndarray, dtype: type[np.floating] = np.float64
) -> np.ndarray:
    """Return the coefficients of `images`, shape (..., H, W), computed in a type of number."""
    output = np.empty((*images.shape[:-2], *plan.output_shape), dtype)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        reference.interpret(plan, reference.FloatArithmetic(bank, output.dtype), images, output)
    return output


def signal_to_noise(quantization: Quantization, images: np.ndarray) -> dict[str, float]:
    """Return how far the Q15 coefficients are from those of the bank, per order.

    Parameters
    ----------
    quantization : Quantization
        The plan and the bank.
    images : ndarray of uint8, shape (..., H, W)
        Not all zero.

    Returns
    -------
    dict of str to float
        For "S0", "S1" (and "S2") the ratio ``sum S^2 / sum (Q - S)^2`` in dB, S being the
        coefficients in double precision and Q those in Q15.
    """
    plan = quantization.plan
    exact = float_coefficients(plan, quantization.integers.bank, images)
    scale = 2.0 ** -np.array(quantization.exponents)[:, None, None]
    error = simulate(quantization, images) * scale - exact
    order = np.array([path.order for path in plan.paths])
    ratios = {}
    for k in range(order.max() + 1):
        signal, noise = (np.square(part[..., order == k, :, :]).sum() for part in (exact, error))
        with np.errstate(divide="ignore"):  # Filters of zeros leave no signal, or no noise.
            ratios[f"S{k}"] = 10 * (np.log10(signal) - np.log10(noise)) if noise else np.inf
    return ratios


class Q15Arithmetic:
    """Integer arithmetic for `npscatter.backends.reference`: whole numbers held in float64.

    None of them reaches 2^53, so nothing is rounded but on purpose.
    """

    dtype = np.dtype(np.float64)

    def __init__(self, quantization: Quantization):
        self.quantization = quantization

    def taps(self, key: str, outputs: tuple[int, ...] | None) -> np.ndarray:
        return self.quantization.integers.taps(key, outputs).astype(self.dtype)

    def modulus(self, number: int, real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
        shift = _shifts(self.quantization.shifts[number].modulus, real)
        # One bit more is kept up to the root.
        real, imaginary = (_rounded_shift(part, shift - 1) for part in (real, imaginary))
        return (_square_root(real * real + imaginary * imaginary) + 1) // 2

    def smoothed(self, number: int, sums: np.ndarray) -> np.ndarray:
        return _rounded_shift(sums, _shifts(self.quantization.shifts[number].smoothing, sums))


def _shifts(shifts: tuple[int, ...], maps: np.ndarray) -> np.ndarray:
    return np.array(shifts).reshape(*maps.shape[1:3], 1, 1)


def _rounded_shift(values: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return round(values / 2^shift), halves upwards."""
    return np.floor((values + 2.0 ** (shift - 1)) / 2.0**shift)


def _square_root(squares: np.ndarray) -> np.ndarray:
    """Return round(sqrt(squares)) of whole numbers below 2^32."""
    root = np.floor(np.sqrt(squares))
    return root + (squares - root * root > root)
