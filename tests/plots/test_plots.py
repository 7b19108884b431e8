"""The pictures: what stands where in them, read back from rendered pixels."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from banks import bank_of
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import npscatter
import npscatter.torch
from npscatter import ArgumentError, ArgumentTypeError, FilterBank, Scattering2D
from npscatter.errors import install_extra
from npscatter.plots import plot_coefficients, plot_filters, plot_paths
from npscatter.plots.drawing import POSITIVE, SIGNED, upper_end
from npscatter.sklearn import ScatteringTransformer

ROOT = Path(npscatter.__file__).parent.parent


def transform(J=3, L=4, shape=(24, 20), **options):
    bank = bank_of(f"symmetric L={L} R=3")
    return Scattering2D(J, shape, L=L, bank=bank, backend="numpy", **options)


def noise(S, seed=0):
    """Return coefficients of which no two are alike."""
    count = int(np.prod(S.output_shape))
    return np.random.default_rng(seed).permutation(count).reshape(S.output_shape) / count


def blank(count=1, size=5):
    """Return axes of a figure that pyplot does not know."""
    figure = Figure(figsize=(size * count, size), dpi=100)
    FigureCanvasAgg(figure)
    return figure.subplots(1, count, squeeze=False)[0]


def rendered(figure):
    """Return the pixels of a figure, in [0, 1], the lowest row first."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3] / 255


def color_at(pixels, axes, x, y):
    column, row = axes.transData.transform((x, y)).astype(int)
    return pixels[row, column]


def value_at(axes, x, y):
    """Return the value of the one wedge that is drawn at a place."""
    (wedges,) = axes.collections
    values = [
        value
        for path, value in zip(wedges.get_paths(), wedges.get_array(), strict=True)
        if path.contains_point((x, y))
    ]
    assert len(values) == 1
    return values[0]


# The disc


def place(angle, radius):
    """Return x and y on a disc: a wave vector of angle 0 points down, one of 90 to the right."""
    radians = np.radians(angle)
    return radius * np.sin(radians), -radius * np.cos(radians)


def rings(S, order):
    """Return what the rings of a disc are, the outermost first, and their middles."""
    scales = [(j, -1) for j in range(S.J)]
    if order == 2:
        scales = [(a, b) for a in range(S.J) for b in range(a + 1, S.J)]
    edges = np.linspace(1, 0.25, len(scales) + 1)
    return dict(zip(scales, (edges[1:] + edges[:-1]) / 2, strict=True))


@pytest.mark.parametrize(("order", "J", "L"), [(1, 3, 6), (1, 1, 4), (2, 3, 4), (2, 2, 6)])
def test_every_wedge_has_the_color_of_its_path(order, J, L):
    S = transform(J, L)
    y, meta = noise(S), S.meta()
    (axes,) = blank(size=9)
    assert plot_coefficients(S, y, order=order, axes=axes) is axes
    pixels, means = rendered(axes.figure), y.mean((1, 2))
    chosen = np.flatnonzero(meta["order"] == order)
    radii, largest = rings(S, order), means[chosen].max()
    for channel in chosen:
        angle = meta["angle"][channel, 0]
        if order == 2:  # sectors: parallel wavelets in the middle of a wedge
            turned = meta["angle"][channel, 1] - angle
            turned = (turned + 90) % 180 - 90
            # An orthogonal one is halved between both sides.
            turned += 45 / L if turned == -90 else 0
            angle += turned / L
        radius = radii[tuple(meta["j"][channel].tolist())]
        for opposite in (0, 180):
            x, y_ = place(angle + opposite, radius)
            assert value_at(axes, x, y_) == pytest.approx(means[channel])
            wanted = colormaps[POSITIVE](means[channel] / largest)[:3]
            np.testing.assert_allclose(color_at(pixels, axes, x, y_), wanted, atol=0.02)


