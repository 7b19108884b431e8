"""The filters that a cascade comes to, and what `meta` says of wavelets: against Kymatio's."""

from html.parser import HTMLParser

import numpy as np
import pytest
from banks import bank_of
from kymatio.scattering2d.filter_bank import filter_bank, gabor_2d

from npscatter import ArgumentError, ArgumentTypeError, FilterBank, Scattering2D
from npscatter.backends import reference
from npscatter.program.plan import make_plan

KINDS = [
    "symmetric L=4 R=4",
    "free L=2 R=3",
    "free, strided wavelets",
    "free, weights per octave",
    "paper shape",
]


def difference(computed, wanted):
    computed, wanted = (np.concatenate([x.ravel() for x in each]) for each in (computed, wanted))
    return np.linalg.norm(computed - wanted) / np.linalg.norm(wanted)


# Kymatio's filters


@pytest.mark.parametrize(
    ("name", "all_together", "each"),
    [*((f"accurate{L}", 0.02, 0.03) for L in ("", "-L6", "-L4")), ("fast", 0.08, 0.15)],
)
@pytest.mark.parametrize(("J", "shape"), [(1, (16, 20)), (3, (40, 50))])
def test_filters_are_near_kymatios(name, J, shape, all_together, each):
    S = Scattering2D(J, shape, L=None, bank=name)
    wanted = filter_bank(*S.plan.padded_shape, J, S.L)
    ours, theirs = [], []
    assert len(S.psi) == len(wanted["psi"])
    for psi, kymatios in zip(S.psi, wanted["psi"], strict=True):
        assert (psi["j"], psi["theta"]) == (kymatios["j"], kymatios["theta"])
        # Kymatio has a level more of a wavelet than are applied.
        assert len(psi["levels"]) == max(1, psi["j"])
        for one, other in zip(psi["levels"], kymatios["levels"], strict=False):
            assert one.shape == other.shape and one.dtype == np.float64
            ours.append(one)
            theirs.append(other)
            assert difference([one], [other]) < each
    assert difference(ours, theirs) < all_together
    assert S.phi["j"] == wanted["phi"]["j"] == J
    low = zip(S.phi["levels"], wanted["phi"]["levels"], strict=True)
    *errors, coarsest = [difference([one], [other]) for one, other in low]
    # On the coarsest grid the low-pass is one small filter.
    assert all(error < 0.01 for error in errors) and coarsest < 0.03


def test_filters_in_space_are_kymatios_at_their_centre():
    S = Scattering2D(2, (32, 32))
    found = S.filters(size=(33, 40))
    assert found.scales == (0, 1) and found.grid == 1
    assert found.psi.shape == (2, 8, 33, 40) and found.phi.shape == (33, 40)
    wanted = filter_bank(33, 40, 2, 8)
    wanted = [np.fft.fftshift(np.fft.ifft2(psi["levels"][0])) for psi in wanted["psi"]]
    assert difference(found.psi.reshape(16, 33, 40), wanted) < 0.02
    low = found.phi
    assert np.unravel_index(low.argmax(), low.shape) == (16, 20)
    assert low.sum() == pytest.approx(1, abs=1e-3)
    # Real and imaginary parts of the wavelets are even and odd about it.
    psi = found.psi[..., 1:]
    np.testing.assert_allclose(psi, psi[..., ::-1, ::-1].conj(), atol=1e-15)


def test_what_psi_and_phi_return_is_not_shared():
    S = Scattering2D(2, (16, 16), bank="accurate-L4", L=4)
    S.psi[0]["levels"].clear()
    S.phi["levels"].clear()
    assert len(S.psi[0]["levels"]) == 1 and len(S.phi["levels"]) == 2
    with pytest.raises(ValueError, match="read-only"):
        S.psi[0]["levels"][0][0, 0] = 1


# What the program computes


def decimated(maps, step):
    return maps[..., ::step, ::step]


def convolved(maps, transforms):
    return np.fft.ifft2(np.fft.fft2(maps) * transforms)


