"""Numbers made of coefficients: against plain loops, published formulas, and laws."""

import importlib
import itertools

import numpy as np
import pytest

from npscatter import ArgumentError, ArgumentTypeError, Scattering2D, features

J, L = 3, 4


def plain_meta():
    """Return the paths of a transform, in plain loops: (j1, t1, j2, t2), as far as there are."""
    first = [(j, t) for j in range(J) for t in range(L)]
    return [(), *first, *((*one, *two) for one in first for two in first if two[0] > one[0])]


PATHS = plain_meta()
META = Scattering2D(J, (16, 16), L=L, backend="numpy").meta()


def random_maps(*leading, seed=0):
    """Return coefficients (..., C, 2, 3), of both signs in S0 alone."""
    maps = np.random.default_rng(seed).uniform(0.1, 2, (*leading, len(PATHS), 2, 3))
    maps[..., 0, :, :] -= 1
    return maps


def dense(maps):
    """Return S1[..., j, t] and S2[..., j1, t1, j2, t2], NaN where there is none."""
    lead = maps.shape[:-3]
    S1 = np.full((*lead, J, L, *maps.shape[-2:]), np.nan)
    S2 = np.full((*lead, J, L, J, L, *maps.shape[-2:]), np.nan)
    for channel, path in enumerate(PATHS):
        if len(path) == 2:
            S1[(..., *path, slice(None), slice(None))] = maps[..., channel, :, :]
        elif len(path) == 4:
            S2[(..., *path, slice(None), slice(None))] = maps[..., channel, :, :]
    return S1, S2


def by_name(values, meta, axis=-3):
    """Return every channel under its name, no two of which are the same."""
    found = dict(zip(features.names(meta), np.moveaxis(values, axis, 0), strict=True))
    assert len(found) == len(meta["order"]) == values.shape[axis]
    for column in meta.values():
        assert len(column) == len(found)
    return found


# Channels


def test_names():
    expected = []
    for path in PATHS:
        numbers = (f"_{'jt'[k % 2]}{number}" for k, number in enumerate(path))
        expected.append(f"S{len(path) // 2}{''.join(numbers)}")
    assert features.names(META) == expected
    assert expected[0] == "S0" and "S2_j0_t1_j1_t3" in expected


@pytest.mark.parametrize(
    ("wanted", "is_kept"),
    [
        ({"order": 1}, lambda path: len(path) == 2),
        ({"order": (0, 2)}, lambda path: len(path) in (0, 4)),
        ({"j": 1}, lambda path: path and set(path[::2]) == {1}),
        ({"j": [0, 1]}, lambda path: path and set(path[::2]) <= {0, 1}),
        ({"j": range(1, 3), "order": 2}, lambda path: len(path) == 4 and path[0] >= 1),
        ({"j": np.array([2])}, lambda path: path and set(path[::2]) == {2}),
        ({"j": (0, 2)}, lambda path: path[::2] == (0, 2)),
        ({"j": (1,)}, lambda path: path[::2] == (1,)),
        ({"j": (None, 2)}, lambda path: len(path) == 4 and path[2] == 2),
        ({"theta": {3}}, lambda path: path and set(path[1::2]) == {3}),
        (
            {"theta": ([0, 2], 1), "j": (0, 1)},
            lambda path: (
                len(path) == 4 and path[::2] == (0, 1) and path[1] in (0, 2) and path[3] == 1
            ),
        ),
    ],
)
def test_select(wanted, is_kept):
    maps = random_maps(2)
    kept = [channel for channel, path in enumerate(PATHS) if is_kept(path)]
    values, meta = features.select(maps, META, **wanted)
    assert kept and np.array_equal(values, maps[:, kept])
    for key, column in meta.items():
        np.testing.assert_array_equal(column, META[key][kept])


def test_nothing_selected():
    with pytest.raises(ArgumentError, match="keeps no channel"):
        features.select(random_maps(), META, j=J)


def test_join():
    maps = random_maps(2)
    first, second = features.select(maps, META, order=1), features.select(maps, META, order=0)
    values, meta = features.join(first, second)
    assert np.array_equal(values, maps[:, [*range(1, 1 + J * L), 0]])
    assert features.names(meta) == [*features.names(first[1]), "S0"]


