"""Growth from octave to octave against plain computations, and banks that amplify."""

import itertools
import json
from math import log10, pi

import numpy as np
import pytest
from banks import make_toy_bank
from click.testing import CliRunner

from npscatter import FilterBank, Scattering2D, list_banks
from npscatter.bank.cascade import FilterChain, grid_frequencies
from npscatter.bounds import Growth
from npscatter.bounds.growth import LARGEST_GROWTH, OCTAVES, check
from npscatter.bounds.morlet import morlet
from npscatter.cli.group import main
from npscatter.errors import BankError, BankWarning


def carried(maps, taps):
    """Return every second sample of the periodic correlation of maps (..., I, H, W), by its sum."""
    *batch, _, H, W = maps.shape
    K = taps.shape[-1]
    result = np.zeros((*batch, len(taps), H // 2, W // 2))
    for i, a, b in itertools.product(*map(range, taps.shape[1:])):
        moved = np.roll(maps[..., i, :, :], (K // 2 - a, K // 2 - b), (-2, -1))[..., ::2, ::2]
        result += taps[:, i, a, b, None, None] * moved[..., None, :, :]
    return result


def operators(taps, side, octaves):
    """Return the matrices that carry maps of that side through 1, 2, ... octaves."""
    R = len(taps)
    columns = np.eye(R * side**2).reshape(-1, R, side, side)
    matrices = []
    for _ in range(octaves):
        columns = carried(columns, taps)
        matrices.append(columns.reshape(len(columns), -1).T)
    return matrices


def in_units(taps, units):
    """Return the taps for maps that are multiplied by `units`."""
    return np.einsum("o,oiab,i->oiab", units, taps, 1 / units)


def with_carry_next(carry_next, name="toy"):
    """Return a bank that carries so, and does nothing else."""
    R = len(carry_next)
    return FilterBank(
        name,
        psi_first=np.zeros((2, 1, 1, 1), complex),
        carry_first=np.zeros((R, 1, 1, 1)),
        low_first=np.zeros((1, 1, 1, 1)),
        psi_next=np.zeros((2, R, 1, 1), complex),
        carry_next=carry_next,
        low_next=np.zeros((1, R, 1, 1)),
    )


def mean_and(*others):
    """Return `carry_next` of a box for the mean, and for every other map a kernel of its own."""
    taps = np.zeros((1 + len(others), 1 + len(others), 3, 3))
    taps[0, 0] = np.outer([1, 2, 1], [1, 2, 1]) / 16
    for i, kernel in enumerate(others, 1):
        taps[i, i] = kernel
    return taps


IMPULSE = np.outer([0, 1, 0], [0, 1, 0])
# What leaks into its last map grows twenty times an octave.
AMPLIFYING = mean_and(-0.226 * IMPULSE, -0.226 * IMPULSE, -19.7 * IMPULSE)
# All sums but the mean's vanish; yet waves of a period of three pixels come back as their like.
CYCLING = mean_and(np.outer([-1, 2, -1], [0, 1, 0]))


@pytest.mark.parametrize(
    ("kind", "R", "side"), [("symmetric", 4, 16), ("free", 2, 16), ("paper", 1, 32)]
)
def test_growth_is_the_norm_of_plain_octaves(kind, R, side):
    bank = make_toy_bank(kind, L=2, R=R)
    growth = Growth(bank)
    taps = in_units(bank["carry_next"], growth.units)
    spectra = growth._spectra(taps, growth._undisturbed, 2)
    matrices = operators(taps, side, 2)
    for n, (matrix, G) in enumerate(zip(matrices, spectra, strict=True), 1):
        # Of samples 2^n times as few per axis: in root mean square 2^n times the norm.
        norm = 2**n * np.linalg.norm(matrix, 2)
        assert norm <= growth.octaves[n - 1]
        # G_n at the frequencies that this periodic grid has left.
        points = side // 2**n
        coefficients = np.fft.ifft2(G, axes=(0, 1))
        degrees = np.fft.fftfreq(len(G), 1 / len(G))
        waves = np.exp(-2j * pi * np.outer(np.arange(points), degrees) / points)
        there = np.einsum("am,bn,mnij->abij", waves, waves, coefficients)
        assert norm == pytest.approx(np.sqrt(np.linalg.eigvalsh(there).max()), rel=1e-9)


def test_growth_is_certified_a_little_above_what_a_large_grid_finds():
    taps = make_toy_bank("free", L=2, R=1)["carry_next"]
    (matrix,) = operators(taps, 32, 1)
    found = 2 * np.linalg.norm(matrix, 2)
    assert found <= Growth(with_carry_next(taps)).octaves[0] < 1.02 * found


def test_noise_is_what_plain_octaves_make_of_it():
    bank = make_toy_bank("free", L=2, R=2)
    taps = bank["carry_next"][..., 1:-1, 1:-1]  # whose octaves do not wrap
    noises = Growth(with_carry_next(taps)).noise[:2]
    for matrix, noise in zip(operators(taps, 16, 2), noises, strict=True):
        assert noise == pytest.approx(np.sqrt((matrix**2).sum(1).mean()))


def test_the_best_units_are_found():
    taps = np.zeros((2, 2, 1, 1))
    taps[0, 1], taps[1, 0] = 100, 0.01
    growth = Growth(with_carry_next(taps))
    # Decimation keeps every sample's value: waves of four frequencies add up, twice in amplitude.
    # As it stands, 200.
    assert growth.units[1] / growth.units[0] == pytest.approx(100, rel=0.1)
    assert growth.octaves[0] == growth.one_octave["all maps"] == pytest.approx(2, rel=0.1)
    assert growth.one_octave["but the mean"] == 0


@pytest.mark.parametrize(("name", "j"), [("accurate-L4", 1), ("accurate-L4", 2), ("paper", 2)])
def test_leaks_are_the_sum_over_an_images_frequencies(name, j):
    bank = FilterBank.load(name)
    chain = FilterChain().then("carry_first", 2)
    for _ in range(j - 1):
        chain = chain.then("carry_next", 2)
    # Between those of an FFT, of which none then lies on the edge of a band.
    w = grid_frequencies((192, 192)) + pi / 192
    seen = chain.then("psi_next", 1).response(bank, w)
    seen = seen[: bank.L] + 1j * seen[bank.L :]
    wanted = morlet(w, bank.L, j)
    above, leaks = abs(w).max(1) > pi / 2**j, Growth(bank).leaks
    for name, power in (("white", np.ones(len(w))), ("blue", (w**2).sum(1))):
        error = (power * abs(seen - wanted) ** 2)[:, above].sum()
        decibels = 10 * log10(error / (power * wanted**2).sum())
        assert leaks[name][j - 1] == pytest.approx(decibels, abs=0.02)


def test_modes_are_the_eigenvalues_of_the_sums():
    assert with_carry_next(AMPLIFYING).modes == pytest.approx([1, -19.7, -0.226, -0.226])
    turning = np.zeros((3, 3, 1, 1))
    turning[0, 0], turning[1, 2], turning[2, 1] = 1, 0.9, -0.9
    modes = with_carry_next(turning).modes
    assert modes[0] == 1 and sorted(modes[1:].imag) == pytest.approx([-0.9, 0.9])
    assert "0.9j" in with_carry_next(turning).instability()
    assert with_carry_next(mean_and(0.5 * IMPULSE)).instability() is None
    assert with_carry_next(mean_and(0.51 * IMPULSE)).instability()
    assert FilterBank.load("paper").instability() is None


def test_a_bank_that_amplifies_is_warned_of_when_loaded_and_cannot_be_learned(tmp_path):
    amplifying = with_carry_next(AMPLIFYING, "amplifying")
    rule = "bank='amplifying': carry_next multiplies a mode of the carried maps by -19.7 per octave"
    path = amplifying.save(tmp_path / "amplifying")
    for load in (FilterBank.load, lambda path: Scattering2D(2, (8, 8), L=2, bank=path).bank):
        with pytest.warns(BankWarning, match=rule) as caught:
            assert load(path) == amplifying
        assert caught[0].filename == __file__
    with pytest.raises(BankError, match=rule):
        check(amplifying)


def test_a_mean_that_grows_and_a_coupling_that_units_hide_are_refused():
    for gain, refused in ((1.09, False), (1.12, True), (-1.2, True), (3, True)):
        fault = with_carry_next(float(gain) * IMPULSE[None, None]).instability()
        assert bool(fault) == refused and (not fault or "multiplies the mean" in fault)
    # Of exactly half, though eigenvalues are known to rounding only.
    half = np.zeros((3, 3, 1, 1))
    half[0, 0], half[1, 2], half[2, 1] = 1, 0.5, -0.5
    assert with_carry_next(half).instability() is None
    coupled = mean_and(0.5 * IMPULSE)
    coupled[0, 1] = 1e5 * IMPULSE
    bank = with_carry_next(coupled, "coupled")
    assert bank.instability() is None and max(Growth(bank).octaves) < 4
    with pytest.raises(BankError, match=r"may grow .* times, but no more than 4 times"):
        check(bank)
    with pytest.raises(BankError, match=r"carry_next=1e\+60: growth is a finite number for taps"):
        Growth(with_carry_next(np.full((2, 2, 3, 3), 1e60)))


def test_cycles_are_waves_that_come_back():
    growth = Growth(with_carry_next(CYCLING))
    one, two, *_ = growth.cycles
    assert one["rate"] == pytest.approx(1) and one["frequency"] == [0, 0]
    # 2 - 2 cos(2 pi / 3), whatever the other axis does.
    assert two["rate"] == pytest.approx(3) and two["frequency"][0] in (1 / 3, 2 / 3)
    for cycle in growth.cycles:
        w = 2 * pi * np.array(cycle["frequency"])
        assert np.allclose(np.exp(1j * 2 ** cycle["period"] * w), np.exp(1j * w))
        assert not any(
            np.allclose(np.exp(1j * 2**sooner * w), np.exp(1j * w))
            for sooner in range(1, cycle["period"])
        )
    # No disturbance grows slower in the long run than a cycle does.
    bank = make_toy_bank("free", L=2, R=2)
    rates = [cycle["rate"] for cycle in Growth(bank).cycles]
    assert max(rates) ** OCTAVES <= Growth(bank).octaves[-1]


def test_small_sums_are_not_enough(tmp_path):
    cycling = with_carry_next(CYCLING, "cycling")
    assert cycling.modes == pytest.approx([1, 0]) and cycling.instability() is None
    assert Growth(cycling).octaves[-1] > 3**OCTAVES
    with pytest.raises(BankError, match=r"may grow .* times, but no more than 4 times over 12"):
        check(cycling)


def test_a_bank_that_forgets_is_sound(recwarn, tmp_path):
    binomial = np.outer([1, 2, 1], [1, 2, 1]) / 32
    bank = with_carry_next(mean_and(binomial, binomial, binomial))
    FilterBank.load(bank.save(tmp_path / "sound"))
    assert not recwarn.list
    check(bank)
    growth = Growth(bank)
    assert growth.one_octave["but the mean"] < 1
    assert 1 <= max(growth.octaves) < LARGEST_GROWTH
    assert growth.noise == sorted(growth.noise, reverse=True)


@pytest.mark.parametrize("name", list_banks())
def test_no_shipped_bank_amplifies(name):
    check(FilterBank.load(name))


def test_the_command_prints_it():
    # Of any J: what does not matter is not checked.
    ran = CliRunner().invoke(main, ["bounds", "paper-tuned", "--growth", "--json", "--J", "8"])
    assert ran.exit_code == 0, ran.output
    growth = Growth(FilterBank.load("paper-tuned"))
    assert json.loads(ran.stdout) == growth.report()
    text = CliRunner().invoke(main, ["bounds", "paper-tuned", "--growth"]).output
    for value in (growth.octaves[-1], growth.noise[1], growth.leaks["blue"][7]):
        assert f"{value:.3g}" in text
