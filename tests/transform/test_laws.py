"""Laws of the transform: the square's symmetries, translation, constants, scale and energy.

Where a law is exact in real arithmetic and only the order of additions differs, the tolerance is
`tolerances.worst_case`.
"""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_equal_by_law, worst_case

from npscatter import FilterBank, Scattering2D
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.symmetry import orientation_action

SETTINGS = settings(derandomize=True, deadline=None, max_examples=20)
# Next to the smallest numbers roundings are no longer relative, and executors may take zero.
CONSTANTS = st.floats(-1e6, 1e6).filter(lambda c: c == 0 or abs(c) > 1e-200)
BANKS = [(4, 1), (4, 3), (4, 4), (6, 3), (8, 1), (8, 4)]


def image_of(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# The square's symmetries


def moved_channels(S, generator):
    """Return c' such that a moved image has in channel c'[c] what the image had in c."""
    image, _ = orientation_action(generator, S.L)
    meta = S.meta()
    numbers = {tuple(n): channel for channel, n in enumerate(meta["n"].tolist())}
    theta = np.where(meta["theta"] < 0, 0, image[meta["theta"]])
    moved = np.where(meta["n"] < 0, -1, meta["j"] * S.L + theta)
    return np.array([numbers[tuple(n)] for n in moved.tolist()])


def mirrored_about_zero(maps, axes):
    """Return maps[-i mod N] along the given axes: a periodic mirror that keeps sample 0."""
    for axis in axes:
        maps = np.roll(np.flip(maps, axis), 1, axis)
    return maps


def flip_rows(maps):
    return mirrored_about_zero(maps, (-2,))


def transpose(maps):
    return np.swapaxes(maps, -1, -2)


# All eight, as words of the two generators.
SYMMETRIES = {
    "identity": (),
    "mirror rows": ("flip",),
    "transpose": ("transpose",),
    "quarter turn": ("flip", "transpose"),
    "other quarter turn": ("transpose", "flip"),
    "mirror columns": ("transpose", "flip", "transpose"),
    "other transpose": ("flip", "transpose", "flip"),
    "half turn": ("flip", "transpose", "flip", "transpose"),
}


@pytest.mark.parametrize("word", SYMMETRIES.values(), ids=SYMMETRIES)
@pytest.mark.parametrize(("L", "R"), BANKS)
def test_periodic_images_moved_by_the_square(toy_bank, backend, L, R, word):
    """Mirrors about pixel 0, x[-i mod N], keep the grid of samples, at every octave."""
    bank = toy_bank("symmetric", L, R)
    S = Scattering2D(3, (16, 24), L=L, backend=backend, bank=bank, boundary="periodic")
    x = image_of((16, 24))
    moved, expected = x, S(x)
    for generator in word:
        action = flip_rows if generator == "flip" else transpose
        moved = action(moved)
        rearranged = np.empty_like(action(expected))
        rearranged[moved_channels(S, generator)] = action(expected)
        expected = rearranged
    T = Scattering2D(3, moved.shape, L=L, backend=backend, bank=bank, boundary="periodic")
    assert_equal_by_law(T(moved), expected, S, x)


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
@pytest.mark.parametrize(("J", "shape"), [(1, (7, 6)), (2, (9, 14)), (3, (19, 8))])
def test_transposed_images_under_any_boundary(toy_bank, backend, J, shape, boundary):
    """Padding, sampling and cropping treat both axes alike, whatever the sides."""
    if boundary == "periodic":
        shape = tuple(-(-side // 2**J) * 2**J for side in shape)
    bank = toy_bank("symmetric", 8, 3)
    S = Scattering2D(J, shape, backend=backend, bank=bank, boundary=boundary)
    T = Scattering2D(J, shape[::-1], backend=backend, bank=bank, boundary=boundary)
    x = image_of(shape)
    expected = np.empty((S.n_coefficients, *T.output_shape[1:]))
    expected[moved_channels(S, "transpose")] = transpose(S(x))
    assert_equal_by_law(T(x.T), expected, S, x)


@pytest.mark.parametrize("shape", [(5, 5), (7, 8), (13, 6), (21, 9)])
def test_mirrored_images_under_kymatios_boundary(toy_bank, backend, shape):
    """Kymatio's samples are symmetric in the image for J = 1 and odd sides only.

    With M = m 2^J + r pixels, P = (m + 2) 2^J and left = (P - M) // 2, the samples kept are the
    pixels k 2^J - left, k = 1 .. m. The mirror i -> M - 1 - i maps them to one another when
    (m + 1) 2^J - 2 left = M - 1, which is 2^J = 1 for even P - M and 2^J = 2 for odd. Then r = 1
    and left = 1; the padded image is its own mirror but for sample P - 1, three away from the
    first and the last sample kept, which windows of two wavelets or low-passes 3x3 do not reach.
    """
    bank = toy_bank("symmetric", 8, 1, K=3)
    S = Scattering2D(1, shape, backend=backend, bank=bank)
    x = image_of(shape)
    expected = np.empty((S.n_coefficients, *S.output_shape[1:]))
    if shape[0] % 2:
        expected[moved_channels(S, "flip")] = S(x)[:, ::-1]
        assert_equal_by_law(S(x[::-1]), expected, S, x)
    if shape[1] % 2:
        mirror_columns = ("transpose", "flip", "transpose")
        coefficients = S(x)[:, :, ::-1]
        for generator in mirror_columns:
            coefficients[moved_channels(S, generator)] = coefficients.copy()
        assert_equal_by_law(S(x[:, ::-1]), coefficients, S, x)


@pytest.mark.parametrize(("L", "R"), [(4, 3), (8, 4)])
def test_mirrored_padded_images(toy_bank, backend, L, R):
    """On a padded grid of n samples the mirror about pixel 0 takes sample k to n - k.

    Of the samples kept, 1 .. n - 2, it takes 2 .. n - 2 to one another.
    """
    S = Scattering2D(
        2, (17, 12), L=L, pre_pad=True, backend=backend, bank=toy_bank("symmetric", L, R)
    )
    x = image_of(S.plan.input_shape)
    expected = np.empty((S.n_coefficients, 3, 3))
    expected[moved_channels(S, "flip")] = S(x)[:, 1:][:, ::-1]
    assert_equal_by_law(S(flip_rows(x))[:, 1:], expected, S, x)


def test_free_weights_do_not_follow_the_square(toy_bank, backend):
    """The laws above can fail: an asymmetric bank breaks them."""
    S = Scattering2D(
        2, (16, 16), L=4, backend=backend, bank=toy_bank("free", 4, 3), boundary="periodic"
    )
    x = image_of((16, 16))
    for generator, action in [("flip", flip_rows), ("transpose", transpose)]:
        expected = np.empty_like(S(x))
        expected[moved_channels(S, generator)] = action(S(x))
        assert np.abs(S(action(x)) - expected).max() > 0.01 * np.abs(expected).max()


# Translation


@pytest.mark.parametrize(("kind", "L", "R"), [("symmetric", 4, 3), ("free", 4, 2), ("paper", 4, 1)])
@pytest.mark.parametrize("J", [1, 2, 3])
def test_a_shift_by_whole_samples_shifts_the_coefficients(toy_bank, backend, kind, L, R, J):
    """To the last bit: the executor adds in one order everywhere."""
    S = Scattering2D(
        J, (32, 24), L=L, backend=backend, bank=toy_bank(kind, L, R), boundary="periodic"
    )
    for dtype in (np.float32, np.float64):
        x = image_of((32, 24)).astype(dtype)
        for rows, columns in [(1, 0), (0, 1), (2, 1), (-1, 2)]:
            shifted = np.roll(x, (rows * 2**J, columns * 2**J), (0, 1))
            assert np.array_equal(S(shifted), np.roll(S(x), (rows, columns), (1, 2)))
        assert not np.allclose(S(np.roll(x, 1, 0)), S(x), rtol=1e-3, atol=0)


def test_an_image_has_the_same_coefficients_in_any_batch(toy_bank, backend):
    S = Scattering2D(2, (21, 17), L=4, backend=backend, bank=toy_bank("free", 4, 2))
    x = image_of((3, 21, 17)).astype(np.float32)
    batch = S(np.concatenate([x] * 50))
    assert np.array_equal(batch, np.concatenate([S(image)[None] for image in x] * 50))


# Constants and scale


def zero_sum(bank):
    """Return the bank with every wavelet kernel's mean taken off."""
    arrays = {key: bank[key] for key in bank.keys()}
    for key, array in WEIGHT_ARRAYS.items():
        if array.is_complex:
            arrays[key] = bank[key] - bank[key].mean((-2, -1), keepdims=True)
    return FilterBank("zero-sum", **arrays)


@SETTINGS
@given(
    constant=CONSTANTS,
    J=st.integers(1, 3),
    design=st.sampled_from([("symmetric", 4, 3), ("free", 4, 2), ("free", 2, 5)]),
    boundary=st.sampled_from(["kymatio", "periodic"]),
)
def test_a_constant_image_has_an_average_and_nothing_else(
    toy_bank, backend, constant, J, design, boundary
):
    bank = zero_sum(toy_bank(*design))
    S = Scattering2D(J, (16, 8), L=bank.L, backend=backend, bank=bank, boundary=boundary)
    coefficients = S(np.full((16, 8), constant))
    if J == 1:
        gain = bank["low_first"].sum()
    else:
        maps = bank["carry_first"].sum((1, 2, 3))
        for _ in range(J - 2):
            maps = bank["carry_next"].sum((2, 3)) @ maps
        gain = bank["low_next"].sum((0, 2, 3)) @ maps
    tolerance = worst_case(S, np.array([constant]))
    assert np.abs(coefficients[0] - constant * gain).max() <= tolerance
    assert np.abs(coefficients[1:]).max() <= tolerance


@SETTINGS
@given(
    exponent=st.integers(-60, 60),
    sign=st.sampled_from([-1.0, 1.0]),
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from([("symmetric", 4, 3), ("free", 4, 2), ("paper", 4, 1)]),
)
def test_powers_of_two_scale_the_bits(toy_bank, backend, exponent, sign, seed, kind):
    S = Scattering2D(2, (9, 12), L=4, backend=backend, bank=toy_bank(*kind))
    x = image_of((9, 12), seed)
    scale, coefficients = 2.0**exponent, S(x)
    scaled = S(sign * scale * x)
    assert np.array_equal(scaled[0], sign * scale * coefficients[0])
    assert np.array_equal(scaled[1:], scale * coefficients[1:])


@SETTINGS
@given(size=st.floats(1e-3, 1e3), sign=st.sampled_from([-1, 1]), seed=st.integers(0, 2**32 - 1))
def test_homogeneity(toy_bank, backend, size, sign, seed):
    factor = sign * size
    S = Scattering2D(2, (9, 12), L=4, backend=backend, bank=toy_bank("free", 4, 2))
    x = image_of((9, 12), seed)
    coefficients, scaled = S(x), S(factor * x)
    tolerance = 2 * size * worst_case(S, x)
    assert np.abs(scaled[0] - factor * coefficients[0]).max() <= tolerance
    assert np.abs(scaled[1:] - size * coefficients[1:]).max() <= tolerance


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
def test_the_average_is_linear(toy_bank, backend, boundary):
    S = Scattering2D(
        2, (16, 12), L=4, backend=backend, bank=toy_bank("free", 4, 2), boundary=boundary
    )
    x, y = image_of((2, 16, 12))
    combined = S(2 * x - 3 * y)[0]
    tolerance = worst_case(S, np.abs(2 * x) + np.abs(3 * y))
    assert np.abs(combined - (2 * S(x)[0] - 3 * S(y)[0])).max() <= tolerance


def test_an_image_of_zeros_has_no_coefficients(toy_bank, backend):
    for kind, R in [("symmetric", 3), ("paper", 1)]:
        S = Scattering2D(2, (9, 12), L=4, backend=backend, bank=toy_bank(kind, 4, R))
        assert not S(np.zeros((9, 12))).any()


def test_windows_bound_what_a_pixel_reaches(toy_bank, backend):
    """Far from the border, a changed pixel changes no coefficient beyond the sum of the reaches."""
    bank = toy_bank("free", 4, 1, K=3)
    S = Scattering2D(1, (32, 32), L=4, backend=backend, bank=bank)
    x = image_of((32, 32))
    y = x.copy()
    y[16, 17] += 1
    rows, columns = np.nonzero((S(x) != S(y)).any(0))
    # A wavelet and a low-pass 3x3: pixels two away; samples stand on the even pixels.
    assert set(zip(rows, columns, strict=True)) == set(product((7, 8, 9), (8, 9)))


# Energy


def transfer(kernel, shape):
    """Return sum_a w[a] exp(i w a) on the grid of frequencies of a periodic image."""
    K = kernel.shape[-1]
    padded = np.zeros((*kernel.shape[:-2], *shape), complex)
    padded[..., :K, :K] = kernel
    centred = np.roll(padded, (-(K // 2), -(K // 2)), (-2, -1))
    return np.conj(np.fft.fft2(np.conj(centred)))


def without_smoothing(bank):
    """Return the bank with a low-pass that is one tap: its first order is |psi x| itself."""
    arrays = {key: bank[key] for key in bank.keys()}
    return FilterBank("samples", **{**arrays, "low_first": np.ones((1, 1, 1, 1))})


@pytest.mark.parametrize(("kind", "L", "R"), [("symmetric", 8, 3), ("free", 4, 1)])
def test_parsevals_equation(toy_bank, backend, kind, L, R):
    """Over the four shifts that stride 2 skips, sum |psi x|^2 = sum |psi_hat x_hat|^2 / N."""
    bank = without_smoothing(toy_bank(kind, L, R))
    S = Scattering2D(1, (12, 18), L=L, backend=backend, bank=bank, boundary="periodic")
    x = image_of((12, 18))
    shifts = [np.roll(x, shift, (0, 1)) for shift in product((0, 1), repeat=2)]
    energy = (S(np.stack(shifts))[:, 1:] ** 2).sum((0, 2, 3))
    spectrum = np.abs(np.fft.fft2(x)) ** 2
    response = np.abs(transfer(bank["psi_first"][:, 0], x.shape)) ** 2
    expected = (response * spectrum).sum((1, 2)) / x.size
    assert np.allclose(energy, expected, rtol=1e-12, atol=0)
    # Hence ||U1||^2 <= max_w sum_theta |psi_hat|^2 ||x||^2, reached by a wave at that frequency.
    bound = response.sum(0).max()
    assert energy.sum() <= bound * (x**2).sum()
    y0, x0 = np.unravel_index(response.sum(0).argmax(), x.shape)
    rows, columns = np.mgrid[: x.shape[0], : x.shape[1]]
    phase = 2 * np.pi * (y0 * rows / x.shape[0] + x0 * columns / x.shape[1])
    waves = np.stack([np.cos(phase), np.sin(phase)])
    shifts = [np.roll(waves, shift, (1, 2)) for shift in product((0, 1), repeat=2)]
    energy = (S(np.stack(shifts))[:, :, 1:] ** 2).sum()
    mirrored = response.sum(0)[-y0, -x0]
    assert np.isclose(energy, (bound + mirrored) / 2 * (waves**2).sum(), rtol=1e-12)


@SETTINGS
@given(
    seed=st.integers(0, 2**32 - 1),
    distance=st.floats(1e-6, 1e2),
    design=st.sampled_from([("symmetric", 4, 3), ("free", 4, 2), ("symmetric", 8, 1)]),
)
def test_the_first_order_contracts(toy_bank, backend, seed, distance, design):
    """||S1 x - S1 y||^2 <= max |low_hat|^2 max_w sum_theta |psi_hat|^2 ||x - y||^2."""
    bank = toy_bank(*design)
    S = Scattering2D(1, (8, 12), L=bank.L, backend=backend, bank=bank, boundary="periodic")
    x, step = image_of((2, 8, 12), seed)
    step *= distance
    change = ((S(x)[1:] - S(x + step)[1:]) ** 2).sum()
    bound = (np.abs(transfer(bank["psi_first"][:, 0], x.shape)) ** 2).sum(0).max()
    bound *= (np.abs(transfer(bank["low_first"][0, 0], x.shape)) ** 2).max()
    assert 0 < change <= bound * (step**2).sum() * (1 + 1e-9)
