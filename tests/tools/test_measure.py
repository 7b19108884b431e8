"""Pictures by kind, the teacher's quick filters and boundaries, errors by order and by scale."""

import kymatio
import numpy as np
import pytest
from kymatio.scattering2d.filter_bank import filter_bank

from npscatter import FilterBank, Scattering2D
from tools import data, kinds, measure, teacher


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_pictures_are_the_same_again_and_never_those_of_the_other_split(kind):
    held_out = kinds.pictures(kind, "held-out", 3, 150, 1)
    assert held_out.shape == (3, 150, 150) and held_out.dtype == np.float32
    np.testing.assert_array_equal(held_out, kinds.pictures(kind, "held-out", 3, 150, 1))
    assert held_out.std() > 0
    if "noise" not in kind and kind != "lognormal field":
        assert 0 <= held_out.min() and held_out.max() <= 1
    if not kind.startswith(("stripes", "checkerboard")):  # of these there are few
        learning = kinds.pictures(kind, "learning", 3, 150, 1)
        assert not any(np.array_equal(one, other) for one in held_out for other in learning)


def test_small_pictures_are_mirrored():
    (page,) = kinds.pictures("documents", "held-out", 1, 384)
    np.testing.assert_array_equal(page[191:200], page[181:190][::-1])


def test_a_screen_keeps_grey_levels_on_average():
    for cell in kinds.HALFTONES:
        dots = kinds._halftones("held-out", cell)
        for name, photograph in data.packaged_photographs("held-out").items():
            assert dots[name].mean() == pytest.approx(photograph.mean(), abs=0.5 / cell**2)


def test_blue_noise_has_a_power_of_f_squared():
    spectrum = np.abs(np.fft.fft2(kinds.pictures("blue noise", "held-out", 50, 64))) ** 2
    power = spectrum.mean(0)
    assert power[0, 16] / power[0, 8] == pytest.approx(4, rel=0.5)
    assert power[0, 0] < 1e-6 * power[0, 1]


@pytest.mark.parametrize(
    ("J", "shape", "L"), [(1, (40, 64), 8), (3, (64, 32), 6), (2, (48, 48), 16)]
)
def test_quick_filters_are_kymatios_to_the_last_bit(J, shape, L):
    wanted = filter_bank(*shape, J, L)
    with teacher.quick_filters():
        found = filter_bank(*shape, J, L)
    levels = zip(wanted["phi"]["levels"], found["phi"]["levels"], strict=True)
    assert all(np.array_equal(one, other) for one, other in levels)
    for one, other in zip(wanted["psi"], found["psi"], strict=True):
        assert (one["j"], one["theta"]) == (other["j"], other["theta"])
        for level, same in zip(one["levels"], other["levels"], strict=True):
            np.testing.assert_array_equal(level.squeeze(), same)


def test_the_teacher_of_periodic_images_is_the_padded_one_without_its_margin():
    """An image beside its own copies: padded by whole periods, nothing changes but the crop."""
    image = np.random.default_rng(0).standard_normal((32, 32))
    padded = np.tile(np.roll(image, (8, 8), (0, 1)), (2, 2))[:48, :48]
    whole = np.tile(image, (2, 2))
    periodic = teacher.teach(whole[None], 3, 4, boundary="periodic")[0]
    np.testing.assert_allclose(periodic[:, :4, :4], periodic[:, 4:, 4:], atol=1e-12)
    once = teacher.teach(image[None], 3, 4, boundary="periodic")[0]
    assert once.shape == (1 + 4 * 3 + 16 * 3, 4, 4)
    np.testing.assert_allclose(once, periodic[:, :4, :4], atol=1e-6)
    given = teacher.teach(padded[None], 3, 4, boundary="pre_pad")[0]
    wanted = kymatio.Scattering2D(3, (32, 32), 4, pre_pad=True, frontend="numpy")(padded)
    np.testing.assert_array_equal(given, wanted)