def test_join_of_paths_of_unlike_lengths():
    """Covariances have three wavelets each, coefficients two at most."""
    _, wavelets, moduli = some_moduli(angles=L)
    parts = [
        features.isotropic(*features.covariances(moduli, wavelets), axis=-1),
        features.isotropic(*features.powers(moduli), axis=-1),
        features.isotropic(*features.spatial_mean(random_maps(), META), axis=-1),
    ]
    values, meta = features.join(*parts, axis=-1)
    assert np.array_equal(values, np.concatenate([part for part, _ in parts]))
    assert len(by_name(values, meta, axis=-1)) == len(values)
    start = 0
    for _, one in parts:
        rows, width = one["theta"].shape
        for key in ("j", "theta", "n"):
            assert np.array_equal(meta[key][start : start + rows, :width], one[key])
            assert (meta[key][start : start + rows, width:] == -1).all()
        start += rows
    square, _ = features.square_mean(values, meta)
    each = [features.square_mean(*part)[0] for part in parts]
    np.testing.assert_allclose(square, np.concatenate(each), rtol=1e-13)


# Over the image, and sample by sample


def test_mean_and_standard_deviation_over_the_image():
    maps = random_maps(2)
    mean = by_name(*features.spatial_mean(maps, META), axis=-1)
    std = by_name(*features.spatial_std(maps, META), axis=-1)
    for channel, name in enumerate(features.names(META)):
        for image in range(2):
            samples = maps[image, channel].ravel().tolist()
            average = sum(samples) / len(samples)
            variance = sum((one - average) ** 2 for one in samples) / len(samples)
            assert mean[f"mean_{name}"][image] == pytest.approx(average, rel=1e-13)
            assert std[f"std_{name}"][image] == pytest.approx(variance**0.5, rel=1e-13)


def test_logarithm():
    maps = random_maps()
    maps[5, 0, 0], maps[6, 0, 0] = 0, -1e-9
    found = by_name(*features.logarithm(maps, META, floor=1e-4))
    assert np.array_equal(found["S0"], maps[0])
    for channel, name in list(enumerate(features.names(META)))[1:]:
        assert np.array_equal(found[f"log_{name}"], np.log(np.maximum(maps[channel], 1e-4)))


def test_normalized():
    maps = random_maps(2)
    maps[:, 1, 0, 0] = maps[:, PATHS.index((0, 0, 1, 2)), 0, 0] = 0
    found = by_name(*features.normalized(maps, META))
    for channel, path in enumerate(PATHS):
        name = features.names(META)[channel]
        if len(path) == 4:
            parent = maps[:, PATHS.index(path[:2])]
            expected = np.where(parent == 0, 0, maps[:, channel] / np.where(parent == 0, 1, parent))
            assert np.array_equal(found[name.replace("S2", "S2_over_S1")], expected)
        else:
            assert np.array_equal(found[name], maps[:, channel])


def test_normalized_without_parents():
    values, meta = features.select(random_maps(), META, order=2)
    with pytest.raises(ArgumentError, match=r"S2_j0_t0_j1_t0.*no parent"):
        features.normalized(values, meta)


# Over orientations


def test_isotropic_means():
    """The loops of Cheng's package (`Scattering2d.scattering_coef`), over dense arrays."""
    maps = random_maps(2)
    S1, S2 = dense(maps)
    S2_iso = np.zeros((2, J, J, L, 2, 3))
    for l1 in range(L):
        for l2 in range(L):
            S2_iso[:, :, :, (l2 - l1) % L] += S2[:, :, l1, :, l2]
    found = by_name(*features.isotropic(maps, META))
    assert np.array_equal(found["S0"], maps[:, 0])
    for j1 in range(J):
        np.testing.assert_allclose(found[f"S1_iso_j{j1}"], S1[:, j1].mean(1), rtol=1e-14)
        for j2 in range(j1 + 1, J):
            for d in range(L):
                expected = S2_iso[:, j1, j2, d] / L
                np.testing.assert_allclose(found[f"S2_iso_j{j1}_j{j2}_d{d}"], expected, rtol=1e-14)
    assert len(found) == 1 + J + L * J * (J - 1) // 2


