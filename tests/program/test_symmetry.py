"""The square's symmetries: a group action, under which Kymatio's wavelets do not change."""

import numpy as np
import pytest

from npscatter.program.symmetry import (
    GENERATORS,
    act,
    is_symmetric,
    mirrored_orientations,
    orientation_action,
    tie,
)

# Shape and role of every kind of weight array.
SHAPES = [
    *(((2, L, R, 5, 5), "psi") for L in (2, 4, 6, 8) for R in (1, 3, 4)),
    *(((R, Q, 3, 3), "carry") for R in (1, 3, 4) for Q in (1, 3, 4)),
    *(((1, R, 5, 5), "low") for R in (1, 3, 4)),
]
WORDS = [
    ("flip", "flip"),
    ("transpose", "transpose"),
    ("flip", "transpose") * 4,
]


@pytest.mark.parametrize("word", WORDS, ids="-".join)
@pytest.mark.parametrize(("shape", "role"), SHAPES)
def test_a_group_action(shape, role, word):
    taps = np.random.default_rng(1).normal(size=shape)
    moved = taps
    for generator in word:
        moved = act(generator, moved, role)
    assert np.array_equal(moved, taps)
    # ... and a faithful one: no shorter word of the same letters is the identity.
    for length in range(1, len(word)):
        moved = taps
        for generator in word[:length]:
            moved = act(generator, moved, role)
        assert not np.array_equal(moved, taps)


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize(("shape", "role"), SHAPES)
def test_it_is_linear_and_keeps_its_argument(shape, role, generator):
    a, b = np.random.default_rng(2).integers(-9, 10, (2, *shape))
    before = a.copy()
    total = act(generator, a + 3 * b, role)
    assert np.array_equal(total, act(generator, a, role) + 3 * act(generator, b, role))
    assert np.array_equal(a, before)