def test_a_wedge_lies_where_the_spectrum_of_a_wave_does():
    """Of all orientations; the directions are those of the picture's Fourier transform."""
    S = Scattering2D(2, (32, 32), backend="numpy", max_order=1)
    meta = S.meta()
    for channel in range(1, 9):
        radians = np.radians(meta["angle"][channel, 0])
        down, right = np.mgrid[:32, :32]
        wave = np.cos(2 * np.pi * 0.375 * (np.cos(radians) * down + np.sin(radians) * right))
        spectrum = np.abs(np.fft.fftshift(np.fft.fft2(wave)))
        row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
        # A picture's rows go down, a disc's y goes up.
        direction = np.array([column - 16, 16 - row]) / np.hypot(column - 16, row - 16)
        (axes,) = blank()
        plot_coefficients(S, S(wave), order=1, axes=axes)
        (wedges,) = axes.collections
        found = value_at(axes, *(direction * rings(S, 1)[0, -1]))
        assert found == pytest.approx(wedges.get_array().max())


def test_a_transposed_picture_has_its_disc_mirrored_about_the_diagonal():
    S = Scattering2D(3, (24, 24), L=4, bank="accurate-L4", backend="numpy")
    x = np.random.default_rng(0).standard_normal((24, 24)).cumsum(0)
    both = []
    for image in (x, x.T):
        axes = blank(2)
        plot_coefficients(S, S(image), axes=axes)
        both.append(axes)
    generator = np.random.default_rng(1)
    for one, other in zip(*both, strict=True):
        differ = 0
        for angle, radius in generator.uniform((0, 0.3), (360, 0.99), (40, 2)):
            a, b = place(angle, radius)
            assert value_at(one, a, b) == pytest.approx(value_at(other, -b, -a))
            differ += value_at(one, a, b) != pytest.approx(value_at(other, a, b))
        assert differ > 10


def test_a_disc_is_of_one_place_or_of_means_of_whatever_there_is():
    S = transform()
    y = noise(S)

    def drawn(*arguments):
        axes = blank(2)
        plot_coefficients(S, *arguments, axes=axes)
        return np.concatenate([one.collections[0].get_array() for one in axes])

    means = drawn(y)
    assert np.array_equal(drawn(y.mean((1, 2))), means)
    entries = [{"coef": one, "j": (), "n": (), "theta": ()} for one in y]
    assert np.array_equal(drawn(entries), means)
    entries[-1]["coef"] = np.repeat(np.repeat(entries[-1]["coef"], 2, 0), 2, 1)
    np.testing.assert_allclose(drawn(entries), means)
    assert np.array_equal(drawn(y, (2, 1)), drawn(y[:, 2, 1]))
    assert not np.allclose(drawn(y, (2, 1)), drawn(y, (1, 1)))
    assert np.array_equal(drawn(y, np.array([2, 1])), drawn(y[:, 2, 1]))


def test_paths_that_are_missing_are_left_out():
    few = transform(paths=[2, 5, 60])
    whole, axes = transform().meta(), blank(2)
    plot_coefficients(few, np.array([1.0, 2, 3]), axes=axes)
    assert sorted(axes[0].collections[0].get_array()) == [1, 1, 2, 2]
    x, y = place(whole["angle"][5, 0], rings(transform(), 1)[int(whole["j"][5, 0]), -1])
    assert value_at(axes[0], x, y) == 2
    axes = blank(2)
    plot_coefficients(few, np.ones((3, 2, 2)), view="maps", axes=axes)
    assert np.isfinite(axes[0].images[0].get_array()).sum() == 8
    (cell,) = blank()
    plot_paths(few, axes=cell)


