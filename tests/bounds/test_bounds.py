"""The bounds: their parts against plain computations."""

import itertools
import json

import numpy as np
import pytest
from banks import make_toy_bank
from click.testing import CliRunner
from kymatio.scattering2d.filter_bank import filter_bank

from npscatter import FilterBank, Scattering2D
from npscatter.bank.cascade import grid_frequencies, image_stage, transfer
from npscatter.bounds import Bounds
from npscatter.bounds.alias import Filters, alias_matrices, extremes, on_grid
from npscatter.bounds.deformation import deformation_ratio, deformed, largest_gradient
from npscatter.bounds.morlet import coarsened, low_pass, morlet
from npscatter.cli.group import main
from npscatter.errors import ArgumentError, ArgumentTypeError, BankError
from npscatter.program.plan import make_plan


def correlated(maps, taps, stride):
    """Return the periodic correlation of maps (I, H, W) with taps (O, I, K, K), by its sum."""
    (_, H, W), K = maps.shape, taps.shape[-1]
    result = np.zeros((len(taps), len(range(0, H, stride)), len(range(0, W, stride))))
    for o, i, a, b in itertools.product(*map(range, taps.shape)):
        moved = np.roll(maps[i], (K // 2 - a, K // 2 - b), (0, 1))
        result[o] += taps[o, i, a, b] * moved[::stride, ::stride]
    return result


def filters_of(taps, stride, weight=1.0):
    reach = taps.shape[-1] - 1
    return Filters(lambda w: transfer(taps, w), stride, (reach, reach), weight, taps.shape[1])


@pytest.mark.parametrize(("strides", "inputs"), [((1, 2, 4), 1), ((2, 1), 3), ((2, 2), 2)])
def test_alias_matrix_is_the_energy_of_decimated_filters(strides, inputs):
    generator = np.random.default_rng(1)
    bank = [generator.standard_normal((2, inputs, 5, 5)) for _ in strides]
    weights = generator.uniform(0.5, 2, len(strides))
    x = generator.standard_normal((inputs, 8, 16))
    energy = sum(
        weight * (correlated(x, taps, stride) ** 2).sum()
        for taps, stride, weight in zip(bank, strides, weights, strict=True)
    )
    T = max(strides)
    w = np.stack(np.meshgrid(np.arange(8 // T), np.arange(16 // T), indexing="ij"), -1)
    w = 2 * np.pi * w.reshape(-1, 2) / (8, 16)
    filters = [filters_of(*each) for each in zip(bank, strides, weights, strict=True)]
    M = alias_matrices(filters, w, T)
    # The spectrum of x at the aliases of each w, in the order of the matrix.
    spectrum = np.fft.fft2(x).reshape(inputs, T, 8 // T, T, 16 // T)
    v = spectrum.transpose(2, 4, 1, 3, 0).reshape(len(w), -1)
    total = np.einsum("nk,nkl,nl->", v.conj(), M, v).real / (8 * 16)
    assert total == pytest.approx(energy, rel=1e-10)


def test_largest_on_a_grid_is_reached_and_never_passed():
    generator = np.random.default_rng(2)
    taps = [generator.standard_normal((1, 1, 3, 3)), generator.standard_normal((2, 1, 5, 5))]
    filters = [filters_of(taps[0], 1, 0.5), filters_of(taps[1], 2)]
    basis = np.eye(64).reshape(64, 1, 8, 8)
    columns = [
        np.concatenate(
            [
                np.sqrt(0.5) * correlated(x, taps[0], 1).ravel(),
                correlated(x, taps[1], 2).ravel(),
            ]
        )
        for x in basis
    ]
    values = np.linalg.svd(np.stack(columns, 1), compute_uv=False) ** 2
    assert on_grid(filters, (8, 8)) == pytest.approx(values.max(), rel=1e-10)
    low, high = extremes(filters)
    assert low.certified <= values.min() and values.max() <= high.certified


def test_extremes_of_known_filters():
    mean = np.full((1, 1, 1, 1), 1.0)
    low, high = extremes([filters_of(mean, 1)], symmetric=True)
    assert (low.found, high.found) == pytest.approx((1, 1))
    # (1 + 2 cos w0)(1 + 2 cos w1), squared: 81 at zero, and zero in between.
    low, high = extremes([filters_of(np.ones((1, 1, 3, 3)), 1)], symmetric=True)
    assert high.found == pytest.approx(81) and high.frequency == (0, 0)
    assert low.found == pytest.approx(0, abs=1e-3) and low.certified == 0


def test_certified_between_grid_points():
    # Two taps far apart: a wave of w that a grid of 404 points never meets at its crest.
    far = Filters(lambda w: np.sin(101 * w[:, :1].T / 2 + 0.003), 1, (101, 0))
    low, high = extremes([far], points={1: 1})
    assert low.certified == 0 and high.found < 1 - 1e-6
    assert 1 <= high.certified < 2.1


@pytest.mark.parametrize(("kind", "R", "J"), [("symmetric", 4, 3), ("free", 2, 2), ("paper", 1, 3)])
def test_sections_hold_the_programs_filters(kind, R, J):
    """S0 is linear: its spectrum must be the stage's low-pass, aliased."""
    bank = make_toy_bank(kind, R=R)
    side = 2 ** (J + 2)
    plan = make_plan(J, (side, side), bank.architecture, boundary="periodic")
    image = np.random.default_rng(3).standard_normal((side, side))
    S0 = Scattering2D(J, (side, side), bank.L, bank=bank, boundary="periodic")(image)[0]
    low = image_stage(plan).low
    response = low.response(bank, grid_frequencies((side, side))).reshape(side, side)
    filtered = np.fft.ifft2(np.fft.fft2(image) * response).real
    np.testing.assert_allclose(S0, filtered[:: 2**J, :: 2**J], atol=1e-12)
    assert low.stride == 2**J


@pytest.mark.parametrize("J", [1, 2, 3, 4])
def test_sections_lead_to_every_path_once(J):
    plan = make_plan(J, (16, 16), FilterBank.load("accurate").architecture)
    scales = [stage.scales for stage in image_stage(plan).walk()]
    assert sorted(scales) == sorted({path.j for path in plan.paths})
    for stage in image_stage(plan).walk():
        assert stage.grid * stage.low.stride == 2**J


@pytest.mark.parametrize(("J", "shape", "L"), [(2, (32, 48), 8), (3, (64, 40), 6)])
def test_filters_are_kymatios(J, shape, L):
    wanted = filter_bank(*shape, J=J, L=L)
    minus_w, gain = -grid_frequencies(shape), np.pi / 3.1415
    for psi in wanted["psi"]:
        ours = gain * morlet(minus_w, L, psi["j"])[psi["theta"]].reshape(shape)
        for res, level in enumerate(psi["levels"]):
            np.testing.assert_allclose(coarsened(ours, res), level.squeeze(), atol=2e-7)
    phi = gain * low_pass(minus_w, J).reshape(shape)
    for res, level in enumerate(wanted["phi"]["levels"]):
        np.testing.assert_allclose(coarsened(phi, res), level.squeeze(), atol=2e-7)


@pytest.mark.parametrize("boundary", ["periodic", "zero"])
@pytest.mark.parametrize(
    ("kind", "architecture"),
    [
        ("free", {"L": 2, "R": 2}),
        ("symmetric", {"L": 2, "R": 4}),
        ("paper", {"L": 2}),
        ("free", {"L": 2, "R": 1, "psi_stride": 2}),
    ],
)
def test_no_order_0_is_larger_than_its_operator(kind, architecture, boundary, use_grids):
    """S0 is linear, so its exact norm is that of a matrix: images one pixel each."""
    use_grids()
    bank, shape = make_toy_bank(kind, **architecture), (8, 12)
    pixels = np.eye(96).reshape(96, *shape)
    S0 = Scattering2D(2, shape, 2, bank=bank, boundary=boundary)(pixels)[:, 0].reshape(96, -1)
    bound = Bounds(bank, 2, shape=shape, boundary=boundary).lipschitz(0)
    assert np.linalg.norm(S0, 2) <= bound
    if boundary == "periodic":
        moved = Scattering2D(2, shape, 2, bank=bank, boundary=boundary)(np.roll(pixels, 1, 2))
        shift = Bounds(bank, 2, shape=shape, boundary=boundary).shift((0, 1), 0)
        assert np.linalg.norm(moved[:, 0].reshape(96, -1) - S0, 2) <= shift


def test_zeros_beyond_the_edge_may_undo_what_cancels_elsewhere():
    """psi_next takes c0[n - 1] - c1[n], which is zero but for the columns the edge has cut."""
    carry = np.zeros((2, 1, 5, 5))
    carry[0, 0, 2, 4] = carry[1, 0, 2, 2] = 1
    psi = np.zeros((2, 2, 3, 3), complex)
    psi[0, 0, 1, 0], psi[0, 1, 1, 1] = 1, -1
    bank = FilterBank(
        "cancelling",
        psi_first=np.zeros((2, 1, 1, 1), complex),
        carry_first=carry,
        low_first=np.full((1, 1, 1, 1), 0.5),
        psi_next=psi,
        carry_next=np.zeros((2, 2, 1, 1)),
        low_next=np.zeros((1, 2, 3, 3)),
        boundary="zero",
    )
    image = np.zeros((8, 8))
    image[:, 0] = 1
    found = np.linalg.norm(Scattering2D(2, (8, 8), 2, 1, bank=bank)(image))
    assert found > 0.7
    assert found <= Bounds(bank, 2, 1, (8, 8)).lipschitz() * np.linalg.norm(image)
    assert Bounds(bank, 2, 1, (8, 8), "periodic").lipschitz() < 1e-12
    assert all(frame.A.certified == 0 for frame in Bounds(bank, 2).frames.values())


def test_padding_is_the_norm_of_the_padding():
    for shape, J in (((8, 12), 2), ((5, 9), 1), ((16, 16), 3)):
        bounds = Bounds(make_toy_bank("free", L=2), J, shape=shape, boundary="kymatio")
        pixels = np.eye(shape[0] * shape[1]).reshape(-1, *shape)
        plan = bounds.plan
        rows, columns = np.array(plan.rows), np.array(plan.columns)
        P = pixels[:, rows[:, None], columns].reshape(len(pixels), -1)
        assert bounds.padding == pytest.approx(np.linalg.norm(P, 2))
    assert Bounds("paper", 2).padding == 1


def test_energies_of_photographs_stay_below_their_bounds(use_grids):
    from tools.measure import test_images

    use_grids()
    images = test_images("photographs", 32).astype(np.float64)
    bounds = Bounds("accurate", 2, shape=(32, 32))
    S = Scattering2D(2, (32, 32), bank=bounds.bank)
    found = S(images)
    for m, bound in bounds.energies().items():
        energy = (found[:, S.meta()["order"] == int(m[1])] ** 2).sum((1, 2, 3))
        share = 16 * energy / np.linalg.norm(images, axis=(1, 2)) ** 2
        assert 0 < share.max() <= bound
    constant = S(np.ones((32, 32)))
    assert np.linalg.norm(constant) <= bounds.lipschitz() * 32


def test_shift_bound_vanishes_without_a_shift_and_grows_from_there(use_grids):
    use_grids()
    bounds = Bounds("accurate", 2, boundary="periodic")
    assert bounds.shift((0, 0)) == pytest.approx(0, abs=1e-7)
    assert 0 < bounds.shift((1, 0), 0) < bounds.shift((2, 0), 0) < 2 * bounds.lipschitz(0)
    # Turning the image by a quarter turns the displacement; the bank is symmetric.
    assert bounds.shift((1, 0), 0) == pytest.approx(bounds.shift((0, 1), 0), rel=0.02)
    assert bounds.shift((7, 5)) <= 2 * bounds.lipschitz()


def test_certificate_is_small_for_a_bank_near_kymatio(use_grids):
    use_grids()
    bounds = Bounds("accurate", 2, shape=(32, 32))
    assert bounds.teacher_certificate(0) < 0.01 * bounds.lipschitz(0)
    assert bounds.teacher_certificate() < 0.06 * bounds.lipschitz()
    each = [bounds.teacher_certificate(order) for order in range(3)]
    assert max(each) <= bounds.teacher_certificate() <= np.linalg.norm(each) * (1 + 1e-12)


def test_deformation_search_returns_what_it_found():
    bounds = Bounds("accurate", 1, shape=(8, 8))
    found = bounds.deformation(attempts=60, seed=1)
    S = Scattering2D(1, (8, 8), bank=bounds.bank)
    assert deformation_ratio(S, found.image, found.field) == pytest.approx(found.supremum)
    assert found.supremum >= bounds.deformation(attempts=20, seed=1).supremum / 2
    same = bounds.deformation(attempts=60, seed=1)
    assert same.supremum == found.supremum and np.array_equal(same.field, found.field)
    assert np.linalg.norm(found.image) == pytest.approx(1)
    assert largest_gradient(found.field) <= 0.5 + 1e-12


def test_deforming_by_whole_pixels_is_a_shift():
    image = np.random.default_rng(0).standard_normal((6, 9))
    field = np.stack([np.full((6, 9), 2.0), np.full((6, 9), -1.0)])
    np.testing.assert_array_equal(deformed(image, field), np.roll(image, (2, -1), (0, 1)))


def test_largest_gradient_is_the_spectral_norm_of_the_jacobian():
    A = np.array([[0.3, -0.2], [0.1, 0.4]])
    linear = np.einsum("ij,jhw->ihw", A, np.indices((9, 12)))
    assert largest_gradient(linear, periodic=False) == pytest.approx(np.linalg.norm(A, 2))
    assert largest_gradient(linear) > 2  # where it starts again
    wave = np.stack([np.cos(2 * np.pi * np.arange(8) / 8) * np.ones((8, 1)), np.zeros((8, 8))])
    assert largest_gradient(wave) == pytest.approx(2 * np.sin(np.pi / 8) * np.cos(np.pi / 8), 0.1)


def periodic(**options):
    return Bounds(boundary="periodic", **options)


@pytest.mark.parametrize(
    ("error", "text", "call"),
    [
        (ArgumentError, "J=5: bounds are for J up to 4", lambda: Bounds(J=5)),
        (ArgumentTypeError, "J=2.5: must be an integer", lambda: Bounds(J=2.5)),
        (BankError, "bank='none'", lambda: Bounds("none")),
        (ArgumentError, "order=3: must be one of", lambda: Bounds().lipschitz(3)),
        (ArgumentError, "order=2", lambda: periodic(max_order=1).shift((1, 0), 2)),
        (ArgumentTypeError, "order=True: must be an integer", lambda: Bounds().lipschitz(True)),
        (ArgumentTypeError, "displacement=3: must be a pair", lambda: periodic().shift(3)),
        (ArgumentTypeError, "displacement=.1, 2, 3.: must", lambda: periodic().shift((1, 2, 3))),
        (ArgumentTypeError, r"displacement\[0\]=0.5", lambda: periodic().shift((0.5, 0))),
        (ArgumentError, "boundary='kymatio'.*boundary='periodic'", lambda: Bounds().shift((1, 0))),
        (ArgumentError, "boundary='zero'", lambda: Bounds("paper").shift((1, 0))),
        (
            ArgumentError,
            "boundary='zero'.*boundary='kymatio'",
            lambda: Bounds("paper").teacher_certificate(),
        ),
        (
            ArgumentError,
            "L=16 is above 12",
            lambda: Bounds(make_toy_bank("free", L=16), 1).teacher_certificate(),
        ),
        (ArgumentError, "attempts=0: must be from 1 to 100000", lambda: Bounds().deformation(0)),
        (ArgumentError, "seed=-1: must be at least 0", lambda: Bounds().deformation(1, -1)),
    ],
)
def test_bad_input_is_named(error, text, call):
    with pytest.raises(error, match=text):
        call()


def test_command_prints_what_the_class_finds(use_grids):
    use_grids()
    arguments = ["bounds", "accurate-L4", "--J", "1", "--shift", "1", "0", "--attempts", "20"]
    ran = CliRunner().invoke(main, [*arguments, "--json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    bounds = Bounds("accurate-L4", 1)
    assert found["lipschitz"]["all"] == bounds.lipschitz()
    shifts = {"1 0": Bounds("accurate-L4", 1, boundary="periodic").shift((1, 0))}
    assert found["shift, boundary periodic"] == shifts
    assert found["teacher_certificate"]["S1"] == bounds.teacher_certificate(1)
    text = CliRunner().invoke(main, arguments).output
    for value in (2 * found["lipschitz"]["all"], found["deformation"], found["energies"]["S1"]):
        assert f"{value:.4g}" in text
    assert "S: Kymatio" not in CliRunner().invoke(main, [*arguments, "--boundary", "zero"]).output


def test_command_refuses_in_one_line():
    ran = CliRunner().invoke(main, ["bounds", "nothing"])
    assert ran.exit_code == 2 and "bank='nothing'" in ran.output
    ran = CliRunner().invoke(main, ["bounds", "paper", "--J", "5"])
    assert ran.exit_code == 2 and "pass J=4 or less" in ran.output