def test_s21_and_s22():
    """As Cheng's package has them: s2.mean(-1) / s1, and s2[..., 0] / s2[..., L // 2]."""
    maps = random_maps(2)[..., :1, :1]
    S1, S2 = (one[..., 0, 0] for one in dense(maps))
    s1 = S1.mean(-1)
    s2 = np.zeros((2, J, J, L))
    for l1 in range(L):
        for l2 in range(L):
            s2[:, :, :, (l2 - l1) % L] += S2[:, :, l1, :, l2] / L
    s21 = by_name(*features.s21(maps[..., 0, 0], META, axis=-1), axis=-1)
    s22 = by_name(*features.s22(maps[..., 0, 0], META, axis=-1), axis=-1)
    for j1 in range(J):
        for j2 in range(j1 + 1, J):
            expected = s2[:, j1, j2].mean(-1) / s1[:, j1]
            np.testing.assert_allclose(s21.pop(f"s21_j{j1}_j{j2}"), expected, rtol=1e-14)
            expected = s2[:, j1, j2, 0] / s2[:, j1, j2, L // 2]
            np.testing.assert_allclose(s22.pop(f"s22_j{j1}_j{j2}"), expected, rtol=1e-14)
    assert not s21 and not s22


def test_names_say_of_what_ratios_are():
    values, meta = features.spatial_mean(random_maps(), META)
    assert features.names(features.s21(values, meta, axis=-1)[1])[0] == "s21_of_mean_j0_j1"
    assert features.names(features.isotropic(values, meta, axis=-1)[1])[0] == "mean_S0"


def test_means_and_standard_deviations_side_by_side():
    maps = random_maps(2)
    parts = features.spatial_mean(maps, META), features.spatial_std(maps, META)
    both = features.join(*parts, axis=-1)
    for name in ("normalized", "isotropic", "s21", "s22"):
        function = getattr(features, name)
        expected = {}
        for part in parts:
            expected |= by_name(*function(*part, axis=-1), axis=-1)
        found = by_name(*function(*both, axis=-1), axis=-1)
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[key], expected[key]) for key in found)


def test_orientations_that_are_not_there():
    values, meta = features.select(random_maps(), META, theta=[0, 1, 2])
    with pytest.raises(ArgumentError, match="3 of 4 orientations"):
        features.isotropic(values, meta)
    values, meta = features.select(random_maps(), META, order=2)
    with pytest.raises(ArgumentError, match="scale without channels of order 1"):
        features.s21(values, meta)
    assert features.s22(values, meta)[0].shape == (3, 2, 3)
    values, meta = features.select(random_maps(), META, order=1)
    with pytest.raises(ArgumentError, match="no channel of order 2"):
        features.s22(values, meta)


def test_the_orientations_of_one_scale_are_known_by_the_number_of_the_wavelet():
    values, meta = features.select(random_maps(), META, j=(0, 1), theta=([0, 1, 2, 3], [0, 1]))
    with pytest.raises(ArgumentError, match=r"of 4 orientations"):
        features.isotropic(values, meta)


@pytest.mark.parametrize("L", [4, 6, 8])
@pytest.mark.parametrize("theta", [[0], [1], [0, 2], [3]])
def test_the_orientations_of_the_finest_scale_are_known_by_the_angle(L, theta):
    meta = Scattering2D(2, (16, 16), L=L).meta()
    values, meta = features.select(np.ones(len(meta["order"])), meta, 1, 0, theta, axis=-1)
    with pytest.raises(ArgumentError, match=rf"{len(theta)} of {L} orientations"):
        features.isotropic(values, meta, axis=-1)


def test_means_over_the_square_need_no_other_orbits():
    numbers, meta = features.spatial_mean(random_maps(), META)
    alone = features.select(numbers, meta, order=1, theta=[1, 3], axis=-1)
    assert features.square_mean(*alone)[0].shape == (3,)


@pytest.mark.parametrize("kept", [[0, 2], [0, 1, 3], [1]])
def test_angles_between_orientations_that_are_not_there(kept):
    """Some of them are no mean over all, and the second of three need not be the perpendicular."""
    turns = (META["theta"][:, 1] - META["theta"][:, 0]) % L
    some = (META["order"] < 2) | np.isin(turns, kept)
    values, meta = random_maps()[some], {key: column[some] for key, column in META.items()}
    for function in (features.s21, features.s22):
        with pytest.raises(ArgumentError, match=rf"S2.* has {len(kept)} of 4 angles"):
            function(values, meta)
    assert len(features.isotropic(values, meta)[1]["order"]) == 1 + J + 3 * len(kept)