def test_coefficients_are_kept_where_the_environment_says(tmp_path, monkeypatch):
    images = np.random.default_rng(1).standard_normal((2, 16, 16))
    wanted = teacher.teach(images, 1, 4)
    monkeypatch.setenv(teacher.KEPT, str(tmp_path / "kept"))
    np.testing.assert_array_equal(teacher.teach(images, 1, 4), wanted)
    monkeypatch.setattr(teacher, "_taught", None)
    np.testing.assert_array_equal(teacher.teach(images, 1, 4), wanted)
    assert len(list((tmp_path / "kept").iterdir())) == 1


@pytest.mark.parametrize("boundary", ["kymatio", "periodic", "pre_pad"])
def test_errors_by_scale_are_those_of_the_definition(boundary):
    bank = FilterBank.load("accurate-L4")
    images = data.random_images(3, 48 if boundary == "pre_pad" else 32, 5)
    found = measure.errors_by_scale(bank, images, 3, boundary)
    slow = measure.errors_by_scale(bank, images, 3, boundary, backend="numpy")
    for name, errors in found.items():
        assert errors == pytest.approx(slow[name], rel=1e-6)
    wanted = teacher.teach(images, 3, 4, boundary=boundary)
    S = Scattering2D(
        *(3, (32, 32), 4, 2, boundary == "pre_pad", "numpy"),
        bank=bank,
        boundary="periodic" if boundary == "periodic" else "kymatio",
    )
    error = S(images.astype(np.float64)) - wanted
    squares, wanted = np.square(error).sum((0, 2, 3)), np.square(wanted).sum((0, 2, 3))
    meta = S.meta()
    for order, name, scales in ((1, "S1 by j", 3), (2, "S2 by j1", 2)):
        of = meta["order"] == order
        whole = np.sqrt(squares[of].sum() / wanted[of].sum())
        assert found["orders"][f"S{order}"] == pytest.approx(whole)
        parts = [of & (meta["j"][:, 0] == j) for j in range(scales)]
        each = [np.sqrt(squares[part].sum() / wanted[part].sum()) for part in parts]
        assert found[name] == pytest.approx(each)
    assert found["S2 / S1"] == pytest.approx(
        wanted[meta["order"] == 2].sum() / wanted[meta["order"] == 1].sum()
    )


def test_plane_waves_are_cosines_of_the_whole_plane():
    images, w = measure.plane_waves(300, 16)
    np.testing.assert_allclose(images[0], 1 - 2 * (np.indices((16, 16)).sum(0) % 2), atol=1e-12)
    y, x = np.indices((16, 16))
    for image, (v, h) in zip(images, w, strict=True):
        basis = np.stack([np.cos(v * y + h * x), np.sin(v * y + h * x)]).reshape(2, -1).T
        left = image.ravel() - basis @ np.linalg.lstsq(basis, image.ravel(), rcond=None)[0]
        assert abs(left).max() < 1e-9 and abs(image).max() <= 1 + 1e-12
    assert (abs(w) <= np.pi).all() and (np.histogram2d(*w.T, 2)[0] > 50).all()


def test_plane_wave_errors_are_each_waves_own():
    bank = FilterBank.load("accurate-L4")
    found = measure.plane_wave_errors(bank, 5, 2, 16)
    images, w = measure.plane_waves(5, 16)
    np.testing.assert_array_equal(found["w"], w)
    one = measure.errors_by_scale(bank, images[3:4], 2)["orders"]["S1"]
    assert found["S1"][3] == pytest.approx(one, rel=1e-6)


def test_maps_are_stored_as_float16_and_nothing_else_is():
    bank = FilterBank.load("accurate-L4")
    # Nothing is carried on: the output is float32.
    assert max(measure.float16_errors(bank, 1, 32, 2).values()) < 1e-6
    errors = measure.float16_errors(bank, 2, 32, 2)
    assert 1e-5 < errors["S0"] < 2**-11
    assert 1e-4 < errors["S1"] < 5e-3