def wavelet(t, L, K):
    """Return Kymatio's Morlet wavelet of scale 0, sampled on K x K pixels, complex.

    psi(u) = exp(-u' C u) (exp(i xi.u) - kappa) with the angle (L - L//2 - 1 - t) pi / L, wave
    number 3 pi / 4, sigma 0.8 along the wave vector and 0.8 L / 4 across, kappa such that the
    sum is zero.
    """
    angle, sigma, slant = (L - L // 2 - 1 - t) * np.pi / L, 0.8, 4 / L
    u, v = np.mgrid[:K, :K] - K // 2
    along = np.cos(angle) * u + np.sin(angle) * v
    across = -np.sin(angle) * u + np.cos(angle) * v
    envelope = np.exp(-(along**2 + slant**2 * across**2) / (2 * sigma**2))
    gabor = envelope * np.exp(0.75j * np.pi * along)
    return gabor - envelope * gabor.sum() / envelope.sum()


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("L", [2, 4, 6, 8, 12])
def test_kymatios_wavelets_are_invariant(L, generator):
    wavelets = np.stack([wavelet(t, L, 7) for t in range(L)])[:, None]
    taps = np.stack([wavelets.real, wavelets.imag])
    assert np.abs(act(generator, taps, "psi") - taps).max() < 1e-12
    # Not so with the orientations counted the other way round, or conjugated.
    assert np.abs(act(generator, taps[:, ::-1], "psi") - taps[:, ::-1]).max() > (
        0.1 if L > 2 else 0
    )
    image, conjugate = orientation_action(generator, L)
    assert sorted(image) == list(range(L))
    for t in range(L):
        moved = np.flip(wavelets[t, 0], 0) if generator == "flip" else wavelets[t, 0].T
        target = wavelets[image[t], 0]
        assert np.abs(moved - (target.conj() if conjugate[t] else target)).max() < 1e-12
        assert np.abs(moved - (target if conjugate[t] else target.conj())).max() > 0.1


def test_orientations_of_eight():
    image, conjugate = orientation_action("flip", 8)
    # Angles 3 2 1 0 -1 -2 -3 -4 (pi / 8): theta -> pi - theta, so 0 and -4 keep their place.
    assert image.tolist() == [6, 5, 4, 3, 2, 1, 0, 7]
    assert conjugate.tolist() == [True] * 7 + [False]
    image, conjugate = orientation_action("transpose", 8)
    # theta -> pi / 2 - theta exchanges 0 and pi/2 and keeps pi/4.
    assert image.tolist() == [2, 1, 0, 7, 6, 5, 4, 3]
    assert conjugate.tolist() == [False] * 3 + [True] * 5


@pytest.mark.parametrize("L", range(2, 17, 2))
def test_mirrored_orientations(L):
    image, _ = orientation_action("flip", L)
    for rounds in range(1, 2 * L + 1):
        parts = mirrored_orientations(L, rounds)
        assert sorted(t for part in parts for t in part) == list(range(L))
        for part in parts:
            assert part and list(part) == sorted(part)
            assert {int(image[t]) for t in part} == set(part)
            # As many as an equal share, or one mirrored pair.
            assert len(part) <= max(2, L // rounds)
        # Two orientations are their own mirror images, the others come in pairs.
        if rounds <= 2 or L % (2 * rounds) == 0:
            assert len(parts) == rounds
        if rounds > L // 2:
            assert len(parts) == L // 2 + (L // rounds < 2)


def test_mirrored_orientations_of_eight():
    assert mirrored_orientations(8, 1) == [tuple(range(8))]
    assert sorted(mirrored_orientations(8, 4)) == [(0, 6), (1, 5), (2, 4), (3, 7)]
    assert sorted(mirrored_orientations(8, 8)) == [(0, 6), (1, 5), (2, 4), (3,), (7,)]


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("R", [1, 3, 4])
def test_a_gaussian_and_its_derivatives_are_invariant_carriers(R, generator):
    a = np.arange(-3, 4)
    g = np.exp(-(a**2) / 2.4)
    value, rows, columns = np.outer(g, g), np.outer(a * g, g), np.outer(g, a * g)
    both = np.outer(a * g, a * g)
    carriers = np.stack([value, rows, columns, both][:R])[:, None]
    assert np.abs(act(generator, carriers, "carry") - carriers).max() < 1e-15
    # The low-pass of carried maps reads each of them with that map's parity.
    low = carriers.swapaxes(0, 1)
    assert np.abs(act(generator, low, "low") - low).max() < 1e-15


def matrix(generator, shape, role):
    """Return the matrix of a symmetry on arrays of one shape."""
    size = int(np.prod(shape))
    columns = [act(generator, one.reshape(shape), role).ravel() for one in np.eye(size)]
    return np.stack(columns, 1)


def dimension_of_invariants(shape, role):
    """Return the trace of the average over the group: the number of free numbers there are."""
    flip, transpose = (matrix(generator, shape, role) for generator in GENERATORS)
    quarter_turn = flip @ transpose
    turns = [np.linalg.matrix_power(quarter_turn, k) for k in range(4)]
    return sum(np.trace(turn) + np.trace(turn @ flip) for turn in turns) / 8


@pytest.mark.parametrize(
    ("shape", "role"),
    [
        ((2, 4, 1, 3, 3), "psi"),
        ((2, 6, 3, 3, 3), "psi"),
        ((2, 8, 1, 5, 5), "psi"),
        ((2, 4, 4, 3, 3), "psi"),
        ((3, 3, 3, 3), "carry"),
        ((4, 1, 5, 5), "carry"),
        ((4, 4, 3, 3), "carry"),
        ((1, 3, 5, 5), "low"),
        ((1, 1, 1, 1), "low"),
    ],
)
def test_tie_counts_the_free_numbers(shape, role):
    index, sign = tie(shape, role)
    assert index.max() + 1 == dimension_of_invariants(shape, role)
    assert set(index[sign != 0]) == set(range(index.max() + 1))


def test_free_numbers_of_known_kernels():
    # A symmetric low-pass: the taps of one eighth of the window.
    assert tie((1, 1, 7, 7), "low")[0].max() + 1 == 10
    assert tie((1, 1, 3, 3), "carry")[0].max() + 1 == 3
    # Eight wavelets 7x7: orbits {0, pi/2}, {pi/4, -pi/4} and the other four. Generic ones have
    # 25 + 24 free taps; on the axes 16 + 12, on the diagonals 16 + 12.
    assert tie((2, 8, 1, 7, 7), "psi")[0].max() + 1 == 49 + 28 + 28


@pytest.mark.parametrize(("shape", "role"), SHAPES)
def test_tied_arrays_are_symmetric_and_all_symmetric_arrays_are_tied(shape, role):
    generator = np.random.default_rng(4)
    index, sign = tie(shape, role)
    assert index.shape == sign.shape == shape
    assert set(np.unique(sign)) <= {-1, 0, 1}
    free = generator.normal(size=index.max() + 1)
    taps = sign * free[index]
    assert is_symmetric(taps, role)
    # Conversely: average any array over the group, read its free numbers off, and rebuild it.
    average = generator.normal(size=shape)
    for word in (("flip",), ("transpose",), ("flip", "transpose", "flip")):
        moved = average
        for letter in word:
            moved = act(letter, moved, role)
        average = average + moved
    total, count = np.zeros_like(free), np.zeros_like(free)
    np.add.at(total, index, sign * average)
    np.add.at(count, index, np.abs(sign))
    assert np.abs(sign * (total / count)[index] - average).max() < 1e-12
    assert np.abs(average).max() > 0.1


@pytest.mark.parametrize(("shape", "role"), SHAPES)
def test_one_ulp_breaks_the_symmetry(shape, role):
    index, sign = tie(shape, role)
    free = np.random.default_rng(5).uniform(0.5, 1, index.max() + 1)
    taps = sign * free[index]
    entry = tuple(np.argwhere(sign == 0)[0] if (sign == 0).any() else (0,) * len(shape))
    for place in (entry, (0,) * len(shape)):
        changed = taps.copy()
        changed[place] = np.nextafter(changed[place], 2)
        assert not is_symmetric(changed, role)


@pytest.mark.parametrize(
    ("shape", "role"),
    [
        ((2, 4, 2, 3, 3), "psi"),
        ((2, 1, 3, 3), "carry"),
        ((3, 5, 3, 3), "carry"),
        ((1, 2, 3, 3), "low"),
    ],
)
def test_other_numbers_of_carriers_have_no_symmetry(shape, role):
    assert not is_symmetric(np.zeros(shape), role)