@pytest.mark.parametrize("wanted", [{"j": 0}, {"j": 0, "order": 1}])
def test_the_orientations_of_the_finest_scale_are_known_by_their_angles(wanted):
    values, meta = features.select(random_maps(), META, theta=[0, 1], **wanted)
    with pytest.raises(ArgumentError, match="has 2 of 4 orientations"):
        features.isotropic(values, meta)


def test_orbits_that_are_not_whole():
    values, meta = features.spatial_mean(random_maps(), META)
    values, meta = features.select(values, meta, theta=[0, 1], axis=-1)
    with pytest.raises(ArgumentError, match=r"mean_S1_j0_t0.* 2 that go over .* of which 1 are"):
        features.square_mean(values, meta)


@pytest.mark.parametrize("name", ["isotropic", "s21"])
def test_orientations_are_averaged_over_once(name):
    values, meta = getattr(features, name)(random_maps(), META)
    with pytest.raises(ArgumentError, match="is a mean over orientations already"):
        features.isotropic(values, meta)


def test_covariances_have_no_s21_and_s22():
    _, wavelets, moduli = some_moduli(angles=4)
    values, meta = features.covariances(moduli, wavelets)
    for function in (features.s21, features.s22):
        with pytest.raises(ArgumentError, match="no channel of order 2"):
            function(values, meta, axis=-1)


STEPS = {
    "mean": lambda values, meta, axis: (*features.spatial_mean(values, meta), -1),
    "std": lambda values, meta, axis: (*features.spatial_std(values, meta), -1),
    **{
        name: lambda values, meta, axis, name=name: (
            *getattr(features, name)(values, meta, axis=axis),
            axis,
        )
        for name in ("logarithm", "normalized", "isotropic", "s21", "s22")
    },
}


def after(steps):
    """Return what steps make of maps, by name; None where one is refused."""
    values, meta, axis = random_maps(), META, -3
    for step in steps:
        if step in ("mean", "std") and axis == -1:
            return None
        try:
            values, meta, axis = STEPS[step](values, meta, axis)
        except ArgumentError:
            return None
    values = values.reshape(len(values), -1)
    return dict(zip(features.names(meta), values, strict=True))


@pytest.mark.parametrize("count", [2, 3])
def test_numbers_of_one_name_are_the_same_whatever_the_order_of_steps(count):
    known = {}
    for steps in itertools.permutations(STEPS, count):
        for name, values in (after(steps) or {}).items():
            first, others = known.setdefault((name, values.shape), (steps, values))
            assert values == pytest.approx(others, rel=1e-10), (name, first, steps)
    assert len(known) > 100


@pytest.mark.parametrize("steps", [("logarithm", "s21"), ("logarithm", "normalized")])
def test_logarithms_are_not_divided(steps):
    first, second = (getattr(features, step) for step in steps)
    with pytest.raises(ArgumentError, match=r"is a logarithm, which is not divided; take log"):
        second(*first(random_maps(), META))


def test_what_was_divided_is_not_divided_again():
    for step in (features.s21, features.s22, features.normalized):
        with pytest.raises(ArgumentError):
            step(*features.normalized(random_maps(), META))
    with pytest.raises(ArgumentError, match="is a logarithm already"):
        features.logarithm(*features.logarithm(random_maps(), META))


# Laws


def moments(toy_bank, x, kind="symmetric"):
    S = Scattering2D(
        2, x.shape, L=8, backend="numpy", bank=toy_bank(kind, 8, 1), boundary="periodic"
    )
    return features.spatial_mean(S(x), S.meta())


def mirrored(x):
    """Return x[-i mod N] along rows: the mirror that keeps the grid of samples."""
    return np.roll(x[::-1], 1, 0)


def eight(x):
    """Return an image under the square's symmetries."""
    images = []
    for image in (x, mirrored(x), mirrored(x.T).T, mirrored(mirrored(x.T).T)):
        images += [image, image.T]
    return images