def test_what_is_not_finite_is_blank_and_what_is_zero_is_dark():
    S, (axes,) = transform(), blank()
    values = np.ones(S.n_coefficients)
    values[3], values[7] = np.nan, np.inf
    plot_coefficients(S, values, order=1, axes=axes)
    (wedges,) = axes.collections
    assert wedges.get_clim() == (0, 1)
    pixels, meta = rendered(axes.figure), S.meta()
    for channel in range(1, 13):
        radius = rings(S, 1)[meta["j"][channel, 0], -1]
        color = color_at(pixels, axes, *place(meta["angle"][channel, 0], radius))
        wanted = [0.92] * 3 if channel in (3, 7) else colormaps[POSITIVE](1.0)[:3]
        np.testing.assert_allclose(color, wanted, atol=0.01)
    dark = np.zeros(S.output_shape)
    for draw in ({"view": "disc", "axes": blank(2)}, {"view": "maps", "axes": blank(3)}):
        for cell in plot_coefficients(S, dark, **draw)[-2:]:
            (shown,) = cell.collections or cell.images
            assert shown.get_clim() == (0, 1)


def test_a_scale_ends_at_a_percentile_of_the_finite_values():
    values = np.append(np.arange(1001.0), [np.nan, np.inf, -np.inf])
    assert upper_end(values) == 1000 and upper_end(values, 99) == 990
    assert upper_end(np.append(np.zeros(1000), 3.0), 99) == 3
    assert upper_end(np.zeros(3)) == upper_end(-np.ones(3)) == upper_end(np.full(3, np.nan)) == 1


@pytest.mark.parametrize("view", ["disc", "maps"])
def test_nothing_finite_is_told(view):
    S = transform()
    y = noise(S)
    y[S.meta()["order"] == 2] = np.nan
    with pytest.raises(ArgumentError, match="holds no finite value of order 2"):
        plot_coefficients(S, y, view=view)
    (cell,) = blank()
    plot_coefficients(S, y, view=view, order=np.int64(1), axes=cell)


def test_transforms_and_tensors_of_torchs_are_drawn_as_numpys():
    S = npscatter.torch.Scattering2D(2, (16, 16), 4, bank="accurate-L4")
    x = torch.rand(16, 16, dtype=torch.float64, requires_grad=True)
    y, wanted = S(x), blank(2)
    plot_coefficients(S, y.detach().numpy(), axes=wanted)
    for given in (y, [{"coef": one} for one in y]):
        axes = blank(2)
        plot_coefficients(S, given, axes=axes)
        for one, other in zip(axes, wanted, strict=True):
            assert np.array_equal(*(each.collections[0].get_array() for each in (one, other)))
    plot_paths(S, axes=blank()[0])
    plot_filters(S, axes=blank()[0])


# Maps


def test_maps_stand_at_the_rows_and_columns_of_their_paths():
    S = transform()
    y, meta = noise(S), S.meta()
    h, w = y.shape[-2:]
    axes = blank(3)
    assert list(plot_coefficients(S, y, view="maps", axes=axes)) == list(axes)
    low, first, second = (one.images[0].get_array() for one in axes)
    np.testing.assert_array_equal(low, y[0])
    for channel in range(1, S.n_coefficients):
        (j1, j2), (t1, t2) = meta["j"][channel], meta["theta"][channel]
        row, column, picture = (j1, t1, first)
        if meta["order"][channel] == 2:
            row, column, picture = (j1 * 4 + t1, (j2 - 1) * 4 + t2, second)
        tile = picture[row * h : (row + 1) * h, column * w : (column + 1) * w]
        np.testing.assert_array_equal(tile, y[channel])
    # j2 = 1 does not follow j1 = 1.
    assert np.ma.getmaskarray(second)[4 * h :, : 4 * w].all()
    assert second.count() == 48 * h * w


def test_maps_are_rendered_in_order():
    S = transform(J=2, max_order=1)
    y = np.broadcast_to(np.arange(9.0)[:, None, None], S.output_shape)
    (axes,) = blank(size=9)
    plot_coefficients(S, y, view="maps", order=1, axes=axes)
    pixels, (h, w) = rendered(axes.figure), y.shape[-2:]
    for j in range(2):
        for theta in range(4):
            center = (theta + 0.5) * w - 0.5, (j + 0.5) * h - 0.5
            wanted = colormaps[POSITIVE]((1 + 4 * j + theta) / 8)[:3]
            np.testing.assert_allclose(color_at(pixels, axes, *center), wanted, atol=0.02)