@pytest.mark.parametrize("name", KINDS)
def test_coefficients_are_those_of_the_filters(name):
    """All orders, by FFTs of whole maps with the filters alone."""
    J, side, bank = 3, 16, bank_of(name)
    S = Scattering2D(J, (side, 2 * side), bank.L, backend="numpy", bank=bank, boundary="periodic")
    x = np.random.default_rng(1).standard_normal(S.shape)
    after = [S.filters(after=j) for j in range(J)]
    image = S.filters()
    found = {(): decimated(convolved(x, image.phi_hat).real, 2**J)}
    for j1, wavelets in zip(image.scales, image.psi_hat, strict=True):
        read = after[j1]
        for t1, wavelet in enumerate(wavelets):
            modulus = decimated(abs(convolved(x, wavelet)), read.grid)
            low = convolved(modulus, read.phi_hat).real
            found[j1 * S.L + t1,] = decimated(low, 2**J // read.grid)
            for j2, following in zip(read.scales, read.psi_hat, strict=True):
                for t2, second in enumerate(following):
                    again = decimated(abs(convolved(modulus, second)), after[j2].grid // read.grid)
                    low = convolved(again, after[j2].phi_hat).real
                    n = j1 * S.L + t1, j2 * S.L + t2
                    found[n] = decimated(low, 2**J // after[j2].grid)
    wanted = S(x)
    for channel, path in enumerate(S.plan.paths):
        np.testing.assert_allclose(found[path.n], wanted[channel], atol=1e-12)


class Recorder(reference.FloatArithmetic):
    """Keeps what wavelets give before their modulus is taken, by the number of the step."""

    def __init__(self, bank):
        super().__init__(bank, np.dtype(float))
        self.waves = {}

    def modulus(self, number, real, imaginary):
        self.waves[number] = real[0, 0] + 1j * imaginary[0, 0]
        return super().modulus(number, real, imaginary)


@pytest.mark.parametrize("name", ["accurate", *KINDS])
def test_wavelets_are_the_impulse_responses_of_the_numpy_executor(name):
    """Up to conjugation: real images have the moduli of both."""
    J, side, bank = 3, 32, bank_of(name)
    plan = make_plan(J, (side, side), bank.architecture, 1, "periodic")
    S = Scattering2D(J, (side, side), bank.L, 1, bank=bank, boundary="periodic")
    psi, scales = S.filters().psi, []
    # All samples of a filter are seen by impulses at the pixels of one sample of the coarsest grid.
    for y, x in [(0, 0), (1, 2), (3, 7), (6, 5)]:
        impulse = np.zeros((side, side))
        impulse[y, x] = 1
        recorder = Recorder(bank)
        output = np.empty(S.output_shape)
        reference.interpret(plan, recorder, impulse, output)
        low = np.roll(S.filters().phi, (y - side // 2, x - side // 2), (0, 1))
        np.testing.assert_allclose(output[0], decimated(low, 2**J), atol=1e-13)
        scales = []
        for number, waves in recorder.waves.items():
            j = plan.steps[number].source.octave
            moved = np.roll(psi[j], (y - side // 2, x - side // 2), (-2, -1))
            wanted = decimated(moved, side // waves.shape[-1]).conj()
            np.testing.assert_allclose(waves, wanted, atol=1e-13)
            scales.append(j)
    assert sorted(scales) == [0, 1, 2]


def test_a_size_that_is_too_small_wraps_filters():
    S = Scattering2D(2, (16, 16), bank="accurate-L4", L=4)
    large, small = S.filters(size=(32, 48)), S.filters(size=(8, 16))
    psi = large.psi.reshape(2, 4, 4, 8, 3, 16).sum((2, 4))
    np.testing.assert_allclose(np.roll(psi, 4, -2), small.psi, atol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"size": (0, 4)}, ArgumentError, "size=(0, 4)"),
        ({"size": 4}, ArgumentTypeError, "size=4"),
        ({"after": 2}, ArgumentError, "after=2: must be a scale, from 0 to 1"),
        ({"after": -1}, ArgumentError, "after=-1"),
        ({"after": "0"}, ArgumentTypeError, "after='0'"),
    ],
)
def test_filters_errors(arguments, error, word):
    with pytest.raises(error) as raised:
        Scattering2D(2, (16, 16)).filters(**arguments)
    assert word in str(raised.value)


def test_without_a_second_order_moduli_have_no_wavelets():
    found = Scattering2D(2, (16, 16), max_order=1).filters(after=1)
    assert found.scales == () and found.psi_hat.shape == (0, 8, 12, 12)
    assert found.grid == 2 and found.phi_hat.shape == (12, 12)


# meta


@pytest.mark.parametrize("L", [4, 8])
def test_frequency_bandwidth_and_angle_are_those_of_kymatios_gabor_functions(L):
    """Found in their spectra, on a grid of 128 x 128."""
    J, side = 3, 128
    meta = Scattering2D(J, (32, 32), L).meta()
    frequencies = np.fft.fftfreq(side)
    for channel in range(1, 1 + J * L):
        j, theta = int(meta["j"][channel, 0]), int(meta["theta"][channel, 0])
        turn = (int(L - L / 2 - 1) - theta) * np.pi / L
        g = gabor_2d(side, side, 0.8 * 2**j, turn, 3 / 4 * np.pi / 2**j, 4 / L)
        power = np.abs(np.fft.fft2(g)) ** 2
        peak = np.unravel_index(power.argmax(), power.shape)
        down, right = frequencies[list(peak)]
        assert np.hypot(down, right) == pytest.approx(meta["frequency"][channel, 0], abs=0.7 / side)
        radians = np.radians(meta["angle"][channel, 0])
        centre = meta["frequency"][channel, 0] * np.array([np.cos(radians), np.sin(radians)])
        np.testing.assert_allclose((down, right), centre, atol=0.51 / side)
        if np.isclose(meta["angle"][channel, 0], 0) and j > 0:
            along = np.fft.fftshift(power[:, 0]) / power.max()
            above = np.flatnonzero(along > 0.5)
            ends = [
                np.interp(0.5, along[[a, b]], np.fft.fftshift(frequencies)[[a, b]])
                for a, b in ((above[0] - 1, above[0]), (above[-1] + 1, above[-1]))
            ]
            width = ends[1] - ends[0]
            assert width == pytest.approx(meta["bandwidth"][channel, 0], rel=0.02)


@pytest.mark.parametrize("bank", ["accurate", "accurate-L6"])
def test_a_plane_wave_is_largest_in_the_channel_that_has_its_frequency_and_angle(bank):
    S = Scattering2D(3, (40, 40), L=None, max_order=1, bank=bank, backend="numpy")
    meta, (down, right) = S.meta(), np.mgrid[:40, :40]
    radians = np.radians(meta["angle"][1:, 0, None, None])
    along = np.cos(radians) * down + np.sin(radians) * right
    waves = np.cos(2 * np.pi * meta["frequency"][1:, 0, None, None] * along)
    found = S(waves)[:, 1:].mean((-2, -1))
    assert np.array_equal(found.argmax(1), np.arange(len(waves)))


def test_meta_is_nan_where_there_is_no_wavelet():
    meta = Scattering2D(2, (16, 16)).meta()
    for key in ("frequency", "bandwidth", "angle"):
        assert meta[key].dtype == np.float64 and meta[key].shape == (81, 2)
        assert np.array_equal(np.isnan(meta[key]), meta["j"] < 0)


# In a notebook


class Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open.append(tag)
        assert {name for name, _ in attributes} <= {"style"}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_a_notebook_shows_a_table():
    bank = bank_of("symmetric L=4 R=1")
    name = "<script>alert('&amp;')</script>"
    hostile = FilterBank(name, **{key: bank[key] for key in bank.keys()})
    S = Scattering2D(2, (20, 30), L=4, bank=hostile, pre_pad=True, backend="numpy")
    seen = Seen()
    seen.feed(S._repr_html_())
    seen.close()
    assert not seen.open and set(seen.tags) == {"table", "caption", "b", "tr", "th", "td"}
    text = " ".join(seen.text)
    assert name in text
    for words in (
        "(..., 28, 36), padded",
        "(25, 5, 7) of each image",
        "8 of order 1, 16 of order 2",
    ):
        assert words in text