def test_the_eight_images_have_the_same_means(toy_bank):
    x = np.random.default_rng(0).normal(size=(16, 16))
    expected, meta = features.square_mean(*moments(toy_bank, x))
    plain = moments(toy_bank, x)[0]
    assert len(expected) == 1 + 2 * 3 + 18  # orbits: by Burnside's lemma (64 + 0 + 4 + 4) / 4
    differ = 0
    for image in eight(x)[1:]:
        values, _ = features.square_mean(*moments(toy_bank, image))
        np.testing.assert_allclose(values, expected, rtol=1e-12)
        differ += np.abs(moments(toy_bank, image)[0] - plain).max() > 1e-3 * plain.max()
    assert differ >= 6  # of the half turn alone all coefficients are the same
    assert features.names(meta)[:2] == ["square_mean_S0", "square_mean_S1_j0_t0"]


def test_a_bank_that_is_not_symmetric_breaks_that_law(toy_bank):
    x = np.random.default_rng(0).normal(size=(16, 16))
    one, _ = features.square_mean(*moments(toy_bank, x, "free"))
    other, _ = features.square_mean(*moments(toy_bank, x.T, "free"))
    assert np.abs(one - other).max() > 1e-3 * np.abs(one).max()


def test_means_over_the_square_are_means_over_the_eight_images(toy_bank):
    x = np.random.default_rng(1).normal(size=(16, 16))
    values, meta = features.square_mean(*moments(toy_bank, x))
    plain = np.mean([moments(toy_bank, image)[0] for image in eight(x)], axis=0)
    found = dict(zip(features.names(meta), values, strict=True))
    for name, value in zip(features.names(moments(toy_bank, x)[1]), plain, strict=True):
        if f"square_{name}" in found:
            assert found.pop(f"square_{name}") == pytest.approx(value, rel=1e-12)
    assert not found


def test_isotropic_means_of_a_quarter_turn_and_of_a_mirror(toy_bank):
    """Turns leave them as they are; mirrors change the sense of d."""
    x = np.random.default_rng(2).normal(size=(16, 16))
    values, meta = features.isotropic(*moments(toy_bank, x), axis=-1)
    turned, _ = features.isotropic(*moments(toy_bank, mirrored(x).T), axis=-1)
    np.testing.assert_allclose(turned, values, rtol=1e-12)
    mirror = by_name(*features.isotropic(*moments(toy_bank, mirrored(x)), axis=-1), axis=-1)
    for name, value in zip(features.names(meta), values, strict=True):
        stem, _, d = name.partition("_d")
        other = f"{stem}_d{-int(d) % 8}" if d else name
        assert mirror[other] == pytest.approx(value, rel=1e-12)


def test_isotropic_means_of_the_square(toy_bank):
    """Mirrors take d to -d, so both are averaged, and all eight images have the same."""
    x = np.random.default_rng(3).normal(size=(16, 16))

    def square(x):
        means, meta = features.isotropic(*moments(toy_bank, x), axis=-1)
        values, names = features.square_mean(means, meta), features.names(meta)
        return dict(zip(names, means, strict=True)), by_name(*values, axis=-1)

    means, expected = square(x)
    assert len(expected) == 1 + 2 + 5  # of d = 0, ..., 7 those up to 4
    pair = means["mean_S2_iso_j0_j1_d3"], means["mean_S2_iso_j0_j1_d5"]
    assert abs(pair[0] - pair[1]) > 1e-3 * pair[0]
    assert expected["square_mean_S2_iso_j0_j1_d3"] == pytest.approx(sum(pair) / 2, rel=1e-12)
    for image in eight(x)[1:]:
        for name, value in square(image)[1].items():
            assert expected[name] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("then", ["square_mean", "isotropic"])
def test_covariances_of_the_square(toy_bank, then):
    """Moduli of a coarse grid have its highest frequency once, for two of the image's."""
    x = np.random.default_rng(4).normal(size=(16, 16))
    bank = toy_bank("symmetric", 4, 1)
    S = Scattering2D(
        2, x.shape, L=4, backend="numpy", bank=bank, boundary="periodic", average=False
    )

    def of(x):
        values, meta = features.covariances(S(x), S.filters().psi_hat)
        if then == "isotropic":
            return features.isotropic(values, meta, axis=-1)[0]
        return features.square_mean(values, meta)[0]

    expected = of(x)
    turned = [mirrored(x.T), mirrored(x).T, mirrored(mirrored(x.T).T)]
    for image in eight(x) if then == "square_mean" else turned:
        np.testing.assert_allclose(of(image), expected, rtol=1e-10, atol=1e-12)


