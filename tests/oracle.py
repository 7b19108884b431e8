"""The scattering transform by its definition, in plain loops: what every executor must equal.

Nothing here comes from the package. Maps are lists of rows, stacks of maps are lists of maps, and
the weights are arrays of the shapes

    psi_first (L, 1, K, K), carry_first (R, 1, K, K), low_first (1, 1, K, K),
    psi_next  (L, R, K, K), carry_next  (R, R, K, K), low_next  (1, R, K, K),

psi complex, K odd and of any size in each. All filters are correlations with a centred kernel.
"""

import math

import numpy as np


def scattering(
    image,
    weights,
    *,
    J,
    L,
    R,
    max_order=2,
    psi_stride=1,
    next_from="carried",
    boundary="kymatio",
    pre_pad=False,
):
    """Return the coefficients of one image, shape (C, H // 2^J, W // 2^J), float64.

    The order of the channels is S0; S1 by j1, t1; S2 by j1, t1, j2, t2.
    """
    wrap = boundary != "zero"
    x, crop = finest_grid(np.asarray(image, float).tolist(), J, boundary, pre_pad)

    def taps(kind, level, octave):
        """Return the weights for maps that entered at `level` and now are at `octave`."""
        first = octave == (level if next_from == "carried" else 0)
        return weights[f"{kind}_first" if first else f"{kind}_next"]

    def smoothing_stride(order, level, octave):
        """Every octave halves once; a wavelet of stride 2 has halved its modulus already."""
        return 1 if psi_stride == 2 and order > 0 and octave == level else 2

    def carried(u, order, level, octave):
        """Return the raw map u, which enters at `level`, carried on to `octave`."""
        if octave == level:
            return [u]
        before = carried(u, order, level, octave - 1)
        maps = correlate(
            before,
            taps("carry", level, octave - 1),
            smoothing_stride(order, level, octave - 1),
            wrap,
        )
        assert len(maps) == R
        return maps

    def wavelet_moduli(u, order, level, octave):
        """Return |psi_theta u| at the scale of `octave` for every orientation theta."""
        maps, psi = carried(u, order, level, octave), taps("psi", level, octave)
        real = correlate(maps, psi.real, psi_stride, wrap)
        imaginary = correlate(maps, psi.imag, psi_stride, wrap)
        assert len(real) == L
        return [modulus(re, im) for re, im in zip(real, imaginary, strict=True)]

    def average(u, order, level):
        """Return the output channel of u: smoothed to the coarsest scale, margin cropped."""
        maps, low = carried(u, order, level, J - 1), taps("low", level, J - 1)
        (smooth,) = correlate(maps, low, smoothing_stride(order, level, J - 1), wrap)
        (top, height), (left, width) = crop
        return [row[left : left + width] for row in smooth[top : top + height]]

    S0, S1, S2 = [average(x, 0, 0)], [], []
    for j1 in range(J):
        for u1 in wavelet_moduli(x, 0, 0, j1):
            S1.append(average(u1, 1, j1))
            if max_order == 2:
                for j2 in range(j1 + 1, J):
                    for u2 in wavelet_moduli(u1, 1, j1, j2):
                        S2.append(average(u2, 2, j2))
    return np.array(S0 + S1 + S2)


def correlate(maps, taps, stride, wrap):
    """Return sum over i, a, b of taps[o, i, a, b] maps[i][s y + a - K//2][s x + b - K//2].

    The result has one map per o, of ceil(height / s) rows of ceil(width / s) samples.
    """
    taps = taps.tolist()
    height, width, K = len(maps[0]), len(maps[0][0]), len(taps[0][0])
    results = []
    for kernels in taps:
        result = []
        for y in range(math.ceil(height / stride)):
            result.append([])
            for x in range(math.ceil(width / stride)):
                total = 0.0
                for source, kernel in zip(maps, kernels, strict=True):
                    for a in range(K):
                        row = stride * y + a - K // 2
                        if wrap:
                            row %= height
                        elif not 0 <= row < height:
                            continue
                        for b in range(K):
                            column = stride * x + b - K // 2
                            if wrap:
                                column %= width
                            elif not 0 <= column < width:
                                continue
                            total += kernel[a][b] * source[row][column]
                result[-1].append(total)
        results.append(result)
    return results


def modulus(real, imaginary):
    """Return sqrt(re^2 + im^2), sample by sample."""
    return [
        [math.hypot(re, im) for re, im in zip(res, ims, strict=True)]
        for res, ims in zip(real, imaginary, strict=True)
    ]


def finest_grid(image, J, boundary, pre_pad):
    """Return the image on the grid it is computed on, and per axis (first, number) kept."""
    rows, kept_rows = axis(len(image), J, boundary, pre_pad)
    columns, kept_columns = axis(len(image[0]), J, boundary, pre_pad)
    grid = [[0.0 if y is None or x is None else image[y][x] for x in columns] for y in rows]
    return grid, (kept_rows, kept_columns)


def axis(side, J, boundary, pre_pad):
    """Return, for one axis, the pixel at every grid point (None: zero) and (first, number) kept."""
    period = 2**J
    if pre_pad:  # the image is the padded grid; one output sample per side is cropped
        return list(range(side)), (1, side // period - 2)
    if boundary == "periodic":
        return list(range(side)), (0, side // period)
    padded = ((side + period) // period + 1) * period
    left = (padded - side) // 2
    if boundary == "kymatio":
        return [reflected(i - left, side) for i in range(padded)], (1, side // period)
    # "zero": the fewest zeros in front that leave the samples on the same pixels as above
    zeros = left % period
    return [None] * zeros + list(range(side)), (1 if zeros else 0, side // period)


def reflected(i, side):
    """Return the pixel seen at position i in mirrors that stand on the first and last pixel."""
    while not 0 <= i < side:
        i = -i if i < 0 else 2 * (side - 1) - i
    return i