def test_smaller_maps_are_enlarged():
    S = transform(J=2, max_order=1)
    y = [{"coef": np.full((2, 3) if n > 4 else (4, 6), n)} for n in range(9)]
    y[5]["coef"] = np.arange(6).reshape(2, 3)
    (axes,) = blank()
    plot_coefficients(S, y, view="maps", order=1, axes=axes)
    tiles = axes.images[0].get_array()
    assert tiles.shape == (8, 24)
    np.testing.assert_array_equal(tiles[4:, :6], np.kron(y[5]["coef"], np.ones((2, 2))))


# Filters and paths


@pytest.mark.parametrize(("bank", "J", "scales"), [("accurate-L4", 2, None), ("accurate", 5, 3)])
def test_filters_in_space_are_the_effective_ones(bank, J, scales):
    S = Scattering2D(J, (64, 64), L=None, bank=bank)
    (axes,) = blank()
    assert plot_filters(S, scales=scales, axes=axes) is axes
    (image,) = axes.images
    assert image.get_clim() == (-1, 1) and image.get_cmap().name == SIGNED
    shown = scales or J
    rows = 2 * shown + (shown == J)  # the low-pass belongs to all scales
    picture = image.get_array()
    side = picture.shape[1] // S.L
    assert picture.shape == (rows * side, S.L * side) and side % 2 == 1
    found = S.filters(size=(192, 192))
    seen = slice(96 - side // 2, 96 + side // 2 + 1)
    for j in range(shown):
        for theta in range(S.L):
            psi = found.psi[j, theta, seen, seen]
            # Nothing that matters is cut off.
            assert np.linalg.norm(psi) > 0.999 * np.linalg.norm(found.psi[j, theta])
            psi = psi / np.abs(found.psi[j]).max()
            for part, wanted in enumerate((psi.real, psi.imag)):
                row = 2 * j + part
                tile = picture[row * side : (row + 1) * side, theta * side : (theta + 1) * side]
                np.testing.assert_allclose(tile, wanted, atol=1e-6)
    if shown == J:
        wanted = found.phi[seen, seen] / found.phi.max()
        np.testing.assert_allclose(picture[-side:, :side], wanted, atol=1e-6)


def test_of_many_scales_the_finest_are_drawn():
    S = Scattering2D(5, (32, 32), L=4, bank="accurate-L4")
    (axes,) = blank()
    plot_filters(S, axes=axes)
    assert [label.get_text()[-1] for label in axes.get_yticklabels()] == list("00112233")
    assert axes.get_title().endswith("the finest 4 of 5 scales, no low-pass")
    for scales in (1, np.int64(2)):
        (axes,) = blank()
        plot_filters(transform(2), scales=scales, view="frequency", axes=axes)
        assert ("the finest 1 of 2 scales" in axes.get_title()) == (scales < 2)


def test_contours_in_frequency_enclose_the_centre_frequencies():
    S = Scattering2D(3, (32, 32))
    (axes,) = blank()
    plot_filters(S, view="frequency", axes=axes)
    assert axes.yaxis_inverted() and len(axes.collections) == 25
    meta = S.meta()
    for channel in range(1, 25):
        radians = np.radians(meta["angle"][channel, 0])
        right, down = meta["frequency"][channel, 0] * np.array([np.sin(radians), np.cos(radians)])
        if max(abs(right), abs(down)) > 0.25:  # lines end where the frequencies do
            continue
        (path,) = axes.collections[channel - 1].get_paths()
        assert path.contains_point((right, down))
        assert not path.contains_point((-right, -down))
    (path,) = axes.collections[24].get_paths()
    assert path.contains_point((0, 0))


@pytest.mark.parametrize(("J", "max_order"), [(1, 2), (2, 1), (4, 2)])
def test_paths_tell_the_channels(J, max_order):
    S = Scattering2D(J, (32, 32), L=4, max_order=max_order, bank="accurate-L4")
    (axes,) = blank()
    assert plot_paths(S, axes=axes) is axes
    meta, told = S.meta(), {}
    for text in axes.texts:
        words = text.get_text().replace("$", "").replace("\\", "")
        if words == "image: channel 0":
            told[0] = ()
            continue
        j, first, apart = re.fullmatch(
            r"j_[12] = (\d+): channels (\d+)(?: \+ (\d+))? ?\+? ?theta_1(?: \+ theta_2)?", words
        ).groups()
        for t1 in range(4):
            for t2 in range(4) if apart else (-1,):
                channel = int(first) + int(apart or 1) * t1 + max(t2, 0)
                told[channel] = (int(j), t1, t2)
    assert sorted(told) == list(range(S.n_coefficients))
    for channel in range(1, S.n_coefficients):
        last = meta["j"][channel, meta["order"][channel] - 1]
        assert told[channel] == (last, *meta["theta"][channel])


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (lambda meta: (meta["order"] == 2) & (meta["theta"][:, 0] == 1), "channels 0 to 3"),
        (lambda meta: meta["theta"][:, 0] == meta["theta"][:, 1], "channels 1 to 4"),
        (lambda meta: (meta["order"] == 1) & (meta["theta"][:, 0] > 0), "channels 3 to 5"),
        (lambda meta: (meta["order"] < 2) | (meta["j"][:, 1] == 1), "channels 9 + 4 theta_1"),
    ],
)
def test_chosen_paths_tell_the_channels_that_are_theirs(chosen, words):
    (axes,) = blank()
    plot_paths(transform(2, paths=chosen(transform(2).meta())), axes=axes)
    texts = [text.get_text().replace("$", "").replace("\\", "") for text in axes.texts]
    assert any(words in text for text in texts) and not any("+ 0 " in text for text in texts)