def test_points_filaments_and_noise_of_one_spectrum():
    """What s21 and s22 are for (Cheng et al. 2020): clumps, and lines."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    points, lines = np.zeros((2, 4, 64, 64))
    for number in range(4):
        points[number] = generator.random((64, 64)) < 0.003
        for _ in range(6):
            angle, (b, a) = generator.uniform(0, np.pi), generator.uniform(0, 64, 2)
            lines[number] += np.abs((y - b) * np.cos(angle) + (x - a) * np.sin(angle)) < 0.7
    phases = np.fft.fft2(generator.normal(size=(4, 64, 64)))
    noise = np.fft.ifft2(np.fft.fft2(points) * phases / np.abs(phases)).real
    S = Scattering2D(3, (64, 64), L=4, bank="fast", boundary="periodic", backend="numpy")

    def of(fields, function):
        values, meta = features.spatial_mean(S(fields), S.meta())
        return function(values, meta, axis=-1)[0].mean(0)

    assert (of(points, features.s21) > 1.2 * of(noise, features.s21)).all()
    assert (of(lines, features.s22) > 1.2 * of(points, features.s22)).all()


# Of moduli


def some_moduli(N=8, scales=2, angles=2, seed=0):
    """Return wavelets, real in the Fourier domain, an image and its moduli, all at full size."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(N, N))
    wavelets = generator.normal(size=(scales, angles, N, N))
    moduli = [{"coef": x, "j": (), "n": (), "theta": ()}]
    for j in range(scales):
        for t in range(angles):
            kernel = np.fft.ifft2(wavelets[j, t])
            path = {"j": (j,), "n": (j * angles + t,), "theta": (t,)}
            moduli.append({"coef": np.abs(convolved(x, kernel)), **path})
    return x, wavelets, moduli


def convolved(x, kernel):
    """Return the convolution of periodic images, pixel by pixel."""
    result = np.zeros(x.shape, complex)
    for a in range(x.shape[0]):
        for b in range(x.shape[1]):
            result += kernel[a, b] * np.roll(x, (a, b), (0, 1))
    return result


def test_powers():
    _, _, moduli = some_moduli()
    second = {"coef": np.full((4, 4), 2.0), "j": (0, 1), "n": (1, 2), "theta": (1, 0)}
    found = by_name(*features.powers([*moduli, second]), axis=-1)
    for one in moduli[1:]:
        squares = [value**2 for value in one["coef"].ravel()]
        name = f"P00_j{one['j'][0]}_t{one['theta'][0]}"
        assert found.pop(name) == pytest.approx(sum(squares) / len(squares), rel=1e-13)
    assert found == {"P11_j0_t1_j1_t0": 4}


@pytest.mark.parametrize("relative", [True, False])
def test_covariances_are_those_defined(relative):
    """In plain convolutions."""
    x, wavelets, moduli = some_moduli()
    kernels = np.fft.ifft2(wavelets)
    U = {(one["j"][0], one["theta"][0]): one["coef"] for one in moduli[1:]}
    power = {path: (one**2).mean() for path, one in U.items()}
    found = by_name(*features.covariances(moduli, wavelets, relative=relative), axis=-1)
    seen = 0
    for p3 in U:
        after = {path: convolved(one, kernels[p3]) for path, one in U.items()}
        of_x = convolved(x, kernels[p3])
        for p2 in U:
            if p2[0] > p3[0]:
                continue
            expected = (of_x * after[p2].conj()).mean()
            expected /= (power[p2] * power[p3]) ** 0.5 if relative else 1
            name = "C01_j{}_t{}_j{}_t{}".format(*p2, *p3)
            assert found[name] == pytest.approx(expected, rel=1e-10, abs=1e-12)
            seen += 1
            for p1 in U:
                if p1[0] > p2[0]:
                    continue
                expected = (after[p1] * after[p2].conj()).mean()
                expected /= (power[p1] * power[p2]) ** 0.5 if relative else 1
                name = "C11_j{}_t{}_j{}_t{}_j{}_t{}".format(*p1, *p2, *p3)
                assert found[name] == pytest.approx(expected, rel=1e-10, abs=1e-12)
                seen += 1
    assert seen == len(found) == 3 * 2**2 + 4 * 2**3


