"""How far apart two computations of the same coefficients may be, where only rounding differs.

Every output is a chain of at most two wavelets (each with its modulus), J - 1 carriers and a
low-pass. One link is a sum of n = inputs * K^2 products, 2 n roundings and for the modulus 4 more,
so a chain makes `roundings` of them. Two laws of their sum follow.

- `worst_case`: with banks whose outputs have sum |w| <= 1 (all toy banks) no map outgrows the
  image, and N roundings err by at most N eps max |x| (Higham, Accuracy and Stability of Numerical
  Algorithms, section 3.1, to first order).
- `likely`: roundings are as often up as down, so N of them add up to about sqrt(N) of one size,
  and to more than lambda sqrt(N) only with a probability below 2 exp(-lambda^2 / 2) (Higham and
  Mary, A New Approach to Probabilistic Rounding Error Analysis, 2019). That size is the image's,
  or where images have no large mean that of the coefficients of the same order, much smaller.

Each is doubled, for two orders of addition. What is compared for other reasons (another number
format, another transform, a bound) has its own tolerance, next to the comparison.
"""

import numpy as np

from npscatter.program.steps import WEIGHT_ARRAYS

DEVIATIONS = 3  # lambda, in units of eps / 2 and of one computation: 2 exp(-18) is 3e-8

FEW = 4  # coefficients


def roundings(S):
    """Return how many roundings there are on the way to one coefficient, at most."""
    bank = S.bank
    terms = {key: 2 * bank[key].shape[1] * bank[key].shape[2] ** 2 for key in bank.keys()}
    worst = {
        role: max(count for key, count in terms.items() if WEIGHT_ARRAYS[key].role == role)
        for role in ("psi", "carry", "low")
    }
    return S.max_order * (worst["psi"] + 4) + (S.J - 1) * worst["carry"] + worst["low"]


def worst_case(S, x):
    """Return the largest difference that rounding alone can make."""
    precision = np.finfo(x.dtype)
    # Numbers too small to be normal are all as far apart.
    one = max(precision.eps * np.abs(x).max(), precision.smallest_subnormal)
    return 2 * roundings(S) * one


def assert_equal_by_law(actual, expected, S, x):
    """Compare up to `worst_case`, and make sure that it is far below what is compared."""
    tolerance = worst_case(S, x)
    assert tolerance < 1e-6 * np.abs(expected).max()
    order = S.meta()["order"]
    for o in set(order):
        assert np.abs(expected[..., order == o, :, :]).max() > 1e3 * tolerance
    assert np.abs(actual - expected).max() <= tolerance


def likely(S, dtype):
    """Return the difference that rounding makes, over the size of what is summed."""
    return DEVIATIONS * np.sqrt(roundings(S)) * np.finfo(dtype).eps


def assert_equal_by_order(actual, expected, S, x):
    """Compare order by order, up to a `likely` sum of roundings of the largest coefficient.

    Of the image's largest pixel where an order has so few coefficients that all may have cancelled.
    """
    assert actual.shape == expected.shape
    order = S.meta()["order"]
    for o in set(order):
        exact = expected[..., order == o, :, :]
        error = np.abs(actual[..., order == o, :, :] - exact).max()
        size = np.abs(exact if exact.size >= FEW else x).max()
        assert error <= likely(S, actual.dtype) * size, (o, error, size)


def assert_equal_to_rounding(actual, expected, S, x):
    """Compare up to a `likely` sum of roundings of the largest pixel: maps do not outgrow it.

    For coefficients so few that those of a whole order may all be small.
    """
    assert actual.shape == expected.shape
    error = np.abs(actual - expected).max()
    assert error <= likely(S, actual.dtype) * np.abs(x).max(), error / np.abs(x).max()


def assert_channels_equal(coefficients, number, expected, S, x):
    """Compare one image's channels of what a call returned, of whatever kind, up to roundings."""
    dtype = np.result_type(x.dtype, np.float32)
    if S.average is not False:
        assert coefficients.dtype == dtype
        assert_equal_to_rounding(coefficients[number], expected, S, x)
        return
    assert [one["coef"].dtype for one in coefficients] == [dtype] * len(expected)
    for one, wanted in zip(coefficients, expected, strict=True):
        assert_equal_to_rounding(one["coef"][number], wanted, S, x)