def test_chosen_paths_without_a_pattern_are_counted():
    (axes,) = blank()
    meta = transform().meta()
    plot_paths(transform(paths=meta["theta"][:, 1] == 1), axes=axes)  # two of a theta_1, then on
    assert ": 4 channels" in "".join(text.get_text() for text in axes.texts)


# How they are called


def test_without_arguments_a_notebook_gets_axes_of_pyplots():
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    try:
        S = transform()
        first, second = plot_coefficients(S, noise(S))
        assert pyplot.gcf() is first.figure is second.figure
        for draw in (plot_filters, plot_paths):
            assert draw().figure is pyplot.gcf()
            pixels = rendered(pyplot.gcf())
            assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
        assert len(pyplot.get_fignums()) == 3
    finally:
        pyplot.close("all")


def test_given_axes_leave_pyplot_alone():
    code = """
import sys
import numpy as np
from matplotlib.figure import Figure
from npscatter import Scattering2D
from npscatter.plots import plot_coefficients, plot_filters, plot_paths
S = Scattering2D(2, (16, 16), backend="numpy", bank="accurate-L4", L=4)
y = S(np.eye(16))
plot_coefficients(S, y, axes=Figure().subplots(1, 2))
plot_coefficients(S, y, view="maps", axes=Figure().subplots(3, 1))
plot_filters(S, axes=Figure().subplots())
plot_paths(S, axes=Figure().subplots())
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_without_matplotlib_the_extra_is_named():
    code = "import sys; sys.modules['matplotlib'] = None\nimport npscatter.plots"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    wanted = f"npscatter.plots needs matplotlib, not installed: {install_extra('plots')}"
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: {wanted}"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"y": np.zeros((49, 3))}, ArgumentError, "y.shape=(49, 3)"),
        ({"y": np.zeros((2, 61, 3, 2))}, ArgumentError, "one image's coefficients, (61, h, w)"),
        ({"y": [{"coef": np.zeros((2, 2))}]}, ArgumentError, "y.shape='a list of 1'"),
        ({"position": (3, 0)}, ArgumentError, "within the 3 x 2 output samples"),
        ({"position": (0, -1)}, ArgumentError, "position=(0, -1)"),
        ({"position": 3}, ArgumentTypeError, "position=3"),
        ({"position": (0, 0), "view": "maps"}, ArgumentError, "view='maps' shows all"),
        ({"view": "disk"}, ArgumentError, "view='disk'"),
        ({"order": 0}, ArgumentError, "order=0"),
        ({"order": 3}, ArgumentError, "order=3"),
        ({"order": 1.5}, ArgumentTypeError, "order=1.5"),
        ({"y": np.zeros((61, 3, 2), complex)}, ArgumentTypeError, "must be real numbers"),
        ({"S": "accurate"}, ArgumentTypeError, "S='accurate': must be a Scattering2D"),
        ({"axes": blank()}, ArgumentError, "must be 2 of Matplotlib's axes"),
        ({"axes": 4}, ArgumentError, "axes=4"),
    ],
)
def test_errors(arguments, error, words):
    S = transform()
    with pytest.raises(error) as raised:
        plot_coefficients(**{"S": S, "y": noise(S), **arguments})
    assert words in str(raised.value)


@pytest.mark.parametrize("draw", [plot_filters, plot_paths])
def test_what_is_no_transform(draw):
    with pytest.raises(ArgumentTypeError, match="S=5: must be a Scattering2D"):
        draw(5)


def test_numbers_may_be_numpys():
    S = transform()
    place, order = np.array([2, 1]), np.int64(1)
    axes = plot_coefficients(S, noise(S), place, order=order, axes=blank())
    assert axes.get_title().endswith("at (2, 1)")
    assert plot_filters(S, scales=np.int64(1), axes=blank()[0]).images


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"view": "fourier"}, "view='fourier'"), ({"scales": 4}, "scales=4"), ({"scales": 0}, "=0")],
)
def test_errors_of_filters(arguments, words):
    with pytest.raises(ArgumentError) as raised:
        plot_filters(**arguments)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("accurate", r"Scattering2D\(J, shape, bank=\.\.\.\) with it"),
        (FilterBank.load("fast"), r"Scattering2D\(J, shape, bank=\.\.\.\) with it"),
        (ScatteringTransformer(J=2, shape=(8, 8)), "with the same arguments"),
        (np.zeros((61, 3, 2)), "the transform first"),
        ([{"coef": np.zeros(3)}], "the transform first"),
        (Scattering2D, "an object"),
        (3, r"pass npscatter\.Scattering2D\(J, shape\)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_transform_is_told(wrong, remedy):
    for draw in (plot_filters, plot_paths, lambda S: plot_coefficients(S, noise(transform()))):
        with pytest.raises(ArgumentTypeError, match=f"^S=.*must be a Scattering2D; .*{remedy}"):
            draw(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "coefficients",
        transform(),
        np.zeros((61, 3, 2), complex),
        [{"j": 0}] * 61,
        [[0], [0, 1]],
        [{"coef": "a"}] * 61,
        np.ma.masked_all((61, 3, 2)),
        torch.zeros(61, 3, 2, dtype=torch.complex64, requires_grad=True),
        torch.zeros(61, 3, 2).to_sparse(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_coefficients_is_told(wrong):
    with pytest.raises(ArgumentTypeError, match=r"^y=.*(must be real numbers|holds masked)"):
        plot_coefficients(transform(), wrong)


def test_an_order_that_is_not_there_cannot_be_drawn():
    S = transform(J=1)
    (cell,) = plot_coefficients(S, noise(S), axes=blank())
    assert len(cell.collections[0].get_array()) == 8
    with pytest.raises(ArgumentError, match="order=2"):
        plot_coefficients(S, noise(S), order=2)


def test_what_is_larger_is_lighter_whatever_colors_an_eye_tells_apart():
    red, green, blue = colormaps[POSITIVE](np.linspace(0, 1, 256))[:, :3].T
    luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    assert np.all(np.diff(luminance) > 0)
    # The signed ones differ in blue, which eyes blind to red or green see.
    low, high = colormaps[SIGNED]([0.15, 0.85])[:, :3]
    assert low[2] - high[2] > 0.4