def test_covariances_of_coarser_samples():
    """Moduli without high frequencies are all there in every other sample."""
    _, wavelets, moduli = some_moduli(N=16)
    k = np.abs(np.fft.fftfreq(16, 1 / 16))
    is_low = (k[:, None] < 4) & (k < 4)
    wavelets[1] *= is_low
    coarse, fine = moduli[:3], moduli[:3]
    for one in moduli[3:]:
        smooth = np.fft.ifft2(np.fft.fft2(one["coef"]) * is_low).real
        fine, coarse = (
            [*fine, {**one, "coef": smooth}],
            [*coarse, {**one, "coef": smooth[::2, ::2]}],
        )
    expected, _ = features.covariances(fine, wavelets)
    values, _ = features.covariances(coarse, wavelets)
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-12)


def test_covariances_of_a_transforms_moduli_lack_what_lies_beyond_their_resolution():
    S = Scattering2D(3, (64, 64), L=4, boundary="periodic", average=False, backend="numpy")
    x, wavelets = np.random.default_rng(0).normal(size=(64, 64)), S.filters().psi_hat
    moduli = S(x)
    fine = moduli[:1]
    for one in moduli[1 : 1 + J * L]:
        wavelet = wavelets[one["j"][0], one["theta"][0]]
        fine.append({**one, "coef": np.abs(np.fft.ifft2(np.fft.fft2(x) * wavelet))})
    values, meta = features.covariances(moduli, wavelets)
    exact, _ = features.covariances(fine, wavelets)
    last = meta["j"][np.arange(len(exact)), meta["order"] - 1]
    before = meta["j"][np.arange(len(exact)), meta["order"] - 2]
    is_C01, is_same = meta["order"] == 2, (before == last) & (last > 0)

    def off(chosen):
        return np.linalg.norm((values - exact)[chosen]) / np.linalg.norm(exact[chosen])

    assert off(last == 0) < 1e-12 and off(before == 0) < 1e-3
    assert 0.2 < off(is_C01 & is_same) < 0.35
    assert 0.05 < off(~is_C01 & is_same) < 0.1
    assert off(before < last) < 0.1


def test_isotropic_covariances():
    """The loops of Cheng's package (`Scattering2d.scattering_cov`)."""
    _, wavelets, moduli = some_moduli(angles=4)
    values, meta = features.covariances(moduli, wavelets)
    one = dict(zip(features.names(meta), values, strict=True))
    C01, C11 = np.zeros(4), np.zeros((4, 4))
    for l1 in range(4):
        for l2 in range(4):
            C01[(l2 - l1) % 4] += one[f"C01_j0_t{l1}_j1_t{l2}"].real / 4
            for l3 in range(4):
                name = f"C11_j0_t{l1}_j0_t{l2}_j1_t{l3}"
                C11[(l2 - l1) % 4, (l3 - l1) % 4] += one[name].real / 4
    found = by_name(*features.isotropic(values, meta, axis=-1), axis=-1)
    for d in range(4):
        assert found[f"C01_iso_j0_j1_d{d}"] == pytest.approx(C01[d], rel=1e-12)
        for e in range(4):
            assert found[f"C11_iso_j0_j0_j1_d{d}_d{e}"] == pytest.approx(C11[d, e], rel=1e-12)


def test_moduli_that_are_not_there():
    _, wavelets, moduli = some_moduli()
    with pytest.raises(ArgumentError, match="moduli='S1_j1_t1'"):
        features.covariances(moduli[:-1], wavelets)
    with pytest.raises(ArgumentError, match="moduli='x'"):
        features.covariances(moduli[1:], wavelets)


def test_what_no_moduli_are():
    _, wavelets, moduli = some_moduli()
    for wrong, error, words in (
        ([], ArgumentError, "holds no modulus"),
        (moduli[:1], ArgumentError, "holds no modulus"),
        (random_maps(), ArgumentTypeError, "must be a list of dicts"),
        ([{"coef": 1}], ArgumentTypeError, "must be a list of dicts"),
    ):
        with pytest.raises(error, match=words):
            features.powers(wrong)
    for wrong, words in (
        (wavelets[0], r"wavelets.shape=\(2, 8, 8\): must be \(J, L, H, W\)"),
        (wavelets[..., :4, :4], r"must be those of the image, \(8, 8\)"),
    ):
        with pytest.raises(ArgumentError, match=words):
            features.covariances(moduli, wrong)
    coarse = [moduli[0], *({**one, "coef": one["coef"][::2, ::2]} for one in moduli[1:3])]
    with pytest.raises(ArgumentError, match="do not grow with the scale"):
        features.covariances([*coarse, *moduli[3:]], wavelets)


# Arrays of other libraries


def other_arrays():
    strict = importlib.import_module("array_api_strict")
    yield strict.asarray, lambda values: np.asarray(values._array)
    torch = importlib.import_module("torch")
    yield torch.as_tensor, lambda values: values.numpy()


def calls(convert):
    """Yield what every function returns for the same arrays of some library."""
    maps, (_, wavelets, moduli) = convert(random_maps(2)), some_moduli()
    moduli = [{**one, "coef": convert(one["coef"])} for one in moduli]
    mean = features.spatial_mean(maps, META)
    for name in ("spatial_std", "logarithm", "normalized", "isotropic", "s21", "s22"):
        yield getattr(features, name)(maps, META)
    yield features.select(maps, META, order=2)
    yield features.square_mean(*mean)
    yield features.isotropic(*mean, axis=-1)
    yield features.join(mean, features.spatial_std(maps, META), axis=-1)
    yield features.powers(moduli)
    yield features.covariances(moduli, convert(wavelets))


@pytest.mark.parametrize("library", [0, 1], ids=["array_api_strict", "torch"])
def test_arrays_of_other_libraries(library):
    convert, back = list(other_arrays())[library]
    for (values, meta), (expected, wanted) in zip(calls(convert), calls(np.asarray), strict=True):
        assert type(values) is type(convert(np.zeros(1)))
        assert str(expected.dtype) in str(values.dtype)
        np.testing.assert_allclose(back(values), expected, rtol=1e-10, atol=1e-13)
        assert features.names(meta) == features.names(wanted)


def test_gradients_are_finite_where_coefficients_are_zero():
    torch = importlib.import_module("torch")
    for name in ("logarithm", "normalized", "isotropic", "s21", "s22"):
        maps = torch.zeros(len(PATHS), 2, 3, requires_grad=True)
        getattr(features, name)(maps, META)[0].sum().backward()
        assert torch.isfinite(maps.grad).all()


def test_float32_stays():
    maps = random_maps(2).astype(np.float32)
    for values, _ in (features.isotropic(maps, META), features.s21(maps, META)):
        assert values.dtype == np.float32


# Errors


def test_errors_say_what_to_pass():
    maps = random_maps(2)
    mean, meta = features.spatial_mean(maps, META)
    with pytest.raises(ArgumentError, match=r"shape=\(2, 61\).*axis -3.*axis=-1"):
        features.isotropic(mean, meta)
    with pytest.raises(ArgumentError, match="61 channels"):
        features.spatial_mean(maps[:, 1:], META)
    with pytest.raises(ArgumentTypeError, match=r"is no array|no array namespace"):
        features.spatial_mean(maps.tolist(), META)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_an_axis_is_counted_from_the_last(axis):
    """As the first of (C, h, w) it would be broadcast as the last."""
    maps = random_maps()[..., :1]
    for function in (features.logarithm, features.normalized, features.isotropic):
        with pytest.raises((ArgumentError, ArgumentTypeError), match="axis="):
            function(maps, META, axis=axis)


def test_logarithms_have_a_floor():
    for floor in (0, -1, None, float("nan"), float("inf"), "1e-6"):
        with pytest.raises(ArgumentError, match=r"floor=.*above 0"):
            features.logarithm(random_maps(), META, floor)
    _, wavelets, moduli = some_moduli()
    with pytest.raises(ArgumentTypeError, match="is complex"):
        features.logarithm(*features.covariances(moduli, wavelets), axis=-1)


def test_errors_of_other_shapes_and_without_meta():
    maps = random_maps(2)
    with pytest.raises(ArgumentError, match=r"computed.shape=\(1, 61, 2, 3\)"):
        features.relative_errors(maps[:1], maps, META["order"])
    for meta in (None, {}, META["order"]):
        with pytest.raises(ArgumentTypeError, match="meta="):
            features.isotropic(maps, meta)


def test_nothing_is_written_to():
    maps = random_maps()
    maps.setflags(write=False)
    before = {key: column.copy() for key, column in META.items()}
    for name in ("spatial_mean", "logarithm", "normalized", "isotropic", "s21", "s22"):
        getattr(features, name)(maps, META)
    for key, column in META.items():
        np.testing.assert_array_equal(column, before[key])
